//! What separates two configurations: as text, and as patches that turn one into the other.

mod lines;
mod patches;

use zeroize::Zeroizing;

use crate::config::MachineConfig;
use crate::error::Error;
use crate::patch::Patch;

impl MachineConfig {
    /// The unified diff from this configuration to another: labels `a` and `b`, three lines of context, empty when both
    /// print the same. It shows secrets; [`redacted_diff`](Self::redacted_diff) does not.
    pub fn diff(&self, other: &Self) -> Zeroizing<String> {
        Zeroizing::new(lines::unified(&self.to_yaml(), &other.to_yaml()))
    }

    /// The same with every secret replaced on both sides: a secret that changed is not seen.
    pub fn redacted_diff(&self, other: &Self, replacement: &str) -> String {
        lines::unified(
            &self.to_redacted_yaml(replacement),
            &other.to_redacted_yaml(replacement),
        )
    }

    /// Strategic merge patches that, applied in order, turn this configuration into another up to the order of documents:
    /// none when they mean the same, else one that deletes and sets, and where lists change a second one that sets them.
    ///
    /// ```
    /// use talos_client::MachineConfig;
    ///
    /// let old = MachineConfig::load("machine:\n  type: worker\n")?;
    /// let new = MachineConfig::load("machine:\n  type: worker\n  sysctls:\n    vm.swappiness: \"1\"\n")?;
    /// let mut patched = old.clone();
    /// for patch in old.patches_to(&new)? {
    ///     patched = patched.patched(&patch)?;
    /// }
    /// assert_eq!(patched, new);
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`](crate::ErrorKind::InvalidPatch) when there is no such patch: the main document
    /// cannot be removed.
    pub fn patches_to(&self, other: &Self) -> Result<Vec<Patch>, Error> {
        patches::between(self, other)
    }

    /// The same documents with the same content, in any order.
    pub fn means_the_same(&self, other: &Self) -> bool {
        self.documents.len() == other.documents.len()
            && self.documents.iter().all(|document| {
                let twin = other
                    .documents
                    .iter()
                    .find(|twin| twin.same_identity(document));
                twin.is_some_and(|twin| *twin.print(None) == *document.print(None))
            })
    }
}
