//! The blocking handles of the Proxmox client, made from the source of the asynchronous ones.
//!
//! `read` parses the crate into items with public paths, `print` writes a twin for each handle that can be reached
//! from the client, and for each result that holds a handle. What has no twin is listed in the documentation of the
//! module that is made.

mod print;
mod read;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Files;

/// Rooms that are left out: they are no part of the client's use, or made of other sources.
const SKIPPED: &[&str] = &["blocking", "generated", "simulator"];

/// What a program begins with. Blocking forms of those beside the client come from it, since they need its thread.
const ROOTS: &[&str] = &["crate::Client", "crate::ChangeSet", "crate::ssh::Ssh"];

/// The public paths of types that are written by hand in `blocking`.
const BY_HAND: &[&str] = &[
    "crate::task::TaskCall",
    "crate::task::Task",
    "crate::task::Submitted",
];

/// Methods that are written by hand in `blocking`.
const METHODS_BY_HAND: &[(&str, &str)] = &[
    ("crate::VmidPool", "create"),
    ("crate::Trust", "probe_fingerprint"),
    ("crate::ssh::HostKey", "probe"),
];

/// The handle that others are named after by its noun.
const NAMED: &str = "crate::Named";

/// `handle` with the noun of the handle at this path.
fn named_by(handle: &str, path: &str) -> String {
    format!("{handle}<<{path} as crate::blocking::noun::Handle>::Noun>")
}

/// All files of the folder.
pub(super) fn files(root: &Path) -> anyhow::Result<Files> {
    let source = root.join("proxmox-client/src");
    let mut texts = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = source.join(&folder);
        for entry in
            std::fs::read_dir(&path).with_context(|| format!("listing {}", path.display()))?
        {
            let entry = entry.with_context(|| format!("listing {}", path.display()))?;
            let name = folder.join(entry.file_name());
            let room = name.with_extension("");
            let first = room.iter().next().and_then(|first| first.to_str());
            if first.is_none_or(|first| SKIPPED.contains(&first)) {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(entry.path())
                    .with_context(|| format!("reading {}", name.display()))?;
                texts.push((name, text));
            }
        }
    }
    texts.sort();
    from_texts(&texts)
}

fn from_texts(texts: &[(PathBuf, String)]) -> anyhow::Result<Files> {
    let model = read::model(texts)?;
    print::files(&model)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "mod change_set; mod client; mod disk; pub mod task; \
        #[cfg(feature = \"far\")] pub mod far; \
        pub use change_set::ChangeSet; pub use client::{Client, Made}; pub use disk::{Alone, Disk};";
    const CHANGE_SET: &str = "
        use std::fmt;
        use crate::disk::Disk;
        /// Changes.
        #[derive(Clone)]
        pub struct ChangeSet;
        impl ChangeSet {
            /// Grows.
            pub fn grow(self, disk: &Disk) -> Self { todo!() }
            /// Makes them.
            pub async fn apply(&self) -> Vec<u8> { todo!() }
        }
        impl fmt::Display for ChangeSet {}";
    const FAR: &str = "
        use crate::client::Client;
        /// A line.
        pub struct Line;
        impl AsyncRead for Line {}
        impl Client {
            /// Opens.
            pub async fn open(&self) -> Result<Line> { todo!() }
        }";
    const CLIENT: &str = "
        use std::time::Duration;
        use crate::disk::Disk;
        use crate::task::TaskCall;
        /// All.
        #[derive(Clone)]
        pub struct Client;
        /// A disk and [`Duration`].
        pub struct Made { /// It.
            pub disk: Disk, /// When.
            pub after: Duration }
        impl Client {
            /// A disk by [`Self::name`](crate::x).
            ///
            /// More.
            pub fn disk(&self, name: impl Into<String>) -> Disk { todo!() }
            /// Makes.
            pub fn make(&self, (a, b): (u8, u8)) -> TaskCall<Made> { todo!() }
            /// Makes.
            pub fn make_one(&self) -> TaskCall<Made> { todo!() }
            /// Waits.
            /// ```
            /// client.find().await
            /// ```
            pub async fn find(&self, after: Duration) -> Result<Option<Disk>> { todo!() }
            /// New.
            pub fn builder() -> u8 { 0 }
            async fn hidden(&self) {}
        }";
    const DISK: &str = "
        /// One.
        pub struct Disk;
        impl Disk {
            /// Copies.
            pub async fn copy(&self, from: &Disk, mut far: bool) -> Result<()> { todo!() }
            /// All of them.
            pub async fn watch(&self) -> impl Stream<Item = u8> { todo!() }
        }
        /// Not to be reached.
        pub struct Alone;
        impl Alone { pub async fn go(&self) -> Result<()> { todo!() } }";

    fn made() -> std::collections::BTreeMap<String, String> {
        let texts = [
            ("lib.rs", LIB),
            ("change_set.rs", CHANGE_SET),
            ("client.rs", CLIENT),
            ("disk.rs", DISK),
            ("far.rs", FAR),
        ];
        let texts = texts.map(|(name, text)| (PathBuf::from(name), text.to_owned()));
        from_texts(&texts)
            .unwrap()
            .into_iter()
            .map(|(path, text)| {
                let dense = text.split_whitespace().collect::<Vec<_>>().join("");
                (path.display().to_string(), dense)
            })
            .collect()
    }

    #[test]
    fn accessors_give_twins() {
        let client = &made()["client.rs"];
        assert!(
            client.contains("pubfndisk(&self,name:implInto<String>)->crate::blocking::Disk"),
            "{client}"
        );
        assert!(
            client.contains("crate::blocking::Disk::wrap(self.inner.disk(name),&self.runtime)")
        );
    }

    #[test]
    fn asynchronous_methods_wait_and_wrap_handles_inside_their_results() {
        let client = &made()["client.rs"];
        assert!(
            client.contains(
                "pubfnfind(&self,after:std::time::Duration)->crate::Result<Option<crate::blocking::Disk>>"
            ),
            "{client}"
        );
        assert!(client.contains("self.runtime.run(self.inner.find(after))"));
    }

    #[test]
    fn twins_are_described_without_examples_of_the_asynchronous_form() {
        let client = &made()["client.rs"];
        assert!(
            client.contains("///Waits.//////Theblockingformof[`Client::find`]"),
            "{client}"
        );
        assert!(!client.contains("///More."), "{client}");
    }

    #[test]
    fn results_that_hold_handles_get_twins() {
        let made = made();
        assert!(
            made["made.rs"].contains("pubdisk:crate::blocking::Disk"),
            "{made:?}"
        );
        assert!(made["made.rs"].contains("pubafter:std::time::Duration"));
        assert!(made["client.rs"].contains("crate::blocking::TaskCall<crate::blocking::Made>"));
    }

    #[test]
    fn handles_are_taken_as_twins() {
        let disk = &made()["disk.rs"];
        assert!(
            disk.contains("pubfncopy(&self,from:&crate::blocking::Disk,far:bool)"),
            "{disk}"
        );
        assert!(disk.contains("self.inner.copy(&from.inner,far)"));
    }

    #[test]
    fn what_a_program_begins_with_has_a_twin_though_no_client_gives_it() {
        let changes = &made()["change_set.rs"];
        assert!(
            changes.contains("Self::wrap(self.inner.grow(&disk.inner),&self.runtime)"),
            "{changes}"
        );
        assert!(
            changes.contains(
                "impl std::fmt::Display for ChangeSet"
                    .replace(' ', "")
                    .as_str()
            )
        );
    }

    #[test]
    fn waiting_may_be_refused_even_where_the_work_cannot_fail() {
        let changes = &made()["change_set.rs"];
        assert!(
            changes.contains("pubfnapply(&self)->crate::Result<Vec<u8>>")
                && changes.contains("self.runtime.run(async{Ok(self.inner.apply().await)})"),
            "{changes}"
        );
    }

    #[test]
    fn twins_are_behind_the_features_of_their_originals() {
        let made = made();
        let gate = "#[cfg(feature=\"far\")]";
        assert!(made["handles.rs"].contains(&format!("{gate}modline;")));
        assert!(made["handles.rs"].contains(&format!("{gate}pubuseline::Line;")));
        assert!(
            made["client.rs"].contains(&format!("{gate}pubfnopen(&self)")),
            "{}",
            made["client.rs"]
        );
        assert!(!made["line.rs"].contains("cfg"));
    }

    #[test]
    fn streams_are_read_and_written() {
        let line = &made()["line.rs"];
        assert!(line.contains("implstd::io::ReadforLine"), "{line}");
        assert!(line.contains("implstd::io::WriteforLine"), "{line}");
    }

    #[test]
    fn what_cannot_be_wrapped_is_listed_and_not_made() {
        let made = made();
        let listed = &made["left_out.md"];
        for left in ["Client::make`", "Disk::watch", "Alone::go"] {
            assert!(listed.contains(left), "{left}: {listed}");
        }
        assert!(!listed.contains("hidden") && !listed.contains("builder"));
        assert!(!made.contains_key("alone.rs"));
    }
}
