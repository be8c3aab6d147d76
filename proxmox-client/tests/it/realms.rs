//! Realms and passwords.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{
    Ensured, Kind, Login, RealmKind, RealmSettings, Removed, SyncOptions, SyncScope, UserSettings,
};
use secrecy::SecretString;

#[tokio::test(start_paused = true)]
async fn a_directory_is_set_up_and_its_password_is_sent_when_it_is_made_and_on_demand() {
    let simulator = Simulator::new(World::lab());
    let access = simulator.connect().access();
    let realm = access.realm("corp");
    let wanted = RealmSettings::ldap("ldap.example.test", "dc=example,dc=test", "uid")
        .with_mode("ldaps")
        .with_verification(true)
        .with_bind_dn("cn=proxmox")
        .with_bind_password("hunter2");
    assert!(!format!("{wanted:?}").contains("hunter2"));
    assert_eq!(realm.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(realm.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    assert_eq!(
        realm
            .update(&RealmSettings::new().with_bind_password("hunter3"))
            .await
            .unwrap(),
        Ensured::Updated(vec!["password".to_owned()])
    );
    let known = realm.get().await.unwrap().unwrap();
    assert_eq!(
        (known.kind, known.mode.as_deref()),
        (RealmKind::Ldap, Some("ldaps"))
    );
    let changed = realm
        .ensure(
            &wanted
                .clone()
                .with_comment("People")
                .with_verification(false),
        )
        .await;
    assert_eq!(
        changed.unwrap(),
        Ensured::Updated(vec!["comment".to_owned(), "verify".to_owned()])
    );
    let digest = realm.get().await.unwrap().unwrap().digest.unwrap();
    realm
        .update(&RealmSettings::new().with_comment(""))
        .await
        .unwrap();
    let late = realm
        .update(&RealmSettings::new().with_port(636).with_digest(&digest))
        .await;
    assert_eq!(late.unwrap_err().kind(), Kind::Conflict);

    let incomplete = access
        .realm("ad")
        .ensure(&RealmSettings::of_kind(&RealmKind::ActiveDirectory))
        .await;
    assert_eq!(
        incomplete.unwrap_err().message(),
        "add auth server failed: missing value for required option 'server1'"
    );
    let foreign = RealmSettings::new().with_issuer("https://id.example.test");
    assert!(
        realm
            .update(&foreign)
            .await
            .unwrap_err()
            .message()
            .ends_with("unexpected property 'issuer-url'")
    );
    let other = realm
        .ensure(&RealmSettings::active_directory(
            "dc.example.test",
            "example",
        ))
        .await;
    assert_eq!(other.unwrap_err().kind(), Kind::InvalidInput);
    assert_eq!(realm.delete().await.unwrap(), Removed::Removed);
    assert_eq!(realm.delete().await.unwrap(), Removed::Absent);
    assert!(realm.get().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_providers_key_that_the_server_shows_stays_hidden() {
    let simulator = Simulator::new(World::lab());
    let access = simulator.connect().access();
    let realm = access.realm("sso");
    let wanted = RealmSettings::open_id("https://id.example.test", "proxmox")
        .with_client_key("hunter2")
        .with_username_claim("email")
        .with_default(true);
    realm.ensure(&wanted).await.unwrap();
    assert_eq!(realm.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let known = realm.get().await.unwrap().unwrap();
    assert!(!format!("{known:?}{}", known.to_json()).contains("hunter2"));
    // Since the server shows it, another one is noticed.
    let rotated = wanted.clone().with_client_key("hunter3");
    assert_eq!(
        realm.ensure(&rotated).await.unwrap(),
        Ensured::Updated(vec!["client-key".to_owned()])
    );
    // Which claim names a user is fixed once the realm is made.
    let fixed = realm.ensure(&rotated.with_username_claim("username")).await;
    assert_eq!(fixed.unwrap_err().kind(), Kind::Parameter);
    let realms = access.realms().await.unwrap();
    let told: Vec<(&str, &RealmKind)> = realms
        .iter()
        .map(|one| (one.id.as_str(), &one.kind))
        .collect();
    assert_eq!(
        told,
        [
            ("pam", &RealmKind::Pam),
            ("pve", &RealmKind::Pve),
            ("sso", &RealmKind::OpenId)
        ]
    );
    assert_eq!(realms[2].default, Some(true));
}

#[tokio::test(start_paused = true)]
async fn only_directories_are_synchronised() {
    let simulator = Simulator::new(World::lab());
    let access = simulator.connect().access();
    let of_cluster = access
        .realm("pve")
        .sync(SyncOptions::new().with_scope(SyncScope::Both))
        .await;
    assert_eq!(
        of_cluster.unwrap_err().message(),
        "Cannot sync realm type 'pve'! Only LDAP/AD realms can be synced."
    );
    let realm = access.realm("corp");
    realm
        .ensure(&RealmSettings::ldap("ldap.example.test", "dc=test", "uid"))
        .await
        .unwrap();
    let vague = realm.sync(SyncOptions::new().dry_run()).await.unwrap_err();
    assert!(vague.parameters()["scope"].starts_with("Not passed as parameter"));
    let unknown = access
        .realm("none")
        .sync(SyncOptions::new())
        .await
        .unwrap_err();
    assert_eq!(unknown.parameters()["realm"], "Realm does not exist.");
}

#[tokio::test(start_paused = true)]
async fn a_password_is_set_by_a_person_and_not_by_a_token() {
    let simulator = Simulator::new(World::lab().with_user("root@pam", "root-secret"));
    let (old, new) = ("first-secret", "second-secret");
    let by_token = simulator.connect().access();
    by_token
        .ensure_user("alice@pve", &UserSettings::new())
        .await
        .unwrap();
    let error = by_token
        .set_password("alice@pve", old, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TicketOnly);
    assert!(!format!("{error:?}{error}").contains("first-secret"));

    let log_in = |user: &str, password: &str| {
        let login = Login::new(user, password.to_owned());
        simulator.builder().login(login).build().unwrap()
    };
    let root = log_in("root@pam", "root-secret").access();
    root.set_password("alice@pve", old, None).await.unwrap();
    let alice = log_in("alice@pve", "first-secret").access();
    let unproven = alice
        .set_password("alice@pve", new, None)
        .await
        .unwrap_err();
    assert!(unproven.parameters().contains_key("confirmation-password"));
    alice
        .set_password("alice@pve", new, Some(SecretString::from(old)))
        .await
        .unwrap();
    assert!(log_in("alice@pve", "second-secret").version().await.is_ok());
    let nobody = root.set_password("bob@pve", new, None).await.unwrap_err();
    assert!(nobody.is_not_found());
}
