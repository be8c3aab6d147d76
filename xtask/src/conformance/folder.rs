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
