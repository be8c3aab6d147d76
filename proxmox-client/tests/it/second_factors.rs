//! Second factors, managed and then asked for.

use std::time::{Duration, UNIX_EPOCH};

use proxmox_client::second_factor::{FactorKind, TotpSecret, Unlocked};
use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{Client, Ensured, FactorAnswer, Kind, Login, Removed};
use secrecy::ExposeSecret;

const USER: &str = "alice@pve";
const PASSWORD: &str = "first-secret";

/// A world that stands still, with a user and with root.
fn lab() -> Simulator {
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let world = World::new(3, start)
        .with_user(USER, PASSWORD)
        .with_user("bob@pve", "bob-secret")
        .with_user("root@pam", "root-secret")
        .with_token("root@pam!lab", "s");
    Simulator::with_clock(world, Clock::stepped(start))
}

fn log_in(simulator: &Simulator, user: &str, password: &str) -> Client {
    let login = Login::new(user, password);
    simulator.builder().login(login).build().unwrap()
}

async fn refused_login(simulator: &Simulator, login: Login) -> Kind {
    let client = simulator.builder().login(login).build().unwrap();
    let refused = async { client.version().await.unwrap_err().kind() };
    tokio::pin!(refused);
    // A refused login is kept back for three seconds.
    loop {
        tokio::select! {
            kind = &mut refused => return kind,
            () = tokio::time::sleep(Duration::from_millis(1)) => simulator.clock().advance(Duration::from_secs(1)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_sets_up_codes_and_is_asked_for_them_from_then_on() {
    let simulator = lab();
    let now = simulator.snapshot().now();
    let client = log_in(&simulator, USER, PASSWORD);
    let factors = client.access().second_factors(USER);
    let secret = TotpSecret::generate(USER).unwrap().with_issuer("lab");
    let code = secret.code_at(now);
    let unproven = factors
        .add_totp("phone", &secret, &*code)
        .await
        .unwrap_err();
    assert_eq!(unproven.kind(), Kind::Parameter);
    assert!(unproven.parameters().contains_key("password"));
    let wrong = factors.clone().with_password("a guess");
    let wrong = wrong.add_totp("phone", &secret, &*code).await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Authentication);

    let factors = factors.with_password(PASSWORD);
    let other = factors
        .add_totp("phone", &secret, "000000")
        .await
        .unwrap_err();
    assert_eq!(other.kind(), Kind::Parameter);
    let id = factors.add_totp("phone", &secret, &*code).await.unwrap();
    let known = factors.get(&id).await.unwrap().unwrap();
    assert_eq!(
        (known.kind.clone(), known.is_enabled()),
        (FactorKind::Totp, true)
    );
    assert_eq!(known.description.as_deref(), Some("phone"));
    assert_eq!(known.created, Some(1_800_000_000));

    let plain = Login::new(USER, PASSWORD);
    assert_eq!(refused_login(&simulator, plain).await, Kind::SecondFactor);
    let now = simulator.snapshot().now();
    let with_code = || Login::new(USER, PASSWORD).with_totp(secret.code_at(now));
    let again = simulator.builder().login(with_code()).build().unwrap();
    again.version().await.unwrap();
    // A code is good for one login.
    assert_eq!(
        refused_login(&simulator, with_code()).await,
        Kind::Authentication
    );

    assert_eq!(
        factors.rename(&id, "new phone").await.unwrap(),
        Ensured::Updated(vec!["description".to_owned()])
    );
    assert_eq!(
        factors.rename(&id, "new phone").await.unwrap(),
        Ensured::Unchanged
    );
    factors.set_enabled(&id, false).await.unwrap();
    assert!(!factors.list().await.unwrap()[0].is_enabled());
    log_in(&simulator, USER, PASSWORD).version().await.unwrap();
    assert_eq!(factors.delete(&id).await.unwrap(), Removed::Removed);
    assert_eq!(factors.delete(&id).await.unwrap(), Removed::Absent);
    assert_eq!(factors.get(&id).await.unwrap(), None);
    let gone = factors.rename(&id, "x").await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn recovery_codes_are_told_once_and_each_is_good_once() {
    let simulator = lab();
    let client = log_in(&simulator, "root@pam", "root-secret");
    let factors = client.access().second_factors(USER);
    let codes = factors.add_recovery_codes().await.unwrap();
    assert_eq!(codes.len(), 10);
    assert!(!format!("{codes:?}").contains(codes[0].expose_secret()));
    let twice = factors.add_recovery_codes().await.unwrap_err();
    assert_eq!(twice.kind(), Kind::AlreadyExists);
    let listed = factors.list().await.unwrap();
    assert_eq!(
        (listed[0].id.as_str(), &listed[0].kind),
        ("recovery", &FactorKind::Recovery)
    );
    let login = || Login::new(USER, PASSWORD).with_recovery_code(codes[3].expose_secret());
    let alice = simulator.builder().login(login()).build().unwrap();
    alice.version().await.unwrap();
    assert_eq!(
        refused_login(&simulator, login()).await,
        Kind::Authentication
    );
    assert_eq!(factors.delete("recovery").await.unwrap(), Removed::Removed);
    assert_ne!(factors.add_recovery_codes().await.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_security_key_is_registered_and_then_asked_for() {
    let simulator = lab();
    let client = log_in(&simulator, USER, PASSWORD);
    let factors = client.access().second_factors(USER);
    let factors = factors.with_password(PASSWORD);
    let answer = |_: String| async { Ok(r#"{"id":"key-1","type":"public-key"}"#.to_owned()) };
    let bare = factors.add_webauthn("key", answer).await.unwrap_err();
    assert_eq!(bare.kind(), Kind::NotConfigured);
    let options = Request::new(Method::Put, "/cluster/options", &[]);
    let options = options.with(
        "webauthn",
        "id=pve.example,rp=pve,origin=https://pve.example",
    );
    let token = simulator.builder().token("root@pam!lab=s").build().unwrap();
    token.request(options).await.unwrap();
    let asked = factors
        .add_webauthn("key", |options| async move {
            assert!(options.contains(USER) && options.contains("challenge"));
            Ok(r#"{"id":"key-1","type":"public-key"}"#.to_owned())
        })
        .await;
    asked.unwrap();
    let login = Login::new(USER, PASSWORD).with_second_factor(|challenge| async move {
        let asked: serde_json::Value =
            serde_json::from_str(&challenge.webauthn().unwrap()).unwrap();
        let key = &asked["publicKey"];
        assert_eq!(key["allowCredentials"][0]["id"], "key-1");
        let signed = serde_json::json!({
            "id": "key-1", "challenge": key["challenge"], "response": { "signature": "c2ln" },
        });
        Ok(FactorAnswer::webauthn(signed.to_string()))
    });
    let again = simulator.builder().login(login).build().unwrap();
    again.version().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wrong_codes_lock_codes_out_until_somebody_unlocks() {
    let simulator = lab();
    let secret = TotpSecret::from_base32(USER, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    let root = log_in(&simulator, "root@pam", "root-secret");
    let factors = root.access().second_factors(USER);
    let code = secret.code_at(simulator.snapshot().now());
    factors.add_totp("phone", &secret, &*code).await.unwrap();
    assert_eq!(factors.unlock().await.unwrap(), Unlocked::NotLocked);
    for _ in 0..8 {
        let login = Login::new(USER, PASSWORD).with_totp("000000");
        assert_eq!(refused_login(&simulator, login).await, Kind::Authentication);
    }
    let users = root.access().factors().await.unwrap();
    assert_eq!((users.len(), users[0].totp_locked), (1, Some(true)));
    let right = || {
        let code = secret.code_at(simulator.snapshot().now());
        Login::new(USER, PASSWORD).with_totp(code)
    };
    assert_eq!(
        refused_login(&simulator, right()).await,
        Kind::Authentication
    );
    assert_eq!(factors.unlock().await.unwrap(), Unlocked::Unlocked);
    let alice = simulator.builder().login(right()).build().unwrap();
    alice.version().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn factors_are_kept_from_tokens_and_from_other_users() {
    let simulator = lab();
    let token = simulator.builder().token("root@pam!lab=s").build().unwrap();
    let of_token = token.access().second_factors(USER);
    let error = of_token.add_recovery_codes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::TicketOnly);
    assert!(of_token.list().await.unwrap().is_empty());
    let bob = log_in(&simulator, "bob@pve", "bob-secret").access();
    let foreign = bob.second_factors(USER).with_password("bob-secret");
    let error = foreign.add_recovery_codes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(foreign.list().await.is_err());
    let root = log_in(&simulator, "root@pam", "root-secret").access();
    root.second_factors(USER)
        .add_recovery_codes()
        .await
        .unwrap();
    assert!(
        bob.factors().await.unwrap().is_empty(),
        "not even that there are some"
    );
    let alice = root.factors().await.unwrap();
    assert_eq!(alice[0].user, USER);
}

#[tokio::test(start_paused = true)]
async fn secrets_of_factors_show_up_nowhere() {
    let simulator = lab();
    let client = log_in(&simulator, USER, PASSWORD);
    let own = PASSWORD.to_owned();
    let factors = client.access().second_factors(USER).with_password(own);
    let secret = TotpSecret::generate(USER).unwrap();
    let key = secret.base32().expose_secret().to_owned();
    let error = factors
        .add_totp("phone", &secret, "000000")
        .await
        .unwrap_err();
    for shown in [
        format!("{factors:?}"),
        format!("{secret:?}"),
        format!("{:?}", secret.uri()),
        format!("{error} {error:?}"),
        format!("{:?}", simulator.journal()),
    ] {
        assert!(
            !shown.contains(&key) && !shown.contains(PASSWORD),
            "{shown}"
        );
    }
}
