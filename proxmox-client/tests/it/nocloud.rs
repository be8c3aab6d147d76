//! Cloud-init data as an image.

use std::process::Command;

use proxmox_client::{Kind, NoCloud};

fn image() -> NoCloud {
    NoCloud::new("web-1", "local-hostname: web\n")
        .with_user_data("#cloud-config\npackages: [nginx]\n")
        .with_network_config("version: 2\n")
        .with_file("large.bin", vec![7u8; 5000])
}

fn number(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
}

/// Names and contents of the root directory that a descriptor (16: plain, 17: Joliet) points to.
fn files(image: &[u8], descriptor: usize) -> Vec<(String, Vec<u8>)> {
    let descriptor = &image[descriptor * 2048..][..2048];
    assert_eq!(&descriptor[1..6], b"CD001");
    assert_eq!(
        number(&descriptor[80..]) * 2048,
        image.len(),
        "the size it tells is its own"
    );
    let joliet = descriptor[0] == 2;
    let mut at = number(&descriptor[156 + 2..]) * 2048;
    let mut out = Vec::new();
    while image[at] != 0 {
        let entry = &image[at..at + image[at] as usize];
        let name = &entry[33..33 + entry[32] as usize];
        if entry[25] & 2 == 0 {
            let name = if joliet {
                let units: Vec<u16> = name
                    .chunks(2)
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                    .collect();
                String::from_utf16(&units).unwrap()
            } else {
                String::from_utf8(name.to_vec()).unwrap()
            };
            let (start, length) = (number(&entry[2..]) * 2048, number(&entry[10..]));
            out.push((name, image[start..start + length].to_vec()));
        }
        at += entry.len();
    }
    out
}

#[test]
fn both_directories_hold_the_files_as_they_were_given() {
    let bytes = image().build().unwrap();
    assert_eq!(
        bytes,
        image().build().unwrap(),
        "the same files give the same image"
    );
    assert_eq!(bytes.len() % 2048, 0);
    let joliet = files(&bytes, 17);
    let names: Vec<&str> = joliet.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["large.bin", "meta-data", "network-config", "user-data"]
    );
    assert_eq!(joliet[0].1, [7u8; 5000]);
    assert_eq!(
        joliet[1].1,
        b"instance-id: \"web-1\"\nlocal-hostname: web\n"
    );
    assert_eq!(joliet[3].1, b"#cloud-config\npackages: [nginx]\n");
    let plain = files(&bytes, 16);
    assert_eq!(plain[3].0, "USER_DATA;1");
    assert_eq!(plain[3].1, joliet[3].1);
    assert_eq!(&bytes[16 * 2048 + 40..16 * 2048 + 46], b"cidata");
}

#[test]
fn names_that_no_directory_takes_are_refused_and_contents_are_not_shown() {
    let bad = image().with_file("a/b", "x").build().unwrap_err();
    assert_eq!(bad.kind(), Kind::InvalidInput);
    let many = (0..20).fold(image(), |image, index| {
        image.with_file(&format!("f{index}"), "x")
    });
    assert!(many.build().is_err());
    assert!(!format!("{:?}", image().with_user_data("password: hunter2")).contains("hunter2"));
}

#[test]
fn other_programs_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cidata.iso");
    std::fs::write(&path, image().build().unwrap()).unwrap();
    let Ok(listed) = Command::new("bsdtar")
        .arg("-xOf")
        .arg(&path)
        .arg("user-data")
        .output()
    else {
        eprintln!("bsdtar is absent: the image was not read by another program");
        return;
    };
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    assert_eq!(listed.stdout, b"#cloud-config\npackages: [nginx]\n");
}

#[cfg(feature = "simulator")]
#[tokio::test(start_paused = true)]
async fn it_is_uploaded_and_attached_as_a_drive() {
    use proxmox_client::QemuConfig;
    use proxmox_client::simulator::{Simulator, World};
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    let upload = image().upload("web-cidata.iso").unwrap();
    let volid = node.storage("local").upload(upload).await.unwrap();
    let config = QemuConfig::new().with("ide2", format!("{volid},media=cdrom"));
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    let config = qemu.config().await.unwrap();
    assert!(
        config.values()["ide2"]
            .as_str()
            .unwrap()
            .starts_with("local:iso/web-cidata.iso")
    );
}
