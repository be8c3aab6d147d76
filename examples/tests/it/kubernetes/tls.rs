//! The API over TLS: who calls is what the client's certificate says.

use futures::{StreamExt, TryStreamExt};
use homelab::lab::kubernetes::{Server, Tls};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use super::stage::Stage;

struct Authority {
    params: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "kubernetes");
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// Certificate and key of a client, in PEM.
    fn client(&self, name: &str, group: &str) -> (String, String) {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, group);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        (
            params.signed_by(&key, &issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

fn encoded(pem: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(pem)
}

async fn connect(
    server: &Server,
    authority: &str,
    identity: Option<(String, String)>,
) -> kube::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut user = json!({});
    if let Some((certificate, key)) = identity {
        user = json!({"client-certificate-data": encoded(&certificate), "client-key-data": encoded(&key)});
    }
    let file = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {
            "server": server.url(), "certificate-authority-data": encoded(authority)}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
    });
    let file = Kubeconfig::from_yaml(&file.to_string()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_clusters_ca_opens_everything() {
    let stage = Stage::new();
    let authority = Authority::new();
    let tls = Tls::new(&authority.pem, authority.key.serialize_pem()).name("10.0.20.10");
    let server = stage.simulator.serve(&tls).await.unwrap();
    let client = connect(
        &server,
        &authority.pem,
        Some(authority.client("admin", "system:masters")),
    )
    .await;
    assert_eq!(
        client.apiserver_version().await.unwrap().git_version,
        "v1.36.0"
    );
    let namespaces: Api<Namespace> = Api::all(client.clone());
    assert_eq!(
        namespaces
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        4
    );
    assert_eq!(stage.simulator.journal().last().unwrap().info.user, "admin");

    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let version = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    stage
        .create(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "seen", "namespace": "default"}}),
        )
        .await;
    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Added(one) => assert_eq!(one.metadata.name.unwrap(), "seen"),
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn without_a_certificate_one_is_anonymous_and_with_a_foreign_one_nobody() {
    let stage = Stage::new();
    let authority = Authority::new();
    let tls = Tls::new(&authority.pem, authority.key.serialize_pem());
    let server = stage.simulator.serve(&tls).await.unwrap();
    let anonymous: Api<Namespace> = Api::all(connect(&server, &authority.pem, None).await);
    match anonymous.list(&ListParams::default()).await.unwrap_err() {
        kube::Error::Api(status) => {
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"))
        }
        other => panic!("unexpected {other}"),
    }
    let foreign = Authority::new().client("admin", "system:masters");
    let client = connect(&server, &authority.pem, Some(foreign)).await;
    let refused = Api::<Namespace>::all(client)
        .list(&ListParams::default())
        .await
        .unwrap_err();
    assert!(!matches!(refused, kube::Error::Api(_)), "{refused}");
}

#[tokio::test]
async fn a_server_whose_handle_is_dropped_is_gone() {
    let stage = Stage::new();
    let authority = Authority::new();
    let tls = Tls::new(&authority.pem, authority.key.serialize_pem());
    let server = stage.simulator.serve(&tls).await.unwrap();
    let client = connect(
        &server,
        &authority.pem,
        Some(authority.client("admin", "system:masters")),
    )
    .await;
    client.apiserver_version().await.unwrap();
    drop(server);
    assert!(client.apiserver_version().await.is_err());
}

#[test]
fn keys_stay_out_of_debug_texts() {
    let tls = Tls::new("certificate", "-----BEGIN EC PRIVATE KEY-----");
    assert!(!format!("{tls:?}").contains("PRIVATE"));
}
