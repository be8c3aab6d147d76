//! Certificates of nodes that an authority signs by itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::NodeCertificate;
use crate::access::Ensured;
use crate::error::{Error, Kind, Result};
use crate::node::Node;
use crate::property::{Acme, AcmeDomain};
use crate::task::TaskCall;
use crate::wire::Method;

/// How a certificate is ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateOrder {
    force: bool,
}

impl CertificateOrder {
    /// Only where there is need of one: no certificate of one's own yet, or one that is over within 30 days.
    pub fn new() -> Self {
        Self::default()
    }

    /// In place of whatever certificate there is, however long it is good for.
    #[must_use]
    pub fn with_force(mut self) -> Self {
        self.force = true;
        self
    }
}

const PATH: &str = "/certificates/acme/certificate";

impl Node {
    fn certificate_task(
        &self,
        method: Method,
        what: &str,
        order: &CertificateOrder,
    ) -> TaskCall<()> {
        let request = self.request(method, PATH).map(|mut request| {
            if order.force {
                request.params_mut().push_flag("force", true);
            }
            request
        });
        let doing = format!("{what} the certificate of {}", self.name());
        let finish = |report: crate::task::TaskReport| report.check().map(|_| ());
        TaskCall::new(self.client().clone(), doing, request, finish)
    }

    /// Orders a certificate for the domains in the node's options and shows it; the web server takes it up at once.
    ///
    /// Example: see [`revoke_certificate`](Self::revoke_certificate).
    ///
    /// # Errors
    /// [`Kind::Parameter`] if there is a certificate of one's own already; a failed task if there is no such account, or if
    /// a domain cannot be proven.
    pub fn order_certificate(&self, order: &CertificateOrder) -> TaskCall<()> {
        self.certificate_task(Method::Post, "ordering", order)
    }

    /// Orders a new certificate and revokes the one that is there.
    ///
    /// Example: see [`revoke_certificate`](Self::revoke_certificate).
    ///
    /// # Errors
    /// [`Kind::Parameter`] if that one is good for more than 30 days; a failed task as with
    /// [`order_certificate`](Self::order_certificate).
    pub fn renew_certificate(&self, order: &CertificateOrder) -> TaskCall<()> {
        self.certificate_task(Method::Put, "renewing", order)
    }

    /// Revokes the certificate with its authority and removes it, so that the cluster's is shown again.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::certificate::CertificateOrder;
    /// # use proxmox_client::certificate::NewAcmeAccount;
    /// # use proxmox_client::property::AcmeDomain;
    /// # use proxmox_client::{Login, NodeSettings};
    /// # use proxmox_client::simulator::{AcmeDirectory, Simulator, World};
    /// # let url = "https://ca.example.test/directory";
    /// # let world = World::lab().with_acme_directory(AcmeDirectory::new(url)).with_user("root@pam", "root-secret");
    /// # let root = Simulator::new(world).builder().login(Login::new("root@pam", "root-secret")).build()?;
    /// # let account = NewAcmeAccount::new(["a@example.test"]).with_directory(url);
    /// # root.acme().account("default").register(&account).await?;
    /// let node = root.node("pve1");
    /// # let domain = AcmeDomain::default().with_domain("pve1.example.test");
    /// # node.ensure_options(&NodeSettings::new().with_acme_domain(0, &domain)).await?;
    /// node.order_certificate(&CertificateOrder::new()).await?;
    /// node.renew_certificate(&CertificateOrder::new().with_force()).await?;
    /// let shown = node.certificates().await?.pop().unwrap();
    /// assert_eq!(shown.names, Some(vec!["pve1.example.test".to_owned()]));
    /// node.revoke_certificate().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn revoke_certificate(&self) -> TaskCall<()> {
        self.certificate_task(Method::Delete, "revoking", &CertificateOrder::new())
    }

    /// Makes sure that the node shows a certificate for the domains in its options that is good for another 30 days:
    /// orders one, or renews the one that is there.
    ///
    /// Example: see [`AcmeClient`](super::AcmeClient).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the options name no domain; a failed task as with
    /// [`order_certificate`](Self::order_certificate).
    pub async fn ensure_acme_certificate(&self) -> Result<Ensured> {
        let doing = || format!("ensuring the certificate of {}", self.name());
        let request = self.request(Method::Get, "/config")?;
        let options: Map<String, Value> = self.client().fetch(request).await?;
        let wanted = domains_of(&options);
        if wanted.is_empty() {
            let why = "the options of the node name no domain for its certificate";
            return Err(Error::invalid(why).doing(doing()));
        }
        let own = |one: &NodeCertificate| one.file.as_deref() == Some("pveproxy-ssl.pem");
        let Some(have) = self.certificates().await?.into_iter().find(own) else {
            self.order_certificate(&CertificateOrder::new()).await?;
            return Ok(Ensured::Created);
        };
        let names = have.names.unwrap_or_default();
        let names: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let updated = |what: &str| Ok(Ensured::Updated(vec![what.to_owned()]));
        if names != wanted {
            let order = CertificateOrder::new().with_force();
            self.order_certificate(&order).await?;
            return updated("san");
        }
        match self.renew_certificate(&CertificateOrder::new()).await {
            Ok(()) => updated("notafter"),
            // The server alone knows what time it is there.
            Err(error) if is_good_for_long(&error) => Ok(Ensured::Unchanged),
            Err(error) => Err(error),
        }
    }
}

fn is_good_for_long(error: &Error) -> bool {
    let why = error.parameters().get("force");
    error.kind() == Kind::Parameter && why.is_some_and(|why| why.contains("does not expire"))
}

/// The domains that a node's options name, in lower case.
fn domains_of(options: &Map<String, Value>) -> BTreeSet<String> {
    let text = |key: &str| options.get(key).and_then(Value::as_str);
    let mut found = BTreeSet::new();
    if let Some(acme) = text("acme").and_then(|text| text.parse::<Acme>().ok()) {
        let listed = acme.domains().unwrap_or_default();
        let listed = listed.split(';').filter(|name| !name.is_empty());
        found.extend(listed.map(str::to_lowercase));
    }
    let numbered = options.keys().filter(|key| key.starts_with("acmedomain"));
    for key in numbered {
        let domain = text(key).and_then(|text| text.parse::<AcmeDomain>().ok());
        found.extend(domain.and_then(|domain| Some(domain.domain()?.to_lowercase())));
    }
    found
}
