//! What is wiped: of a secret that was dropped no copy is left in this process's memory.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::FileExt as _;

use proxmox_client::api::{Answer as _, Call as _, access};
use proxmox_client::wire::{Answer, Method, Request};
use proxmox_client::{Client, FactorAnswer, Login, QemuConfig, Session};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// A secret that is nowhere in memory: its letters are kept turned over.
struct Hidden(Vec<u8>);

impl Hidden {
    fn new() -> Self {
        let number = |seed: u8| RandomState::new().hash_one(seed).to_le_bytes();
        let bytes = (0..4).flat_map(number);
        Self(bytes.map(|byte| !(b'a' + byte % 26)).collect())
    }

    /// The secret, with texts around it, made without a copy.
    fn within(&self, before: &str, after: &str) -> Zeroizing<String> {
        let length = before.len() + self.0.len() + after.len();
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(before);
        self.0.iter().for_each(|byte| text.push(char::from(!byte)));
        text.push_str(after);
        text
    }

    fn secret(&self) -> SecretString {
        SecretString::from(std::mem::take(&mut *self.within("", "")))
    }

    /// How often it stands in the writable memory of this process.
    fn copies(&self) -> usize {
        const PIECE: usize = 1 << 16;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut piece = vec![0; PIECE + self.0.len() - 1];
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, rest) = line.split_once('-').unwrap();
            let (end, _) = rest.split_once(' ').unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = (address(start), address(end));
            for at in (start..end).step_by(PIECE) {
                let length = piece.len().min((end - at) as usize);
                let Ok(length) = memory.read_at(&mut piece[..length], at) else {
                    continue;
                };
                let starts = piece[..length].windows(self.0.len()).take(PIECE);
                let same = |window: &&[u8]| window.iter().zip(&self.0).all(|(a, b)| *a == !*b);
                found += starts.filter(same).count();
                // Else the next look at this very buffer would find it again.
                piece.fill(0);
            }
        }
        found
    }
}

#[test]
fn a_secret_that_is_held_is_found() {
    let hidden = Hidden::new();
    assert_eq!(hidden.copies(), 0);
    let held = hidden.secret();
    let other = held.expose_secret().to_owned();
    assert!(hidden.copies() >= 2);
    drop(held);
    assert!(hidden.copies() >= 1, "{} is still held", other.len());
}

#[test]
fn nothing_is_left_of_what_was_dropped() {
    type Use = fn(&Hidden);
    let uses: [(&str, Use); 8] = [
        ("a client with a token", |hidden| {
            let token = std::mem::take(&mut *hidden.within("root@pam!lab=", ""));
            let client = Client::builder().endpoint("192.0.2.1").token(token);
            assert!(format!("{:?}", client.build().unwrap()).contains("root@pam!lab"));
        }),
        ("logins and their second factor", |hidden| {
            let login = Login::new("root@pam", hidden.secret());
            let login = login.with_recovery_code(hidden.secret());
            let client = Client::builder().endpoint("192.0.2.1").login(login);
            client.build().unwrap();
            drop(FactorAnswer::totp(hidden.secret()));
        }),
        ("a session that is kept", |hidden| {
            let ticket = std::mem::take(&mut *hidden.within("PVE:root@pam:6B0036C4::", ""));
            let session = Session::new(ticket, hidden.secret()).unwrap();
            let kept = session.to_secret_text();
            assert_eq!(Session::from_secret_text(kept).unwrap().user(), "root@pam");
        }),
        ("a request and its body", |hidden| {
            let request = Request::new(Method::Put, "/access/password", &[]);
            let request = request.with("password", hidden.secret().expose_secret());
            assert!(request.clone().body().unwrap().contains("password="));
        }),
        ("a request and its query", |hidden| {
            let request = Request::new(Method::Get, "/nodes/{node}/scan/cifs", &["pve1"]);
            let request = request.with("password", hidden.secret().expose_secret());
            assert!(request.target().contains("?password="));
        }),
        ("a generated call", |hidden| {
            let call = access::PutPassword::new(hidden.secret(), "a@pve");
            let call = call.confirmation_password(hidden.secret());
            assert!(call.into_request().unwrap().body().is_some());
        }),
        ("an answer and what is read of it", |hidden| {
            let mut body = hidden.within("{\"data\":{\"info\":{},\"value\":\"", "\"}}");
            let body = std::mem::take(&mut *body).into_bytes();
            let answer = Answer::new(200, "OK", body).with_secrets();
            let data = answer.envelope().unwrap().data.unwrap_or(Value::Null);
            let token = access::PostUsersTokenByTokenidAnswer::read(data).unwrap();
            assert_eq!(token.value().unwrap().expose_secret().len(), hidden.0.len());
        }),
        ("a configuration", |hidden| {
            let config = QemuConfig::new().with_cloud_init_password(hidden.secret());
            let other = config.clone().with_cloud_init_password("other");
            assert!(other.without("cipassword") == QemuConfig::new());
            assert!(!format!("{config:?}").is_empty());
        }),
    ];
    for (what, used) in uses {
        let hidden = Hidden::new();
        used(&hidden);
        assert_eq!(hidden.copies(), 0, "{what}");
    }
}
