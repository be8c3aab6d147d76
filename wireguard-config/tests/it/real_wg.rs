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

/// Values that some field takes in an odd way.
#[cfg(all(feature = "live", target_os = "linux"))]
const ODD: &[&str] = &[
    "0",
    "00",
    "+5",
    "-1",
    "5 1 8",
    "70000",
    "65535",
    "65536",
    "0x10",
    "0X1f",
    "4294967297",
    "off",
    "OFF",
    "domain",
    "ntp",
    "1.2.3.4",
    "127.1:53",
    "0x7f.1:domain",
    "010.1.1.1:1",
    "[::1]:1",
    "::1:5",
    "fe80::1%1:9",
    "[fe80::1%lo]:9",
    "[::ffff:1.2.3.4]:5",
    "*:5",
    "1.2.3.4:*",
    "1.2.3.4:+7",
    "1.2.3.4/33",
    "1.2.3.4/08",
    "10.0.0.0/8 , ::/0",
    "::/0,",
    ",::/0",
    "1.2.3/24",
    "1.2.3.4 / 5",
    "fd00::1.2.3.4/64",
    "1::2::3",
    "::/129",
    "1.2.3.4/",
    "1.2.3.4/-1",
    "+1.2.3.4",
    "-1.2.3.4",
    "",
    "=",
    "# x",
];

/// One or two small changes, so that about half of the texts are still accepted.
#[cfg(all(feature = "live", target_os = "linux"))]
fn nudge(seed: &str, random: &mut Seeded) -> Vec<u8> {
    let mut lines: Vec<String> = seed.lines().map(str::to_owned).collect();
    for _ in 0..=random.next() % 2 {
        let mut pick = |count: usize| random.next() as usize % count;
        let at = pick(lines.len());
        match pick(7) {
            0..=2 => {
                let key = lines[at].split('=').next().unwrap_or_default().to_owned();
                lines[at] = format!("{key}={}", ODD[pick(ODD.len())]);
            }
            3 => {
                let space = [" ", "\t", "\x0b", "\r", "\0"][pick(5)];
                let to = pick(lines[at].len() + 1);
                lines[at].insert_str(to, space);
            }
            4 => lines[at] = [lines[at].to_lowercase(), lines[at].to_uppercase()][pick(2)].clone(),
            5 => {
                let to = pick(lines.len());
                lines.swap(at, to);
            }
            _ => {
                let again = lines[at].clone();
                lines.insert(pick(lines.len()), again);
            }
        }
    }
    lines
        .join(["\n", "\r\n"][random.next() as usize % 2])
        .into_bytes()
}

/// Changed texts through `wg setconf` and the emulation of its release: the same verdict, and the same device afterwards.
#[test]
#[cfg(all(feature = "live", target_os = "linux"))]
fn real_wg_takes_exactly_what_the_emulation_takes() {
    if missing("wg") {
        return;
    }
    if let Some(why) = crate::namespaces::obstacle() {
        return println!("did not run: {why}");
    }
    let release = match pipe("wg", &["--version"], b"").1 {
        version if version.windows(8).any(|v| v == b"20210914") => Release::V20210914,
        version if version.windows(8).any(|v| v == b"20260223") => Release::V20260223,
        _ => return println!("did not run: a release of wg that is not emulated"),
    };
    let rounds = if std::env::var_os("SOAK").is_some() {
        10_000
    } else {
        200
    };
    let tools = Tools::new(release, &NoNames);
    let lab = crate::namespaces::Lab::new(&["judge"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.conf");
    let seed = std::env::var("FUZZ_SEED").map_or(5, |seed| seed.parse().unwrap());
    let mut random = Seeded::new(seed);
    let (key, peer) = (crate::fuzz::KEY, crate::fuzz::PEER);
    let seeds = [
        format!(
            "[Interface]\nPrivateKey = {key}\nListenPort = 51820\nFwMark = 0x1\n# c\n[Peer]\nPublicKey = {peer}\nAllowedIPs = 10.0.0.2/32, fd00::2/128\nEndpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n"
        ),
        format!(
            "[Peer]\r\nPublicKey={peer}\r\nPresharedKey={key}\r\nAllowedIPs=10.0.0.0/8,10.1.0.1/16\r\nEndpoint=192.0.2.1:domain\r\n"
        ),
        format!(
            "[Interface]\nFwMark=off\nListenPort=ntp\n\n[Peer]\nPublicKey = {peer}\nEndpoint = fe80::1%lo:1\nPersistentKeepalive = off\n[Peer]\nPublicKey = {key}\nAllowedIPs = 0.0.0.0/0\nAllowedIPs = ::/0\n"
        ),
        format!(
            "[Interface]\nListenPort = 1\nAddress = 10.0.0.1/24\nMTU = 1420\nPostUp = x # y\n[Peer]\nPublicKey = {peer}\nAllowedIPs = 10.0.0.2, 10.0.0.3/31\nEndpoint = 0x7f.1:70000\n"
        ),
    ];
    let mut accepted = 0;
    for round in 0..rounds {
        let seed = &seeds[round / 2 % seeds.len()];
        let text = match round % 8 {
            0 => crate::fuzz::mutate(seed.as_bytes(), &mut random),
            _ => nudge(seed, &mut random),
        };
        let text = match round % 2 {
            0 => text,
            // Half of the texts without what belongs to wg-quick, which wg alone refuses.
            _ => tools.strip(&text).map_or(text, |text| text.to_vec()),
        };
        std::fs::write(&path, &text).unwrap();
        let shown = String::from_utf8_lossy(&text).into_owned();
        let ours = tools.setconf(&text);
        let (taken, said) = lab.setconf("judge", &path);
        assert_eq!(ours.is_ok(), taken, "{said}{shown}\n{:?}", ours.err());
        if let Ok(mut ours) = ours {
            accepted += 1;
            let mut theirs = lab.device("judge");
            for device in [&mut ours, &mut theirs] {
                device.peers.sort_by_key(|peer| peer.public_key);
                for peer in &mut device.peers {
                    peer.allowed_ips.sort();
                    // Some devices forget the zone.
                    peer.endpoint = peer.endpoint.take().map(|endpoint| {
                        let address = endpoint.address().expect("resolved");
                        wireguard_config::Endpoint::new(address, endpoint.port())
                    });
                }
            }
            if ours.listen_port == 0 {
                theirs.listen_port = 0;
            }
            assert_eq!(*ours.showconf(), *theirs.showconf(), "{shown}");
        }
    }
    assert!(
        accepted > rounds / 10,
        "{accepted} of {rounds} were accepted"
    );
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
