//! Certificates from authorities that sign them by themselves.

use proxmox_client::certificate::{AcmePluginSettings, CertificateOrder, NewAcmeAccount};
use proxmox_client::property::{Acme, AcmeDomain};
use proxmox_client::simulator::{AcmeDirectory, Fault, Simulator, World};
use proxmox_client::{Client, Ensured, Error, Kind, Login, Node, NodeSettings, Removed};

const URL: &str = "https://ca.example.test/directory";
const TERMS: &str = "https://ca.example.test/terms";

fn connected(authority: AcmeDirectory) -> (Simulator, Client) {
    let world = World::lab()
        .with_user("root@pam", "root-secret")
        .with_acme_directory(authority);
    let simulator = Simulator::new(world);
    let login = Login::new("root@pam", "root-secret");
    let client = simulator.builder().login(login).build().unwrap();
    (simulator, client)
}

fn account() -> NewAcmeAccount {
    NewAcmeAccount::new(["admin@example.test"]).with_directory(URL)
}

fn log_of(error: &Error) -> String {
    let lines = error.task_log().iter();
    lines.map(|line| format!("{}\n", line.text)).collect()
}

/// A node whose certificate is for these domains, and an account.
async fn ready(client: &Client, domains: &[&str]) -> Node {
    client
        .acme()
        .account("default")
        .register(&account())
        .await
        .unwrap();
    let node = client.node("pve1");
    let mut wanted = NodeSettings::new().with_acme(&Acme::default().with_account("default"));
    for (index, domain) in (0..).zip(domains) {
        let domain = AcmeDomain::default().with_domain(*domain);
        wanted = wanted.with_acme_domain(index, &domain);
    }
    node.ensure_options(&wanted).await.unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn an_account_agrees_to_the_terms_and_shows_what_it_is_bound_to() {
    let authority = AcmeDirectory::new(URL)
        .with_terms(TERMS)
        .with_external_account("kid-1", "c2VjcmV0LWtleQ");
    let (simulator, client) = connected(authority);
    let acme = client.acme();
    let meta = acme.directory_meta(Some(URL)).await.unwrap();
    assert_eq!(meta.terms_of_service.as_deref(), Some(TERMS));
    assert_eq!(meta.external_account_required, Some(true));
    let own = acme.account("own");
    let agreed = account().with_agreed_terms(TERMS);
    for (wanted, why) in [
        (account(), "terms of service"),
        (agreed.clone(), "external account binding is required"),
        (
            agreed.clone().with_external_account("kid-1", "b3RoZXI"),
            "external account binding is not valid",
        ),
    ] {
        let error = own.register(&wanted).await.unwrap_err();
        assert_eq!(error.kind(), Kind::TaskFailed, "{error}");
        assert!(log_of(&error).contains(why), "{why}: {}", log_of(&error));
        assert!(own.get().await.unwrap().is_none());
    }
    let bound = agreed.with_external_account("kid-1", "c2VjcmV0LWtleQ");
    assert!(!format!("{bound:?}").contains("c2VjcmV0LWtleQ"));
    assert_eq!(own.ensure(&bound).await.unwrap(), Ensured::Created);
    let again = own.register(&bound).await.unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");
    let have = own.get().await.unwrap().unwrap();
    assert_eq!(have.directory.as_deref(), Some(URL));
    assert_eq!(have.terms_of_service.as_deref(), Some(TERMS));
    assert!(
        have.location
            .unwrap()
            .starts_with("https://ca.example.test/acme/acct/")
    );
    assert!(!format!("{:?}", simulator.journal()).contains("c2VjcmV0LWtleQ"));
}

#[tokio::test(start_paused = true)]
async fn no_token_registers_an_account() {
    let simulator = Simulator::new(World::lab().with_acme_directory(AcmeDirectory::new(URL)));
    let own = simulator.connect().acme().account("own");
    let error = own.register(&account()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RootOnly, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plug_in_is_kept_without_showing_what_it_knows() {
    let (simulator, client) = connected(AcmeDirectory::new(URL));
    let cloud = client.acme().plugin("cloud");
    let wanted = AcmePluginSettings::dns("cf")
        .with_data([("CF_Token", "hunter22"), ("CF_Zone_ID", "7")])
        .with_validation_delay(5)
        .with_nodes(["pve1"]);
    assert!(!format!("{wanted:?}").contains("hunter22"));
    assert_eq!(cloud.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(cloud.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let other = AcmePluginSettings::dns("cf").with_data([("CF_Token", "hunter23")]);
    let changed = cloud.ensure(&other).await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["data".to_owned()]));
    let have = cloud.get().await.unwrap().unwrap();
    assert_eq!(
        (have.api.as_deref(), have.validation_delay),
        (Some("cf"), Some(5))
    );
    assert!(!format!("{have:?}").contains("hunter"));
    assert!(!format!("{:?}", simulator.journal()).contains("hunter"));
    let kinds = client.acme().plugins().await.unwrap();
    let kinds: Vec<(String, String)> = kinds.into_iter().map(|it| (it.id, it.kind)).collect();
    let expected = [("cloud", "dns"), ("standalone", "standalone")];
    assert_eq!(
        kinds,
        expected.map(|(id, kind)| (id.to_owned(), kind.to_owned()))
    );
    let unknown = AcmePluginSettings::dns("no-such-service");
    let error = client
        .acme()
        .plugin("odd")
        .ensure(&unknown)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter);
    assert_eq!(cloud.delete().await.unwrap(), Removed::Removed);
    assert_eq!(cloud.delete().await.unwrap(), Removed::Absent);
    assert!(cloud.get().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_ordered_certificate_is_shown_until_it_is_revoked() {
    let (simulator, client) = connected(AcmeDirectory::new(URL));
    let domains = ["pve1.example.test", "mail.example.test"];
    let node = ready(&client, &domains).await;
    assert_eq!(
        node.ensure_acme_certificate().await.unwrap(),
        Ensured::Created
    );
    let shown = node.certificates().await.unwrap().pop().unwrap();
    assert_eq!(shown.file.as_deref(), Some("pveproxy-ssl.pem"));
    let mut names = shown.names.clone().unwrap();
    names.sort();
    assert_eq!(names, ["mail.example.test", "pve1.example.test"]);
    assert!(shown.issuer.as_deref().unwrap().contains("ca.example.test"));
    let now = simulator.with(|world| world.now());
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let days = shown.remaining(now).unwrap() / 86_400;
    assert!((88..=90).contains(&days), "{days}");
    // It is good for long: nothing is to be done, and without force nothing is done.
    assert_eq!(
        node.ensure_acme_certificate().await.unwrap(),
        Ensured::Unchanged
    );
    let order = CertificateOrder::new();
    for call in [
        node.order_certificate(&order),
        node.renew_certificate(&order),
    ] {
        assert_eq!(call.await.unwrap_err().kind(), Kind::Parameter);
    }
    node.renew_certificate(&CertificateOrder::new().with_force())
        .await
        .unwrap();
    let renewed = node.certificates().await.unwrap().pop().unwrap();
    assert_ne!(renewed.fingerprint, shown.fingerprint);
    node.revoke_certificate().await.unwrap();
    assert_eq!(
        node.certificates().await.unwrap().len(),
        2,
        "the cluster's own"
    );
    let error = node.renew_certificate(&order).await.unwrap_err();
    assert!(
        error.message().contains("order a new certificate"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_certificate_follows_the_domains_and_ends() {
    let (simulator, client) = connected(AcmeDirectory::new(URL));
    let node = ready(&client, &["one.example.test"]).await;
    node.ensure_acme_certificate().await.unwrap();
    let two = AcmeDomain::default().with_domain("Two.Example.test");
    let wanted = NodeSettings::new().with_acme_domain(1, &two);
    node.ensure_options(&wanted).await.unwrap();
    let changed = node.ensure_acme_certificate().await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["san".to_owned()]));
    assert_eq!(
        node.ensure_acme_certificate().await.unwrap(),
        Ensured::Unchanged
    );
    let later = std::time::Duration::from_secs(70 * 86_400);
    let world = simulator.with(|world| {
        let end = world.now() + later;
        world.advance(end);
        world.clone()
    });
    let later = Simulator::new(world);
    let login = Login::new("root@pam", "root-secret");
    let client = later.builder().login(login).build().unwrap();
    let renewed = client.node("pve1").ensure_acme_certificate().await.unwrap();
    assert_eq!(renewed, Ensured::Updated(vec!["notafter".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_order_fails_for_its_own_reasons() {
    let (simulator, client) = connected(AcmeDirectory::new(URL).with_unproven("far.example.test"));
    let node = client.node("pve1");
    let order = CertificateOrder::new();
    let none = node.order_certificate(&order).await.unwrap_err();
    assert!(none.message().contains("ACME domain list"), "{none}");
    let none = node.ensure_acme_certificate().await.unwrap_err();
    assert_eq!(none.kind(), Kind::InvalidInput);
    let named = |domain: &str, plugin: &str| {
        let domain = AcmeDomain::default()
            .with_domain(domain)
            .with_plugin(plugin);
        NodeSettings::new().with_acme_domain(0, &domain)
    };
    let odd = named("pve1.example.test", "nowhere");
    let error = node.ensure_options(&odd).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("plugin 'nowhere' for domain 'pve1.example.test' not found")
    );
    let twice = AcmeDomain::default().with_domain("pve1.example.test");
    let twice = named("pve1.example.test", "standalone").with_acme_domain(3, &twice);
    let error = node.ensure_options(&twice).await.unwrap_err();
    assert!(error.message().contains("duplicate domain"), "{error}");

    let dns = AcmePluginSettings::dns("cf").with_data([("CF_Token", "t")]);
    client.acme().plugin("cloud").create(&dns).await.unwrap();
    node.ensure_options(&named("far.example.test", "cloud"))
        .await
        .unwrap();
    let error = node.order_certificate(&order).await.unwrap_err();
    let why = "ACME account config file 'default' does not exist.";
    assert!(error.message().contains(why), "{error}");
    client
        .acme()
        .account("default")
        .register(&account())
        .await
        .unwrap();
    let error = node.order_certificate(&order).await.unwrap_err();
    assert!(
        error.message().contains("failed - status: invalid"),
        "{error}"
    );
    let log = log_of(&error);
    for line in [
        "Add TXT record: _acme-challenge.far.example.test",
        "Sleeping 30 seconds to wait for TXT record propagation",
        "Remove TXT record: _acme-challenge.far.example.test",
    ] {
        assert!(log.contains(line), "{line} in\n{log}");
    }
    node.ensure_options(&named("pve1.example.test", "cloud"))
        .await
        .unwrap();
    simulator.on_request(|request| match request.path.ends_with("/certificate") {
        true => Fault::TaskFails("order status: invalid".to_owned()),
        false => Fault::None,
    });
    let error = node.order_certificate(&order).await.unwrap_err();
    assert!(error.message().contains("order status: invalid"), "{error}");
    assert_eq!(node.certificates().await.unwrap().len(), 2);
}
