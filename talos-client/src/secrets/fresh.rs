//! What every new bundle gets whatever it starts from: identity, tokens, encryption secret, the authorities that are not given.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use zeroize::Zeroizing;

use super::authority::CertificateAuthority;
use super::{Ca, Pair, Secret, SecretsBundle};
use crate::error::Error;
use crate::version::VersionContract;

/// What comes from elsewhere.
#[derive(Default)]
pub(super) struct Given {
    pub(super) cas: [Option<Pair>; 4],
    pub(super) service_account: Secret,
    pub(super) bootstrap_token: Option<Secret>,
}

impl SecretsBundle {
    /// A bundle from what is given; the rest is made, except a service-account key.
    pub(super) fn fresh(
        given: Given,
        contract: VersionContract,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut cas = given.cas;
        for ca in Ca::ALL {
            if cas[ca as usize].is_none() {
                cas[ca as usize] = Some(CertificateAuthority::generate(ca, now)?.into_pair());
            }
        }
        let encryption = secret();
        let (secretbox, aescbc) = if contract.at_least(3) {
            (encryption, Zeroizing::default())
        } else {
            (Zeroizing::default(), encryption)
        };
        Ok(Self {
            cluster_id: secret(),
            cluster_secret: secret(),
            bootstrap_token: given.bootstrap_token.unwrap_or_else(token),
            secretbox,
            aescbc,
            trustd_token: token(),
            cas,
            service_account: given.service_account,
            rest: Vec::new(),
        })
    }
}

fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::rng().fill_bytes(bytes.as_mut());
    bytes
}

/// 32 bytes in base64.
fn secret() -> Secret {
    Zeroizing::new(STANDARD.encode(*random::<32>()))
}

const TOKEN: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Six and sixteen characters of `0-9a-z`, evenly distributed.
fn token() -> Secret {
    let mut text = Zeroizing::new(String::with_capacity(23));
    while text.len() < 23 {
        if text.len() == 6 {
            text.push('.');
            continue;
        }
        let byte = random::<1>()[0];
        // 252 is the largest multiple of 36 in a byte.
        if byte < 252 {
            text.push(char::from(TOKEN[usize::from(byte % 36)]));
        }
    }
    text
}

/// The form of tokens that kubeadm and Talos make.
pub(super) fn is_token(text: &str) -> bool {
    let part = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| TOKEN.contains(&byte))
    };
    text.split_once('.')
        .is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
}
