//! Drives, EFI disk and TPM state.

pub(super) use super::formats::{DRIVE, EFI_DISK, TPM_STATE};
use super::formats::{DRIVE_KEYS, EFI_DISK_KEYS, TPM_STATE_KEYS};
use super::property;
use crate::size::Size;

property! {
    /// A drive: `scsiN`, `virtioN`, `sataN`, `ideN`.
    ///
    /// ```
    /// use proxmox_client::property::Drive;
    /// let drive: Drive = "local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G".parse()?;
    /// assert_eq!(drive.storage(), Some("local-lvm"));
    /// assert_eq!(drive.with_ssd(true).to_string(), "local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1");
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct Drive: DRIVE, DRIVE_KEYS {
        /// Volume, `storage:size in GiB`, `storage:cloudinit`, `none`, `cdrom` or an absolute path.
        "file" file / with_file: String,
        /// Volume or path that a new disk is filled from.
        "import-from" import_from / with_import_from: String,
        /// Size; read only, the server keeps it.
        "size" size / with_size: Size,
        /// `on` passes freed blocks to the storage.
        "discard" discard / with_discard: String,
        /// An I/O thread of its own (needs `virtio-scsi-single` for `scsi`).
        "iothread" iothread / with_iothread: bool,
        /// Tells the guest that it is a solid-state disk.
        "ssd" ssd / with_ssd: bool,
        /// Cache mode: `none`, `writeback`, `writethrough`, `directsync`, `unsafe`.
        "cache" cache / with_cache: String,
        /// Whether backups hold it.
        "backup" backup / with_backup: bool,
        /// Image format: `raw`, `qcow2`, `vmdk`.
        "format" format / with_format: String,
        /// `disk` or `cdrom`.
        "media" media / with_media: String,
        /// Serial number shown to the guest, 20 bytes at most.
        "serial" serial / with_serial: String,
        /// Asynchronous I/O: `native`, `threads`, `io_uring`.
        "aio" aio / with_aio: String,
    }
}

impl Drive {
    /// A new disk of whole GiB on a storage.
    pub fn allocate(storage: &str, gib: u32) -> Self {
        Self::default().with_file(format!("{storage}:{gib}"))
    }

    /// A new disk on a storage, filled from a volume (`local:import/talos.qcow2`) or an absolute path.
    ///
    /// It gets the size of its source; resize it afterwards.
    pub fn import(storage: &str, from: &str) -> Self {
        Self::default()
            .with_file(format!("{storage}:0"))
            .with_import_from(from)
    }

    /// The drive that carries cloud-init data, generated on a storage.
    pub fn cloud_init(storage: &str) -> Self {
        Self::default().with_file(format!("{storage}:cloudinit"))
    }

    /// A CD image of a storage, such as `local:iso/talos.iso`.
    pub fn cdrom(volume: &str) -> Self {
        Self::default().with_file(volume).with_media("cdrom")
    }

    /// An empty CD drive.
    pub fn empty_cdrom() -> Self {
        Self::cdrom("none")
    }

    /// The storage that the volume is on.
    pub fn storage(&self) -> Option<&str> {
        self.get("file")?
            .split_once(':')
            .map(|(storage, _)| storage)
    }

    /// Whether it is a CD drive (also the one for cloud-init).
    pub fn is_cdrom(&self) -> bool {
        self.get("media") == Some("cdrom")
    }

    /// Whether it carries cloud-init data.
    pub fn is_cloud_init(&self) -> bool {
        self.get("file")
            .is_some_and(|file| file.ends_with(":cloudinit") || file.contains("-cloudinit"))
    }
}

property! {
    /// `efidisk0`: where the firmware keeps its variables.
    ///
    /// ```
    /// use proxmox_client::property::EfiDisk;
    /// let disk = EfiDisk::allocate("local-lvm").with_pre_enrolled_keys(true);
    /// assert!(disk.to_string().ends_with("pre-enrolled-keys=1"));
    /// ```
    pub struct EfiDisk: EFI_DISK, EFI_DISK_KEYS {
        /// Volume, or `storage:1` to allocate one (the number does not matter).
        "file" file / with_file: String,
        /// `4m` (recommended) or `2m`.
        "efitype" efi_type / with_efi_type: String,
        /// Microsoft's and the distributions' Secure Boot keys are enrolled.
        "pre-enrolled-keys" pre_enrolled_keys / with_pre_enrolled_keys: bool,
        /// Image format.
        "format" format / with_format: String,
        /// Size; read only.
        "size" size / with_size: Size,
    }
}

impl EfiDisk {
    /// A new one on a storage: 4 MiB, no keys enrolled (so that Secure Boot stays off).
    pub fn allocate(storage: &str) -> Self {
        Self::default()
            .with_file(format!("{storage}:1"))
            .with_efi_type("4m")
            .with_pre_enrolled_keys(false)
    }
}

property! {
    /// `tpmstate0`: where the TPM keeps its state.
    ///
    /// ```
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::property::TpmState;
    /// let config = QemuConfig::new().with_tpm_state(&TpmState::allocate("local-lvm"));
    /// assert!(config.text("tpmstate0").unwrap().contains("version=v2.0"));
    /// ```
    pub struct TpmState: TPM_STATE, TPM_STATE_KEYS {
        /// Volume, or `storage:1` to allocate one.
        "file" file / with_file: String,
        /// `v1.2` or `v2.0`.
        "version" version / with_version: String,
        /// Size; read only.
        "size" size / with_size: Size,
    }
}

impl TpmState {
    /// A new TPM 2.0 on a storage.
    pub fn allocate(storage: &str) -> Self {
        Self::default()
            .with_file(format!("{storage}:1"))
            .with_version("v2.0")
    }
}
