//! Whom the cluster tells what happens.

use proxmox_client::notification::{
    GotifySettings, MatchMode, MatcherSettings, Origin, SendmailSettings, Severity, SmtpMode,
    SmtpSettings, TargetKind, WebhookMethod, WebhookSettings,
};
use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{Ensured, Kind, Removed};

#[tokio::test(start_paused = true)]
async fn endpoints_of_every_kind_are_made_changed_and_removed() {
    let simulator = Simulator::new(World::lab());
    let all = simulator.connect().notifications();

    let gotify = all.gotify("phone");
    let wanted = GotifySettings::to("https://gotify.example.test", "hunter2").with_comment("mine");
    assert_eq!(gotify.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(gotify.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let bare = GotifySettings::new().with_comment("").with_disabled(true);
    let changed = gotify.update(&bare).await.unwrap();
    let names = ["comment", "disable"].map(str::to_owned).to_vec();
    assert_eq!(changed, Ensured::Updated(names));
    let known = gotify.get().await.unwrap().unwrap();
    assert_eq!((known.comment, known.disabled), (None, Some(true)));
    assert_eq!(known.origin, Some(Origin::UserCreated));

    let mail = all.sendmail("admins");
    let error = mail.ensure(&SendmailSettings::new()).await.unwrap_err();
    assert!(
        error.message().contains("at least provide one recipient"),
        "{error}"
    );
    let wanted = SendmailSettings::new()
        .with_addresses(["a@example.test", "b@example.test"])
        .with_users(["root@pam"]);
    assert_eq!(mail.ensure(&wanted).await.unwrap(), Ensured::Created);
    let turned = SendmailSettings::new().with_addresses(["b@example.test", "a@example.test"]);
    assert_eq!(mail.ensure(&turned).await.unwrap(), Ensured::Unchanged);
    let fewer = SendmailSettings::new().with_addresses(Vec::<String>::new());
    mail.ensure(&fewer).await.unwrap();
    assert_eq!(mail.get().await.unwrap().unwrap().addresses, None);

    let smtp = all.smtp("relay");
    let wanted = SmtpSettings::through("mail.example.test", "pve@example.test")
        .with_mode(&SmtpMode::StartTls)
        .with_user("pve")
        .with_password("hunter2")
        .with_addresses(["a@example.test"]);
    assert_eq!(smtp.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(smtp.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    assert_eq!(
        smtp.get().await.unwrap().unwrap().mode,
        Some(SmtpMode::StartTls)
    );

    let hook = all.webhook("chat");
    let wanted = WebhookSettings::to(
        &WebhookMethod::Post,
        "https://chat.example.test/{{ secrets.key }}",
    )
    .with_body(r#"{"text":"{{ title }}"}"#)
    .with_headers([("Content-Type", "application/json")])
    .with_secrets([("key".to_owned(), "hunter2")]);
    assert_eq!(hook.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(hook.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let known = hook.get().await.unwrap().unwrap();
    assert_eq!(known.secrets.unwrap(), ["name=key"]);
    assert_eq!(
        known.headers.unwrap(),
        ["name=Content-Type,value=YXBwbGljYXRpb24vanNvbg=="]
    );
    let other = WebhookSettings::new().with_secrets([("token".to_owned(), "hunter3")]);
    let changed = hook.ensure(&other).await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["secret".to_owned()]));

    let kinds: Vec<(String, TargetKind)> = all
        .targets()
        .await
        .unwrap()
        .into_iter()
        .map(|target| (target.name, target.kind))
        .collect();
    let expected = [
        ("admins", TargetKind::Sendmail),
        ("chat", TargetKind::Webhook),
        ("mail-to-root", TargetKind::Sendmail),
        ("phone", TargetKind::Gotify),
        ("relay", TargetKind::Smtp),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(hook.delete().await.unwrap(), Removed::Removed);
    assert_eq!(hook.delete().await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_sent_and_never_shown() {
    let simulator = Simulator::new(World::lab());
    let all = simulator.connect().notifications();
    let gotify = GotifySettings::to("https://gotify.example.test", "hunter2");
    let smtp = SmtpSettings::through("mail.example.test", "a@example.test")
        .with_users(["root@pam"])
        .with_password("hunter2");
    let hook = WebhookSettings::to(&WebhookMethod::Get, "https://chat.example.test")
        .with_secrets([("key".to_owned(), "hunter2")]);
    let shown = format!("{gotify:?}{smtp:?}{hook:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    all.gotify("ea").ensure(&gotify).await.unwrap();
    all.smtp("eb").ensure(&smtp).await.unwrap();
    all.webhook("ec").ensure(&hook).await.unwrap();
    let told = format!(
        "{:?}{:?}{:?}",
        all.gotify_endpoints().await.unwrap(),
        all.smtp_endpoints().await.unwrap(),
        all.webhook_endpoints().await.unwrap()
    );
    let packed = "aHVudGVyMg";
    assert!(
        !told.contains("hunter2") && !told.contains(packed),
        "{told}"
    );
    let error = all.gotify("ea").create(&gotify).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    assert!(!format!("{error:?}{error}").contains("hunter2"));
    // What the server does not show is sent again when it is asked for.
    let update = GotifySettings::new().with_token("hunter3");
    let changed = all.gotify("ea").update(&update).await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["token".to_owned()]));
    let update = WebhookSettings::new().with_secrets([("key".to_owned(), "hunter3")]);
    let changed = all.webhook("ec").update(&update).await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["secret".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn matchers_send_to_endpoints_that_exist_and_hold_them() {
    let simulator = Simulator::new(World::lab());
    let all = simulator.connect().notifications();
    let matcher = all.matcher("trouble");
    let wanted = MatcherSettings::to(["phone"])
        .with_severities([Severity::Error, Severity::Warning])
        .with_fields([("type", ["vzdump", "replication"])])
        .with_mode(&MatchMode::Any)
        .with_times(["mon..fri 8-12"]);
    let missing = matcher.ensure(&wanted).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    assert_eq!(missing.message(), "endpoint 'phone' does not exist");
    let phone = GotifySettings::to("https://gotify.example.test", "hunter2");
    all.gotify("phone").ensure(&phone).await.unwrap();
    assert_eq!(matcher.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(matcher.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let known = matcher.get().await.unwrap().unwrap();
    assert_eq!(known.fields.unwrap(), ["exact:type=vzdump,replication"]);
    assert_eq!(known.mode, Some(MatchMode::Any));
    let held = all.gotify("phone").delete().await.unwrap_err();
    assert_eq!(held.kind(), Kind::InUse);
    assert_eq!(
        held.message(),
        "cannot delete 'phone', referenced by: trouble"
    );
    // Someone's change in between is refused, the next attempt decides anew.
    let stale = MatcherSettings::new()
        .with_comment("x")
        .with_digest(&"0".repeat(64));
    assert_eq!(
        matcher.update(&stale).await.unwrap_err().kind(),
        Kind::Conflict
    );
    let plain = MatcherSettings::new()
        .with_severities([])
        .with_times(Vec::<String>::new());
    matcher.update(&plain).await.unwrap();
    let known = matcher.get().await.unwrap().unwrap();
    assert_eq!((known.severities, known.times), (None, None));
    assert_eq!(matcher.delete().await.unwrap(), Removed::Removed);
    assert_eq!(
        all.gotify("phone").delete().await.unwrap(),
        Removed::Removed
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_server_comes_with_comes_back() {
    let simulator = Simulator::new(World::lab());
    let all = simulator.connect().notifications();
    let root = all.sendmail("mail-to-root");
    let known = root.get().await.unwrap().unwrap();
    assert_eq!(known.origin, Some(Origin::BuiltIn));
    assert_eq!(root.delete().await.unwrap_err().kind(), Kind::InUse);
    let own = MatcherSettings::new().with_comment("mine");
    all.matcher("default-matcher").update(&own).await.unwrap();
    let origin =
        |matchers: Vec<proxmox_client::notification::MatcherInfo>| matchers[0].origin.clone();
    let changed = origin(all.matchers().await.unwrap());
    assert_eq!(changed, Some(Origin::ModifiedBuiltIn));
    all.matcher("default-matcher").delete().await.unwrap();
    assert_eq!(origin(all.matchers().await.unwrap()), Some(Origin::BuiltIn));
}

#[tokio::test(start_paused = true)]
async fn a_test_message_reaches_its_target_or_says_that_there_is_none() {
    let simulator = Simulator::new(World::lab().with_unreachable("gone.example.test"));
    let all = simulator.connect().notifications();
    all.test("mail-to-root").await.unwrap();
    assert_eq!(
        all.test("nowhere").await.unwrap_err().kind(),
        Kind::NotFound
    );
    let gone = GotifySettings::to("https://gone.example.test", "hunter2");
    all.gotify("gone").ensure(&gone).await.unwrap();
    assert!(all.test("gone").await.is_err());
    let sent = simulator.with(|world| world.notified().to_vec());
    assert_eq!(sent, ["mail-to-root"]);
}
