//! What is done with files, whatever reaches them.

/// Why a file could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A file or folder is not there.
    Missing(String),
    /// The user may not.
    Denied(String),
    /// The server has no SFTP.
    NoSftp(String),
    /// The session is gone.
    Lost(String),
    /// A step took too long.
    Timeout(String),
    Other(String),
}

impl Fault {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Missing(text)
            | Self::Denied(text)
            | Self::NoSftp(text)
            | Self::Lost(text)
            | Self::Timeout(text)
            | Self::Other(text) => text,
        }
    }
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
}

/// A way to reach files.
pub(super) trait Files {
    /// The size of a file; none if there is none.
    fn size(&self, path: &str) -> Result<Option<u64>, Fault>;
    /// The first bytes of a file, `most` of them.
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, Fault>;
    /// Writes a file that is of no use to anyone before it is whole.
    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Fault>;
    /// Gives a file another name, in place of the file that has it if `over`.
    fn rename(&self, from: &str, to: &str, over: bool) -> Result<(), Fault>;
    /// Removes a file; false if there was none.
    fn remove(&self, path: &str) -> Result<bool, Fault>;
    /// The plain files of a folder.
    fn list(&self, folder: &str) -> Result<Vec<Entry>, Fault>;
}

/// What writing a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Created,
    Unchanged,
    Updated,
}

/// Writes a file whole or not at all: beside its place under another name, then renamed.
pub(super) fn put(
    files: &dyn Files,
    path: &str,
    temporary: &str,
    content: &[u8],
    mode: u32,
) -> Result<Written, Fault> {
    let length = content.len() as u64;
    let there = files.size(path)?;
    if there == Some(length) && files.read(path, length)? == content {
        return Ok(Written::Unchanged);
    }
    let moved = files.write(temporary, content, mode).and_then(|()| {
        let arrived = files.size(temporary)?.unwrap_or(0);
        if arrived != length {
            let text = format!("{arrived} of {length} bytes arrived");
            return Err(Fault::Other(text));
        }
        files.rename(temporary, path, there.is_some())
    });
    if let Err(fault) = moved {
        // What failed is told; a file that stays beside its place is not in the way.
        let _ = files.remove(temporary);
        return Err(fault);
    }
    Ok(match there {
        Some(_) => Written::Updated,
        None => Written::Created,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// A folder in memory whose n-th step fails, or that loses the end of what is written.
    #[derive(Default)]
    struct Memory {
        files: RefCell<BTreeMap<String, Vec<u8>>>,
        steps: RefCell<usize>,
        fails_at: Option<usize>,
        keeps: Option<usize>,
    }

    impl Memory {
        fn holding(path: &str, content: &[u8]) -> Self {
            let memory = Self::default();
            let mut files = memory.files.borrow_mut();
            files.insert(path.to_owned(), content.to_vec());
            drop(files);
            memory
        }

        fn step(&self) -> Result<(), Fault> {
            *self.steps.borrow_mut() += 1;
            match self.fails_at {
                Some(at) if at == *self.steps.borrow() => Err(Fault::Other("it failed".to_owned())),
                _ => Ok(()),
            }
        }
    }

    impl Files for Memory {
        fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
            self.step()?;
            Ok(self.files.borrow().get(path).map(|it| it.len() as u64))
        }

        fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, Fault> {
            self.step()?;
            let mut content = self.files.borrow()[path].clone();
            content.truncate(usize::try_from(most).unwrap());
            Ok(content)
        }

        fn write(&self, path: &str, content: &[u8], _: u32) -> Result<(), Fault> {
            let content = &content[..self.keeps.unwrap_or(content.len())];
            let mut files = self.files.borrow_mut();
            files.insert(path.to_owned(), content.to_vec());
            self.step()
        }

        fn rename(&self, from: &str, to: &str, over: bool) -> Result<(), Fault> {
            self.step()?;
            let mut files = self.files.borrow_mut();
            assert_eq!(over, files.contains_key(to));
            let content = files.remove(from).unwrap();
            files.insert(to.to_owned(), content);
            Ok(())
        }

        fn remove(&self, path: &str) -> Result<bool, Fault> {
            Ok(self.files.borrow_mut().remove(path).is_some())
        }

        fn list(&self, _: &str) -> Result<Vec<Entry>, Fault> {
            Ok(Vec::new())
        }
    }

    fn write(memory: &Memory, content: &[u8]) -> Result<Written, Fault> {
        put(memory, "/a/x", "/a/.x.tmp", content, 0o644)
    }

    #[test]
    fn a_file_is_created_left_alone_or_replaced() {
        let memory = Memory::default();
        assert_eq!(write(&memory, b"one"), Ok(Written::Created));
        assert_eq!(write(&memory, b"one"), Ok(Written::Unchanged));
        assert_eq!(write(&memory, b"two"), Ok(Written::Updated), "of one size");
        assert_eq!(write(&memory, b"three"), Ok(Written::Updated));
        assert_eq!(write(&memory, b""), Ok(Written::Updated));
        assert_eq!(write(&memory, b""), Ok(Written::Unchanged));
        assert_eq!(memory.files.borrow().len(), 1);
    }

    #[test]
    fn whatever_fails_the_old_file_stays_whole_and_nothing_lies_beside_it() {
        for fails_at in 1..=5 {
            let memory = Memory {
                fails_at: Some(fails_at),
                ..Memory::holding("/a/x", b"old")
            };
            assert!(write(&memory, b"new").is_err(), "step {fails_at}");
            let files = memory.files.borrow();
            assert_eq!(files.len(), 1);
            assert_eq!(files["/a/x"], b"old");
        }
    }

    #[test]
    fn what_did_not_arrive_whole_does_not_take_the_place() {
        let memory = Memory {
            keeps: Some(2),
            ..Memory::default()
        };
        let fault = write(&memory, b"three").unwrap_err();
        assert_eq!(fault.text(), "2 of 5 bytes arrived");
        assert!(memory.files.borrow().is_empty());
    }
}
