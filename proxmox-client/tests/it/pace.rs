//! How near a client comes to the time that the server itself needs.

use std::time::Duration;

use futures::StreamExt;
use proxmox_client::simulator::{Daemon, Simulator, World};
use proxmox_client::{Client, CloneOptions, IpRule, Limits, QemuConfig, Size};

const CLONE: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(1);
const BOOT: Duration = Duration::from_secs(2);

/// A server with three workers and a template 9000, on the paused clock.
fn server() -> Simulator {
    let template = QemuConfig::new()
        .with("template", 1)
        .with("agent", "1")
        .with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
        .with("ide2", "local:9000/vm-9000-cloudinit.qcow2,media=cdrom")
        .with("scsi0", "local:9000/base-9000-disk-0.qcow2,size=2G");
    let mut world = World::lab()
        .with_daemon(Daemon::measured())
        .with_guest("pve1", 9000, &template);
    let times = world.durations_mut();
    (times.linked_clone, times.start, times.agent_up) = (CLONE, START, Some(BOOT));
    (times.start_cloud_init, times.start_card) = (Duration::ZERO, Duration::ZERO);
    Simulator::at_real_speed(world)
}

fn client(simulator: &Simulator, at_once: usize) -> Client {
    let limits = Limits::default()
        .with_tasks_per_node(at_once)
        .with_clones_per_source(at_once);
    simulator
        .builder()
        .token("root@pam!lab=lab-secret")
        .limits(limits)
        .build()
        .unwrap()
}

/// From a clone to an address.
async fn machine(client: Client, vmid: u32, rule: IpRule) {
    let template = client.node("pve1").qemu(9000);
    let vm = template.clone_to(vmid, CloneOptions::new()).await;
    let vm = vm.unwrap().qemu;
    let wanted = QemuConfig::new()
        .with("ipconfig0", "ip=192.0.2.7/24")
        .with_cores(2);
    vm.ensure_config(&wanted).await.unwrap();
    vm.grow_disk("scsi0", Size::gib(8)).await.unwrap();
    vm.start().await.unwrap();
    vm.wait_for_ip(rule).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn machines_are_there_in_little_more_than_the_time_that_the_server_works() {
    for (machines, at_once) in [(20_usize, 1), (40, 8)] {
        let simulator = server();
        let client = client(&simulator, at_once);
        let rule = IpRule::ipv4().with_first_look(BOOT);
        let begun = simulator.clock().now();
        futures::stream::iter(100..100 + machines as u32)
            .map(|vmid| machine(client.clone(), vmid, rule.clone()))
            .buffer_unordered(at_once)
            .collect::<()>()
            .await;
        let took = simulator.clock().now().duration_since(begun).unwrap();
        let work = (CLONE + START + BOOT) * machines.div_ceil(at_once) as u32;
        let ratio = took.as_secs_f64() / work.as_secs_f64();
        assert!(ratio < 1.2, "{at_once} at once: {took:?} for {work:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn guests_that_do_not_answer_yet_leave_a_worker_to_others() {
    let simulator = server();
    simulator.with(|world| world.durations_mut().agent_up = Some(Duration::from_secs(60)));
    let client = client(&simulator, 8);
    let rule = IpRule::ipv4().with_poll(Duration::from_millis(100));
    let guests = futures::future::join_all(
        (100..108).map(|vmid| machine(client.clone(), vmid, rule.clone())),
    );
    let other = async {
        // By now all guests are waited for.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let begun = simulator.clock().now();
        let template = client.node("pve1").qemu(9000);
        let wanted = QemuConfig::new().with("description", "seen");
        template.ensure_config(&wanted).await.unwrap();
        simulator.clock().now().duration_since(begun).unwrap()
    };
    let (_, took) = futures::join!(guests, other);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
