//! Firewall files: read, checked, changed, printed.

use proptest::prelude::*;
use proxmox_client::firewall_file::{FileRule, FirewallFile, Level, Section};

const CLUSTER: &str = "\
[OPTIONS]
policy_in: DROP
enable: 1

[ALIASES]
Router 192.0.2.1 # at the door
racks 192.0.2.0/24

[IPSET nodes] # all of them

!192.0.2.13
racks
2001:db8::/64 # six

[RULES]

GROUP web
|IN SSH(ACCEPT) -source +dc/nodes -log info # off
FORWARD DROP -p tcp -sport 1000:2000

[group WEB]

IN ACCEPT -p tcp -dport 80,443
IN ACCEPT -p icmp -dport echo-request";

fn told(file: &FirewallFile, cluster: Option<&FirewallFile>) -> Vec<String> {
    file.problems(cluster)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_file_prints_as_it_was_and_its_sections_are_read() {
    let file = FirewallFile::parse(Level::Cluster, CLUSTER);
    assert_eq!(file.to_string(), CLUSTER);
    assert_eq!(told(&file, None), [] as [&str; 0]);
    assert_eq!(file.option("Policy_In").as_deref(), Some("DROP"));
    let aliases = file.aliases();
    assert_eq!(
        (aliases[0].name.as_str(), aliases[0].comment.as_deref()),
        ("Router", Some("at the door"))
    );
    let entries = file.ip_set("nodes");
    assert!(entries[0].excluded && entries[0].network == "192.0.2.13");
    assert_eq!(entries[2].comment.as_deref(), Some("six"));
    assert_eq!(file.groups().collect::<Vec<_>>(), ["web"]);
    let rules = file.rules(&Section::Rules);
    assert!(rules[0].is_group() && rules[0].action == "web");
    assert_eq!(
        (rules[1].enabled, rules[1].service.as_deref()),
        (false, Some("SSH"))
    );
    assert_eq!(file.rules(&Section::Group("web".into())).len(), 2);
}

#[test]
fn what_the_server_skips_is_named_with_its_line() {
    let wrong = [
        ("enable: 1", "this stands in no section"),
        ("[OPTIONS]\ndhcp: maybe", "`dhcp` cannot be `maybe`"),
        (
            "[OPTIONS]\nnosmurfs: 1",
            "`nosmurfs` is no option of such a firewall",
        ),
        (
            "[OPTIONS]\nenable 1",
            "`enable 1` is no option: `key: value`",
        ),
        (
            "[OPTIONS]\n[GROUP web]",
            "`[GROUP web]` is no section of such a file",
        ),
        (
            "[RULES]\nIN",
            "`IN` is no rule: direction and action are missing",
        ),
        (
            "[RULES]\nIN ALLOW",
            "`ALLOW` is none of ACCEPT, DROP, REJECT",
        ),
        (
            "[RULES]\nFORWARD DROP",
            "`forward` is none of in, out, group here",
        ),
        ("[RULES]\nIN ACCEPT -dport 80", "`-dport` needs a protocol"),
        (
            "[RULES]\nIN ACCEPT -p gre -dport 80",
            "`-dport`: gre has no ports",
        ),
        (
            "[RULES]\nIN ACCEPT -p tcp -dport 90:80",
            "`-dport`: the range 90:80 runs backwards",
        ),
        (
            "[RULES]\nIN ACCEPT -p tcp -dport 65536",
            "`-dport`: `65536` is no port",
        ),
        ("[RULES]\nIN ACCEPT -p tpc", "`tpc` is no protocol"),
        (
            "[RULES]\nIN ACCEPT -p icmp -icmp-type ping",
            "`ping` is no ICMP type",
        ),
        (
            "[RULES]\nIN ACCEPT -i vmbr0",
            "`vmbr0` is no card of a guest, such as net0",
        ),
        (
            "[RULES]\nIN ACCEPT -source 192.0.2.300",
            "`192.0.2.300` is no address, network, range, alias or +IP set",
        ),
        (
            "[RULES]\nIN ACCEPT -source 192.0.2.1,2001:db8::1",
            "IPv4 and IPv6 are mixed in one list",
        ),
        (
            "[RULES]\nIN ACCEPT -source 192.0.2.1 -dest ::1",
            "IPv4 and IPv6 are mixed in one rule",
        ),
        (
            "[RULES]\nIN ACCEPT -source 192.0.2.9-192.0.2.1",
            "`192.0.2.9-192.0.2.1` is no address, network, range, alias or +IP set",
        ),
        (
            "[RULES]\nIN ACCEPT -source +1x",
            "`+1x` is no name of an IP set",
        ),
        (
            "[RULES]\nIN ACCEPT -source guest/gone",
            "there is no alias `guest/gone`",
        ),
        (
            "[ALIASES]\na1  192.0.2.1",
            "an alias is a name, one blank and an address or network",
        ),
        (
            "[ALIASES]\na1 192.0.2.0/33",
            "`192.0.2.0/33` is no address or network",
        ),
        (
            "[ALIASES]\na1 192.0.2.1\nA1 192.0.2.2",
            "the alias `A1` stands twice",
        ),
        (
            "[IPSET s1]\n0.0.0.0/0",
            "`0.0.0.0/0`: an IP set cannot hold every address",
        ),
        (
            "[IPSET s1]\n192.0.2.1\n192.0.2.1/32",
            "`192.0.2.1/32` stands twice",
        ),
        (
            "[IPSET s1]\n[IPSET S1]",
            "this stands twice; the first one is lost",
        ),
    ];
    for (text, why) in wrong {
        let file = FirewallFile::parse(Level::Guest, text);
        assert_eq!(file.to_string(), text);
        let line = text.lines().count();
        assert_eq!(
            told(&file, None),
            [format!("line {line}, column 1: {why}")],
            "{text}"
        );
    }
    let long = FirewallFile::parse(
        Level::Cluster,
        "[group a-name-that-is-too-long]\nIN ACCEPT\n",
    );
    assert_eq!(long.problems(None).len(), 2, "its rules belong to nothing");
}

#[test]
fn names_of_the_cluster_are_checked_only_beside_its_file() {
    let text = "[RULES]\nGROUP db\nIN ACCEPT -source router\nOUT DROP -dest +nodes\nIN DROP -source dc/gone\n";
    let guest = FirewallFile::parse(Level::Guest, text);
    assert_eq!(told(&guest, None), [] as [&str; 0]);
    let cluster = FirewallFile::parse(Level::Cluster, CLUSTER);
    assert_eq!(
        told(&guest, Some(&cluster)),
        [
            "line 2, column 1: there is no security group `db`",
            "line 5, column 1: there is no alias `dc/gone`"
        ]
    );
}

#[test]
fn options_and_rules_are_changed_where_they_stand() {
    let mut file = FirewallFile::parse(
        Level::Node,
        "# ours\n[Options]\n\nENABLE: 1\n\n[RULES]\nIN DROP",
    );
    file.set_option("enable", "0");
    file.set_option("ndp", "1");
    let mut rule = FileRule::new("in", "ACCEPT");
    rule.protocol = Some("tcp".to_owned());
    rule.destination_port = Some("22".to_owned());
    file.push_rule(&Section::Rules, &rule);
    let expected =
        "# ours\n[Options]\n\nenable: 0\nndp: 1\n\n[RULES]\nIN DROP\nIN ACCEPT -p tcp -dport 22\n";
    assert_eq!(file.to_string(), expected);
    assert!(file.remove_option("NDP"));
    assert!(!file.remove_option("ndp"));
    let mut empty = FirewallFile::parse(Level::Cluster, "");
    empty.push_rule(&Section::Group("web".to_owned()), &rule);
    assert_eq!(
        empty.to_string(),
        "[group web]\nIN ACCEPT -p tcp -dport 22\n"
    );
}

fn words() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[A-Za-z0-9+/:.,_-]{1,12}")
}

proptest! {
    #[test]
    fn every_rule_is_read_as_it_was_written(
        (enabled, direction) in (any::<bool>(), "in|out|forward"),
        (service, action) in (proptest::option::of("[A-Za-z0-9]{1,8}"), "ACCEPT|DROP|REJECT"),
        (interface, source, destination, protocol) in (words(), words(), words(), words()),
        (destination_port, source_port, icmp_type) in (words(), words(), words()),
        (log, comment) in (proptest::option::of("info|nolog"), proptest::option::of("[a-z][a-z #]{0,9}[a-z]")),
    ) {
        let mut rule = FileRule::new(&direction, &action);
        rule.enabled = enabled;
        rule.service = service;
        rule.interface = interface;
        rule.source = source;
        rule.destination = destination;
        rule.protocol = protocol;
        rule.destination_port = destination_port;
        rule.source_port = source_port;
        rule.icmp_type = icmp_type;
        rule.log = log;
        rule.comment = comment;
        prop_assert_eq!(rule.to_string().parse::<FileRule>().unwrap(), rule);
    }

    #[test]
    fn any_text_prints_as_it_was(text in "(\\[(OPTIONS|RULES|IPSET a1|x)\\]|[a-z: |#!\\n-]{0,9}|\\n)*") {
        for level in [Level::Cluster, Level::Node, Level::Guest, Level::Vnet] {
            let file = FirewallFile::parse(level, &text);
            prop_assert_eq!(file.to_string(), text.clone());
            let _ = file.problems(Some(&file));
        }
    }
}
