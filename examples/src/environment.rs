//! What one program of `src/bin` says: which `cluster.yaml` it is for, and the policy that data should not express.

/// An environment: its name and the `cluster.yaml` that the program carries with it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Environment {
    /// The name, also of the folder and the program.
    pub name: &'static str,
    /// Where the file stands in the repository, for messages.
    pub file: &'static str,
    /// The text of the file when the program was built; `--file` reads another one.
    pub text: &'static str,
}

impl Environment {
    /// An environment whose file is built into the program.
    pub const fn embedded(name: &'static str, file: &'static str, text: &'static str) -> Self {
        Self { name, file, text }
    }
}

/// What must be said before machines are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// `--yes` is enough.
    Confirmed,
    /// The name of the cluster has to be given.
    Named,
}

/// The choices of a program.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Policy {
    /// What must be said before machines are removed.
    pub removal: Removal,
    /// Whether warnings about `cluster.yaml` count as errors.
    pub strict: bool,
    /// How many steps run side by side.
    pub at_once: usize,
}

impl Policy {
    /// For clusters that somebody would miss: warnings are errors, removal needs the name.
    pub const fn guarded() -> Self {
        Self {
            removal: Removal::Named,
            strict: true,
            at_once: 4,
        }
    }

    /// For clusters that come and go.
    pub const fn relaxed() -> Self {
        Self {
            removal: Removal::Confirmed,
            strict: false,
            at_once: 4,
        }
    }

    /// Asks for something else before machines are removed.
    #[must_use]
    pub const fn removal(self, removal: Removal) -> Self {
        Self { removal, ..self }
    }

    /// Lets more or fewer steps run side by side.
    #[must_use]
    pub const fn at_once(self, steps: usize) -> Self {
        Self {
            at_once: steps,
            ..self
        }
    }
}
