//! Bundles from the PKI folder of a cluster that kubeadm made. The keys beside this file belong to no cluster.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use talos_client::{Ca, Error, ErrorKind, SecretsBundle, VersionContract};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kubeadm")
}

/// A copy that a test may damage.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("etcd")).unwrap();
    for name in [
        "ca.crt",
        "ca.key",
        "etcd/ca.crt",
        "etcd/ca.key",
        "front-proxy-ca.crt",
        "front-proxy-ca.key",
        "sa.key",
    ] {
        std::fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn read(dir: &Path, token: Option<&str>, minor: u32) -> Result<SecretsBundle, Error> {
    let contract = VersionContract::new(1, minor);
    SecretsBundle::from_kubernetes_pki(dir, token, contract, SystemTime::now())
}

fn problems(error: &Error) -> Vec<String> {
    assert_eq!(error.kind(), ErrorKind::InvalidSecrets);
    error.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn authorities_and_service_account_key_are_kept_byte_for_byte() {
    let bundle = read(&folder(), None, 13).unwrap();
    bundle.validate().unwrap();
    let text = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    for (ca, name) in [
        (Ca::Kubernetes, "ca"),
        (Ca::Etcd, "etcd/ca"),
        (Ca::Aggregator, "front-proxy-ca"),
    ] {
        assert_eq!(
            bundle.ca_certificate(ca).unwrap(),
            text(&format!("{name}.crt"))
        );
        assert_eq!(*bundle.ca_key(ca).unwrap(), text(&format!("{name}.key")));
    }
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(text("sa.key"));
    assert!(bundle.to_yaml().contains(&key));
}

#[test]
fn what_the_folder_lacks_is_made_anew_each_time() {
    let (one, two) = (
        read(&folder(), None, 13).unwrap(),
        read(&folder(), None, 13).unwrap(),
    );
    assert_ne!(one.ca_key(Ca::Os).unwrap(), two.ca_key(Ca::Os).unwrap());
    let field = |bundle: &SecretsBundle, key: &str| -> String {
        let text = bundle.to_yaml();
        let line = text.lines().find(|line| line.trim_start().starts_with(key));
        line.unwrap().trim().to_owned()
    };
    for key in [
        "id: ",
        "secret: ",
        "bootstraptoken: ",
        "secretboxencryptionsecret: ",
        "token: ",
    ] {
        assert_ne!(field(&one, key), field(&two, key), "{key}");
    }
    one.talosconfig("c", ["10.0.0.1"], SystemTime::now())
        .unwrap();
}

#[test]
fn the_encryption_secret_is_that_of_the_contract() {
    let newer = read(&folder(), None, 3).unwrap().to_yaml();
    assert!(newer.contains("secretboxencryptionsecret") && !newer.contains("aescbc"));
    let older = read(&folder(), None, 2).unwrap().to_yaml();
    assert!(older.contains("aescbcencryptionsecret") && !older.contains("secretbox"));
}

#[test]
fn a_bootstrap_token_is_taken_over_when_it_is_one() {
    let bundle = read(&folder(), Some("abcdef.0123456789abcdef"), 13).unwrap();
    assert!(
        bundle
            .to_yaml()
            .contains("bootstraptoken: abcdef.0123456789abcdef")
    );
    for wrong in [
        "",
        "abcdef",
        "abcdef.0123456789ABCDEF",
        "abcdef.0123456789abcde",
        "abc.def.0123456789abcdef",
    ] {
        let told = problems(&read(&folder(), Some(wrong), 13).unwrap_err());
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("bootstrap token: "), "{told:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let dir = copy();
    let path = |name: &str| dir.path().join(name);
    std::fs::remove_file(path("ca.key")).unwrap();
    std::fs::remove_file(path("front-proxy-ca.crt")).unwrap();
    std::fs::write(path("sa.key"), "no key").unwrap();
    std::fs::copy(folder().join("ca.key"), path("etcd/ca.crt")).unwrap();
    std::fs::write(path("front-proxy-ca.key"), [0xff, 0xfe]).unwrap();
    assert_eq!(
        problems(&read(dir.path(), Some("x"), 13).unwrap_err()),
        [
            "ca.key: the file is missing",
            "front-proxy-ca.crt: the file is missing",
            "front-proxy-ca.key: the file is not text",
            "etcd/ca.crt: unsupported certificate type: \"RSA PRIVATE KEY\"",
            "sa.key: failed to parse PEM block",
            "bootstrap token: a token has six and sixteen characters of 0-9a-z around a dot",
        ]
    );
    let missing = problems(&read(&dir.path().join("nowhere"), None, 13).unwrap_err());
    assert_eq!(missing.len(), 7);
}

#[test]
fn a_key_of_another_certificate_is_refused_whatever_its_form() {
    for (name, other) in [
        ("ca.key", "etcd/ca.key"),
        ("etcd/ca.key", "ca.key"),
        ("front-proxy-ca.key", "sa.key"),
        ("ca.key", "front-proxy-ca.key"),
    ] {
        let dir = copy();
        std::fs::copy(folder().join(other), dir.path().join(name)).unwrap();
        let told = problems(&read(dir.path(), None, 13).unwrap_err());
        let certificate = name.replace(".key", ".crt");
        let expected = format!("{name}: the key is not that of the certificate in {certificate}");
        assert_eq!(told, [expected]);
    }
}
