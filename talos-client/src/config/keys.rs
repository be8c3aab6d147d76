//! What a configuration holds for signing.

use zeroize::Zeroizing;

use super::MachineConfig;
use crate::value::Value;

#[cfg_attr(
    not(feature = "simulator"),
    allow(dead_code, reason = "only the simulator signs like a node")
)]
impl MachineConfig {
    /// Certificate and key of the Talos CA, PEM; only control planes have the key.
    pub(crate) fn os_authority(&self) -> Option<(String, Zeroizing<String>)> {
        let key = self
            .main()?
            .at("machine.ca.key")?
            .as_text()
            .filter(|key| !key.is_empty())?;
        Some((self.os_ca()?, Zeroizing::new(super::facts::pem(key)?)))
    }

    /// The authorities whose clients and nodes are believed: the issuing one, then the accepted ones, PEM.
    pub(crate) fn trusted_os_cas(&self) -> Vec<String> {
        let accepted = self.main().and_then(|main| main.at("machine.acceptedCAs"));
        let accepted = accepted.map(Value::as_list).unwrap_or_default().iter();
        let accepted = accepted.filter_map(|item| super::facts::pem(item.at("crt")?.as_text()?));
        self.os_ca().into_iter().chain(accepted).collect()
    }

    /// Certificate and key of the Kubernetes CA, PEM.
    pub(crate) fn kubernetes_authority(&self) -> Option<(String, Zeroizing<String>)> {
        if let Some(document) = self.of_kind("KubeAPIServerCAConfig").next() {
            let text = |path: &str| {
                document
                    .at(path)
                    .and_then(Value::as_text)
                    .map(str::to_owned)
            };
            return Some((
                text("issuingCA.cert")?,
                Zeroizing::new(text("issuingCA.key")?),
            ));
        }
        let text = |path: &str| super::facts::pem(self.main()?.at(path)?.as_text()?);
        Some((
            text("cluster.ca.crt")?,
            Zeroizing::new(text("cluster.ca.key").filter(|key| !key.is_empty())?),
        ))
    }

    pub(crate) fn trustd_token(&self) -> Option<&str> {
        self.main()?.at("machine.token")?.as_text()
    }

    pub(crate) fn has_etcd_ca(&self) -> bool {
        self.main()
            .is_some_and(|main| main.at("cluster.etcd.ca").is_some())
    }

    pub(crate) fn install_disk_expression(&self) -> Option<&str> {
        self.of_kind("UnattendedInstallConfig")
            .find_map(|document| document.at("provisioning.diskSelector.match")?.as_text())
    }
}
