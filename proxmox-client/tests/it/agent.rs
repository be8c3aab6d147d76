//! The agent inside a guest.

use std::net::IpAddr;
use std::time::Duration;

use proxmox_client::simulator::{GuestCommand, Simulator, World};
use proxmox_client::{GuestInterface, IpRule, Kind, Qemu, QemuConfig};

async fn guest(world: World) -> (Simulator, Qemu) {
    let simulator = Simulator::new(world);
    let config = QemuConfig::new()
        .with("agent", "1")
        .with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
        .with("ipconfig0", "ip=192.0.2.31/24,gw=192.0.2.1");
    let node = simulator.connect().node("pve1");
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    qemu.start().await.unwrap();
    (simulator, qemu)
}

#[tokio::test(start_paused = true)]
async fn an_address_is_waited_for_until_the_agent_tells_it() {
    let (simulator, qemu) = guest(World::lab()).await;
    let rule = IpRule::ipv4().with_poll(Duration::from_millis(5));
    let address = qemu.wait_for_ip(rule.clone().on_card(0)).await.unwrap();
    assert_eq!(address, "192.0.2.31".parse::<IpAddr>().unwrap());
    let since = simulator.with(|world| world.guest(100).unwrap().started_at().unwrap());
    let up = simulator.clock().now().duration_since(since).unwrap();
    assert!(
        up >= Duration::from_secs(12),
        "the agent was not up before: {up:?}"
    );

    let other = "203.0.113.0".parse().unwrap();
    let late = rule
        .within(other, 24)
        .with_deadline(Duration::from_millis(50));
    let error = qemu.wait_for_ip(late).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Deadline);
    assert!(error.to_string().contains("192.0.2.31/24"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_guest_without_an_agent_is_not_waited_for() {
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    let qemu = node.create_qemu(100, QemuConfig::new()).await.unwrap().qemu;
    qemu.start().await.unwrap();
    let error = qemu.wait_for_ip(IpRule::ipv4()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AgentNotConfigured);
}

#[tokio::test(start_paused = true)]
async fn commands_run_to_their_end_and_tell_what_they_wrote() {
    let world = World::lab().with_guest_command(
        "/usr/bin/systemctl is-active kubelet",
        GuestCommand::new("inactive\n")
            .with_failure(3, "no unit\n")
            .with_time(Duration::from_secs(8)),
    );
    let (_simulator, qemu) = guest(world).await;
    let agent = qemu.agent();
    qemu.wait_for_ip(IpRule::ipv4().with_poll(Duration::from_millis(5)))
        .await
        .unwrap();

    let done = agent.exec(["/bin/echo", "a b", "c"]).await.unwrap();
    assert_eq!(
        (done.exit_code, done.output.as_deref()),
        (Some(0), Some("a b c\n"))
    );
    let failed = agent
        .exec(["/usr/bin/systemctl", "is-active", "kubelet"])
        .await
        .unwrap();
    assert_eq!(
        (failed.exit_code, failed.errors.as_deref()),
        (Some(3), Some("no unit\n"))
    );

    let sleep = agent
        .exec(["/bin/sleep", "600"])
        .with_deadline(Some(Duration::from_secs(1)));
    assert_eq!(sleep.await.unwrap_err().kind(), Kind::Deadline);
    // A program that does not exist makes the real daemon drop the connection.
    assert!(agent.exec(["/bin/nosuch"]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn files_are_written_and_read() {
    let (_simulator, qemu) = guest(World::lab()).await;
    let agent = qemu.agent();
    qemu.wait_for_ip(IpRule::ipv4().with_poll(Duration::from_millis(5)))
        .await
        .unwrap();
    agent.write_file("/root/x", "f\u{fc}r\n").await.unwrap();
    assert_eq!(
        agent.read_file("/root/x").await.unwrap().content,
        "f\u{fc}r\n"
    );
    assert_eq!(
        agent.read_file("/nope").await.unwrap_err().kind(),
        Kind::NotFound
    );
    let large = vec![0u8; 60 * 1024];
    assert_eq!(
        agent.write_file("/root/x", large).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
}

#[test]
fn the_rule_prefers_what_people_mean() {
    let interface = |name: &str, mac: &str, addresses: &[&str]| {
        let pairs = addresses.iter().map(|text| (text.parse().unwrap(), 24));
        GuestInterface::new(name, Some(mac), pairs.collect())
    };
    let all = [
        interface("lo", "00:00:00:00:00:00", &["127.0.0.1", "::1"]),
        interface("docker0", "02:42:00:00:00:01", &["172.17.0.1"]),
        interface(
            "eth0",
            "BC:24:11:00:00:01",
            &["169.254.3.4", "fe80::1", "192.0.2.7", "2001:db8::7"],
        ),
        interface("eth1", "BC:24:11:00:00:02", &["198.51.100.7"]),
    ];
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    assert_eq!(IpRule::ipv4().choose(&all, None), ip("192.0.2.7"));
    assert_eq!(IpRule::ipv6().choose(&all, None), ip("2001:db8::7"));
    assert_eq!(
        IpRule::ipv4().choose(&all, Some("bc:24:11:00:00:02")),
        ip("198.51.100.7")
    );
    assert_eq!(
        IpRule::ipv4().on_interface("docker0").choose(&all, None),
        ip("172.17.0.1")
    );
    let within = |network: &str, prefix| {
        let rule = IpRule::ipv4().within(network.parse().unwrap(), prefix);
        rule.choose(&all, None)
    };
    assert_eq!(within("198.51.0.0", 16), ip("198.51.100.7"));
    assert_eq!(within("0.0.0.0", 0), ip("192.0.2.7"));
    assert_eq!(within("2001:db8::", 32), ip("2001:db8::7"));
    assert_eq!(within("203.0.113.0", 24), None);
}

#[tokio::test(start_paused = true)]
async fn every_card_has_the_addresses_that_it_was_given() {
    let world = World::lab().with_dhcp("vmbr0.20", "198.51.100.10".parse().unwrap(), 24);
    let (_simulator, qemu) = guest(world).await;
    let more = QemuConfig::new()
        .with("ide2", "local-lvm:cloudinit")
        .with("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=20")
        .with("ipconfig1", "ip=dhcp,ip6=2001:db8::7/64")
        .with("net2", "virtio=BC:24:11:00:00:03,bridge=vmbr0")
        .with("ipconfig2", "ip=dhcp");
    qemu.ensure_config(&more).await.unwrap();
    let first = qemu.wait_for_ip(IpRule::ipv4()).await.unwrap();
    assert_eq!(first, "192.0.2.31".parse::<IpAddr>().unwrap());
    let leased = qemu.wait_for_ip(IpRule::ipv4().on_card(1)).await.unwrap();
    assert_eq!(leased, "198.51.100.10".parse::<IpAddr>().unwrap());
    let sixth = qemu.wait_for_ip(IpRule::ipv6().on_card(1)).await.unwrap();
    assert_eq!(sixth, "2001:db8::7".parse::<IpAddr>().unwrap());
    let unheard = qemu.wait_for_ip(IpRule::ipv4().on_card(2)).await;
    assert_eq!(
        unheard.unwrap_err().kind(),
        Kind::Deadline,
        "nobody leases addresses there"
    );
}
