//! What is secret is not shown, whoever makes the call.

use proxmox_client::api::{self, Answer as _, Call, access, cluster, nodes, qemu, storage};
use proxmox_client::wire::{Answer, Method, Request};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const SECRET: &str = "hunter22-and-more";

#[test]
fn calls_and_their_requests_show_no_values() {
    let password = access::PutPassword::new(SECRET, "a@pve");
    let config = qemu::PutConfig::new("pve1", 100).cipassword(SECRET);
    assert!(!format!("{password:?} {config:?}").contains(SECRET));
    let request = config.into_request().unwrap();
    assert!(!format!("{request:?} {:?}", request.params()).contains(SECRET));
    assert!(request.body().unwrap().contains(SECRET));
    let answer = Answer::new(200, SECRET, SECRET);
    let envelope: proxmox_client::wire::Envelope =
        serde_json::from_value(json!({ "data": SECRET, "changes": SECRET })).unwrap();
    assert!(!format!("{answer:?} {envelope:?}").contains(SECRET));
}

#[test]
fn every_parameter_that_is_named_like_a_secret_is_one() {
    let words = ["password", "secret", "ticket", "-key", "keyring"];
    // Names of settings, a flag, and keys that everyone may see.
    let others = ["config-keys", "generate-password", "ssh-public-keys"];
    let known: Vec<&str> = api::methods()
        .flat_map(|info| info.secrets)
        .copied()
        .collect();
    let schema: Value = serde_json::from_str(include_str!("../../schema/api.json")).unwrap();
    let methods = schema["methods"].as_array().unwrap();
    let names = methods
        .iter()
        .flat_map(|line| line["params"].as_object().unwrap().keys());
    let missing: Vec<&String> = names
        .filter(|name| words.iter().any(|word| name.contains(word)))
        .filter(|name| !known.contains(&name.as_str()) && !others.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// An answer as its method's type shows it, and whether the type holds all of it.
fn shown<C: Call>(_: &C, data: Value) -> String
where
    C::Answer: std::fmt::Debug,
{
    let answer = C::Answer::read(data.clone()).unwrap();
    assert_eq!(answer.to_json(), data);
    format!("{answer:?}")
}

#[test]
fn answers_do_not_show_what_is_secret_in_them() {
    let login = json!({ "username": "root@pam", "ticket": SECRET, "CSRFPreventionToken": SECRET });
    let login = shown(&access::PostTicket::new("x", "root@pam"), login);
    assert!(
        login.contains("root@pam") && !login.contains(SECRET),
        "{login}"
    );
    let token = json!({ "full-tokenid": "a@pve!t", "value": SECRET, "info": {} });
    let token = shown(&access::PostUsersTokenByTokenid::new("a@pve", "t"), token);
    assert!(
        token.contains("a@pve!t") && !token.contains(SECRET),
        "{token}"
    );
    let made = json!({ "storage": "b", "type": "pbs", "config": { "encryption-key": SECRET } });
    let made = shown(&storage::Post::new("b", "pbs"), made);
    assert!(made.contains("pbs") && !made.contains(SECRET), "{made}");
    let options = json!({ "http_proxy": SECRET, "keyboard": "de" });
    let options = shown(&cluster::GetOptions::new(), options);
    assert!(
        options.contains("de") && !options.contains(SECRET),
        "{options}"
    );
    let subscription = json!({ "status": "active", "key": SECRET });
    let subscription = shown(&nodes::GetSubscription::new("pve1"), subscription);
    assert!(!subscription.contains(SECRET), "{subscription}");
    // Not in the schema: a directory's password, and the provider's key.
    let realm = json!({ "type": "ldap", "password": SECRET, "client-key": SECRET });
    let realm = shown(&access::GetDomainsByRealm::new("ldap1"), realm);
    assert!(realm.contains("ldap") && !realm.contains(SECRET), "{realm}");
}

#[test]
fn an_answer_with_a_secret_that_cannot_be_read_is_not_repeated() {
    let answer = Answer::new(200, "OK", format!("{{\"data\":\"{SECRET}\"}}"));
    let open = answer.data::<u32>().unwrap_err();
    let open = format!("{open:?}");
    assert!(
        open.contains(SECRET),
        "the parser tells what it found: {open}"
    );
    let held = answer.with_secrets().data::<u32>().unwrap_err();
    let held = format!("{held:?} {held}");
    assert!(!held.contains(SECRET) && held.contains("line 1"), "{held}");
}

#[test]
fn a_secret_member_is_read_as_a_secret() {
    let answer = json!({ "data": { "full-tokenid": "a@pve!t", "value": SECRET, "info": {} } });
    let answer = Answer::new(200, "OK", answer.to_string());
    let data = answer.envelope().unwrap().data.unwrap();
    let token = access::PostUsersTokenByTokenidAnswer::read(data).unwrap();
    let value = token.value().unwrap();
    assert_eq!(value.expose_secret(), SECRET);
    assert!(!format!("{value:?}").contains(SECRET));
}

#[cfg(feature = "simulator")]
#[tokio::test(start_paused = true)]
async fn a_failure_does_not_repeat_a_secret_that_the_server_repeats() {
    use proxmox_client::simulator::{Fault, Simulator, World};
    let simulator = Simulator::new(World::lab());
    let text = format!("value '{SECRET}' is too long");
    simulator.on_request(move |call| match call.path == "/access/password" {
        true => Fault::Refuse {
            status: 400,
            reason: text.clone(),
        },
        false => Fault::None,
    });
    let request = Request::new(Method::Put, "/access/password", &[])
        .with("userid", "a@pve")
        .with("password", SECRET);
    let error = simulator.connect().request(request).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(
        told.contains("is too long") && !told.contains(SECRET),
        "{told}"
    );
}

/// Every call with every parameter of it that the schema's overlay calls secret.
#[cfg(feature = "simulator")]
fn secret_parameters() -> Vec<(Request, &'static str)> {
    let calls = api::methods().flat_map(|info| {
        let places = info.path.split('/').filter(|part| part.starts_with('{'));
        let values: Vec<&str> = places.map(|_| "100").collect();
        let request = Request::new(info.method, info.path, &values);
        info.secrets
            .iter()
            .map(move |name| (request.clone(), *name))
    });
    calls.collect()
}

#[cfg(feature = "simulator")]
#[tokio::test(start_paused = true)]
async fn no_secret_parameter_of_the_interface_is_shown_or_told_by_failures_or_traces() {
    use proxmox_client::Login;
    use proxmox_client::simulator::{Fault, Simulator, World};
    use std::error::Error as _;

    // Not as it is, and not as it goes over the wire.
    let secret = "hunter22, x=ü&more";
    let forms = [secret, &proxmox_client::wire::escape(secret)[..]];
    let lines = crate::spans::Lines::default();
    let _guard = lines.listen();
    let simulator = Simulator::new(World::lab().with_user("root@pam", "pw"));
    let client = simulator.builder().login(Login::new("root@pam", "pw"));
    let client = client.retry(proxmox_client::retry::RetryPolicy::never());
    let client = client.build().unwrap();
    let calls = secret_parameters();
    assert!(calls.len() > 60, "{}", calls.len());
    let faults = [
        Fault::None,
        Fault::ResetBefore,
        Fault::Refuse {
            status: 400,
            reason: format!("Parameter verification failed: '{secret}' is wrong"),
        },
    ];
    let mut refused = 0;
    for fault in faults {
        simulator.on_request(move |call| match call.path.as_str() {
            "/access/ticket" => Fault::None,
            _ => fault.clone(),
        });
        for (request, name) in &calls {
            let request = request.clone().with(name, secret);
            let mut shown = format!("{request:?} {:?}", request.params());
            match client.request(request.clone()).await {
                Ok(envelope) => shown.push_str(&format!("{envelope:?}")),
                Err(error) => {
                    refused += 1;
                    shown.push_str(&format!("{error:?} {error} {:?}", error.parameters()));
                    let mut source = error.source();
                    while let Some(inner) = source {
                        shown.push_str(&format!("{inner:?} {inner}"));
                        source = inner.source();
                    }
                }
            }
            for form in forms {
                let what = format!("`{name}` of {request:?}: {shown}");
                assert!(!shown.contains(form), "{what}");
                assert!(!lines.told().contains(form), "traced: {what}");
            }
        }
    }
    assert!(refused >= 2 * calls.len(), "{refused}");
    assert!(lines.told().contains("call{method="));
}
