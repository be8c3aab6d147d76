//! New bundles, whose service-account key may be RSA.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::authority::CertificateAuthority;
use super::fresh::Given;
use super::{Ca, SecretsBundle, key};
use crate::error::{Error, ErrorKind};
use crate::version::VersionContract;

impl SecretsBundle {
    /// New secrets for a cluster: certificate authorities of ten years from `now`, tokens and encryption secrets.
    ///
    /// From contract 1.7 the service-account key is RSA-4096, which takes about a second; it is made on a thread of its
    /// own while the rest is prepared.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the system's random source fails.
    pub fn generate(contract: VersionContract, now: SystemTime) -> Result<Self, Error> {
        let rsa = contract.at_least(7).then(|| std::thread::spawn(rsa_key));
        let mut given = Given::default();
        for ca in Ca::ALL {
            given.cas[ca as usize] = Some(CertificateAuthority::generate(ca, now)?.into_pair());
        }
        let mut bundle = Self::fresh(given, contract, now)?;
        let service_account = match rsa {
            None => key::new_p256()?,
            Some(thread) => thread.join().unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::InvalidSecrets,
                    "the thread that makes the RSA key stopped",
                ))
            })?,
        };
        bundle.service_account = Zeroizing::new(STANDARD.encode(service_account.as_bytes()));
        Ok(bundle)
    }
}

/// RSA-4096 as PKCS#1.
fn rsa_key() -> Result<Zeroizing<String>, Error> {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let failed = |_| {
        Error::new(
            ErrorKind::InvalidSecrets,
            "making the RSA-4096 service-account key",
        )
    };
    let pair = KeyPair::generate(KeySize::Rsa4096).map_err(failed)?;
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    // PKCS#8 is version, algorithm, then an octet string that holds PKCS#1: the last `04 82 len len` of the head.
    let der = pkcs8.as_ref();
    let unknown = || {
        Error::new(
            ErrorKind::InvalidSecrets,
            "a new RSA key has an unknown form",
        )
    };
    let at = der
        .get(..32)
        .and_then(|head| head.windows(2).position(|window| window == [4, 0x82]))
        .ok_or_else(unknown)?;
    Ok(key::write_pem(
        "RSA PRIVATE KEY",
        der.get(at + 4..).ok_or_else(unknown)?,
    ))
}
