//! When certificates end, and new ones for clients without a change of authorities.

use std::time::{Duration, SystemTime};

use talos_client::{
    Ca, CertificateAuthority, ErrorKind, ExpiryReport, ExpiryVerdict, Generator, MachineConfig,
    MachineType, Renewed, Role, SecretsBundle, TalosConfig, VersionContract,
};

use crate::support::Lab;

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn now() -> SystemTime {
    SystemTime::now()
}

fn places(report: &ExpiryReport) -> Vec<&str> {
    let all = report.certificates().iter();
    all.map(|found| found.place.as_str()).collect()
}

#[test]
fn a_report_names_every_certificate_of_bundle_talosconfig_and_configurations() {
    let secrets = SecretsBundle::fixed_for_tests();
    let report = ExpiryReport::new(now(), DAY).bundle(&secrets);
    assert_eq!(
        places(&report),
        [
            "secrets certs.etcd.crt",
            "secrets certs.k8s.crt",
            "secrets certs.k8saggregator.crt",
            "secrets certs.os.crt",
        ]
    );
    let subjects: Vec<&str> = report
        .certificates()
        .iter()
        .map(|found| found.subject.as_str())
        .collect();
    assert_eq!(subjects, ["O=etcd", "O=kubernetes", "", "O=talos"]);
    assert!(report.certificates().iter().all(|found| found.is_authority));

    let talosconfig = secrets.talosconfig("c", ["10.0.0.1"], now()).unwrap();
    let report = ExpiryReport::new(now(), DAY).talosconfig(&talosconfig);
    assert_eq!(
        places(&report),
        ["talosconfig contexts.c.crt", "talosconfig contexts.c.ca"]
    );
    assert_eq!(report.certificates()[0].subject, "O=os:admin");
    assert!(!report.certificates()[0].is_authority);

    let generator = Generator::new("c", "https://10.0.0.1:6443", "1.36.1", secrets).unwrap();
    let older = generator
        .clone()
        .contract(VersionContract::V1_13)
        .generate(MachineType::ControlPlane)
        .unwrap();
    assert_eq!(
        places(&ExpiryReport::new(now(), DAY).config(&older)),
        [
            "v1alpha1 machine.ca.crt",
            "v1alpha1 cluster.ca.crt",
            "v1alpha1 cluster.aggregatorCA.crt",
            "v1alpha1 cluster.etcd.ca.crt",
        ]
    );
    let newer = generator
        .contract(VersionContract::V1_14)
        .generate(MachineType::ControlPlane)
        .unwrap();
    assert_eq!(
        places(&ExpiryReport::new(now(), DAY).config(&newer)),
        [
            "v1alpha1 machine.ca.crt",
            "v1alpha1 cluster.etcd.ca.crt",
            "KubeAPIServerCAConfig issuingCA.cert",
            "KubeAggregatorCAConfig issuingCA.cert",
        ]
    );
}

#[test]
fn verdicts_depend_on_the_time_and_the_horizon_that_are_given() {
    let secrets = SecretsBundle::fixed_for_tests();
    let made = now();
    let config = secrets.talosconfig("c", ["10.0.0.1"], made).unwrap();
    let report = |at: SystemTime, horizon| ExpiryReport::new(at, horizon).talosconfig(&config);
    assert_eq!(
        report(made + DAY, 30 * DAY).worst(),
        Some(ExpiryVerdict::Valid)
    );
    assert_eq!(
        report(made - DAY, 30 * DAY).worst(),
        Some(ExpiryVerdict::NotYetValid)
    );
    let soon = report(made + YEAR - 10 * DAY, 30 * DAY);
    assert_eq!(soon.worst(), Some(ExpiryVerdict::ExpiresSoon));
    let due = soon.due();
    assert_eq!(due.len(), 1);
    assert_eq!(
        due[0].to_string(),
        format!(
            "talosconfig contexts.c.crt: expires soon, in {} days (O=os:admin)",
            due[0].remaining.as_secs() / 86400
        )
    );
    let over = report(made + 2 * YEAR, 30 * DAY);
    assert_eq!(over.due()[0].verdict, ExpiryVerdict::Expired);
    assert_eq!(over.due()[0].remaining, Duration::ZERO);
    assert_eq!(ExpiryReport::new(made, DAY).worst(), None);
}

#[test]
fn certificates_that_cannot_be_read_are_told_by_place() {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let broken = encoded("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let text = format!("machine:\n  type: worker\n  ca: {{crt: {broken}, key: \"\"}}\n");
    let config = MachineConfig::load(&text).unwrap();
    let report = ExpiryReport::new(now(), DAY).config(&config);
    assert_eq!(
        report.problems()[0].to_string(),
        "v1alpha1 machine.ca.crt: the certificate cannot be read"
    );
    let text = "context: a\ncontexts:\n  a: {endpoints: [], crt: '***', ca: bm90aGluZw==}\n";
    let report = ExpiryReport::new(now(), DAY).talosconfig(&TalosConfig::from_yaml(text).unwrap());
    assert!(report.certificates().is_empty());
    assert_eq!(report.problems().len(), 2);
    let report = ExpiryReport::new(now(), DAY).bundle(&SecretsBundle::from_yaml("{}").unwrap());
    assert_eq!(report.problems().len(), 4);
}

#[tokio::test]
async fn a_renewed_talosconfig_keeps_roles_and_is_accepted_after_the_old_one_ended() {
    let lab = Lab::new();
    lab.configure().await;
    let identity = lab
        .secrets
        .client_identity(&[Role::Reader, Role::EtcdBackup], lab.clock.now(), DAY)
        .unwrap();
    let mut config = lab.talosconfig();
    let context = config
        .context(None)
        .unwrap()
        .clone()
        .nodes(["10.0.20.21"])
        .credentials(
            lab.secrets.ca_certificate(Ca::Os).unwrap(),
            identity.certificate(),
            identity.key(),
        );
    config = TalosConfig::default().with_context("reader", context);
    lab.clock.step(2 * 24 * 3600);
    let client = lab.simulator.connect(&config).unwrap();
    assert_eq!(
        client.endpoint().version().await.unwrap_err().kind(),
        ErrorKind::Tls
    );

    let before = config.clone();
    let renewed = lab
        .secrets
        .renewal(lab.clock.now())
        .lifetime(30 * DAY)
        .renew(&mut config)
        .unwrap();
    assert!(matches!(renewed, Renewed::Renewed { .. }));
    assert!(renewed.until() <= lab.clock.now() + 30 * DAY);
    assert!(renewed.until() > lab.clock.now() + 29 * DAY);
    let client = lab.simulator.connect(&config).unwrap();
    client.endpoint().version().await.unwrap();
    // Roles as before: reading, not more.
    let refused = client.endpoint().reboot().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let report = ExpiryReport::new(lab.clock.now(), DAY).talosconfig(&config);
    assert_eq!(
        report.certificates()[0].subject,
        "O=os:reader + O=os:etcd:backup"
    );
    let (old, new) = (before.context(None).unwrap(), config.context(None).unwrap());
    assert_eq!(old.node_list(), new.node_list());
    assert_eq!(old.endpoint_list(), new.endpoint_list());
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let made = now();
    let old = made - 10 * YEAR + 5 * DAY;
    let authority = CertificateAuthority::generate(Ca::Os, old).unwrap();
    let secrets = SecretsBundle::fixed_for_tests().with_authority(Ca::Os, authority);
    let mut config = secrets.talosconfig("c", ["10.0.0.1"], old).unwrap();
    let renewed = secrets.renewal(made).renew(&mut config).unwrap();
    assert!(
        matches!(renewed, Renewed::UntilAuthorityEnds { .. }),
        "{renewed:?}"
    );
    let report = ExpiryReport::new(made, DAY).talosconfig(&config);
    assert_eq!(
        report.certificates()[0].not_after,
        report.certificates()[1].not_after
    );
    assert_eq!(report.certificates()[0].not_after, renewed.until());

    let before = config.clone();
    let over = secrets.renewal(made + YEAR).renew(&mut config).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::InvalidSecrets);
    assert_eq!(config, before);
    let endless = secrets
        .client_identity(&[Role::Admin], made, Duration::MAX)
        .unwrap_err();
    assert_eq!(endless.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_renewal_refuses_what_it_cannot_renew() {
    let secrets = SecretsBundle::fixed_for_tests();
    let other = secrets.clone().with_authority(
        Ca::Os,
        CertificateAuthority::generate(Ca::Os, now()).unwrap(),
    );
    let mut config = secrets.talosconfig("c", ["10.0.0.1"], now()).unwrap();
    let before = config.clone();
    let refused = other.renewal(now()).renew(&mut config).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidTalosConfig);
    let refused = secrets
        .renewal(now())
        .context("nobody")
        .renew(&mut config)
        .unwrap_err();
    assert!(refused.to_string().contains("\"nobody\""));
    assert_eq!(config, before);
    let ca = secrets.ca_certificate(Ca::Os).unwrap();
    let mut bare = TalosConfig::default().with_context(
        "c",
        talos_client::Context::default().credentials(ca, "", ""),
    );
    let refused = secrets.renewal(now()).renew(&mut bare).unwrap_err();
    assert!(refused.to_string().contains("roles"), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_file_is_renewed_in_place_for_the_owner_only_or_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("talos/config");
    let secrets = SecretsBundle::fixed_for_tests();
    let text = secrets
        .talosconfig("c", ["10.0.0.1"], now())
        .unwrap()
        .to_yaml()
        .to_string();
    let text = format!("{text}    z:\n        endpoints: []\n        later: key\n");
    TalosConfig::from_yaml(&text)
        .unwrap()
        .write_file(&path)
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    secrets.renewal(now()).renew_file(&path).unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let written = std::fs::read_to_string(&path).unwrap();
    assert_ne!(written, text);
    assert!(written.contains("later: key"));
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );

    let kept = secrets
        .renewal(now())
        .context("z")
        .renew_file(&path)
        .unwrap_err();
    assert_eq!(kept.kind(), ErrorKind::InvalidTalosConfig);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    let missing = secrets
        .renewal(now())
        .renew_file(dir.path().join("none"))
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}
