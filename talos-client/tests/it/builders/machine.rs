//! Installation, time, the kernel, services, registries.

use std::time::Duration;
use talos_client::Ca;
use talos_client::PatchBuilder;
use talos_client::RegistryMirror;
use talos_client::SecretsBundle;
use talos_client::documents::DiskType;
use talos_client::documents::v1alpha1::InstallDiskSelector;

use super::{holds, refused};

#[test]
fn installation() {
    holds(
        |patch| {
            patch
                .install_disk("/dev/vdb")
                .install_image("a.example/installer:v1")
                .install_wipe(true)
        },
        &[
            (
                10,
                13,
                &[
                    "+disk: /dev/vdb",
                    "+image: a.example/installer:v1",
                    "+wipe: true",
                ],
            ),
            (
                14,
                14,
                &[
                    "+match: disk.dev_path == \"/dev/vdb\"",
                    "+image: a.example/installer:v1",
                    "+wipe: true",
                ],
            ),
        ],
    );
    let selector = || {
        InstallDiskSelector::new()
            .with_size(">= 100GB")
            .with_model("WD*")
            .with_type(DiskType::Nvme)
    };
    holds(
        |patch| patch.install_disk_selector(selector()),
        &[
            (
                10,
                13,
                &[
                    "+diskSelector:",
                    "+size: '>= 100GB'",
                    "+model: WD*",
                    "+type: nvme",
                ],
            ),
            (
                14,
                14,
                &[
                    "+match: disk.size >= 100000000000u && glob(\"WD*\", disk.model) && disk.transport != \"\" && disk.transport == \"nvme\" && !disk.readonly && !disk.cdrom",
                ],
            ),
        ],
    );
    let by_name = |patch: PatchBuilder| patch.install_disk_selector(selector().with_name("x"));
    refused(by_name, &[13, 14], "install disk selector name");
    let arguments = |patch: PatchBuilder| patch.install_kernel_args(["console=ttyS0"]);
    holds(
        |patch| patch.install_kernel_args(["console=ttyS0"]),
        &[(10, 11, &["+- console=ttyS0"])],
    );
    refused(arguments, &[14], "kernel arguments");
}

#[test]
fn time() {
    holds(
        |patch| {
            patch
                .time_servers(["ntp.lan"])
                .time_boot_timeout(Duration::from_secs(90))
        },
        &[
            (10, 11, &["+time:", "+- ntp.lan", "+bootTimeout: 1m30s"]),
            (
                12,
                14,
                &["+kind: TimeSyncConfig", "+- ntp.lan", "+bootTimeout: 1m30s"],
            ),
        ],
    );
    holds(
        |patch| patch.time_sync(false),
        &[
            (10, 11, &["+disabled: true"]),
            (12, 14, &["+enabled: false"]),
        ],
    );
}

#[test]
fn kernel_and_environment() {
    holds(
        |patch| {
            patch
                .sysctl("vm.max_map_count", "262144")
                .sysfs("module.kvm.parameters.halt_poll_ns", "0")
                .kernel_module("nvme_tcp")
                .kernel_module_with("zfs", ["zfs_arc_max=1"])
                .udev_rule("SUBSYSTEM==\"drm\", MODE=\"0660\"")
        },
        &[
            (
                10,
                13,
                &[
                    "+sysctls:",
                    "+vm.max_map_count: \"262144\"",
                    "+sysfs:",
                    "+- name: nvme_tcp",
                    "+- zfs_arc_max=1",
                    "+udev:",
                ],
            ),
            (
                14,
                14,
                &[
                    "+kind: SysctlConfig",
                    "+vm.max_map_count: \"262144\"",
                    "+kind: SysfsConfig",
                    "+name: nvme_tcp",
                    "+- zfs_arc_max=1",
                    "+kind: UdevRulesConfig",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.environment("https_proxy", "http://proxy.lan:3128"),
        &[
            (10, 12, &["+env:", "+https_proxy: http://proxy.lan:3128"]),
            (
                13,
                14,
                &[
                    "+kind: EnvironmentConfig",
                    "+https_proxy: http://proxy.lan:3128",
                ],
            ),
        ],
    );
}

#[test]
fn services_of_the_node() {
    let certificate = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
    holds(
        |patch| {
            patch
                .extension_service(
                    "nut-client",
                    [("/usr/local/etc/nut/upsmon.conf", "MONITOR ups\n")],
                    ["A=b"],
                )
                .watchdog("/dev/watchdog0", Duration::from_secs(60))
        },
        &[(
            10,
            14,
            &[
                "+kind: ExtensionServiceConfig",
                "+mountPath: /usr/local/etc/nut/upsmon.conf",
                "+- A=b",
                "+kind: WatchdogTimerConfig",
                "+timeout: 1m0s",
            ],
        )],
    );
    holds(
        |patch| patch.image_cache(true),
        &[
            (10, 13, &["+imageCache:", "+localEnabled: true"]),
            (14, 14, &["+kind: ImageCacheConfig", "+enabled: true"]),
        ],
    );
    holds(
        |patch| patch.trusted_roots("lan", certificate),
        &[(10, 14, &["+kind: TrustedRootsConfig", "+name: lan"])],
    );
    holds(
        |patch| patch.cert_sans(["api.lan"]),
        &[(10, 14, &["+- api.lan"])],
    );
    refused(
        |patch| patch.watchdog("/dev/watchdog0", Duration::from_secs(60)),
        &[6],
        "came with v1.7",
    );
    refused(|patch| patch.image_cache(true), &[8], "came with v1.9");
}

#[test]
fn registries() {
    let authority = SecretsBundle::fixed_for_tests().ca_certificate(Ca::Os);
    let certificate = authority.unwrap();
    holds(
        |patch| {
            patch
                .registry_mirror(
                    RegistryMirror::new("docker.io")
                        .endpoint("https://mirror.lan/v2/hub")
                        .override_path()
                        .skip_fallback(true),
                )
                .registry_auth("reg.lan", "me", "pass")
                .registry_insecure("reg.lan")
                .registry_ca("other.lan", &certificate)
        },
        &[
            (
                10,
                11,
                &[
                    "+mirrors:",
                    "+- https://mirror.lan/v2/hub",
                    "+overridePath: true",
                    "+skipFallback: true",
                    "+password: pass",
                    "+insecureSkipVerify: true",
                ],
            ),
            (
                12,
                14,
                &[
                    "+kind: RegistryMirrorConfig",
                    "+- url: https://mirror.lan/v2/hub",
                    "+overridePath: true",
                    "+skipFallback: true",
                    "+kind: RegistryAuthConfig",
                    "+password: pass",
                    "+kind: RegistryTLSConfig",
                    "+insecureSkipVerify: true",
                ],
            ),
        ],
    );
    refused(
        |patch| patch.registry_mirror(RegistryMirror::new("a").skip_fallback(true)),
        &[8],
        "came with v1.9",
    );
}
