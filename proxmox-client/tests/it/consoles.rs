//! Consoles: tickets, terminals, screens.

use std::time::Duration;

use proxmox_client::console::Terminal;
use proxmox_client::simulator::{Clock, Server, Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{Client, Kind, Login, LxcConfig, QemuConfig, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn world() -> World {
    World::lab()
        .with_user("root@pam", "pw")
        .with_guest("pve1", 100, &QemuConfig::new().with("serial0", "socket"))
        .with_guest("pve1", 101, &QemuConfig::new())
        .with_container("pve1", 200, &LxcConfig::new())
}

/// A server on loopback whose clock does not outrun the test.
async fn served() -> (Simulator, Server) {
    let world = world();
    let simulator = Simulator::at_real_speed(world);
    simulator.with(|world| {
        for vmid in [100, 101, 200] {
            let now = world.now();
            assert!(world.mark_started(vmid, now));
        }
    });
    let server = simulator.serve().await.unwrap();
    (simulator, server)
}

fn logged_in(server: &Server) -> Client {
    let builder = Client::builder().login(Login::new("root@pam", "pw"));
    connected(server, builder)
}

fn with_token(server: &Server) -> Client {
    connected(server, Client::builder().token("root@pam!lab=lab-secret"))
}

fn connected(server: &Server, builder: proxmox_client::ClientBuilder) -> Client {
    let pin = Trust::fingerprint(server.fingerprint()).unwrap();
    builder
        .endpoint(server.endpoint())
        .trust(pin)
        .build()
        .unwrap()
}

/// Reads until the output ends with a text.
async fn until(terminal: &mut Terminal, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(terminal.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn terminals_of_nodes_machines_and_containers_take_keys_and_sizes() {
    let (simulator, server) = served().await;
    let client = logged_in(&server);
    let node = client.node("pve1");
    let consoles = [
        (node.console(), "vncshell", "/nodes/pve1"),
        (node.qemu(100).console(), "vncproxy", "/vms/100"),
        (node.lxc(200).console(), "vncproxy", "/vms/200"),
    ];
    for (console, kind, path) in consoles {
        let mut terminal = console.terminal().await.unwrap();
        assert_eq!(terminal.upid().kind(), kind);
        let banner = until(&mut terminal, "$ ").await;
        assert!(
            banner.contains(&format!("Simulated terminal of {path}")),
            "{banner}"
        );
        terminal.resize(132, 50).await.unwrap();
        terminal.write_all(b"stty size\r").await.unwrap();
        assert_eq!(
            until(&mut terminal, "$ ").await,
            "stty size\r\n50 132\r\n$ "
        );
        terminal.write_all("grüße 0:3:\r".as_bytes()).await.unwrap();
        assert_eq!(
            until(&mut terminal, "$ ").await,
            "grüße 0:3:\r\ngrüße 0:3:\r\n$ "
        );
        let task = terminal.upid().to_string();
        assert_eq!(simulator.with(|world| world.task_end(&task)), None);
        terminal.write_all(b"exit\r").await.unwrap();
        let mut rest = String::new();
        terminal.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "exit\r\n");
        assert_eq!(
            simulator.with(|world| world.task_end(&task)).as_deref(),
            Some("OK")
        );
    }
}

#[tokio::test]
async fn more_than_one_message_of_input_arrives_whole() {
    let (_simulator, server) = served().await;
    let mut terminal = logged_in(&server)
        .node("pve1")
        .console()
        .terminal()
        .await
        .unwrap();
    until(&mut terminal, "$ ").await;
    let line = "0:1:2".repeat(10_000);
    let (mut output, mut input) = tokio::io::split(terminal);
    let write = async {
        input.write_all(line.as_bytes()).await.unwrap();
        input.flush().await.unwrap();
    };
    let mut echo = vec![0; line.len()];
    let (_, ()) = tokio::join!(async { output.read_exact(&mut echo).await.unwrap() }, write);
    assert!(echo == line.as_bytes());
}

#[tokio::test]
async fn a_token_is_refused_a_terminal_before_anything_is_sent() {
    let (simulator, server) = served().await;
    let error = with_token(&server)
        .node("pve1")
        .console()
        .terminal()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TicketOnly);
    assert!(simulator.journal().is_empty());
}

#[tokio::test]
async fn a_screen_begins_with_the_servers_greeting_for_tokens_too() {
    let (_simulator, server) = served().await;
    for client in [logged_in(&server), with_token(&server)] {
        let mut screen = client.node("pve1").qemu(101).console().vnc().await.unwrap();
        assert_eq!(screen.password().len(), 8);
        let mut greeting = String::new();
        screen.read_to_string(&mut greeting).await.unwrap();
        assert_eq!(greeting, "RFB 003.008\n");
    }
}

#[tokio::test]
async fn machines_without_serial_interface_or_spice_display_say_so() {
    let (_simulator, server) = served().await;
    let console = logged_in(&server).node("pve1").qemu(101).console();
    let error = console.terminal().await.unwrap_err();
    assert_eq!(error.kind(), Kind::ServerTimeout, "{error}");
    assert_eq!(
        console.spice().await.unwrap_err().kind(),
        Kind::NotConfigured
    );
    let missing = logged_in(&server).node("pve1").qemu(999).console();
    assert_eq!(
        missing.vnc_ticket().await.unwrap_err().kind(),
        Kind::NotFound
    );
}

#[tokio::test]
async fn a_console_waits_ten_seconds_for_its_connection() {
    let world = world();
    let clock = Clock::stepped(world.now());
    let simulator = Simulator::with_clock(world, clock.clone());
    let server = simulator.serve().await.unwrap();
    let late = clock.clone();
    simulator.on_request(move |request| {
        if request.path.ends_with("/vncwebsocket") {
            late.advance(Duration::from_secs(11));
        }
        proxmox_client::simulator::Fault::None
    });
    let console = with_token(&server).node("pve1").qemu(101).console();
    assert_eq!(console.vnc().await.unwrap_err().kind(), Kind::Interrupted);
    let ends: Vec<_> = simulator.with(|world| {
        let tasks: Vec<_> = world.tasks().map(|(upid, ..)| upid.to_owned()).collect();
        tasks.iter().map(|upid| world.task_end(upid)).collect()
    });
    assert_eq!(ends, [Some("connection timed out".to_owned())]);
}

#[tokio::test]
async fn a_wrong_ticket_or_that_of_another_guest_opens_nothing() {
    let simulator = Simulator::new(world());
    let client = simulator.connect();
    let ticket = client
        .node("pve1")
        .qemu(101)
        .console()
        .vnc_ticket()
        .await
        .unwrap();
    let ask = |vmid: &str, text: &str| {
        let path = "/nodes/{node}/qemu/{vmid}/vncwebsocket";
        let request = Request::new(Method::Get, path, &["pve1", vmid])
            .with("port", ticket.port().to_string())
            .with("vncticket", text);
        client.send(request)
    };
    ask("101", ticket.ticket()).await.unwrap();
    for (vmid, text) in [("100", ticket.ticket()), ("101", "PVEVNC:00000000::0")] {
        let error = ask(vmid, text).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Authentication, "{error}");
        assert!(!format!("{error} {error:?}").contains(ticket.ticket()));
    }
    assert!(!format!("{ticket:?}").contains(ticket.ticket()));
    assert!(!format!("{ticket:?}").contains(ticket.password().unwrap()));
}

#[tokio::test]
async fn a_simulator_in_process_gives_tickets_but_no_sessions() {
    let client = Simulator::new(world()).connect();
    let error = client
        .node("pve1")
        .qemu(101)
        .console()
        .vnc()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
}
