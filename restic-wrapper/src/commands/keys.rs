//! `key list`, `key add`, `key passwd`, `key remove`.

use super::{OneDocument, TextLines, builder, flags, v};
use crate::command::Command;
use crate::error::Result;
use crate::parser::Document;
use crate::report::Key;
use crate::repository::Repository;
use crate::run::Run;
use crate::secret::Secret;

builder! {
    /// Keys to be asked for. See [`Repository::keys`].
    KeyList => Vec<Key>
}

builder! {
    /// A password to be added. See [`Repository::add_key`].
    KeyAdd => Vec<String>
}

builder! {
    /// A password to be changed. See [`Repository::change_password`].
    KeyPasswd => Vec<String>
}

builder! {
    /// A key to be removed. See [`Repository::remove_key`].
    KeyRemove => Vec<String>
}

impl Repository {
    /// The keys of the repository.
    pub fn keys(&self) -> KeyList {
        KeyList {
            repository: self.clone(),
            invocation: self.invocation(Command::KeyList),
        }
    }

    /// Adds a password. It reaches restic through a pipe.
    pub fn add_key(&self, password: impl Into<Secret>) -> KeyAdd {
        let mut invocation = self.invocation(Command::KeyAdd);
        invocation.new_password(password.into());
        KeyAdd {
            repository: self.clone(),
            invocation,
        }
    }

    /// Changes the password that this repository is opened with. Open it with the new one afterwards.
    pub fn change_password(&self, password: impl Into<Secret>) -> KeyPasswd {
        let mut invocation = self.invocation(Command::KeyPasswd);
        invocation.new_password(password.into());
        KeyPasswd {
            repository: self.clone(),
            invocation,
        }
    }

    /// Adds a key that opens the repository without a password (0.17 and newer).
    pub fn add_key_without_password(&self) -> KeyAdd {
        let mut invocation = self.invocation(Command::KeyAdd);
        invocation.switch("--new-insecure-no-password", v(17, 0));
        KeyAdd {
            repository: self.clone(),
            invocation,
        }
    }

    /// Takes away the password that this repository is opened with (0.17 and newer). Open it with
    /// [`Restic::repository_without_password`](crate::Restic::repository_without_password) afterwards.
    pub fn drop_password(&self) -> KeyPasswd {
        let mut invocation = self.invocation(Command::KeyPasswd);
        invocation.switch("--new-insecure-no-password", v(17, 0));
        KeyPasswd {
            repository: self.clone(),
            invocation,
        }
    }

    /// Removes a key. restic refuses to remove the one that it was opened with.
    pub fn remove_key(&self, id: impl Into<String>) -> KeyRemove {
        let mut invocation = self.invocation(Command::KeyRemove);
        invocation.operands.push(id.into().into());
        KeyRemove {
            repository: self.clone(),
            invocation,
        }
    }
}

flags!(KeyAdd {
    /// User name of the new key.
    text user "--user" since v(12, 0);
    /// Host name of the new key.
    text host "--host" since v(12, 0);
});

impl KeyList {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub fn start(self) -> Result<Run<Vec<Key>>> {
        let collector = OneDocument::new("a list of keys", |document| match document {
            Document::Keys(keys) => Some(keys),
            _ => None,
        });
        self.repository.run(self.invocation, collector)
    }
}

macro_rules! starts {
    ($($name:ty),*) => {$(
        impl $name {
            /// Starts it.
            ///
            /// # Errors
            ///
            /// What can stop a repository from opening.
            pub fn start(self) -> Result<Run<Vec<String>>> {
                self.repository.run(self.invocation, TextLines::default())
            }
        }
    )*};
}
starts!(KeyAdd, KeyPasswd, KeyRemove);
