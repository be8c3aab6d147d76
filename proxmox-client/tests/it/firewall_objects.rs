//! Security groups, aliases, IP sets, options and references of firewalls.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{
    AliasSettings, Client, Ensured, FirewallSettings, Kind, NewIpSetEntry, NewRule, Policy,
    QemuConfig, ReferenceKind, Removed,
};

use crate::laboratory::connected;

async fn lab() -> (Simulator, Client) {
    let (simulator, client) = connected(World::lab());
    let node = client.node("pve1");
    node.create_qemu(100, QemuConfig::new()).await.unwrap();
    (simulator, client)
}

#[tokio::test(start_paused = true)]
async fn a_group_is_made_filled_commented_and_removed_once_it_is_empty() {
    let (_simulator, client) = lab().await;
    let group = client.security_group("web");
    assert!(group.rules().await.unwrap_err().is_not_found());
    assert_eq!(group.ensure("Web").await.unwrap(), Ensured::Created);
    assert_eq!(group.ensure("Web").await.unwrap(), Ensured::Unchanged);
    assert_eq!(
        group.ensure("Web servers").await.unwrap(),
        Ensured::Updated(vec!["comment".to_owned()])
    );
    let rules = [
        NewRule::accept_in()
            .with_ports("tcp", "80,443")
            .with_source("192.0.2.0/24"),
        NewRule::accept_in().with_icmp_type("icmp", "echo-request"),
    ];
    assert_eq!(
        group.ensure_rules("ours", &rules).await.unwrap(),
        Ensured::Created
    );
    assert_eq!(
        group.ensure_rules("ours", &rules).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(group.rules().await.unwrap()[0].extra["ipversion"], 4);
    assert_eq!(group.delete().await.unwrap_err().kind(), Kind::InUse);
    group.ensure_rules("ours", &[]).await.unwrap();
    assert_eq!(group.delete().await.unwrap(), Removed::Removed);
    assert_eq!(group.delete().await.unwrap(), Removed::Absent);
    assert!(client.security_groups().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_alias_is_one_whatever_its_capitals() {
    let (_simulator, client) = lab().await;
    let firewall = client.firewall();
    let wanted = AliasSettings::of("192.0.2.1").with_comment("Router");
    assert_eq!(
        firewall.alias("Gateway").ensure(&wanted).await.unwrap(),
        Ensured::Created
    );
    assert_eq!(
        firewall.alias("gateway").ensure(&wanted).await.unwrap(),
        Ensured::Unchanged
    );
    let moved = AliasSettings::of("192.0.2.254");
    let alias = firewall.alias("gateway");
    assert_eq!(
        alias.ensure(&moved).await.unwrap(),
        Ensured::Updated(vec!["cidr".to_owned()])
    );
    let known = alias.get().await.unwrap().unwrap();
    assert_eq!(
        (known.network.as_str(), known.ip_version),
        ("192.0.2.254", Some(4))
    );
    assert_eq!(
        known.comment.as_deref(),
        Some("Router"),
        "what is not named stays"
    );
    let uncommented = alias
        .update(&AliasSettings::new().with_comment(""))
        .await
        .unwrap();
    assert_eq!(uncommented, Ensured::Updated(vec!["comment".to_owned()]));
    assert_eq!(alias.get().await.unwrap().unwrap().comment, None);
    assert_eq!(alias.delete().await.unwrap(), Removed::Removed);
    assert_eq!(alias.delete().await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn an_ip_set_holds_what_is_wanted_and_nothing_else() {
    let (simulator, client) = lab().await;
    let guest = client.node("pve1").qemu(100).firewall();
    let set = guest.ip_set("peers");
    assert!(set.entries().await.unwrap_err().is_not_found());
    set.ensure("Peers").await.unwrap();
    assert_eq!(set.ensure("Peers").await.unwrap(), Ensured::Unchanged);
    let wanted = [
        NewIpSetEntry::new("192.0.2.77/24").with_comment("Racks"),
        NewIpSetEntry::new("192.0.2.13").excluded(),
        NewIpSetEntry::new("2001:DB8::1/128"),
    ];
    assert!(
        matches!(set.ensure_entries(&wanted).await.unwrap(), Ensured::Updated(all) if all.len() == 3)
    );
    let writes = simulator.journal().len();
    assert_eq!(
        set.ensure_entries(&wanted).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(simulator.journal().len(), writes + 1, "only read");
    let other = [
        NewIpSetEntry::new("192.0.2.0/24"),
        NewIpSetEntry::new("2001:db8::1"),
    ];
    assert_eq!(
        set.ensure_entries(&other).await.unwrap(),
        Ensured::Updated(vec!["192.0.2.0/24".to_owned(), "192.0.2.13".to_owned()])
    );
    let held = set.entries().await.unwrap();
    let mut held: Vec<&str> = held.iter().map(|entry| entry.network.as_str()).collect();
    held.sort_unstable();
    assert_eq!(held, ["192.0.2.0/24", "2001:db8::1"]);

    let unknown = set.add(&NewIpSetEntry::new("gateway")).await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown}");
    client
        .firewall()
        .alias("gateway")
        .ensure(&AliasSettings::of("192.0.2.1"))
        .await
        .unwrap();
    assert_eq!(
        set.add(&NewIpSetEntry::new("gateway")).await.unwrap(),
        Ensured::Created
    );
    let all = set.add(&NewIpSetEntry::new("0.0.0.0/0")).await.unwrap_err();
    assert_eq!(all.kind(), Kind::Parameter);
    assert_eq!(set.remove("192.0.2.5/24").await.unwrap(), Removed::Removed);
    assert_eq!(set.remove("192.0.2.5/24").await.unwrap(), Removed::Absent);
    assert_eq!(set.delete().await.unwrap(), Removed::Removed);
    assert_eq!(set.delete().await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn rules_name_only_what_is_there() {
    let (_simulator, client) = lab().await;
    let guest = client.node("pve1").qemu(100).firewall();
    let refused = [
        (
            NewRule::accept_in().with_source("admins"),
            "source",
            "no such alias 'admins'",
        ),
        (
            NewRule::accept_in().with_source("+dc/nodes"),
            "source",
            "no such ipset 'nodes'",
        ),
        (
            NewRule::accept_forward(),
            "type",
            "invalid rule type 'forward' for rule_env 'vm'",
        ),
        (
            NewRule::accept_in().with_interface("vmbr0"),
            "iface",
            "value does not match the regex pattern 'net\\d+'",
        ),
        (
            NewRule::accept_in().with_ports("", "80"),
            "proto",
            "missing property - 'dport' requires this property",
        ),
    ];
    for (rule, parameter, why) in refused {
        let error = guest.ensure_rules("ours", &[rule]).await.unwrap_err();
        assert_eq!(
            error.parameters().get(parameter).map(String::as_str),
            Some(why)
        );
    }
    client
        .firewall()
        .alias("Admins")
        .ensure(&AliasSettings::of("192.0.2.0/28"))
        .await
        .unwrap();
    client.firewall().ip_set("nodes").ensure("").await.unwrap();
    guest.ip_set("peers").ensure("").await.unwrap();
    let rules = [
        NewRule::accept_in().with_source("admins"),
        NewRule::accept_in().with_source("+dc/nodes"),
        NewRule::accept_out().with_destination("+peers"),
    ];
    guest.ensure_rules("ours", &rules).await.unwrap();
    let references = guest.references().await.unwrap();
    let told: Vec<(&ReferenceKind, &str, Option<&str>)> = references
        .iter()
        .map(|one| (&one.kind, one.reference.as_str(), one.scope.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (&ReferenceKind::IpSet, "+nodes", Some("dc")),
            (&ReferenceKind::Alias, "admins", Some("dc")),
            (&ReferenceKind::IpSet, "+peers", Some("guest")),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn options_are_typed_and_set_under_their_digest() {
    let (_simulator, client) = lab().await;
    let firewall = client.firewall();
    let wanted = FirewallSettings::new()
        .with_enabled(true)
        .with_policy_in(&Policy::Drop)
        .with_log_rate_limit("enable=1,burst=5,rate=1/second");
    assert!(matches!(
        firewall.ensure_settings(&wanted).await.unwrap(),
        Ensured::Updated(_)
    ));
    assert_eq!(
        firewall.ensure_settings(&wanted).await.unwrap(),
        Ensured::Unchanged
    );
    let options = firewall.options().await.unwrap();
    assert_eq!(options.enabled, Some(true));
    assert_eq!(options.policy_in, Some(Policy::Drop));
    let digest = options.digest.unwrap();
    firewall
        .ensure_settings(&FirewallSettings::new().without("policy_in"))
        .await
        .unwrap();
    assert_eq!(firewall.options().await.unwrap().policy_in, None);
    let late = FirewallSettings::new()
        .with_policy_out(&Policy::Reject)
        .with_digest(&digest);
    assert_eq!(
        firewall.ensure_settings(&late).await.unwrap_err().kind(),
        Kind::Conflict
    );
}
