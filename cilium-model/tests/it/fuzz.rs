//! Parsers under mutated input: never a panic, and what is accepted is read back as it was written. Each target runs for
//! FUZZ_SECONDS (default 1); the seed of a run is printed when it fails.

use std::time::{Duration, Instant};

use cilium_model::Manifest;
use cilium_model::hubble::{FilterSet, Flow, FlowFilter};
use cilium_model::install::{InstallValues, Version};
use cilium_model::manifest;
use cilium_model::policy::verdict::{Options, Policy, PolicySet};

const POLICY: &str = r#"apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop, labels: {a: "b"}}
specs:
- endpointSelector: {matchExpressions: [{key: app, operator: In, values: [web, "x"]}]}
  ingress:
  - fromEndpoints: [{matchLabels: {'k8s:app': db}}, {}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}, {port: http, endPort: 90}]
      rules: {http: [{method: GET, path: "/v1/.*", headers: ["X-A: b"]}]}
  egress:
  - toFQDNs: [{matchPattern: "*.example.org"}]
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: a.example.org}]}}]
  - icmps: [{fields: [{type: EchoRequest, family: IPv4}]}]
  egressDeny: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]}]
"#;

const ROUTE: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{name: gw, sectionName: https}]
  hostnames: ["*.example.org"]
  rules:
  - matches: [{path: {type: PathPrefix, value: /a%20b}, headers: [{name: x, value: y}]}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    timeouts: {request: 10s, backendRequest: 500ms}
    backendRefs: [{name: app, port: 80}]
"#;

const VALUES: &str = "a: &x {b: [1, 2.5, ~, no]}\nhubble: {relay: {enabled: true}}\n<<: *x\nencryption:\n  type: wireguard\n  strictMode: {cidr: 'x'}\n? k\n: |\n  text\n";

const FILTER: &str = r#"{"source_ip": ["10.0.0.0/8"], "source_label": ["k8s:app in (a, b), !c, d!=e"], "source_fqdn": ["*.a.b."],
"destination_port": ["80"], "http_status_code": ["5+"], "http_path": ["/v1/.*"], "node_name": ["east/*"],
"event_type": [{"type": 129}], "protocol": ["tcp"], "tcp_flags": [{"SYN": true}]}"#;

/// A small generator (xorshift), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (sides.max(1) as u64)).unwrap_or(0)
    }
}

const PIECES: [&str; 24] = [
    "",
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "*",
    "&x",
    "*x",
    "<<: ",
    "!!str ",
    "|\n",
    "0x7f",
    "-1",
    "99999999999999999999",
    "\u{feff}",
    "é\u{0}",
    "---\n",
    "null",
];

fn mutate(seed: &str, dice: &mut Dice) -> String {
    let mut text: Vec<char> = seed.chars().collect();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(text.len() + 1);
        match dice.roll(4) {
            0 => {
                let end = (at + dice.roll(12)).min(text.len());
                text.drain(at.min(end)..end);
            }
            1 => {
                let piece = PIECES[dice.roll(PIECES.len())];
                text.splice(at..at, piece.chars());
            }
            2 => {
                let from = dice.roll(text.len() + 1);
                let end = (from + dice.roll(40)).min(text.len());
                let copy: Vec<char> = text[from.min(end)..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                if let Some(c) = text.get_mut(at) {
                    *c = char::from(u8::try_from(dice.roll(128)).unwrap_or(b' '));
                }
            }
        }
    }
    text.into_iter().collect()
}

fn run(seeds: &[&str], target: impl Fn(&str)) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    for seed in seeds {
        target(seed);
    }
    let mut round = 0_u64;
    while Instant::now() < until {
        for (n, seed) in seeds.iter().enumerate() {
            round += 1;
            let number = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n as u64 + 1);
            let text = mutate(seed, &mut Dice(number | 1));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&text)));
            assert!(outcome.is_ok(), "seed {number}: {text:?}");
        }
    }
}

#[test]
fn manifests() {
    run(&[POLICY, ROUTE], |text| {
        let Ok(objects) = Manifest::read_all(text) else {
            return;
        };
        let printed = Manifest::write_all(&objects);
        assert_eq!(Manifest::read_all(&printed).unwrap(), objects, "{printed}");
        for object in &objects {
            let _ = object.validate_strict();
        }
    });
}

#[test]
fn plain_yaml() {
    run(&[VALUES, POLICY], |text| {
        let Ok(values) = manifest::untyped(text) else {
            return;
        };
        for value in values.into_iter().filter(serde_json::Value::is_object) {
            let object = serde_json::json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup",
                "metadata": {}, "spec": {}, "inner": value});
            let read = Manifest::from_json(&object).unwrap();
            let text = Manifest::write_all([&read]);
            assert_eq!(manifest::untyped(&text).unwrap(), vec![object], "{text}");
        }
    });
}

#[test]
fn policies() {
    run(&[POLICY], |text| {
        if let Ok(policies) = Policy::read_all(text) {
            let _ = PolicySet::new(policies, Options::default());
        }
    });
}

#[test]
fn values() {
    run(&[VALUES], |text| {
        if let Ok(values) = InstallValues::from_yaml(text) {
            let again = InstallValues::from_yaml(&values.to_yaml()).unwrap();
            assert_eq!(again, values);
            let _ = InstallValues::check_yaml(text, Version::V1_20);
        }
    });
}

#[test]
fn flow_filters() {
    run(&[FILTER], |text| {
        let Ok(value) = serde_json::from_str(text) else {
            return;
        };
        if let Ok(filter) = FlowFilter::from_json(&value)
            && let Ok(set) = FilterSet::new([filter], [])
        {
            let _ = set.matches(&Flow::new());
        }
    });
}
