//! Certificates that a node shows, and authorities that sign them by themselves (ACME).

mod acme;
mod order;

use secrecy::{ExposeSecret, SecretString};

use crate::error::Result;
use crate::node::Node;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::Method;

pub use acme::{
    AcmeAccount, AcmeAccountInfo, AcmeAccountStatus, AcmeChallenge, AcmeClient, AcmeDirectoryInfo,
    AcmeMeta, AcmePlugin, AcmePluginInfo, AcmePluginNoun, AcmePluginSettings, NewAcmeAccount,
};
pub use order::CertificateOrder;

record! {
    /// A certificate: `GET /nodes/{node}/certificates/info`.
    pub struct NodeCertificate {
        optional {
            /// File: `pve-root-ca.pem`, `pve-ssl.pem` (made by the cluster) or `pveproxy-ssl.pem` (custom or from ACME).
            "filename" file: String,
            /// SHA-256 fingerprint, pairs of digits with colons.
            "fingerprint" fingerprint: String,
            /// Whom it is for.
            "subject" subject: String,
            /// Who signed it.
            "issuer" issuer: String,
            /// Names and addresses that it is for.
            "san" names: Vec<String>,
            /// From when it is good, in seconds since 1970.
            "notbefore" not_before: u64,
            /// Until when it is good, in seconds since 1970.
            "notafter" not_after: u64,
            /// Kind of its key.
            "public-key-type" key_type: String,
            /// Bits of its key.
            "public-key-bits" key_bits: u32,
            /// The certificate itself.
            "pem" pem: String,
        }
    }
}

impl NodeCertificate {
    /// Seconds until it ends, given the present in seconds since 1970; negative once it has ended.
    pub fn remaining(&self, now: u64) -> Option<i64> {
        let end = i64::try_from(self.not_after?).ok()?;
        Some(end - i64::try_from(now).ok()?)
    }
}

impl Node {
    /// The certificates of the node and of its cluster.
    ///
    /// Example: see [`set_certificate`](Self::set_certificate).
    pub async fn certificates(&self) -> Result<Vec<NodeCertificate>> {
        let request = self.request(Method::Get, "/certificates/info")?;
        self.client().fetch(request).await
    }

    /// Puts a certificate of one's own in place, with those that signed it behind it, and its key; the web server takes
    /// them up at once, which ends its connections. A custom certificate that is there already is replaced.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Removed;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let own = rcgen::KeyPair::generate().unwrap();
    /// # let names = vec!["pve1.example.test".to_owned()];
    /// # let chain = rcgen::CertificateParams::new(names).unwrap().self_signed(&own).unwrap().pem();
    /// # let key = own.serialize_pem();
    /// let shown = node.set_certificate(&chain, key).await?;
    /// assert_eq!(shown.names, Some(vec!["pve1.example.test".to_owned()]));
    /// let all = node.certificates().await?;
    /// assert!(all.iter().any(|one| one.fingerprint == shown.fingerprint));
    /// assert_eq!(node.remove_certificate().await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A refusal if the key is not the certificate's, or [`Kind::Parameter`](crate::Kind::Parameter) if one is no PEM.
    pub async fn set_certificate(
        &self,
        chain: &str,
        key: impl Into<SecretString>,
    ) -> Result<NodeCertificate> {
        let request = self
            .request(Method::Post, "/certificates/custom")?
            .with("certificates", chain)
            .with("key", key.into().expose_secret())
            .with_flag("force", true)
            .with_flag("restart", true);
        let made = self.client().fetch(request).await;
        made.map_err(|error| error.doing(format!("setting the certificate of {}", self.name())))
    }

    /// Removes one's own certificate, so that the cluster's is shown again; the web server does so at once.
    ///
    /// Example: see [`set_certificate`](Self::set_certificate).
    pub async fn remove_certificate(&self) -> Result<Removed> {
        let custom = |one: &NodeCertificate| one.file.as_deref() == Some("pveproxy-ssl.pem");
        if !self.certificates().await?.iter().any(custom) {
            return Ok(Removed::Absent);
        }
        let request = self
            .request(Method::Delete, "/certificates/custom")?
            .with_flag("restart", true);
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("removing the certificate of {}", self.name())))?;
        Ok(Removed::Removed)
    }
}
