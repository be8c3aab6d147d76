//! A folder of cases, with the second folder that holds what cases share.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The folder given on the command line and its fallback.
#[derive(Debug)]
pub(crate) struct Folder {
    cases: PathBuf,
    base: Option<PathBuf>,
}

#[allow(
    dead_code,
    reason = "a build with one crate's suites uses only part of it"
)]
impl Folder {
    pub(crate) fn new(cases: PathBuf, base: Option<PathBuf>) -> Self {
        Self { cases, base }
    }

    /// The folder of the cases itself.
    pub(crate) fn path(&self) -> &Path {
        &self.cases
    }

    /// A file of the suite (an index, a list of cases) in the folder itself; `None` when it is absent.
    pub(crate) fn own(&self, name: &str) -> anyhow::Result<Option<String>> {
        let path = self.cases.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path);
        text.map(Some)
            .with_context(|| format!("reading {}", path.display()))
    }

    /// [`own`](Self::own) as one JSON document.
    pub(crate) fn own_json(&self, name: &str) -> anyhow::Result<Option<Value>> {
        let Some(text) = self.own(name)? else {
            return Ok(None);
        };
        let value = serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
        Ok(Some(value))
    }

    /// [`own`](Self::own) as one JSON document a line, empty lines left out.
    pub(crate) fn own_json_lines(&self, name: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let Some(text) = self.own(name)? else {
            return Ok(None);
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let values = lines.map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{name}:{}: not JSON", at + 1))
        });
        values.collect::<anyhow::Result<_>>().map(Some)
    }

    /// A file that a case names: in the folder, else in the fallback.
    pub(crate) fn bytes(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.find(name);
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// [`bytes`](Self::bytes) as text.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<String> {
        let path = self.find(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Whether the folder or the fallback holds that file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_file()
    }

    fn find(&self, name: &str) -> PathBuf {
        let own = self.cases.join(name);
        match &self.base {
            Some(base) if !own.exists() => base.join(name),
            _ => own,
        }
    }

    /// All files below `inner` (empty: below the folder), any depth, as sorted paths below the folder
    /// with `/` between the parts. Empty when `inner` is absent.
    pub(crate) fn files(&self, inner: &str) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let start = if inner.is_empty() {
            self.cases.clone()
        } else {
            self.cases.join(inner)
        };
        if start.is_dir() {
            walk(&start, &mut found)?;
        }
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|path| path.strip_prefix(&self.cases).ok())
            .map(|path| {
                let parts: Vec<_> = path
                    .components()
                    .map(|part| part.as_os_str().to_string_lossy())
                    .collect();
                parts.join("/")
            })
            .collect();
        names.sort_unstable();
        Ok(names)
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("listing {}", folder.display()))?
            .path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("cases/deep")).unwrap();
        fs::create_dir_all(folder.join("base")).unwrap();
        fs::write(
            folder.join("cases/list.jsonl"),
            "{\"a\": 1}\n\n{\"a\": 2}\n",
        )
        .unwrap();
        fs::write(folder.join("cases/deep/own.conf"), "own").unwrap();
        fs::write(folder.join("base/list.jsonl"), "not looked at").unwrap();
        fs::write(folder.join("base/shared.conf"), "shared").unwrap();
        folder
    }

    #[test]
    fn what_a_case_names_may_lie_in_the_base_but_a_list_of_cases_may_not() {
        let root = scratch("folder-base");
        let folder = Folder::new(root.join("cases"), Some(root.join("base")));
        assert_eq!(folder.text("shared.conf").unwrap(), "shared");
        assert_eq!(folder.text("deep/own.conf").unwrap(), "own");
        assert_eq!(folder.own("shared.conf").unwrap(), None);
        assert_eq!(
            folder.own_json_lines("list.jsonl").unwrap().unwrap().len(),
            2
        );
        assert!(folder.has("shared.conf") && !folder.has("absent.conf"));
        let alone = Folder::new(root.join("cases"), None);
        assert!(alone.text("shared.conf").is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn files_are_listed_at_any_depth_in_order() {
        let root = scratch("folder-files");
        let folder = Folder::new(root.join("cases"), None);
        assert_eq!(folder.files("").unwrap(), ["deep/own.conf", "list.jsonl"]);
        assert_eq!(folder.files("deep").unwrap(), ["deep/own.conf"]);
        assert!(folder.files("absent").unwrap().is_empty());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_line_that_is_not_json_is_named() {
        let root = scratch("folder-json");
        fs::write(root.join("cases/list.jsonl"), "{}\nnot json\n").unwrap();
        let folder = Folder::new(root.join("cases"), None);
        let error = folder.own_json_lines("list.jsonl").unwrap_err();
        assert!(error.to_string().starts_with("list.jsonl:2"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
