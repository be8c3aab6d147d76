//! Files by path, written whole or compared with what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// The file that lists the others with their checksums; a folder without it was not written by us.
const CHECKSUMS: &str = "checksums.txt";

/// Files by path, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Adds a file of text.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.files.insert(path.into(), text.into());
    }

    /// Adds a file of objects, one document each.
    ///
    /// # Errors
    ///
    /// An object that YAML cannot hold.
    pub fn add_objects(&mut self, path: &str, objects: &[Value]) -> Result<(), Failure> {
        let mut text = String::new();
        for object in objects {
            let document = serde_saphyr::to_string(object).map_err(|error| {
                Failure::permanent(path, "cannot be printed as YAML").caused_by(error)
            })?;
            text.push_str("---\n");
            text.push_str(&document);
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        self.add(path, text);
        Ok(())
    }

    /// The files by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Checksums of all files, one line each, as `sha256sum -c` reads them.
    pub fn checksums(&self) -> String {
        self.files
            .iter()
            .map(|(path, text)| {
                let hash = Sha256::digest(text);
                let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{digits}  {path}\n")
            })
            .collect()
    }

    fn with_checksums(&self) -> impl Iterator<Item = (&str, String)> {
        let files = self
            .files
            .iter()
            .map(|(path, text)| (path.as_str(), text.clone()));
        files.chain([(CHECKSUMS, self.checksums())])
    }

    /// Writes all files and removes those that an earlier rendering left; says how many files there are.
    ///
    /// # Errors
    ///
    /// A folder that holds something else, or one that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<usize, Failure> {
        for old in self.left_over(folder)? {
            fs::remove_file(folder.join(&old))
                .map_err(|error| cannot(folder, &old, "removed", error))?;
        }
        let mut count = 0;
        for (path, text) in self.with_checksums() {
            let place = folder.join(path);
            if fs::read_to_string(&place).is_ok_and(|old| old == text) {
                count += 1;
                continue;
            }
            let parent = place.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|error| cannot(folder, path, "written", error))?;
            fs::write(&place, text).map_err(|error| cannot(folder, path, "written", error))?;
            count += 1;
        }
        Ok(count)
    }

    /// What would change: `+ path`, `~ path`, `- path`.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read or holds something else.
    pub fn compare(&self, folder: &Path) -> Result<Vec<String>, Failure> {
        let mut differences = Vec::new();
        for (path, text) in self.with_checksums() {
            match fs::read_to_string(folder.join(path)) {
                Ok(old) if old == text => {}
                Ok(old) => {
                    let diff = similar::TextDiff::from_lines(old.as_str(), text.as_str());
                    differences.push(format!(
                        "~ {path}\n{}",
                        diff.unified_diff().context_radius(2)
                    ));
                }
                Err(_) => differences.push(format!("+ {path}")),
            }
        }
        differences.extend(
            self.left_over(folder)?
                .into_iter()
                .map(|path| format!("- {path}")),
        );
        Ok(differences)
    }

    /// Files that an earlier rendering wrote and this one does not have.
    fn left_over(&self, folder: &Path) -> Result<Vec<String>, Failure> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(Vec::new());
        };
        let Ok(old) = fs::read_to_string(folder.join(CHECKSUMS)) else {
            if entries.count() == 0 {
                return Ok(Vec::new());
            }
            let place = folder.display().to_string();
            return Err(
                Failure::permanent(place, "holds files that this program did not write")
                    .hint("choose an empty folder, or one that was rendered before"),
            );
        };
        let paths = old
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(_, path)| path);
        let inside = |path: &&str| {
            let path = PathBuf::from(path);
            path.components()
                .all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        Ok(paths
            .filter(inside)
            .filter(|path| !self.files.contains_key(*path) && folder.join(path).exists())
            .map(str::to_owned)
            .collect())
    }
}

fn cannot(folder: &Path, path: &str, what: &str, error: std::io::Error) -> Failure {
    let place = folder.join(path).display().to_string();
    Failure::permanent(place, format!("cannot be {what}")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.add(*path, *text);
        }
        tree
    }

    #[test]
    fn what_was_written_compares_equal_and_old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = tree(&[("a.yaml", "a: 1\n"), ("b/c.yaml", "c: 1\n")]);
        assert_eq!(first.write(folder.path()).unwrap(), 3);
        assert!(first.compare(folder.path()).unwrap().is_empty());
        let second = tree(&[("a.yaml", "a: 2\n")]);
        let differences = second.compare(folder.path()).unwrap();
        assert!(differences[0].starts_with("~ a.yaml\n"), "{differences:?}");
        assert!(
            differences.contains(&"- b/c.yaml".to_owned()),
            "{differences:?}"
        );
        second.write(folder.path()).unwrap();
        assert!(!folder.path().join("b/c.yaml").exists());
        assert!(second.compare(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let failure = tree(&[("a.yaml", "a: 1\n")])
            .write(folder.path())
            .unwrap_err();
        assert!(failure.to_string().contains("did not write"), "{failure}");
    }

    #[test]
    fn checksums_never_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "keep").unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join(CHECKSUMS), "00  ../outside\n").unwrap();
        tree(&[("a.yaml", "a: 1\n")]).write(&inner).unwrap();
        assert!(outside.exists());
    }
}
