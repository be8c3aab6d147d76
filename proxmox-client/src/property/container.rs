//! Formats of containers: volumes, network cards, features, devices.
//!
//! `net0` is another format here than in a virtual machine.

use super::{Format, guest, property};
use crate::size::Size;

/// The format of a container's configuration key, where it is known.
pub(crate) fn format_of(key: &str) -> Option<&'static Format> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match (stem, stem.len() < key.len()) {
        ("rootfs", false) | ("mp", true) => &MOUNT_POINT,
        ("net", true) => &NIC,
        ("dev", true) => &DEVICE,
        ("features", false) => &FEATURES,
        ("startup", false) => &guest::STARTUP,
        _ => return None,
    })
}

static MOUNT_POINT: Format = Format {
    name: "mount point",
    default_key: Some("volume"),
    aliases: &[],
    flags: &[
        "acl",
        "backup",
        "keepattrs",
        "quota",
        "replicate",
        "ro",
        "shared",
    ],
};

property! {
    /// A container's volume: `rootfs`, or a mount point `mpN`.
    ///
    /// ```
    /// use proxmox_client::Size;
    /// use proxmox_client::property::MountPoint;
    /// let data: MountPoint = "local-lvm:vm-200-disk-1,mp=/data,size=8G".parse()?;
    /// assert_eq!(data.path().as_deref(), Some("/data"));
    /// assert_eq!(data.size(), Some(Size::gib(8)));
    /// assert_eq!(data.with_read_only(true).to_string(), "local-lvm:vm-200-disk-1,mp=/data,size=8G,ro=1");
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct MountPoint: MOUNT_POINT {
        /// Volume, `storage:size in GiB` to allocate one, or a directory or device of the node.
        "volume" volume / with_volume: String,
        /// Path inside the container, without symbolic links; `rootfs` has none.
        "mp" path / with_path: String,
        /// Size; read only, the server keeps it.
        "size" size / with_size: Size,
        /// Whether access control lists are on; unset takes what the node does by default.
        "acl" acl / with_acl: bool,
        /// Whether it is part of backups (mount points only; `rootfs` always is).
        "backup" backup / with_backup: bool,
        /// Whether it keeps owner and mode of the directory that it is mounted on.
        "keepattrs" keep_attributes / with_keep_attributes: bool,
        /// Whether user quotas work inside; privileged containers only, not on ZFS.
        "quota" quota / with_quota: bool,
        /// Whether replication jobs take it along.
        "replicate" replicate / with_replicate: bool,
        /// Whether it is mounted read only.
        "ro" read_only / with_read_only: bool,
        /// Whether a directory or device is the same on all nodes; nothing is shared by saying so.
        "shared" shared / with_shared: bool,
        /// Further options, separated by `;`: `discard`, `lazytime`, `noatime`, `nodev`, `noexec`, `nosuid`.
        "mountoptions" mount_options / with_mount_options: String,
    }
}

impl MountPoint {
    /// A new volume of a size in GiB on a storage.
    pub fn allocate(storage: &str, gib: u64) -> Self {
        Self::default().with_volume(format!("{storage}:{gib}"))
    }

    /// A directory or device of the node. Only `root@pam` with a ticket may set one.
    pub fn bind(path: &str) -> Self {
        Self::default().with_volume(path)
    }

    /// The storage of its volume; none for a directory or device of the node.
    pub fn storage(&self) -> Option<&str> {
        let volume = self.get("volume")?;
        if volume.starts_with('/') {
            return None;
        }
        volume.split_once(':').map(|(storage, _)| storage)
    }
}

static NIC: Format = Format {
    name: "container net",
    default_key: None,
    aliases: &[],
    flags: &["firewall", "link_down", "host-managed"],
};

property! {
    /// A container's network card, `netN`.
    ///
    /// ```
    /// use proxmox_client::property::ContainerNic;
    /// let card = ContainerNic::new("eth0", "vmbr0").with_ip("192.0.2.30/24").with_gateway("192.0.2.1");
    /// assert_eq!(card.to_string(), "name=eth0,bridge=vmbr0,ip=192.0.2.30/24,gw=192.0.2.1");
    /// ```
    pub struct ContainerNic: NIC {
        /// Name inside the container, such as `eth0`.
        "name" name / with_name: String,
        /// Bridge on the node.
        "bridge" bridge / with_bridge: String,
        /// MAC address; the server chooses one unless it is set.
        "hwaddr" mac / with_mac: String,
        /// IPv4 address with prefix, `dhcp` or `manual`.
        "ip" ip / with_ip: String,
        /// IPv4 gateway.
        "gw" gateway / with_gateway: String,
        /// IPv6 address with prefix, `auto`, `dhcp` or `manual`.
        "ip6" ip6 / with_ip6: String,
        /// IPv6 gateway.
        "gw6" gateway6 / with_gateway6: String,
        /// VLAN, 1 to 4094.
        "tag" tag / with_tag: u16,
        /// VLANs passed through, separated by `;`.
        "trunks" trunks / with_trunks: String,
        /// Limit in MB/s.
        "rate" rate / with_rate: f64,
        /// MTU, 64 to 65535.
        "mtu" mtu / with_mtu: u32,
        /// Whether the node's firewall filters it.
        "firewall" firewall / with_firewall: bool,
        /// Whether the cable is unplugged.
        "link_down" link_down / with_link_down: bool,
        /// Kind of interface: `veth`.
        "type" kind / with_kind: String,
        /// Whether the node, not the container, sets its addresses; for containers without network management.
        "host-managed" host_managed / with_host_managed: bool,
    }
}

impl ContainerNic {
    /// A card of a name inside the container, on a bridge.
    pub fn new(name: &str, bridge: &str) -> Self {
        Self::default().with_name(name).with_bridge(bridge)
    }

    /// Whether this card has everything that `wanted` says; a MAC address or kind that `wanted` does not name is the
    /// server's choice.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let mac = match (self.mac(), wanted.mac()) {
            (Some(mac), Some(wanted)) => mac.eq_ignore_ascii_case(&wanted),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        let (mut have, mut rest) = (
            self.clone().without("hwaddr"),
            wanted.clone().without("hwaddr"),
        );
        if rest.kind().is_none() {
            (have, rest) = (have.without("type"), rest.without("type"));
        }
        mac && have.same_meaning(&rest)
    }
}

static FEATURES: Format = Format {
    name: "features",
    default_key: None,
    aliases: &[],
    flags: &["force_rw_sys", "fuse", "keyctl", "mknod", "nesting"],
};

property! {
    /// `features`: what a container may do beyond the usual. Callers other than `root@pam` with a ticket may set
    /// `nesting` of an unprivileged container, and nothing else.
    ///
    /// ```
    /// use proxmox_client::property::Features;
    /// let features = Features::default().with_nesting(true).with_keyctl(true);
    /// assert_eq!(features.to_string(), "nesting=1,keyctl=1");
    /// ```
    pub struct Features: FEATURES {
        /// Containers inside, and `/proc` and `/sys` of the node visible; systemd needs it.
        "nesting" nesting / with_nesting: bool,
        /// The `keyctl` system call in unprivileged containers, which Docker needs.
        "keyctl" keyctl / with_keyctl: bool,
        /// FUSE file systems.
        "fuse" fuse / with_fuse: bool,
        /// `mknod` in unprivileged containers, for some devices.
        "mknod" mknod / with_mknod: bool,
        /// Kinds of file systems that may be mounted inside, separated by `;`.
        "mount" mount / with_mount: String,
        /// `/sys` writable in unprivileged containers.
        "force_rw_sys" force_rw_sys / with_force_rw_sys: bool,
    }
}

static DEVICE: Format = Format {
    name: "device",
    default_key: Some("path"),
    aliases: &[],
    flags: &["deny-write"],
};

property! {
    /// A device of the node that is passed through, `devN`. Only `root@pam` with a ticket may set one.
    ///
    /// ```
    /// use proxmox_client::property::Device;
    /// let gpu = Device::new("/dev/dri/renderD128").with_gid(104u32).with_mode("0660");
    /// assert_eq!(gpu.path().as_deref(), Some("/dev/dri/renderD128"));
    /// ```
    pub struct Device: DEVICE {
        /// Path of the device on the node, such as `/dev/ttyUSB0`.
        "path" path / with_path: String,
        /// Access mode of the node inside the container, in octal, such as `0660`.
        "mode" mode / with_mode: String,
        /// User id of the node inside the container.
        "uid" uid / with_uid: u32,
        /// Group id of the node inside the container.
        "gid" gid / with_gid: u32,
        /// Whether the container may not write to it.
        "deny-write" deny_write / with_deny_write: bool,
    }
}

impl Device {
    /// A device by its path on the node.
    pub fn new(path: &str) -> Self {
        Self::default().with_path(path)
    }
}
