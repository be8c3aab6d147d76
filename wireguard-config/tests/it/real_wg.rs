//! Keys and files through the real `wg` and `wg-quick`, where they are installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wireguard_config::lenient::{NoNames, Release, Tools};
use wireguard_config::render::quick;
use wireguard_config::{Config, Inventory, Keys, Member, PrivateKey};

use crate::support::Seeded;

/// Whether a program is here; says so when it is not.
fn missing(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if !found {
        println!("did not run: ABSENT {program}");
    }
    !found
}

fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> (bool, Vec<u8>) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(input)
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (output.status.success(), output.stdout)
}

#[test]
fn real_wg_derives_the_same_public_keys() {
    if missing("wg") {
        return;
    }
    let mut random = Seeded::new(4);
    for _ in 0..20 {
        let key = PrivateKey::generate(&mut random);
        let (good, printed) = pipe("wg", &["pubkey"], key.expose_base64().as_bytes());
        assert!(good);
        assert_eq!(
            String::from_utf8_lossy(&printed).trim(),
            key.public_key().to_string()
        );
    }
    let (_, printed) = pipe("wg", &["genkey"], b"");
    let key = PrivateKey::from_base64(String::from_utf8_lossy(&printed).trim()).unwrap();
    assert!(key.is_clamped());
}

#[test]
fn real_wg_quick_strips_to_the_same_bytes() {
    if missing("wg-quick") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wgx.conf");
    let tools = Tools::new(Release::V20210914, &NoNames);
    let inventory =
        Inventory::new("10.0.0.0/24".parse().unwrap())
            .members((0..5).map(|i| {
                Member::new(format!("m{i}")).endpoint("192.0.2.1:51820".parse().unwrap())
            }));
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(1));
    let plan = inventory.plan(&keys).unwrap();
    let made = plan
        .member("m0")
        .unwrap()
        .file()
        .content
        .as_bytes()
        .to_vec();
    let odd = [
        "[interface]\r\n  address=10.0.0.1/24 # x\r\nMTU\n[Peer] \nMTU = 1\n\x0b[Interface] # y\nDns=1.1.1.1\nlast",
        "\n\n[Interface]\nPostUp = echo # a\nSaveConfig = TRUE\nTable=off\n[ Interface ]\nAddress = 1\n",
        "Address = 1\n[INTERFACE]=x\nPreDown=y\n#Address = 2\n  \t \n",
    ];
    for text in odd
        .iter()
        .map(|text| text.as_bytes())
        .chain([made.as_slice()])
    {
        std::fs::write(&path, text).unwrap();
        let output = Command::new("wg-quick")
            .arg("strip")
            .arg(&path)
            .output()
            .expect("wg-quick starts");
        let ours = tools.strip(text).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&ours)
        );
    }
}

#[test]
fn a_real_reader_of_configurations_accepts_what_is_rendered() {
    let mut keys = Keys::new();
    let inventory = Inventory::new("10.0.0.0/24".parse().unwrap())
        .network("fd00::/64".parse().unwrap())
        .members((0..9).map(|i| {
            Member::new(format!("m{i}")).endpoint("[2001:db8::1]:51820".parse().unwrap())
        }));
    keys.complete(&inventory, &mut Seeded::new(1));
    let plan = inventory.plan(&keys).unwrap();
    for release in [Release::V20210914, Release::V20260223] {
        let tools = Tools::new(release, &NoNames);
        for member in plan.members() {
            let (device, part) = tools.quick(member.file().content.as_bytes()).unwrap();
            assert_eq!((device.peers.len(), part.addresses.len()), (8, 2));
            let wg: Config = Config::parse_as(
                quick::wg(&member.config()).as_bytes(),
                wireguard_config::Dialect::Wg,
            )
            .unwrap();
            assert_eq!(wg.peers, member.config().peers);
        }
    }
}
