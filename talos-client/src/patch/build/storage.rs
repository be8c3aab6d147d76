//! Volumes and their encryption.

use super::PatchBuilder;
use crate::documents::v1alpha1::{self, Machine, SystemDiskEncryption};
use crate::documents::{
    EncryptionProvider, FilesystemType, SectionEncryptionProvider, Size, UserVolumeConfig,
    VolumeConfig, VolumeType, block,
};
use crate::error::Problem;

/// Where a volume lies and how large it is.
#[derive(Clone, Debug, Default)]
struct Provisioning {
    selector: Option<String>,
    min: Option<String>,
    max: Option<String>,
    grow: Option<bool>,
}

/// A volume on a disk of its own or in free space, mounted at `/var/mnt/<name>`.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct UserVolume {
    name: String,
    volume_type: Option<VolumeType>,
    provisioning: Provisioning,
    filesystem: Option<String>,
    encryption: Option<block::EncryptionSpec>,
}

impl UserVolume {
    fn of(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            volume_type: None,
            provisioning: Provisioning::default(),
            filesystem: None,
            encryption: None,
        }
    }

    /// A partition: name and the expression that selects the disk, `!system_disk` or `disk.dev_path == "/dev/sdb"`.
    pub fn new(name: impl Into<String>, selector: impl Into<String>) -> Self {
        let mut volume = Self::of(name);
        volume.provisioning.selector = Some(selector.into());
        volume
    }

    /// A whole disk without partitions. Contract 1.12 and later.
    pub fn whole_disk(name: impl Into<String>, selector: impl Into<String>) -> Self {
        let mut volume = Self::new(name, selector);
        volume.volume_type = Some(VolumeType::Disk);
        volume
    }

    /// A directory of the system disk. Contract 1.12 and later.
    pub fn directory(name: impl Into<String>) -> Self {
        let mut volume = Self::of(name);
        volume.volume_type = Some(VolumeType::Directory);
        volume
    }

    /// Least size, `10GiB`.
    pub fn min_size(mut self, size: impl Into<String>) -> Self {
        self.provisioning.min = Some(size.into());
        self
    }

    /// Greatest size.
    pub fn max_size(mut self, size: impl Into<String>) -> Self {
        self.provisioning.max = Some(size.into());
        self
    }

    /// `xfs` (the default) or `ext4`, and `btrfs` from contract 1.14 on.
    pub fn filesystem(mut self, filesystem: impl Into<String>) -> Self {
        self.filesystem = Some(filesystem.into());
        self
    }

    /// Grow to the greatest size when the disk allows it.
    pub fn grow(mut self, grow: bool) -> Self {
        self.provisioning.grow = Some(grow);
        self
    }

    /// How it is encrypted.
    pub fn encryption(mut self, encryption: block::EncryptionSpec) -> Self {
        self.encryption = Some(encryption);
        self
    }
}

/// A volume of the system: `EPHEMERAL`, `IMAGECACHE` or `STATE`.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct SystemVolume {
    name: String,
    provisioning: Provisioning,
}

impl SystemVolume {
    /// By its name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            provisioning: Provisioning::default(),
        }
    }

    /// The volume with `/var`: containers, their images and logs.
    pub fn ephemeral() -> Self {
        Self::new("EPHEMERAL")
    }

    /// The expression that selects the disk.
    pub fn selector(mut self, selector: impl Into<String>) -> Self {
        self.provisioning.selector = Some(selector.into());
        self
    }

    /// Least size, `10GiB`.
    pub fn min_size(mut self, size: impl Into<String>) -> Self {
        self.provisioning.min = Some(size.into());
        self
    }

    /// Greatest size, also as a share of the disk.
    pub fn max_size(mut self, size: impl Into<String>) -> Self {
        self.provisioning.max = Some(size.into());
        self
    }

    /// Grow to the greatest size when the disk allows it.
    pub fn grow(mut self, grow: bool) -> Self {
        self.provisioning.grow = Some(grow);
        self
    }
}

impl PatchBuilder {
    /// A volume for workloads, for example Longhorn's disk. Contract 1.10 and later.
    pub fn user_volume(mut self, volume: UserVolume) -> Self {
        let place = format!("user volume {}", volume.name);
        let mut document = UserVolumeConfig::new(volume.name);
        document.provisioning = self.provisioning(&place, volume.provisioning);
        document.volume_type = volume.volume_type;
        document.encryption = volume.encryption.unwrap_or_default();
        if let Some(filesystem) = volume.filesystem {
            match FilesystemType::from(filesystem.as_str()) {
                FilesystemType::Other(unknown) => {
                    let why = format!("{unknown} is not a known filesystem");
                    self.problems.push(Problem::new(place, why));
                }
                known => document.filesystem = block::FilesystemSpec::new().with_type(known),
            }
        }
        self.document(document)
    }

    /// Where a volume of the system lies and how large it is. Contract 1.8 and later.
    ///
    /// Sizes and the selector belong together: name all that shall hold, for the reference forgets those that a patch leaves
    /// out.
    pub fn system_volume(mut self, volume: SystemVolume) -> Self {
        let place = format!("volume {}", volume.name);
        let provisioning = self.provisioning(&place, volume.provisioning);
        self.document(VolumeConfig::new(volume.name).with_provisioning(provisioning))
    }

    /// Encrypts a volume of the system, `STATE` or `EPHEMERAL`: a section of the main document up to contract 1.10, the volume's
    /// own document from 1.11 on.
    ///
    /// ```
    /// use talos_client::documents::block::{EncryptionKey, EncryptionSpec};
    /// use talos_client::{Patch, VersionContract};
    ///
    /// let encryption = EncryptionSpec::luks2([EncryptionKey::tpm_in(0)]);
    /// let patch = Patch::builder(VersionContract::V1_13).disk_encryption("EPHEMERAL", encryption).build()?;
    /// # let _ = patch;
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn disk_encryption(mut self, volume: &str, encryption: block::EncryptionSpec) -> Self {
        if self.is(11) {
            return self.document(VolumeConfig::new(volume).with_encryption(encryption));
        }
        let section = self.encryption_section(encryption);
        let sections = match volume {
            "STATE" => SystemDiskEncryption::new().with_state(section),
            "EPHEMERAL" => SystemDiskEncryption::new().with_ephemeral(section),
            _ => return self.refuse("disk encryption", "only STATE and EPHEMERAL have it"),
        };
        self.machine(Machine::new().with_system_disk_encryption(sections))
    }

    fn provisioning(&mut self, place: &str, provisioning: Provisioning) -> block::ProvisioningSpec {
        let mut spec = block::ProvisioningSpec::new();
        if let Some(selector) = provisioning.selector {
            spec.disk_selector = block::DiskSelector::new().with_match(selector);
        }
        let mut size = |text: Option<String>| self.read::<Size>(place, &text?);
        spec.min_size = size(provisioning.min).unwrap_or_default();
        spec.max_size = size(provisioning.max);
        spec.grow = provisioning.grow;
        spec
    }

    /// The older section says the same, but for what came later.
    fn encryption_section(&mut self, encryption: block::EncryptionSpec) -> v1alpha1::Encryption {
        let mut later = Vec::new();
        let mut section = v1alpha1::Encryption::new()
            .with_cipher(encryption.cipher)
            .with_key_size(encryption.key_size)
            .with_block_size(encryption.block_size)
            .with_options(encryption.options);
        if encryption.provider == EncryptionProvider::Luks2 {
            section.provider = SectionEncryptionProvider::Luks2;
        }
        if encryption.allow_discards.is_some() {
            later.push("allowDiscards");
        }
        for key in encryption.keys {
            let mut out = v1alpha1::EncryptionKey::new().with_slot(key.slot);
            out.r#static = key
                .r#static
                .map(|key| v1alpha1::EncryptionKeyStatic::new().with_passphrase(key.passphrase));
            out.node_id = key.node_id.map(|_| v1alpha1::Empty::new());
            out.kms = key
                .kms
                .map(|kms| v1alpha1::EncryptionKeyKms::new().with_endpoint(kms.endpoint));
            out.tpm = key.tpm.map(|tpm| {
                if tpm.options.is_some() {
                    later.push("options of the TPM");
                }
                let mut out = v1alpha1::EncryptionKeyTpm::new();
                out.check_secureboot_status_on_enroll = tpm.check_secureboot_status_on_enroll;
                out
            });
            if key.lock_to_state.is_some() {
                later.push("lockToState");
            }
            section.keys.push(out);
        }
        for setting in later {
            let why = format!("{setting}: there is no such setting before 1.11");
            self.problems.push(Problem::new("disk encryption", why));
        }
        section
    }
}
