//! Input that the checks of `cluster.yaml` would have refused, or could not know of: the lab fails where and as reality would.

use std::net::Ipv4Addr;

use homelab::lab::gate::Gate;
use homelab::spec::Spec;
use homelab::spec::quantity::Bytes;
use homelab::spec::version::Version;

use super::program::{Program, environment, stories};

/// Builds a development cluster on a lab that follows from another description than the program's.
async fn failure_of(change: impl FnOnce(&mut Spec), disturb: impl FnOnce(&Program)) -> String {
    let mut spec = environment("development");
    change(&mut spec);
    let program = Program::new(&spec, Gate::open());
    disturb(&program);
    let failures = program.up().await.expect_err("it was built all the same");
    stories(&failures)
}

fn assert_says(story: &str, parts: &[&str]) {
    for part in parts {
        assert!(story.contains(part), "{part:?} is not in:\n{story}");
    }
}

fn without(_: &Program) {}

#[tokio::test(start_paused = true)]
async fn an_install_disk_that_the_machine_does_not_have_is_named_with_those_that_it_has() {
    let story = failure_of(
        |spec| spec.nodes[1].install_disk = "/dev/vda".to_owned(),
        without,
    );
    assert_says(
        &story.await,
        &[
            "worker-1",
            "has no disk /dev/vda to install to",
            "has: /dev/sda, /dev/sdb",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_virtual_address_outside_of_the_nodes_network_never_answers() {
    let outside = Ipv4Addr::new(10, 99, 0, 5);
    let story = failure_of(|spec| spec.api.vip = outside, without);
    assert_says(&story.await, &["10.99.0.5", "gave up after 900 s"]);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_for_a_newer_contract_is_refused_by_the_older_image() {
    let newer = |spec: &mut Spec| {
        spec.versions.talos = Version::new("v1.14.0").unwrap();
    };
    let older = |program: &Program| {
        program.lab.wiring().with_images(|images| {
            for image in images.values_mut() {
                image.version = "v1.12.0".to_owned();
            }
        });
    };
    let story = failure_of(newer, older).await;
    assert_says(&story, &["cp-1", "v1alpha1", "not registered"]);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_with_too_little_memory_refuses_its_configuration() {
    let story = failure_of(|spec| spec.nodes[0].memory = Bytes::mib(1024), without);
    assert_says(
        &story.await,
        &["cp-1", "1024 MiB of memory are less than the 1946 MiB"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_rule_for_name_lookups_is_named_with_both_ends() {
    let forget = |program: &Program| {
        program
            .lab
            .wiring()
            .kubernetes()
            .with_environment(|environment| {
                for objects in environment.git.values_mut() {
                    objects.retain(|object| object["metadata"]["name"] != "allow-dns");
                }
            });
    };
    let story = failure_of(|_| {}, forget).await;
    assert_says(&story, &["-> coredns:53/udp is denied"]);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_the_iscsi_extension_keeps_longhorn_from_starting() {
    let strip = |program: &Program| {
        program.lab.wiring().with_images(|images| {
            for image in images.values_mut() {
                image.extensions.retain(|name| name != "iscsi-tools");
            }
        });
    };
    let story = failure_of(|_| {}, strip).await;
    assert_says(
        &story,
        &[
            "longhorn",
            "iscsi-tools, which the image of worker-1 does not have",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_the_host_does_not_have_is_refused_by_proxmox() {
    let story = failure_of(
        |spec| spec.nodes[2].disk.storage = "local-zfs".to_owned(),
        without,
    );
    assert_says(
        &story.await,
        &["worker-2", "storage 'local-zfs' does not exist"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_that_another_machine_has_is_left_alone() {
    let occupy = |program: &Program| {
        program.lab.wiring().proxmox().with(|world| {
            let foreign = proxmox_client::QemuConfig::new().with_name("nas");
            *world = world.clone().with_guest("pve1", 6101, &foreign);
        });
    };
    let story = failure_of(|_| {}, occupy).await;
    assert_says(&story, &["cp-1", "vmid 6101 belongs to VM \"nas\" on pve1"]);
}
