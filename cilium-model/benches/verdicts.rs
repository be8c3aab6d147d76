//! How many verdicts a second, on a cluster's worth of policies.

use cilium_model::policy::verdict::{Endpoint, Flow, HttpRequest, PolicySet};
use criterion::{Criterion, Throughput};

const APPS: usize = 40;

/// A default deny, DNS and one allow a namespace: 121 policies.
fn policies() -> String {
    let mut text = String::new();
    for n in 0..APPS {
        let next = (n + 1) % APPS;
        text.push_str(&format!(
            "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: deny, namespace: ns{n}}}
spec: {{endpointSelector: {{}}, ingress: [{{}}], egress: [{{}}]}}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: out, namespace: ns{n}}}
spec:
  endpointSelector: {{matchLabels: {{app: app{n}}}}}
  egress:
  - toEndpoints: [{{matchLabels: {{app: app{next}, io.kubernetes.pod.namespace: ns{next}}}}}]
    toPorts: [{{ports: [{{port: '8080', protocol: TCP}}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: in, namespace: ns{next}}}
spec:
  endpointSelector: {{matchLabels: {{app: app{next}}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: app{n}, io.kubernetes.pod.namespace: ns{n}}}}}]
    toPorts: [{{ports: [{{port: '8080', protocol: TCP}}], rules: {{http: [{{method: GET, path: /v1/.*}}]}}}}]
---
"
        ));
    }
    text
}

fn benches(c: &mut Criterion) {
    let text = policies();
    c.bench_function("read and compile 120 policies", |b| {
        b.iter(|| PolicySet::from_yaml(&text))
    });
    let set = PolicySet::from_yaml(&text).expect("valid policies");
    let pods: Vec<Endpoint> = (0..APPS)
        .map(|n| Endpoint::pod(format!("ns{n}"), [("app", format!("app{n}"))]))
        .collect();
    let mut group = c.benchmark_group("matrix");
    group.throughput(Throughput::Elements((APPS * APPS) as u64));
    group.bench_function("every pair of 40 pods, both sides, with a request", |b| {
        b.iter(|| {
            let request = HttpRequest::new("GET", "/v1/items");
            let mut allowed = 0;
            for source in &pods {
                for destination in &pods {
                    let flow = Flow::tcp(source, destination, 8080).with_request(request.clone());
                    allowed += usize::from(set.evaluate(&flow).is_allowed());
                }
            }
            assert_eq!(allowed, APPS);
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}
