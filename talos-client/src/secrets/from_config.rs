//! Bundles out of the configuration of a control plane node, legacy sections and newer documents alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Pair, Secret, SecretsBundle};
use crate::config::{MachineConfig, MachineType};
use crate::error::{Error, ErrorKind};
use crate::value::Value;

impl SecretsBundle {
    /// The bundle that an existing control plane configuration carries. [`validate`](Self::validate) tells whether it is
    /// complete: a configuration without Kubernetes or etcd lacks their authorities.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when it is not the configuration of a control plane node.
    pub fn from_config(config: &MachineConfig) -> Result<Self, Error> {
        let main = config.main().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidSecrets,
                "the configuration has no main document",
            )
        })?;
        if config.machine_type() == Some(MachineType::Worker) {
            let message =
                "the configuration is that of a worker, which holds no keys of authorities";
            return Err(Error::new(ErrorKind::InvalidSecrets, message)
                .with_hint("take the configuration of a control plane node"));
        }
        let plain = |path: &str| -> Secret {
            Zeroizing::new(
                main.at(path)
                    .and_then(Value::as_text)
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let of = |kind: &str, path: &str| -> Option<Secret> {
            let text = config
                .of_kind(kind)
                .find_map(|document| document.at(path)?.as_text().map(str::to_owned));
            text.map(Zeroizing::new)
        };
        let section = |path: &str| {
            main.at(path).map(|_| Pair {
                crt: plain(&format!("{path}.crt")),
                key: plain(&format!("{path}.key")),
            })
        };
        let document = |kind: &str| {
            let encode = |pem: Secret| Zeroizing::new(STANDARD.encode(pem.as_bytes()));
            of(kind, "issuingCA.cert").map(|crt| Pair {
                crt: encode(crt),
                key: of(kind, "issuingCA.key").map(encode).unwrap_or_default(),
            })
        };
        let service_account = of("KubeServiceAccountConfig", "issuer.privateKey")
            .map(|pem| Zeroizing::new(STANDARD.encode(pem.as_bytes())))
            .unwrap_or_else(|| plain("cluster.serviceAccount.key"));
        let (mut secretbox, mut aescbc) = (
            plain("cluster.secretboxEncryptionSecret"),
            plain("cluster.aescbcEncryptionSecret"),
        );
        if let Some((provider, secret)) = encryption_provider(config) {
            match provider {
                "secretbox" => secretbox = secret,
                _ => aescbc = secret,
            }
        }
        let bundle = Self {
            cluster_id: of("DiscoveryIdentityConfig", "clusterID")
                .unwrap_or_else(|| plain("cluster.id")),
            cluster_secret: of("DiscoveryIdentityConfig", "clusterSecret")
                .unwrap_or_else(|| plain("cluster.secret")),
            bootstrap_token: plain("cluster.token"),
            secretbox,
            aescbc,
            trustd_token: plain("machine.token"),
            cas: [
                section("cluster.etcd.ca"),
                document("KubeAPIServerCAConfig").or_else(|| section("cluster.ca")),
                document("KubeAggregatorCAConfig").or_else(|| section("cluster.aggregatorCA")),
                section("machine.ca"),
            ],
            service_account,
            rest: Vec::new(),
        };
        Ok(bundle)
    }
}

/// The first key of the first provider, in the first block for `secrets` whose first provider has one.
fn encryption_provider(config: &MachineConfig) -> Option<(&'static str, Secret)> {
    let document = config.of_kind("KubeEtcdEncryptionConfig").next()?;
    let blocks = document.at("config.resources")?.as_list().iter();
    let for_secrets = |block: &&Value| {
        let names = block.at("resources").map(Value::as_list);
        let names = names.unwrap_or_default();
        names.iter().any(|name| name.as_text() == Some("secrets"))
    };
    blocks.filter(for_secrets).find_map(|block| {
        let provider = block.at("providers")?.as_list().first()?;
        ["secretbox", "aescbc"].into_iter().find_map(|name| {
            let key = provider.at(name)?.at("keys")?.as_list().first()?;
            let secret = key.at("secret")?.as_text()?.to_owned();
            Some((name, Zeroizing::new(secret)))
        })
    })
}
