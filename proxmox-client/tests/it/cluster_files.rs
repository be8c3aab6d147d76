//! Users, rights, tokens, pools and firewalls.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{
    Client, Ensured, Grant, Kind, NewRule, QemuConfig, Removed, ResourceFilter, TokenRights,
    UserSettings,
};
use secrecy::ExposeSecret;

use crate::laboratory::writes;

fn lab() -> (Simulator, Client) {
    let simulator = Simulator::new(World::lab());
    let client = simulator.connect();
    (simulator, client)
}

#[tokio::test(start_paused = true)]
async fn a_user_is_made_changed_where_it_differs_and_removed_once() {
    let (simulator, client) = lab();
    let access = client.access();
    access.ensure_group("ops", "Operators").await.unwrap();
    let wanted = UserSettings::new().with_comment("CI").with_groups(["ops"]);
    assert_eq!(
        access.ensure_user("ci@pve", &wanted).await.unwrap(),
        Ensured::Created
    );
    let before = writes(&simulator);
    assert_eq!(
        access.ensure_user("ci@pve", &wanted).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        access.ensure_group("ops", "Operators").await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        writes(&simulator),
        before,
        "nothing is sent when nothing differs"
    );
    let off = UserSettings::new().with_enabled(false).with_comment("CI");
    assert_eq!(
        access.ensure_user("ci@pve", &off).await.unwrap(),
        Ensured::Updated(vec!["enable".to_owned()])
    );
    let users = access.users().await.unwrap();
    let user = users.iter().find(|user| user.id == "ci@pve").unwrap();
    assert_eq!(
        (user.enabled, user.comment.as_deref()),
        (Some(false), Some("CI"))
    );
    let nobody = UserSettings::new().with_groups(["nobody"]);
    assert!(access.ensure_user("ci@pve", &nobody).await.is_err());
    assert_eq!(
        access.delete_user("ci@pve").await.unwrap(),
        Removed::Removed
    );
    assert_eq!(access.delete_user("ci@pve").await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_token_gets_a_role_and_works_at_once() {
    let (simulator, client) = lab();
    let access = client.access();
    access
        .ensure_user("ci@pve", &UserSettings::new())
        .await
        .unwrap();
    let privileges = ["VM.Audit", "VM.PowerMgmt"];
    assert_eq!(
        access.ensure_role("Starter", privileges).await.unwrap(),
        Ensured::Created
    );
    assert_eq!(
        access.ensure_role("Starter", privileges).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        access.ensure_role("Starter", ["VM.Audit"]).await.unwrap(),
        Ensured::Updated(vec!["privs".to_owned()])
    );
    let unknown = access.ensure_role("Other", ["VM.Nope"]).await.unwrap_err();
    assert!(unknown.parameters().contains_key("privs"));
    let built_in = access
        .ensure_role("PVEAuditor", ["VM.Audit"])
        .await
        .unwrap_err();
    assert_eq!(built_in.kind(), Kind::InvalidInput);

    let token = access
        .create_token("ci@pve", "deploy", TokenRights::Separate)
        .await
        .unwrap();
    assert_eq!(token.id, "ci@pve!deploy");
    assert!(!format!("{token:?}").contains(token.secret.expose_secret()));
    let again = access
        .create_token("ci@pve", "deploy", TokenRights::Separate)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);

    let grant = Grant::to_token(&token.id, "Starter", "vms/");
    assert_eq!(access.grant(&grant).await.unwrap(), Ensured::Created);
    assert_eq!(access.grant(&grant).await.unwrap(), Ensured::Unchanged);
    let here = grant.clone().here_only();
    assert_eq!(
        access.grant(&here).await.unwrap(),
        Ensured::Updated(vec!["propagate".to_owned()])
    );
    let acl = access.acl().await.unwrap();
    assert_eq!((acl.len(), acl[0].path.as_str()), (1, "/vms"));

    let secret = format!("{}={}", token.id, token.secret.expose_secret());
    let of_token = simulator.builder().token(secret).build().unwrap();
    assert_eq!(of_token.version().await.unwrap().version, "9.1.9");

    assert_eq!(access.revoke(&grant).await.unwrap(), Removed::Removed);
    assert_eq!(access.revoke(&grant).await.unwrap(), Removed::Absent);
    assert_eq!(
        access.delete_token("ci@pve", "deploy").await.unwrap(),
        Removed::Removed
    );
    assert_eq!(
        access.delete_token("ci@pve", "deploy").await.unwrap(),
        Removed::Absent
    );
    assert!(access.tokens("ci@pve").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn guests_are_put_into_a_pool_and_taken_out() {
    let (_simulator, client) = lab();
    for vmid in [100, 101] {
        client
            .node("pve1")
            .create_qemu(vmid, QemuConfig::new())
            .await
            .unwrap();
    }
    let pool = client.pool("lab");
    assert_eq!(pool.ensure("Lab").await.unwrap(), Ensured::Created);
    assert_eq!(pool.ensure("Lab").await.unwrap(), Ensured::Unchanged);
    assert_eq!(pool.ensure_guests(&[100, 101]).await.unwrap(), [100, 101]);
    assert!(pool.ensure_guests(&[100, 101]).await.unwrap().is_empty());
    let resources = client.resources(Some(ResourceFilter::Vm)).await.unwrap();
    assert!(
        resources
            .iter()
            .all(|guest| guest.pool.as_deref() == Some("lab"))
    );

    let other = client.pool("other");
    other.ensure("").await.unwrap();
    assert!(other.ensure_guests(&[101]).await.is_err());
    assert_eq!(other.take_guests(&[101]).await.unwrap(), [101]);
    assert!(pool.delete().await.is_err(), "it still holds 100");
    assert_eq!(pool.remove_guests(&[100, 101]).await.unwrap(), [100]);
    assert_eq!(pool.delete().await.unwrap(), Removed::Removed);
    assert_eq!(pool.delete().await.unwrap(), Removed::Absent);
    assert!(pool.get().await.unwrap().is_none());
    let names: Vec<String> = client
        .pools()
        .await
        .unwrap()
        .into_iter()
        .map(|pool| pool.id)
        .collect();
    assert_eq!(names, ["other"]);
}

#[tokio::test(start_paused = true)]
async fn our_rules_are_replaced_and_those_of_others_stay() {
    let (simulator, client) = lab();
    let made = client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await;
    let firewall = made.unwrap().qemu.firewall();
    let theirs = [NewRule::drop_in().with_source("203.0.113.0/24")];
    firewall.ensure_rules("by hand", &theirs).await.unwrap();

    let wanted = [
        NewRule::accept_in()
            .with_ports("tcp", "6443")
            .with_source("192.0.2.0/24"),
        NewRule::accept_in().with_service("SSH"),
        NewRule::drop_in(),
    ];
    assert_eq!(
        firewall.ensure_rules("cluster a", &wanted).await.unwrap(),
        Ensured::Created
    );
    let before = writes(&simulator);
    assert_eq!(
        firewall.ensure_rules("cluster a", &wanted).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(writes(&simulator), before);
    assert!(matches!(
        firewall
            .ensure_rules("cluster a", &wanted[..2])
            .await
            .unwrap(),
        Ensured::Updated(_)
    ));
    let rules = firewall.rules().await.unwrap();
    let shown: Vec<(Option<&str>, &str)> = rules
        .iter()
        .map(|rule| (rule.comment.as_deref(), rule.action.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (Some("cluster a"), "ACCEPT"),
            (Some("cluster a"), "ACCEPT"),
            (Some("by hand"), "DROP")
        ]
    );
    assert_eq!(rules[0].destination_port.as_deref(), Some("6443"));
    assert_eq!(rules[1].service.as_deref(), Some("SSH"));
    firewall.ensure_rules("cluster a", &[]).await.unwrap();
    assert_eq!(firewall.rules().await.unwrap().len(), 1);

    let options = [("enable", "1"), ("policy_in", "DROP")];
    assert!(matches!(
        firewall.ensure_options(&options).await.unwrap(),
        Ensured::Updated(_)
    ));
    assert_eq!(
        firewall.ensure_options(&options).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(client.firewall().rules().await.unwrap(), []);
    assert_eq!(
        firewall.ensure_rules("", &[]).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
}
