//! Configuration files of guests.

use proptest::prelude::*;
use proxmox_client::config_file::{ConfigFile, GuestKind, Part};

const VM: &str = "\
#managed%3A yes
#second line
boot: order=scsi0
cores: 2
memory: 4096
net0: virtio=BC:24:11:2C:69:EC,bridge=vmbr0,firewall=1
parent: clean
scsi0: local-lvm:vm-120-disk-0,iothread=1,size=4G

[PENDING]
delete: onboot
memory: 8192

[special:cloudinit]
name: web

[clean]
cores: 1
snaptime: 1737549549
";

#[test]
fn parts_are_told_apart_and_the_text_prints_as_it_was() {
    let file = ConfigFile::parse(GuestKind::Qemu, VM);
    assert_eq!(file.to_string(), VM);
    assert_eq!(file.problems(), []);
    let parts: Vec<Part> = file.parts().collect();
    assert_eq!(
        parts,
        [
            Part::Main,
            Part::Pending,
            Part::CloudInit,
            Part::Snapshot("clean".into())
        ]
    );
    assert_eq!(file.get(&Part::Main, "memory"), Some("4096"));
    assert_eq!(file.get(&Part::Pending, "memory"), Some("8192"));
    assert_eq!(
        file.get(&Part::Snapshot("clean".into()), "cores"),
        Some("1")
    );
    assert_eq!(
        file.description(&Part::Main).as_deref(),
        Some("managed: yes\nsecond line")
    );
    let config = file.qemu_config(&Part::Main);
    assert_eq!(config.memory_mib(), Some(4096));
    assert_eq!(
        config.net(0).unwrap().unwrap().bridge().as_deref(),
        Some("vmbr0")
    );
}

const CONTAINER: &str = "\
#dns of the lab
arch: amd64
hostname: dns
memory: 256
mp0: local-lvm:vm-200-disk-1,mp=/data,backup=1,size=8G
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:1F:5E:C8,ip=192.0.2.53/24,type=veth
rootfs: local-lvm:vm-200-disk-0,size=4G
unprivileged: 1
lxc.mount.entry: /srv srv none bind 0 0

[pve:pending]
delete: mp0
tty: 4

[clean]
hostname: old
snaptime: 1737549549
";

#[test]
fn a_containers_parts_read_as_its_configuration() {
    let file = ConfigFile::parse(GuestKind::guess(CONTAINER), CONTAINER);
    assert_eq!(file.kind(), GuestKind::Lxc);
    assert_eq!(file.to_string(), CONTAINER);
    assert_eq!(file.problems(), []);
    let config = file.lxc_config(&Part::Main);
    assert_eq!(config.memory_mib(), Some(256));
    assert!(config.unprivileged());
    let card = config.net(0).unwrap().unwrap();
    assert_eq!(card.ip().as_deref(), Some("192.0.2.53/24"));
    let paths: Vec<_> = config
        .volumes()
        .map(|(key, volume)| (key.to_owned(), volume.unwrap().path()))
        .collect();
    assert_eq!(
        paths,
        [
            ("mp0".to_owned(), Some("/data".to_owned())),
            ("rootfs".to_owned(), None)
        ]
    );
    assert_eq!(
        config.text("lxc.mount.entry").as_deref(),
        Some("/srv srv none bind 0 0")
    );
    let waiting = file.lxc_config(&Part::Pending);
    assert_eq!(waiting.text("tty").as_deref(), Some("4"));
    let kept = file.lxc_config(&Part::Snapshot("clean".into()));
    assert_eq!(kept.hostname().as_deref(), Some("old"));
}

#[test]
fn a_change_touches_one_line() {
    let mut file = ConfigFile::parse(GuestKind::Qemu, VM);
    file.set(&Part::Main, "memory", "2048");
    assert_eq!(
        file.to_string(),
        VM.replacen("memory: 4096", "memory: 2048", 1)
    );
    file.set(&Part::Main, "onboot", "1");
    assert!(file.to_string().contains("size=4G\nonboot: 1\n\n[PENDING]"));
    assert!(file.remove(&Part::Pending, "memory"));
    assert!(!file.remove(&Part::Pending, "memory"));
    file.set(&Part::Snapshot("new".into()), "cores", "4");
    assert!(
        file.to_string()
            .ends_with("snaptime: 1737549549\n\n[new]\ncores: 4\n")
    );
}

#[test]
fn a_strict_reader_names_place_and_cause() {
    let told = |kind, text: &str| -> Vec<String> {
        ConfigFile::parse(kind, text)
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        told(
            GuestKind::Qemu,
            "numa: maybe\nscsi31: none\nnet0: virtio,bridge=a,bridge=b\nodd\ncores: 0\n"
        ),
        [
            "line 1, column 7: `numa`: `maybe` is not a flag (0 or 1)",
            "line 2, column 1: `scsi31`: the last one is scsi30",
            "line 3, column 23: `net0.bridge`: stands twice",
            "line 4, column 1: neither `key: value` nor a comment nor a header",
            "line 5, column 8: `cores`: 0 is less than 1",
        ]
    );
    assert_eq!(
        told(
            GuestKind::Lxc,
            "rootfs: local:1\nnet0: bridge=vmbr0\nlxc.a: 1\nlxc.a: 2\n[x]\n[x]\n"
        ),
        [
            "line 2, column 7: `net0.name`: is missing",
            "line 5, column 1: [x] is neither a snapshot's name nor a known part",
            "line 6, column 1: [x] is neither a snapshot's name nor a known part",
        ]
    );
    assert_eq!(
        told(GuestKind::Qemu, "[ab]\ncores: 1\n\n[ab]\n"),
        ["line 4, column 1: this part stands twice: [ab]"]
    );
}

proptest! {
    #[test]
    fn any_text_prints_as_it_was_and_never_panics(text in "(?s)([a-z0-9_]{0,6}: ?[^\n]{0,12}\r?\n|\\[[^\n]{0,8}\\]\n|.{0,20}){0,8}") {
        for kind in [GuestKind::Qemu, GuestKind::Lxc] {
            let file = ConfigFile::parse(kind, &text);
            prop_assert_eq!(file.to_string(), text.as_str());
            let lines = text.split_inclusive('\n').count();
            for problem in file.problems() {
                prop_assert!(problem.line <= lines && problem.column >= 1);
            }
        }
    }
}

#[test]
fn a_wrong_sub_key_is_named_where_it_stands() {
    let text =
        "net0: virtio,bridge=vmbr0,tags=9,tag=5000\nscsi0: local:1,cache=fast\nnet01: virtio\n";
    let file = ConfigFile::parse(GuestKind::Qemu, text);
    let places: Vec<(usize, usize)> = file
        .problems()
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(
        places,
        [(1, 27), (1, 34), (2, 16), (3, 1)],
        "{:?}",
        file.problems()
    );
}
