//! Parsers fed with mutated seeds: nothing panics, and what is read prints as it was.
//!
//! `FUZZ_SECONDS` says for how long each target runs (default 1).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proxmox_client::config_file::{ConfigFile, GuestKind};
use proxmox_client::firewall_file::{FileRule, FirewallFile, Level, Section};
use proxmox_client::property::{
    ContainerNic, Device, Drive, Features, Fleecing, IpConfig, MountPoint, Nic, PropertyKeys,
    PropertyString, PruneBackups,
};
use proxmox_client::second_factor::TotpSecret;
use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::{Answer, Method, Request, escape, unescape};
use proxmox_client::{
    HaSid, LxcConfig, NodePriority, QemuConfig, ReplicationId, Session, Size, Token, Upid,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// Runs a target on seeds and on what comes of them by cutting, doubling, swapping and changing bytes.
fn fuzz(seeds: &[impl AsRef<[u8]>], target: impl Fn(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    pool.iter().for_each(|seed| target(seed));
    while Instant::now() < until {
        for _ in 0..200 {
            let mut data = pool[draw(pool.len())].clone();
            for _ in 0..=draw(4) {
                let at = draw(data.len());
                match draw(6) {
                    0 if !data.is_empty() => drop(data.remove(at)),
                    1 => data.insert(at, b",=:;%[]\n\0\"{}#-0"[draw(15)]),
                    2 if !data.is_empty() => data[at] = draw(256) as u8,
                    3 => data.truncate(at),
                    4 => {
                        let other = pool[draw(pool.len())].clone();
                        data.extend_from_slice(&other[draw(other.len())..]);
                    }
                    _ => {
                        let tail = data[at.min(data.len())..].to_vec();
                        data.extend(tail);
                    }
                }
            }
            data.truncate(4096);
            target(&data);
            if pool.len() < 500 {
                pool.push(data);
            }
        }
    }
}

#[test]
fn property_strings() {
    let seeds = [
        "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20",
        "local-lvm:vm-1-disk-0,discard=on,iothread=1,size=32G",
        "local:0,import-from=local:import/x.qcow2",
        "ip=192.0.2.20/24,gw=192.0.2.1",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        let parts = PropertyString::parse(&text);
        assert_eq!(PropertyString::parse(&parts.to_string()), parts);
        if let Ok(drive) = text.parse::<Drive>() {
            assert!(drive.clone().with_ssd(true).ssd() == Some(true));
        }
        if let Ok(nic) = text.parse::<Nic>() {
            assert_eq!(nic.to_string().parse::<Nic>().unwrap(), nic);
            assert!(nic.satisfies(&nic));
        }
        let _ = text.parse::<IpConfig>();
        let config = QemuConfig::new()
            .with("scsi0", text.as_ref())
            .with("net0", text.as_ref());
        assert!(config.patch_to(&config).is_empty());
    });
}

#[test]
fn property_strings_of_containers() {
    let seeds = [
        "local-lvm:vm-200-disk-1,mp=/data,backup=1,mountoptions=noatime;nodev,size=8G",
        "/srv/media,mp=/media,ro=1,shared=1",
        "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,ip6=auto,type=veth",
        "nesting=1,keyctl=on,mount=nfs;cifs",
        "/dev/ttyUSB0,mode=0660,uid=100000,deny-write=0",
        "local-lvm:8",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        if let Ok(volume) = text.parse::<MountPoint>() {
            assert_eq!(volume.to_string().parse::<MountPoint>().unwrap(), volume);
            let _ = (volume.storage(), volume.size(), volume.path());
            assert_eq!(volume.with_read_only(true).read_only(), Some(true));
        }
        if let Ok(card) = text.parse::<ContainerNic>() {
            assert_eq!(card.to_string().parse::<ContainerNic>().unwrap(), card);
            assert!(card.satisfies(&card));
        }
        if let Ok(device) = text.parse::<Device>() {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        if let Ok(features) = text.parse::<Features>() {
            assert_eq!(features.with_nesting(true).nesting(), Some(true));
        }
        let keys = [
            "rootfs", "mp0", "net0", "dev0", "features", "tags", "cpulimit",
        ];
        let config = keys.iter().fold(LxcConfig::new(), |config, key| {
            config.with(key, text.as_ref())
        });
        assert!(config.patch_to(&config).is_empty());
        let other = LxcConfig::new()
            .with("rootfs", "local-lvm:vm-200-disk-0,size=4G")
            .with("net0", "name=eth0,hwaddr=BC:24:11:00:00:01");
        let _ = (other.patch_to(&config), config.patch_to(&other));
        let _ = (config.disk_total(), config.free_mount_point());
    });
}

#[test]
fn configuration_files() {
    let seeds = [
        "name: a\nscsi0: x:1\n\n[PENDING]\nmemory: 1\n\n[s1]\nsnaptime: 1\n",
        "#x\nrootfs: local:1\nlxc.a: 1\n",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        for kind in [GuestKind::Qemu, GuestKind::Lxc] {
            let file = ConfigFile::parse(kind, &text);
            assert_eq!(file.to_string(), text);
            let _ = file.problems();
        }
    });
}

#[test]
fn firewall_files() {
    let seeds = [
        "[OPTIONS]\nenable: 1\n[RULES]\n|IN SSH(DROP) -i net0 -source +dc/a -p tcp -dport 1:2,3 # c\n",
        "[ALIASES]\na1 192.0.2.0/24 # x\n[IPSET s1] # y\n!192.0.2.1\na1\n[group g1]\nOUT DROP -log info\n",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        for level in [Level::Cluster, Level::Node, Level::Guest, Level::Vnet] {
            let mut file = FirewallFile::parse(level, &text);
            assert_eq!(file.to_string(), text);
            let _ = (
                file.problems(None),
                file.problems(Some(&file)),
                file.aliases(),
            );
            let rules = file.rules(&Section::Rules);
            for rule in &rules {
                assert_eq!(rule.to_string().parse::<FileRule>().unwrap(), *rule);
            }
            file.set_option("enable", "0");
            assert_eq!(file.option("ENABLE").as_deref(), Some("0"));
            assert_eq!(file.rules(&Section::Rules), rules);
        }
    });
}

#[test]
fn task_identifiers_and_sizes() {
    let seeds = [
        "UPID:pve1:000014B6:0008A4D0:6B004739:qmcreate:100:root@pam!sdk:",
        "UPID:a:00000000:100000000:00000000:x::u@r:",
        "1.5G",
        "26194K",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        if let Ok(upid) = text.parse::<Upid>() {
            assert_eq!(upid.as_str(), text);
            let _ = (
                upid.node(),
                upid.kind(),
                upid.id(),
                upid.user(),
                upid.token(),
                upid.started_at(),
            );
        }
        if let Ok(size) = text.parse::<Size>() {
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
        assert_eq!(unescape(&escape(&text)), text);
        let _ = unescape(&text);
    });
}

#[test]
fn names_of_services() {
    let seeds = [
        "vm:100",
        "pve1:3",
        "100-0",
        "keep-last=3,keep-daily=7",
        "1,storage=local-lvm",
        "keep-all=1",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        if let Ok(sid) = text.parse::<HaSid>() {
            assert_eq!(sid.to_string(), text);
        }
        if let Ok(node) = text.parse::<NodePriority>() {
            assert_eq!(node.to_string().parse::<NodePriority>().unwrap(), node);
        }
        if let Ok(id) = text.parse::<ReplicationId>() {
            assert_eq!(id.to_string().parse::<ReplicationId>().unwrap(), id);
        }
        if let Ok(keep) = text.parse::<PruneBackups>() {
            let _ = (keep.keeps_all(), keep.check().is_ok());
            assert_eq!(keep.to_string().parse::<PruneBackups>().unwrap(), keep);
        }
        if let Ok(fleecing) = text.parse::<Fleecing>() {
            assert!(fleecing.same_meaning(&fleecing.to_string().parse().unwrap()));
        }
    });
}

/// Bodies that are nearly uploads: parts of the grammar in any order, some of them broken.
fn nearly_an_upload(draw: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    const PARTS: [&[u8]; 20] = [
        b"--b",
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"Content-Disposition: form-data; name=\"content\"",
        b"Content-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"",
        b"Content-Disposition: form-data; name=\"checksum\"",
        b"content-disposition: attachment; filename=\"../../etc/b.iso\"",
        b"Content-Type: application/octet-stream",
        b"name=\"",
        b" filename=\"\xff\xfe\"",
        b"iso",
        b"import",
        b"\0\0\0\0",
        b"--",
        b"\"",
        b";",
        b"\xc3\x28",
    ];
    let mut body = Vec::new();
    for _ in 0..draw(24) {
        body.extend_from_slice(PARTS[draw(PARTS.len())]);
    }
    body
}

#[test]
fn uploads_as_they_arrive() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.unwrap();
    let simulator = Simulator::new(World::lab());
    let request = Request::new(Method::Post, "/nodes/pve1/storage/local/upload", &[]);
    let send = |kind: &str, body: Vec<u8>| {
        let answer = runtime.block_on(simulator.answer_body(
            "root@pam!lab=lab-secret",
            &request,
            kind,
            body,
        ));
        let answer = answer.expect("an upload is answered");
        // Whatever came: a task, or a refusal that says why.
        match answer.status() {
            200 => assert!(answer.data::<String>().unwrap().parse::<Upid>().is_ok()),
            400 | 500 | 501 | 506 => assert!(answer.failure().is_some()),
            other => panic!("{other} {}", answer.reason()),
        }
    };
    let whole = "--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--b\r\n\
        Content-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"\r\n\r\nbytes\r\n--b--\r\n";
    send("multipart/form-data; boundary=b", whole.as_bytes().to_vec());
    fuzz(&[whole], |data| {
        let mut rest = data.iter().cycle();
        let mut draw = |below: usize| {
            let pair = [rest.next(), rest.next()].map(|byte| byte.copied().unwrap_or_default());
            usize::from(u16::from_be_bytes(pair)) % below.max(1)
        };
        let grammar = nearly_an_upload(&mut draw);
        let kinds = [
            "multipart/form-data; boundary=b",
            "multipart/form-data",
            "multipart/form-data; boundary=\"\"",
        ];
        send(kinds[draw(3)], grammar);
        send(kinds[0], data.to_vec());
    });
}

#[test]
fn answers_to_uploads() {
    let seeds = [
        r#"{"data":"UPID:pve1:000014B6:0008A4D0:6B004739:imgcopy::root@pam!sdk:"}"#,
        r#"{"data":"UPID:pve1:000014B6:0008A4D0:6B004739:imgcopy:a%3Ab:root@pam:","message":"x"}"#,
        r#"{"data":null}"#,
        r#"{"data":{"upid":1}}"#,
    ];
    fuzz(&seeds, |data| {
        let answer = Answer::new(200, "OK", data.to_vec());
        let text = answer.data::<String>().unwrap_or_default();
        if let Ok(upid) = text.parse::<Upid>() {
            assert_eq!(upid.as_str(), text);
        }
        let _ = (answer.envelope(), answer.plain_text().map(str::len));
    });
}

#[test]
fn answers() {
    let seeds = [
        r#"{"data":null,"message":"VM is locked (clone)\n"}"#,
        r#"{"data":{"status":"running","vmid":"100","uptime":1.5},"total":3}"#,
        r#"{"errors":{"net0":"invalid format"},"data":null,"message":"Parameter verification failed.\n"}"#,
    ];
    fuzz(&seeds, |data| {
        for status in [200, 400, 401, 403, 500, 501, 595, 596, 599] {
            let answer = Answer::new(status, String::from_utf8_lossy(data), data.to_vec());
            assert_eq!(answer.failure().is_none(), status == 200);
            if let Some(error) = answer.failure() {
                let _ = (error.kind(), error.to_string(), error.hint());
            }
            let _ = answer.data::<proxmox_client::QemuStatus>();
            let _ = answer.envelope();
        }
    });
}

/// Configuration keys whose values are property strings, with what their formats have.
fn formats() -> Vec<(GuestKind, String, PropertyKeys)> {
    let schema: Value = serde_json::from_str(include_str!("../../schema/api.json")).unwrap();
    let of = |kind: GuestKind, path: &str, find: fn(&str) -> Option<PropertyKeys>| {
        let mut methods = schema["methods"].as_array().unwrap().iter();
        let method = methods.find(|one| one["verb"] == "PUT" && one["path"] == path);
        let names = method.unwrap()["params"].as_object().unwrap().keys();
        let keys = names.map(|name| name.replace("[n]", "0"));
        let formats = keys.filter_map(|key| find(&key).map(|keys| (kind, key, keys)));
        formats.collect::<Vec<_>>()
    };
    let machines = "/nodes/{node}/qemu/{vmid}/config";
    let mut all = of(GuestKind::Qemu, machines, PropertyKeys::of_machine);
    let containers = "/nodes/{node}/lxc/{vmid}/config";
    all.extend(of(GuestKind::Lxc, containers, PropertyKeys::of_container));
    all
}

#[test]
fn property_strings_of_every_format() {
    const VALUES: [&str; 20] = [
        "1",
        "0",
        "on",
        "-1",
        "99999999999999999999",
        "1.5",
        "1e9",
        "4G",
        "none",
        "x",
        "é",
        "local:1",
        "local-lvm:vm-100-disk-0",
        "BC:24:11:00:00:01",
        "192.0.2.1/24",
        "fd00::1",
        "a;b",
        "dhcp",
        "0x1af4",
        "",
    ];
    let formats = formats();
    assert!(formats.len() >= 30, "{}", formats.len());
    let seeds: Vec<Vec<u8>> = (0..formats.len())
        .map(|index| vec![index as u8, 0, 0, 1, 7, 2, 11, 3, 4])
        .collect();
    let reached = RefCell::new(BTreeSet::new());
    fuzz(&seeds, |data| {
        let Some((first, rest)) = data.split_first() else {
            return;
        };
        let index = usize::from(*first) % formats.len();
        let (kind, key, keys) = &formats[index];
        let names: Vec<&str> = keys.names().chain(["other", ""]).collect();
        let parts = rest.chunks_exact(2).take(8).map(|pair| {
            let value = VALUES[usize::from(pair[1]) % VALUES.len()];
            match pair[0] {
                240.. => value.to_owned(),
                name => format!("{}={value}", names[usize::from(name) % names.len()]),
            }
        });
        let text = parts.collect::<Vec<_>>().join(",");
        let string = PropertyString::parse(&text);
        assert_eq!(PropertyString::parse(&string.to_string()), string);
        let problems = string.problems(*keys);
        let known = |part: (Option<&str>, &str)| part.0.is_none_or(|key| names.contains(&key));
        assert!(!problems.is_empty() || string.parts().all(known), "{text}");
        let unchanged = match kind {
            GuestKind::Lxc => {
                let config = LxcConfig::new().with(key, text.as_str());
                config.patch_to(&config).is_empty()
            }
            _ => {
                let config = QemuConfig::new().with(key, text.as_str());
                config.patch_to(&config).is_empty()
            }
        };
        assert!(unchanged, "{key}: {text}");
        reached.borrow_mut().insert(index);
    });
    assert_eq!(reached.borrow().len(), formats.len());
}

#[test]
fn rights_that_refusals_tell() {
    let seeds = [
        "Permission check failed (/vms/100, VM.Audit)",
        "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)",
        "Permission check failed (/, VM.PowerMgmt && VM.Config.Disk)",
        "update pools failed: 403 Permission check failed (/, Sys.Modify for modifying tag 'a')\n",
    ];
    fuzz(&seeds, |data| {
        let text = String::from_utf8_lossy(data);
        let error = Answer::new(403, text.as_ref(), "").failure().unwrap();
        if let Some(right) = error.missing_right() {
            assert!(right.path.is_empty() || right.path.starts_with('/'));
            assert!(!right.privileges.is_empty() && text.contains(&right.privileges[0]));
        }
    });
}

/// What a request of root is answered by a simulator of its own.
fn root_asks() -> impl Fn(Request) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.unwrap();
    let simulator = Simulator::new(World::lab().with_user("root@pam", "pw"));
    move |request| {
        let answer = runtime.block_on(simulator.answer_as("root@pam", &request));
        answer.expect("it is answered")
    }
}

#[test]
fn paths_that_rights_are_given_on() {
    let ask = root_asks();
    fuzz(
        &["/vms/100", "/sdn/zones/z/vmbr0/20", "//pool///a/b", "/"],
        |data| {
            let path = String::from_utf8_lossy(data);
            let request = Request::new(Method::Put, "/access/acl", &[])
                .with("path", path.as_ref())
                .with("roles", "PVEAuditor")
                .with("users", "root@pam");
            let answer = ask(request);
            assert!(
                matches!(answer.status(), 200 | 400 | 500),
                "{}",
                answer.reason()
            );
        },
    );
}

#[test]
fn texts_of_logins_and_second_factors() {
    let seeds = [
        "PVE:root@pam:6B0036C4::c2ln 6B0036C4:aGFzaA",
        "root@pam!lab=12345678-1234-1234-1234-123456789abc",
        "GEZD GNBV GY3T QOJQ====",
        "totp:123456",
        "recovery:aaaa-1111",
        r#"webauthn:{"id":"k","response":{"clientDataJSON":"e30"}}"#,
    ];
    let ask = root_asks();
    fuzz(&seeds, |data| {
        let text = &*String::from_utf8_lossy(data);
        if let Ok(session) = Session::from_secret_text(text) {
            assert!(session.user().contains('@'));
            let again = Session::from_secret_text(session.to_secret_text()).unwrap();
            assert_eq!(again.expires(), session.expires());
        }
        if let Ok(token) = Token::parse(text) {
            assert!(text.trim().starts_with(token.id()));
        }
        if let Ok(secret) = TotpSecret::from_base32("a@pve", text) {
            let again = TotpSecret::from_base32("a@pve", secret.base32().clone()).unwrap();
            assert_eq!(
                again.base32().expose_secret(),
                secret.base32().expose_secret()
            );
        }
        let login = Request::new(Method::Post, "/access/ticket", &[])
            .with("username", "root@pam")
            .with("password", text)
            .with("tfa-challenge", text);
        assert!(matches!(ask(login).status(), 400 | 401 | 500));
        let factor = Request::new(Method::Post, "/access/tfa/{userid}", &["root@pam"])
            .with("type", "totp")
            .with("description", "a")
            .with("totp", text)
            .with("value", text);
        assert!(matches!(ask(factor).status(), 200 | 400 | 401 | 500 | 501));
    });
}

#[test]
fn certificates_that_a_node_is_given() {
    use base64::Engine as _;
    let pair = rcgen::KeyPair::generate().unwrap();
    let names = vec!["pve1.example.test".to_owned(), "192.0.2.1".to_owned()];
    let own = rcgen::CertificateParams::new(names).unwrap();
    let own = own.self_signed(&pair).unwrap();
    let (key, ask) = (pair.serialize_pem(), root_asks());
    let accepted = RefCell::new(0);
    fuzz(&[own.der().as_ref()], |data| {
        let text = base64::engine::general_purpose::STANDARD.encode(data);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let request = Request::new(Method::Post, "/nodes/pve1/certificates/custom", &[])
            .with("certificates", pem)
            .with("key", key.as_str())
            .with_flag("force", true);
        let answer = ask(request);
        assert!(
            matches!(answer.status(), 200 | 400 | 500),
            "{}",
            answer.reason()
        );
        *accepted.borrow_mut() += u32::from(answer.is_success());
    });
    assert!(*accepted.borrow() > 0, "the certificate itself is accepted");
}
