//! Secrets stay where they belong: never in what is shown, and nowhere in memory once dropped.

use std::process::Command;

use wireguard_config::{Config, Document, Inventory, Keys, Member, PrivateKey};

use crate::support::Seeded;

/// Set for the child process that looks at its own memory.
const CHILD: &str = "WIREGUARD_CONFIG_SCAN";

fn work(mark: u8) -> Vec<[u8; 32]> {
    // Secrets are only kept with every bit flipped, so that the list itself is no copy.
    let mut random = Seeded::new(u64::from(mark));
    let inventory =
        Inventory::new("10.0.0.0/24".parse().unwrap())
            .members((0..6).map(|i| {
                Member::new(format!("m{i}")).endpoint("192.0.2.1:51820".parse().unwrap())
            }));
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut random);
    let plan = inventory.plan(&keys).unwrap();
    let mut flipped = Vec::new();
    let mut remember = |bytes: &[u8; 32]| {
        let mut copy = [0; 32];
        for (to, from) in copy.iter_mut().zip(bytes) {
            *to = !from;
        }
        flipped.push(copy);
    };
    for member in plan.members() {
        remember(member.private_key().unwrap().expose_bytes());
        let file = member.file();
        let document = Document::parse(file.content.as_bytes()).unwrap();
        let config = Config::parse(document.as_bytes()).unwrap();
        assert_eq!(config, member.config());
        for peer in &config.peers {
            remember(peer.preshared_key.as_ref().unwrap().expose_bytes());
        }
    }
    for file in plan.files() {
        assert!(!file.content.is_empty());
    }
    flipped
}

/// Looks for the secrets, raw and in base64, in all memory that the process can write to.
fn scan(flipped: &[[u8; 32]]) -> usize {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    // Only the first eight bytes are compared, against flipped text, so that the search makes no copy of a secret.
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = vec![0u8; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for byte in &mut bytes {
            *byte = !*byte;
        }
        for secret in flipped {
            // Flipped memory holds the flipped secret wherever the real one stood; the list itself stands there in clear.
            found += memchr::memmem::find_iter(&bytes, &secret[8..24]).count();
        }
    }
    found
}

/// Runs in a process of its own, started by the test below.
#[test]
fn child_of_the_memory_scan() {
    let Ok(mode) = std::env::var(CHILD) else {
        return;
    };
    let kept = (mode == "keep").then(|| {
        let mut random = Seeded::new(9);
        let inventory = Inventory::new("10.0.0.0/24".parse().unwrap()).member(Member::new("m0"));
        let mut keys = Keys::new();
        keys.complete(&inventory, &mut random);
        keys
    });
    // On a thread, so that its stack is gone as well.
    let flipped = std::thread::spawn(|| work(9)).join().unwrap();
    let found = scan(&flipped);
    drop(kept);
    println!("found {found} copies of {} secrets", flipped.len());
    std::process::exit(if found == 0 { 0 } else { 3 });
}

fn child(mode: &str) -> Option<i32> {
    let program = std::env::current_exe().unwrap();
    let status = Command::new(program)
        .args([
            "--exact",
            "secrets::child_of_the_memory_scan",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(CHILD, mode)
        .status();
    status.unwrap().code()
}

#[test]
#[cfg(target_os = "linux")]
fn no_secret_is_left_in_memory_after_it_is_dropped() {
    assert_eq!(child("drop"), Some(0));
    // The same search finds a key that is still held, so it can find one.
    assert_eq!(child("keep"), Some(3));
}

#[test]
fn errors_of_every_reader_are_free_of_secrets() {
    let key = PrivateKey::generate(&mut Seeded::new(11));
    let text = key.expose_base64();
    let mut hex = String::new();
    key.push_hex(&mut hex);
    let hints = [&text[4..20], &hex[4..20]];
    let inputs = [
        format!("[Interface]\nPrivateKey = {}\n", &text[1..]),
        format!("[Interface]\n{}\n", &*text),
        format!("[Peer]\nPresharedKey = {}x\n", &*text),
        format!("private_key={hex}0\n"),
        format!("{hex}=1\n"),
        format!("private_key\n{hex}\n"),
        format!("{}x\t(none)\t1\toff\n", &*text),
        format!("private a {}x\n", &*text),
        format!("{} a b\n", &*text),
    ];
    for input in &inputs {
        let mut shown = String::new();
        shown += &format!("{:?}", Config::parse(input).err());
        shown += &format!("{:?}", wireguard_config::Device::parse_uapi(input).err());
        shown += &format!("{:?}", wireguard_config::Device::parse_dump(input).err());
        shown += &format!("{:?}", Keys::from_text(input).err());
        let tools = wireguard_config::lenient::Tools::new(
            wireguard_config::lenient::Release::V20260223,
            &wireguard_config::lenient::NoNames,
        );
        shown += &format!("{:?}", tools.quick(input).err());
        shown += &format!(
            "{:?}",
            Document::parse(input)
                .unwrap()
                .check(wireguard_config::Dialect::WgQuick)
        );
        assert!(!hints.iter().any(|hint| shown.contains(hint)), "{shown}");
    }
}

/// Every way in which 32 secret bytes could be shown, cut so that a piece is found too.
fn forms(bytes: &[u8; 32]) -> Vec<String> {
    let key = PrivateKey::take_bytes(&mut bytes.clone());
    let mut hex = String::new();
    key.push_hex(&mut hex);
    let list = format!("{:?}", &bytes[8..16]);
    vec![
        key.expose_base64()[8..28].to_owned(),
        hex[16..40].to_owned(),
        hex[16..40].to_uppercase(),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

#[test]
fn debug_of_every_type_that_holds_a_secret_is_free_of_it() {
    use wireguard_config::why::Fabric;
    use wireguard_config::{Changes, Device, Dialect, Hook, HookStage, RoutingTable, render};

    let inventory =
        Inventory::new("10.0.0.0/24".parse().unwrap())
            .members((0..3).map(|i| {
                Member::new(format!("m{i}")).endpoint("192.0.2.1:51820".parse().unwrap())
            }));
    let mut random = Seeded::new(21);
    let mut keys = Keys::new();
    let created = keys.complete(&inventory, &mut random);
    let plan = inventory.plan(&keys).unwrap();
    let member = plan.member("m0").unwrap();
    let mut config = member.config();
    let hook = "curl -H 'Authorization: open-sesame' https://example.org";
    config
        .interface
        .hooks
        .push(Hook::new(HookStage::PostUp, hook));
    let text = render::quick::wg_quick(&config);
    let new = PrivateKey::generate(&mut random);
    let rotation = wireguard_config::Rotation::key(&plan, "m0", new.clone()).unwrap();
    let waves = wireguard_config::Rotation::mesh(&plan, &mut random).unwrap();
    let changes = Changes::between(&Config::default(), &config);
    let request = wireguard_config::uapi::set_request(&changes, Default::default()).unwrap();
    let answer = request
        .replace("set=1\n", "")
        .replace("replace_allowed_ips=true\n", "");
    let device = Device::parse_uapi(format!("{answer}errno=0\n\n")).unwrap();
    assert_eq!(device.peers.len(), 2);
    assert_eq!(device.private_key, config.interface.private_key);
    let document = Document::parse(text.as_bytes()).unwrap();
    let mut fabric = Fabric::new();
    fabric.add("m0", config.clone());
    let tools = wireguard_config::lenient::Tools::new(
        wireguard_config::lenient::Release::V20260223,
        &wireguard_config::lenient::NoNames,
    );

    let mut secrets = forms(new.expose_bytes());
    secrets.push("open-sesame".to_owned());
    for member in plan.members() {
        secrets.extend(forms(member.private_key().unwrap().expose_bytes()));
    }
    for peer in &config.peers {
        secrets.extend(forms(peer.preshared_key.as_ref().unwrap().expose_bytes()));
    }
    secrets.extend(forms(keys.seed().unwrap().expose_bytes()));

    let shown: &[(&str, &dyn std::fmt::Debug)] = &[
        ("keys", &keys),
        ("created", &created),
        ("inventory", &inventory),
        ("plan", &plan),
        ("member", &member),
        ("files", &plan.files().collect::<Vec<_>>()),
        ("config", &config),
        ("rotation", &rotation),
        ("waves", &waves),
        ("changes", &changes),
        ("device", &device),
        ("document", &document),
        ("lines", &document.lines().collect::<Vec<_>>()),
        ("sections", &document.sections().collect::<Vec<_>>()),
        ("report", &document.check(Dialect::WgQuick)),
        ("fabric", &fabric),
        ("journey", &fabric.why("m0", "10.0.0.2".parse().unwrap())),
        ("table", &RoutingTable::new(&config)),
        ("networkd", &render::networkd::networkd(&config, "wg0")),
        (
            "keyfile",
            &render::network_manager::network_manager(&config, "wg0"),
        ),
        ("quick", &tools.quick(text.as_bytes())),
    ];
    for (what, value) in shown {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            let packed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for secret in &secrets {
                assert!(
                    !text.contains(secret) && !packed.contains(secret),
                    "{what} shows {secret}"
                );
            }
        }
    }
    assert!(!changes.to_string().contains(&secrets[0]));
    // The message of a panic is made of such texts.
    let outcome = std::panic::catch_unwind(|| assert_eq!(config, Config::default()));
    let message = outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(secrets.iter().all(|secret| !message.contains(secret)));
    // The search finds what is there.
    assert!(secrets[4..].iter().any(|secret| text.contains(secret)));
}
