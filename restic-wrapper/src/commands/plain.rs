//! Commands that need no repository: `cache`, `options`, `features`.

use super::TextLines;
use crate::command::Command;
use crate::error::Result;
use crate::invocation::Invocation;
use crate::restic::Restic;

/// An extended option of a storage (`-o key=value`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResticOption {
    /// `s3.region`.
    pub name: String,
    /// What restic says about it.
    pub description: String,
}

/// A feature that can be switched on or off (`RESTIC_FEATURES`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureFlag {
    /// `s3-restore`.
    pub name: String,
    /// `alpha`, `beta`, `stable`, `deprecated`.
    pub stage: String,
    /// Whether it is on by default.
    pub default: bool,
    /// What restic says about it.
    pub description: String,
}

/// What to do with caches.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CacheCommand {
    /// The folder with all caches, instead of the user's.
    pub folder: Option<std::path::PathBuf>,
    /// Whether to remove old ones.
    pub cleanup: bool,
    /// How many days old is old; restic says 30.
    pub max_age_days: Option<u32>,
}

impl Restic {
    /// The extended options that this restic knows.
    ///
    /// # Errors
    ///
    /// What can stop a program from running.
    pub async fn options(&self) -> Result<Vec<ResticOption>> {
        let lines = self
            .run_plain(Invocation::new(Command::Options), TextLines::default())?
            .await?;
        Ok(lines
            .iter()
            .filter_map(|line| {
                let (name, description) = line.trim().split_once("  ")?;
                name.contains('.').then(|| ResticOption {
                    name: name.to_owned(),
                    description: description.trim().to_owned(),
                })
            })
            .collect())
    }

    /// The features that this restic knows (0.17 and newer).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before 0.17.
    pub async fn features(&self) -> Result<Vec<FeatureFlag>> {
        let lines = self
            .run_plain(Invocation::new(Command::Features), TextLines::default())?
            .await?;
        Ok(lines
            .iter()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (name, stage, default) = (words.next()?, words.next()?, words.next()?);
                let default = match default {
                    "true" => true,
                    "false" => false,
                    _ => return None,
                };
                Some(FeatureFlag {
                    name: name.to_owned(),
                    stage: stage.to_owned(),
                    default,
                    description: words.collect::<Vec<_>>().join(" "),
                })
            })
            .collect())
    }

    /// Lists or cleans the caches of this user, as restic prints it.
    ///
    /// # Errors
    ///
    /// What can stop a program from running.
    pub async fn cache(&self, what: &CacheCommand) -> Result<Vec<String>> {
        let mut invocation = Invocation::new(Command::Cache);
        if let Some(folder) = &what.folder {
            invocation.value("--cache-dir", super::ALWAYS, folder);
        }
        if what.cleanup {
            invocation.switch("--cleanup", super::ALWAYS);
        }
        if let Some(days) = what.max_age_days {
            invocation.value("--max-age", super::ALWAYS, days.to_string());
        }
        self.run_plain(invocation, TextLines::default())?.await
    }
}
