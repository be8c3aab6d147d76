//! Files of known host keys, as OpenSSH writes them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! Keys of certificate authorities (`@cert-authority`) are passed over: certificates of hosts are not checked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// A line that is about the host that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Number of the line, from 1.
    pub(super) line: usize,
    /// The key's kind: `ssh-ed25519`, …
    pub(super) algorithm: String,
    pub(super) key: Vec<u8>,
    /// Whether the line says that the key must not be accepted.
    pub(super) revoked: bool,
}

/// What a file says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the host's.
    Known,
    /// Nothing is known about the host.
    New,
    /// The host has other keys; the first line that says so.
    Other(usize),
    /// The line that revokes it.
    Revoked(usize),
}

/// The name of a host as these files spell it.
pub(super) fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    match port {
        22 => host,
        _ => format!("[{host}]:{port}"),
    }
}

/// The lines about a host; what cannot be read is passed over, as OpenSSH does.
pub(super) fn lines_about(text: &str, host: &str, port: u16) -> Vec<Known> {
    let name = name_of(host, port);
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| read(line, &name, index + 1))
        .collect()
}

/// What these lines say about a key that the host presented.
pub(super) fn judge(lines: &[Known], key: &[u8]) -> Verdict {
    let same = |known: &&Known| known.key == key;
    if let Some(revoked) = lines.iter().filter(|known| known.revoked).find(same) {
        return Verdict::Revoked(revoked.line);
    }
    let mut valid = lines.iter().filter(|known| !known.revoked);
    match valid.clone().find(same) {
        Some(_) => Verdict::Known,
        None => valid
            .next()
            .map_or(Verdict::New, |known| Verdict::Other(known.line)),
    }
}

/// The line for a key that is accepted from now on.
pub(super) fn line_for(host: &str, port: u16, algorithm: &str, key: &[u8]) -> String {
    let name = name_of(host, port);
    format!("{name} {algorithm} {}\n", STANDARD.encode(key))
}

fn read(line: &str, name: &str, number: usize) -> Option<Known> {
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next().filter(|word| !word.starts_with('#'))?;
    let revoked = first == "@revoked";
    if first.starts_with('@') {
        if !revoked {
            return None;
        }
        first = words.next()?;
    }
    if !is_about(first, name) {
        return None;
    }
    let algorithm = words.next()?.to_owned();
    let key = STANDARD.decode(words.next()?).ok()?;
    Some(Known {
        line: number,
        algorithm,
        key,
        revoked,
    })
}

/// Whether the names of a line mean a host: patterns separated by commas, or one hash.
fn is_about(names: &str, name: &str) -> bool {
    if let Some(hashed) = names.strip_prefix("|1|") {
        return hashes_to(hashed, name).unwrap_or(false);
    }
    let mut found = false;
    for pattern in names.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// `SALT|HASH`, both in base 64.
fn hashes_to(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}

/// `*` stands for anything, `?` for one byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on when what followed the last star does not fit.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    (p, t) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIBwXjdfQ4QIDpbUeNkCyGWk6zZ3Bn5gkKz8JkSuMiZ2s";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILz5r7HqXgN0d5m0ZC0cvWDnIUcXTgSyKAn5dpgVn9bq";

    fn verdict(text: &str, host: &str, port: u16) -> Verdict {
        judge(
            &lines_about(text, host, port),
            &STANDARD.decode(KEY).unwrap(),
        )
    }

    #[test]
    fn a_key_is_known_other_new_or_revoked() {
        let table = [
            (format!("pve1 ssh-ed25519 {KEY} root@pve1"), Verdict::Known),
            (format!("# pve1 ssh-ed25519 {KEY}"), Verdict::New),
            (format!("pve2 ssh-ed25519 {KEY}"), Verdict::New),
            (format!("\npve1 ssh-ed25519 {OTHER}"), Verdict::Other(2)),
            (
                format!("pve1 ssh-ed25519 {OTHER}\npve1 ssh-ed25519 {KEY}"),
                Verdict::Known,
            ),
            (format!("PVE1,192.0.2.1 ssh-ed25519 {KEY}"), Verdict::Known),
            (format!("*,!pve1 ssh-ed25519 {KEY}"), Verdict::New),
            (format!("p?e* ssh-ed25519 {KEY}"), Verdict::Known),
            (
                format!("pve1 ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}"),
                Verdict::Revoked(2),
            ),
            (format!("@revoked * ssh-ed25519 {OTHER}"), Verdict::New),
            (format!("@cert-authority * ssh-ed25519 {KEY}"), Verdict::New),
            (format!("[pve1]:22 ssh-ed25519 {KEY}"), Verdict::New),
            ("pve1 ssh-ed25519 no%base".to_owned(), Verdict::New),
            ("pve1".to_owned(), Verdict::New),
        ];
        for (text, expected) in table {
            assert_eq!(verdict(&text, "pve1", 22), expected, "{text}");
        }
    }

    #[test]
    fn another_port_is_another_host() {
        let text = format!("[pve1]:2222 ssh-ed25519 {KEY}");
        assert_eq!(verdict(&text, "pve1", 2222), Verdict::Known);
        assert_eq!(verdict(&text, "pve1", 22), Verdict::New);
    }

    #[test]
    fn hashed_names_are_found() {
        // Made by `ssh-keygen -H`.
        let names = "|1|ixahLDMFDps6m2ce+hePEu2vyuQ=|7Fwnr8Lie/PVJNMR1x6DMnBT9jQ=";
        let text = format!("{names} ssh-ed25519 {KEY}");
        assert_eq!(verdict(&text, "192.0.2.7", 22), Verdict::Known);
        assert_eq!(verdict(&text, "192.0.2.8", 22), Verdict::New);
        assert_eq!(
            verdict("|1|a|b ssh-ed25519 x", "192.0.2.8", 22),
            Verdict::New
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_known(host in "[a-z0-9.-]{1,20}", port in 1u16.., key in prop::collection::vec(any::<u8>(), 1..80)) {
            let line = line_for(&host, port, "ssh-ed25519", &key);
            prop_assert_eq!(judge(&lines_about(&line, &host, port), &key), Verdict::Known);
        }

        #[test]
        fn no_text_is_too_much(text in any::<String>(), host in any::<String>()) {
            lines_about(&text, &host, 22);
        }

        #[test]
        fn patterns_fit_what_they_stand_for(before in "[a-z]{0,5}", middle in "[a-z]{0,9}", after in "[a-z]{0,5}") {
            let text = format!("{before}{middle}{after}");
            let pattern = format!("{before}*{after}");
            prop_assert!(matches(pattern.as_bytes(), text.as_bytes()));
            let longer = format!("{text}?");
            prop_assert!(!matches(longer.as_bytes(), text.as_bytes()));
        }
    }
}

/// The parser fed with mutated lines, for `FUZZ_SECONDS` (default 1).
#[cfg(test)]
mod fuzz {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn known_hosts_files() {
        let seeds: [&[u8]; 5] = [
            b"pve1,192.0.2.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwXjdfQ4QIDpbUeNkCyGWk6zZ3Bn5gkKz8JkSuMiZ2s",
            b"[pve1]:2222 ssh-rsa AAAAB3NzaC1yc2E=",
            b"@revoked *.example,!pve? ssh-rsa AAAAB3NzaC1yc2E= comment",
            b"@cert-authority * ssh-rsa AAAAB3NzaC1yc2E=",
            b"|1|ixahLDMFDps6m2ce+hePEu2vyuQ=|7Fwnr8Lie/PVJNMR1x6DMnBT9jQ= ssh-ed25519 AAAA",
        ];
        let seconds = std::env::var("FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut draw = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below.max(1) as u64).unwrap()
        };
        while Instant::now() < until {
            let mut data = seeds[draw(seeds.len())].to_vec();
            for _ in 0..=draw(5) {
                let at = draw(data.len());
                match draw(4) {
                    0 if !data.is_empty() => drop(data.remove(at)),
                    1 => data.insert(at, b"|*?!,@[]: \n=\0"[draw(12)]),
                    2 if !data.is_empty() => data[at] = u8::try_from(draw(256)).unwrap(),
                    _ => data.extend_from_slice(seeds[draw(seeds.len())]),
                }
            }
            let text = String::from_utf8_lossy(&data);
            let lines = lines_about(&text, "pve1", 22);
            for known in &lines {
                let verdict = judge(&lines, &known.key);
                let revoked = lines.iter().any(|it| it.revoked && it.key == known.key);
                assert_eq!(matches!(verdict, Verdict::Revoked(_)), revoked, "{text}");
                assert!(
                    !matches!(verdict, Verdict::New | Verdict::Other(_)),
                    "{text}"
                );
            }
        }
    }
}
