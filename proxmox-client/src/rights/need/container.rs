//! What plans with containers need, as `PVE::LXC::check_ct_modify_config_perm` and its callers check it.

use super::{Needs, part};
use crate::access::text;
use crate::lxc::{LxcConfig, NewLxc, is_volume_key};

/// What setting a key asks for on the container; none for what only root may set, whatever the value.
fn privilege(key: &str) -> Option<&'static str> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match stem {
        "cores" | "cpulimit" | "cpuunits" => "VM.Config.CPU",
        "memory" | "swap" => "VM.Config.Memory",
        "hostname" | "nameserver" | "searchdomain" | "net" => "VM.Config.Network",
        "rootfs" | "mp" => "VM.Config.Disk",
        "features" => "VM.Allocate",
        "dev" | "hookscript" => return None,
        _ => "VM.Config.Options",
    })
}

/// The storage of a volume; none for what is no volume, such as a directory of the node.
fn storage_of(volume: &str) -> Option<&str> {
    let (storage, _) = volume
        .split_once(':')
        .filter(|_| !volume.starts_with('/'))?;
    Some(storage)
}

/// The container that a backup is of, by its name.
fn owner_of(archive: &str) -> Option<u32> {
    let name = archive.rsplit(['/', ':']).next()?;
    let (vmid, _) = name.strip_prefix("vzdump-lxc-")?.split_once('-')?;
    vmid.parse().ok()
}

impl Needs {
    /// Making this container, reading it, keeping it as it says, growing its volumes, and removing it.
    ///
    /// Of one that is restored, what its backup says about it is not known here: a privileged one asks for `Sys.Modify` on
    /// `/` as well.
    #[must_use]
    pub fn with_lxc(mut self, vmid: u32, new: &NewLxc) -> Self {
        let container = format!("/vms/{vmid}");
        self.add(&container, ["VM.Allocate", "VM.Audit"]);
        self.add_source(vmid, new);
        let config = new.config();
        let unprivileged = config.text("unprivileged").as_deref() != Some("0");
        if !unprivileged && !new.is_restored() {
            self.add("/", ["Sys.Modify"]);
        }
        let mut placed = false;
        for (key, value) in config.values() {
            let value = text(value);
            // It is fixed once the container is made.
            if key == "unprivileged" {
                continue;
            }
            let is_volume = is_volume_key(key);
            let volume = part(&value, "volume", "volume").unwrap_or_default();
            let of_root = match key.as_str() {
                "features" => !unprivileged || !is_nesting_alone(&value),
                _ if is_volume => storage_of(&volume).is_none(),
                key => privilege(key).is_none(),
            };
            if of_root {
                self.root_only.insert(key.clone());
                continue;
            }
            self.add(&container, privilege(key));
            if is_volume && let Some(storage) = storage_of(&volume) {
                self.add_space(storage);
            }
            placed |= key == "rootfs";
            if key.starts_with("net") {
                self.add_card(&value);
            }
        }
        if !placed {
            self.add_space(new.storage().unwrap_or("local"));
        }
        self
    }

    /// The template, or the backup.
    fn add_source(&mut self, vmid: u32, new: &NewLxc) {
        let source = new.source();
        let Some(storage) = storage_of(source) else {
            self.root_only.insert("ostemplate".to_owned());
            return;
        };
        match owner_of(source).filter(|_| new.is_restored()) {
            Some(owner) if owner == vmid => {}
            Some(owner) => {
                self.add_space(storage);
                self.add(&format!("/vms/{owner}"), ["VM.Backup"]);
            }
            None => self.add(&format!("/storage/{storage}"), ["Datastore.Audit"]),
        }
    }

    fn add_space(&mut self, storage: &str) {
        self.add(&format!("/storage/{storage}"), ["Datastore.AllocateSpace"]);
    }

    /// Cloning a container, whose configuration is `config`, to a new id; its volumes to `storage` if that is given, else to
    /// where they are.
    #[must_use]
    pub fn with_lxc_clone(
        mut self,
        source: u32,
        config: &LxcConfig,
        vmid: u32,
        storage: Option<&str>,
    ) -> Self {
        self.add(&format!("/vms/{source}"), ["VM.Audit", "VM.Clone"]);
        self.add(&format!("/vms/{vmid}"), ["VM.Allocate", "VM.Audit"]);
        for (key, value) in config.values() {
            let value = text(value);
            if key.starts_with("net") {
                self.add_card(&value);
            }
            let volume = part(&value, "volume", "volume").unwrap_or_default();
            if is_volume_key(key)
                && let Some(own) = storage_of(&volume)
            {
                self.add_space(storage.unwrap_or(own));
            }
        }
        self
    }
}

/// Nesting is the one feature that others than root may turn on.
fn is_nesting_alone(features: &str) -> bool {
    let mut parts = features.split(',').filter(|part| !part.is_empty());
    parts.all(|part| {
        part.split_once('=')
            .is_some_and(|(name, _)| name == "nesting")
    })
}

#[cfg(test)]
mod tests {
    use crate::property::{ContainerNic, Features, MountPoint};

    use super::super::tests::listed;
    use super::*;

    const TEMPLATE: &str = "local:vztmpl/debian-13.tar.zst";

    fn root_only(needs: &Needs) -> Vec<&str> {
        needs.root_only().collect()
    }

    #[test]
    fn a_container_needs_what_its_keys_and_their_values_ask_for() {
        let config = LxcConfig::new()
            .with_hostname("dns")
            .with_memory_mib(256)
            .with_cores(1)
            .with_unprivileged(true)
            .with_features(&Features::default().with_nesting(true))
            .with_rootfs(&MountPoint::allocate("fast", 4))
            .with_mount_point(0, &MountPoint::allocate("slow", 8).with_path("/data"))
            .with_mount_point(1, &MountPoint::bind("/srv").with_path("/srv"))
            .with_net(0, &ContainerNic::new("eth0", "web").with_tag(20u16))
            .with("onboot", 1)
            .with("dev0", "/dev/ttyS0");
        let needs = Needs::new()
            .with_vnet("web", "inner")
            .with_lxc(200, &NewLxc::new(TEMPLATE, config));
        let expected = [
            "/sdn/zones/inner/web/20: SDN.Use",
            "/storage/fast: Datastore.AllocateSpace",
            "/storage/local: Datastore.Audit",
            "/storage/slow: Datastore.AllocateSpace",
            "/vms/200: VM.Allocate VM.Audit VM.Config.CPU VM.Config.Disk VM.Config.Memory VM.Config.Network VM.Config.Options",
        ];
        assert_eq!(listed(&needs), expected);
        assert_eq!(root_only(&needs), ["dev0", "mp1"]);
    }

    #[test]
    fn privileged_ones_ask_for_more_and_other_features_are_roots() {
        let privileged = LxcConfig::new().with_unprivileged(false);
        let bare = Needs::new().with_lxc(200, &NewLxc::new(TEMPLATE, privileged.clone()));
        let expected = [
            "/: Sys.Modify",
            "/storage/local: Datastore.AllocateSpace Datastore.Audit",
            "/vms/200: VM.Allocate VM.Audit",
        ];
        assert_eq!(listed(&bare), expected);
        for (config, features) in [
            (privileged, "nesting=1"),
            (LxcConfig::new(), "nesting=1,keyctl=1"),
            (LxcConfig::new(), "fuse=1"),
        ] {
            let new = NewLxc::new(TEMPLATE, config.with("features", features));
            assert_eq!(root_only(&Needs::new().with_lxc(200, &new)), ["features"]);
        }
    }

    #[test]
    fn a_restore_needs_the_backup_and_a_clone_room() {
        let archive = "bak:backup/vzdump-lxc-200-2026_01_01-00_00_00.tar.zst";
        let restored = |vmid| {
            let new = NewLxc::from_backup(archive, LxcConfig::new()).with_storage("fast");
            listed(&Needs::new().with_lxc(vmid, &new))
        };
        let space = "/storage/fast: Datastore.AllocateSpace";
        assert_eq!(restored(200), [space, "/vms/200: VM.Allocate VM.Audit"]);
        let other = [
            "/storage/bak: Datastore.AllocateSpace",
            space,
            "/vms/200: VM.Backup",
            "/vms/201: VM.Allocate VM.Audit",
        ];
        assert_eq!(restored(201), other);
        let config = LxcConfig::new()
            .with("rootfs", "fast:vm-200-disk-0,size=4G")
            .with("mp0", "/srv,mp=/srv")
            .with_net(0, &ContainerNic::new("eth0", "vmbr0"));
        let clone = |storage| listed(&Needs::new().with_lxc_clone(200, &config, 201, storage));
        let expected = [
            "/sdn/zones/localnetwork/vmbr0: SDN.Use",
            space,
            "/vms/200: VM.Audit VM.Clone",
            "/vms/201: VM.Allocate VM.Audit",
        ];
        assert_eq!(clone(None), expected);
        assert!(clone(Some("slow")).contains(&"/storage/slow: Datastore.AllocateSpace".to_owned()));
    }
}
