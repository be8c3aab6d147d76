//! Shorthands for what encrypts volumes.

use super::block::{
    EncryptionKey, EncryptionKeyKMS, EncryptionKeyNodeID, EncryptionKeyStatic, EncryptionKeyTPM,
    EncryptionSpec,
};
use super::{EncryptionProvider, Secret};

impl EncryptionSpec {
    /// LUKS2 with these keys; each needs a slot of its own.
    pub fn luks2(keys: impl IntoIterator<Item = EncryptionKey>) -> Self {
        Self::new()
            .with_provider(EncryptionProvider::Luks2)
            .with_keys(keys)
    }
}

impl EncryptionKey {
    /// A passphrase, which stands in the configuration.
    pub fn passphrase_in(slot: i64, passphrase: impl Into<Secret>) -> Self {
        let key = EncryptionKeyStatic::new().with_passphrase(passphrase);
        Self::new().with_slot(slot).with_static(key)
    }

    /// Derived from the machine's UUID and the partition's label: keeps the data from whoever has the disk alone.
    pub fn node_id_in(slot: i64) -> Self {
        Self::new()
            .with_slot(slot)
            .with_node_id(EncryptionKeyNodeID::new())
    }

    /// Sealed by the machine's TPM.
    pub fn tpm_in(slot: i64) -> Self {
        Self::new()
            .with_slot(slot)
            .with_tpm(EncryptionKeyTPM::new())
    }

    /// Sealed by a key service, `https://kms.lan:4443`.
    pub fn kms_in(slot: i64, endpoint: impl Into<String>) -> Self {
        let key = EncryptionKeyKMS::new().with_endpoint(endpoint);
        Self::new().with_slot(slot).with_kms(key)
    }
}
