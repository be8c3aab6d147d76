//! Services of nodes.

use proxmox_client::Kind;
use proxmox_client::service::{ActiveState, ServiceChange};
use proxmox_client::simulator::{NodeSpec, Simulator, World};

#[tokio::test(start_paused = true)]
async fn a_service_is_stopped_started_and_left_alone() {
    let simulator = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 4, 8 << 30)));
    let node = simulator.connect().node("pve1");
    let service = node.service("pvestatd");
    assert_eq!(
        service.ensure_running().await.unwrap(),
        ServiceChange::Unchanged
    );
    assert_eq!(
        service.ensure_stopped().await.unwrap(),
        ServiceChange::Stopped
    );
    assert_eq!(
        service.ensure_stopped().await.unwrap(),
        ServiceChange::Unchanged
    );
    service.reload().await.unwrap();
    let status = service.status().await.unwrap();
    assert_eq!(
        (status.is_running(), status.active),
        (false, Some(ActiveState::Inactive))
    );
    service.restart().await.unwrap();
    assert!(service.status().await.unwrap().is_running());
    let other = simulator.connect().node("pve2").service("pvestatd");
    assert!(
        other.status().await.unwrap().is_running(),
        "each node has its own"
    );
    let all = node.services().await.unwrap();
    let absent: Vec<&str> = all
        .iter()
        .filter(|one| !one.is_installed())
        .map(|one| one.service.as_str())
        .collect();
    assert_eq!(absent, ["pve-lxc-syscalld", "syslog", "systemd-timesyncd"]);
    assert_eq!(simulator.with(|world| world.tasks().count()), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_node_cannot_be_reached_without_is_not_stopped() {
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    let error = node.service("pveproxy").stop().await.unwrap_err();
    assert_eq!(
        error.message(),
        "invalid service cmd 'pveproxy stop': refusing to stop essential service!"
    );
    assert!(
        node.service("pveproxy")
            .status()
            .await
            .unwrap()
            .is_running()
    );
    let unknown = node.service("httpd").status().await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::Parameter);
}
