//! The kubelet, the control plane, manifests.

use talos_client::documents::FreeForm;

use super::{holds, refused};

#[test]
fn kubelet_and_node() {
    let config = || FreeForm::new().with("maxPods", 250_i64);
    holds(
        |patch| {
            patch
                .kubelet_image("ghcr.io/siderolabs/kubelet:v1.35.0")
                .kubelet_extra_arg("v", "4")
                .kubelet_config(config())
                .kubelet_cluster_dns(["10.96.0.10"])
                .kubelet_valid_subnets(["10.0.20.0/24"])
                .node_label("rack", "a")
                .node_annotation("note", "b")
                .node_taint("gpu", "NoSchedule")
        },
        &[
            (
                10,
                13,
                &[
                    "+image: ghcr.io/siderolabs/kubelet:v1.35.0",
                    "+v: \"4\"",
                    "+maxPods: 250",
                    "+- 10.96.0.10",
                    "+- 10.0.20.0/24",
                    "+rack: a",
                    "+note: b",
                    "+gpu: NoSchedule",
                ],
            ),
            (
                14,
                14,
                &[
                    "+image: ghcr.io/siderolabs/kubelet:v1.35.0",
                    "+v: \"4\"",
                    "+maxPods: 250",
                    "+- 10.96.0.10",
                    "+- 10.0.20.0/24",
                    "+rack: a",
                    "+note: b",
                    "+gpu: NoSchedule",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.kubelet_extra_mount("/var/lib/longhorn"),
        &[(10, 13, &["+source: /var/lib/longhorn"])],
    );
    refused(
        |patch| patch.kubelet_extra_mount("/x"),
        &[14],
        "kubelet extra mount",
    );
    refused(
        |patch| patch.node_annotation("a", "b"),
        &[7],
        "came with v1.8",
    );
}

#[test]
fn control_plane() {
    let exempt = || FreeForm::from_yaml("exemptions:\n  namespaces: [longhorn-system]\n").unwrap();
    let policy = || {
        FreeForm::from_yaml("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n")
            .unwrap()
    };
    let scores = || FreeForm::from_yaml("profiles: [{schedulerName: dense}]\n").unwrap();
    holds(
        |patch| {
            patch
                .api_server_cert_sans(["k8s.lan"])
                .api_server_extra_arg("v", vec!["4", "5"])
                .admission_plugin("PodSecurity", exempt())
                .audit_policy(policy())
                .controller_manager_extra_arg("bind-address", "0.0.0.0")
                .scheduler_extra_arg("v", "6")
                .scheduler_config(scores())
                .etcd_extra_arg("listen-metrics-urls", "http://0.0.0.0:2381")
                .etcd_advertised_subnets(["10.0.20.0/24", "!10.0.20.10/32"])
                .talos_api_access(["os:reader"], ["kube-system"])
        },
        &[(
            10,
            14,
            &[
                "+- k8s.lan",
                "+- \"5\"",
                "+- longhorn-system",
                "+- level: None",
                "+bind-address: 0.0.0.0",
                "+v: \"6\"",
                "+- schedulerName: dense",
                "+listen-metrics-urls: http://0.0.0.0:2381",
                "+- '!10.0.20.10/32'",
                "+- os:reader",
                "+- kube-system",
            ],
        )],
    );
    holds(
        |patch| patch.cni_none().kube_proxy_disabled().kube_prism(7446),
        &[
            (10, 13, &["+name: none", "+disabled: true", "+port: 7446"]),
            (
                14,
                14,
                &[
                    "-kind: KubeFlannelCNIConfig",
                    "-kind: KubeProxyConfig",
                    "+port: 7446",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.kube_prism_disabled(),
        &[
            (10, 13, &["+enabled: false"]),
            (14, 14, &["-kind: KubePrismConfig"]),
        ],
    );
    holds(
        |patch| {
            patch
                .pod_subnets(["10.42.0.0/16"])
                .service_subnets(["10.43.0.0/16"])
        },
        &[(
            10,
            14,
            &[
                "-- 10.244.0.0/16",
                "+- 10.42.0.0/16",
                "-- 10.96.0.0/12",
                "+- 10.43.0.0/16",
            ],
        )],
    );
    holds(
        |patch| patch.allow_scheduling_on_control_planes(),
        &[(10, 13, &["+allowSchedulingOnControlPlanes: true"])],
    );
    refused(
        |patch| patch.allow_scheduling_on_control_planes(),
        &[14],
        "scheduling on control planes",
    );
    refused(
        |patch| patch.pod_subnets(["10.42.0.0"]),
        &[11, 14],
        "pod subnet",
    );
}

#[test]
fn manifests() {
    holds(
        |patch| {
            patch
                .inline_manifest("ns", "kind: Namespace\n")
                .extra_manifest("crds", "https://a.example/crds.yaml")
                .extra_manifest_with(
                    "more",
                    "https://a.example/more.yaml",
                    [("Authorization", "Bearer x")],
                )
        },
        &[
            (
                10,
                13,
                &[
                    "+- name: ns",
                    "+- https://a.example/crds.yaml",
                    "+- https://a.example/more.yaml",
                    "+Authorization: Bearer x",
                ],
            ),
            (
                14,
                14,
                &[
                    "+kind: KubeInlineManifestConfig",
                    "+name: crds",
                    "+url: https://a.example/crds.yaml",
                    "+Authorization: Bearer x",
                ],
            ),
        ],
    );
}
