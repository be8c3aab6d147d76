//! Logging in: second factors, tickets that are kept, providers, and renewals.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{Challenge, Client, Error, FactorAnswer, Kind, Login, Session};
use serde_json::{Value, json};

const USER: &str = "alice@pve";
const PASSWORD: &str = "correct horse";
/// The key of RFC 6238's examples, and its code for second 1,111,111,109.
const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const CODE: &str = "081804";

fn then() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_111_111_109)
}

fn simulator(world: impl FnOnce(World) -> World) -> Simulator {
    let lab = World::new(3, then())
        .with_user(USER, PASSWORD)
        .with_role_for(USER, "Administrator", "/");
    Simulator::with_clock(world(lab), Clock::stepped(then()))
}

fn client(simulator: &Simulator, login: Login) -> Client {
    simulator.builder().login(login).build().unwrap()
}

/// Stepped clocks stand still, and refused logins are kept back for three seconds.
async fn refused(simulator: &Simulator, client: &Client) -> Error {
    let call = client.version();
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            answer = &mut call => return answer.unwrap_err(),
            () = tokio::task::yield_now() => simulator.clock().advance(Duration::from_millis(100)),
        }
    }
}

fn alice() -> Login {
    Login::new(USER, PASSWORD)
}

#[tokio::test]
async fn a_code_completes_a_login_and_a_wrong_one_does_not() {
    let simulator = simulator(|world| world.with_totp(USER, KEY));
    client(&simulator, alice().with_totp(CODE))
        .version()
        .await
        .unwrap();
    let wrong = refused(&simulator, &client(&simulator, alice().with_totp("000000"))).await;
    assert_eq!(wrong.kind(), Kind::Authentication);
    assert!(wrong.to_string().contains("second factor"), "{wrong}");
    let none = client(&simulator, alice()).version().await.unwrap_err();
    assert_eq!(none.kind(), Kind::SecondFactor);
    assert!(none.to_string().contains(USER), "{none}");
}

#[tokio::test]
async fn a_recovery_code_works_once() {
    let codes = ["aaaa-1111", "bbbb-2222"];
    let simulator = simulator(|world| world.with_recovery_codes(USER, &codes));
    let login = || alice().with_recovery_code("bbbb-2222");
    client(&simulator, login()).version().await.unwrap();
    let again = refused(&simulator, &client(&simulator, login())).await;
    assert_eq!(again.kind(), Kind::Authentication);
    let seen: Arc<Mutex<Option<Challenge>>> = Arc::default();
    let told = seen.clone();
    let asking = alice().with_second_factor(move |challenge| {
        *told.lock().unwrap() = Some(challenge);
        std::future::ready(Ok(FactorAnswer::recovery("aaaa-1111")))
    });
    client(&simulator, asking).version().await.unwrap();
    let seen = seen.lock().unwrap().take().unwrap();
    assert_eq!((seen.user(), seen.recovery_codes_left()), (USER, vec![0]));
    assert!(!seen.accepts_totp());
}

/// What a browser would make of a challenge.
fn sign(challenge: &Challenge, id: &str) -> String {
    let asked: Value = serde_json::from_str(&challenge.webauthn().unwrap()).unwrap();
    let response = json!({ "authenticatorData": "YQ", "clientDataJSON": "Yg", "signature": "Yw" });
    let asked = &asked["publicKey"]["challenge"];
    json!({ "id": id, "rawId": id, "type": "public-key", "challenge": asked, "response": response })
        .to_string()
}

#[tokio::test]
async fn a_security_key_signs_what_the_server_asks() {
    let simulator = simulator(|world| world.with_security_key(USER, "a2V5LTE"));
    let with_key = |id: &'static str| {
        alice().with_second_factor(move |challenge| async move {
            Ok(FactorAnswer::webauthn(sign(&challenge, id)))
        })
    };
    client(&simulator, with_key("a2V5LTE"))
        .version()
        .await
        .unwrap();
    let other = refused(&simulator, &client(&simulator, with_key("b3RoZXI"))).await;
    assert_eq!(other.kind(), Kind::Authentication);
    let gone = alice().with_second_factor(|_| async {
        Err::<FactorAnswer, _>(proxmox_client::Token::parse("none").unwrap_err())
    });
    let gone = client(&simulator, gone).version().await.unwrap_err();
    assert_eq!(
        gone.kind(),
        Kind::InvalidInput,
        "the hook's own error comes back"
    );
}

#[tokio::test]
async fn half_a_login_opens_nothing() {
    let simulator = simulator(|world| world.with_totp(USER, KEY));
    let anyone = simulator.builder().build().unwrap();
    let first = Request::new(Method::Post, "/access/ticket", &[])
        .with("username", USER)
        .with("password", PASSWORD);
    let answer: Value = anyone.fetch(first).await.unwrap();
    assert_eq!(answer["NeedTFA"], 1);
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    let partial = Session::new(text("ticket"), text("CSRFPreventionToken"));
    assert_eq!(partial.unwrap_err().kind(), Kind::InvalidInput);
    let as_password = client(&simulator, Login::from_ticket(USER, text("ticket")));
    let error = refused(&simulator, &as_password).await;
    assert_eq!(error.kind(), Kind::Authentication);
}

#[tokio::test]
async fn a_session_is_kept_and_used_without_logging_in_again() {
    let simulator = simulator(|world| world.with_token("root@pam!lab", "lab-secret"));
    let first = client(&simulator, alice());
    let session = first.session().await.unwrap().unwrap();
    assert_eq!(session.expires(), Some(then() + Duration::from_secs(7200)));
    let kept = session.to_secret_text();
    simulator.clear_journal();
    let session = Session::from_secret_text(kept).unwrap();
    let second = simulator.builder().session(session).build().unwrap();
    second.pool("of-the-session").ensure("").await.unwrap();
    let logins = simulator
        .journal()
        .iter()
        .any(|entry| entry.path == "/access/ticket");
    assert!(!logins, "the ticket was used as it is");
    let with_token = simulator.connect().session().await.unwrap();
    assert!(with_token.is_none());
}

#[tokio::test]
async fn a_provider_logs_a_user_in() {
    let simulator = simulator(|world| world.with_openid_user("sso", "code-1", "bob"));
    let anyone = simulator.builder().build().unwrap();
    let sso = anyone.openid("sso", "https://tool.example/back");
    let url = sso.authorization_url().await.unwrap();
    assert!(
        url.contains("redirect_uri=https%3A%2F%2Ftool.example%2Fback"),
        "{url}"
    );
    let state = url
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let back = format!("https://tool.example/back?code=code-1&state={state}");
    let session = sso.log_in_redirected(&back).await.unwrap();
    assert_eq!(session.user(), "bob@sso");
    let bob = simulator.builder().session(session).build().unwrap();
    bob.version().await.unwrap();

    let denied = "https://tool.example/back?error=access_denied&error_description=not+today";
    let denied = sso.log_in_redirected(denied).await.unwrap_err();
    assert_eq!(denied.kind(), Kind::Authentication);
    assert!(
        denied.to_string().contains("access_denied not today"),
        "{denied}"
    );
    let empty = sso
        .log_in_redirected("https://tool.example/back")
        .await
        .unwrap_err();
    assert_eq!(empty.kind(), Kind::InvalidInput);
    let unknown = anyone.openid("nowhere", "https://tool.example/back");
    assert!(
        unknown
            .authorization_url()
            .await
            .unwrap_err()
            .to_string()
            .contains("nowhere")
    );
}

#[tokio::test]
async fn calls_refused_together_log_in_again_once() {
    let simulator = simulator(|world| world);
    let client = client(&simulator, alice());
    client.version().await.unwrap();
    simulator.with(|world| world.forget_tickets());
    simulator.clear_journal();
    let calls = join_all((0..8).map(|_| client.version()));
    let mut calls = std::pin::pin!(calls);
    let answers = loop {
        tokio::select! {
            biased;
            answers = &mut calls => break answers,
            () = tokio::task::yield_now() => simulator.clock().advance(Duration::from_millis(100)),
        }
    };
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let journal = simulator.journal();
    let logins = journal
        .iter()
        .filter(|entry| entry.path == "/access/ticket");
    assert_eq!(logins.count(), 1);
}

#[test]
fn neither_answers_nor_sessions_are_shown() {
    let session = Session::new("PVE:root@pam:6B0036C4::s3cret", "6B0036C4:s3cret").unwrap();
    let builder = Client::builder().endpoint("pve1").session(session.clone());
    let answers = [
        FactorAnswer::totp("s3cret"),
        FactorAnswer::webauthn("s3cret"),
    ];
    let login = alice().with_totp("s3cret");
    let shown = format!("{session:?} {builder:?} {answers:?} {login:?}");
    let shown = format!("{shown} {:?}", builder.build().unwrap());
    assert!(
        !shown.contains("s3cret") && !shown.contains(PASSWORD),
        "{shown}"
    );
}
