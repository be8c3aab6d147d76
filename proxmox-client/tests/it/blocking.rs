//! The blocking handles, from plain threads against the simulator.

use std::time::Duration;

use proxmox_client::simulator::{Server, Simulator, World};
use proxmox_client::task::{Outcome, PollPolicy};
use proxmox_client::{
    Client, CloneOptions, ConfigUpdate, Kind, Mark, QemuConfig, Removed, Started, Trust, blocking,
};

fn lab() -> blocking::Client {
    blocking::Client::new(Simulator::new(World::lab()).connect()).unwrap()
}

fn made(client: &blocking::Client, vmid: u32) -> blocking::Qemu {
    let config = QemuConfig::new().with_name("web").with_memory_mib(1024);
    let call = client.node("pve1").create_qemu(vmid, config);
    call.call().unwrap().qemu
}

#[test]
fn a_machine_lives_from_its_making_to_its_removal() {
    let client = lab();
    let vm = made(&client, 100);
    assert_eq!((vm.node(), vm.vmid()), ("pve1", 100));
    assert!(vm.exists().unwrap());
    assert_eq!(vm.start().call().unwrap(), Started::Started);
    assert_eq!(vm.start().call().unwrap(), Started::AlreadyRunning);
    let tags = vm.ensure_tags(&["lab"]).unwrap();
    assert!(!matches!(tags, ConfigUpdate::Unchanged), "{tags:?}");
    assert_eq!(vm.ensure_tags(&["lab"]).unwrap(), ConfigUpdate::Unchanged);
    assert_eq!(vm.config().unwrap().name().as_deref(), Some("web"));
    vm.stop().call().unwrap();
    let copy = vm.clone_to(101, CloneOptions::new()).call().unwrap().qemu;
    assert_eq!(copy.vmid(), 101);
    assert_eq!(copy.delete().call().unwrap(), Removed::Removed);
    assert_eq!(copy.delete().call().unwrap(), Removed::Absent);
    assert!(!copy.exists().unwrap());
}

#[test]
fn a_submitted_call_is_watched_step_by_step() {
    let client = lab();
    let vm = made(&client, 100);
    let blocking::Submitted::Task(task) = vm.start().submit().unwrap() else {
        panic!("a start is a task");
    };
    let task = task.with_poll(PollPolicy::every(Duration::from_millis(5)));
    let seen: Vec<_> = task.watch().map(|step| step.unwrap()).collect();
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(last.outcome, Some(Outcome::Done));
    assert!(before.iter().all(|step| step.outcome.is_none()));
    let followed: Vec<_> = task.follow_log().map(|line| line.unwrap()).collect();
    assert_eq!(followed, task.log().unwrap());
    let upid = task.upid().clone();
    assert_eq!(task.wait().unwrap(), Started::Started);
    assert_eq!(client.task(upid).wait().unwrap(), Vec::<String>::new());
}

#[test]
fn an_error_is_that_of_the_asynchronous_call() {
    let client = lab();
    let error = client.node("pve1").qemu(999).config().unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    made(&client, 100);
    let again = client.node("pve1").create_qemu(100, QemuConfig::new());
    assert_eq!(again.call().unwrap_err().kind(), Kind::AlreadyExists);
}

#[test]
fn many_threads_share_one_client() {
    let client = lab();
    let pool = client.vmid_pool(200..=299).unwrap();
    let mut made: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let node = client.node("pve1");
                    let made = pool.create(|vmid| node.create_qemu(vmid, QemuConfig::new()));
                    made.unwrap().qemu.vmid()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 4, "{made:?}");
}

#[test]
fn what_is_made_sure_of_gives_blocking_handles_too() {
    let client = lab();
    let mark = Mark::new("lab/web").unwrap();
    let node = client.node("pve1");
    let ensured = node.ensure_qemu(100, &mark, QemuConfig::new()).unwrap();
    let blocking::EnsuredQemu::Created(vm) = ensured else {
        panic!("{ensured:?}");
    };
    assert_eq!(vm.start().call().unwrap(), Started::Started);
    let ensured = node.ensure_qemu(100, &mark, QemuConfig::new()).unwrap();
    assert!(
        matches!(ensured, blocking::EnsuredQemu::Unchanged(_)),
        "{ensured:?}"
    );
}

#[tokio::test]
async fn a_call_in_an_asynchronous_context_is_refused() {
    let client = lab();
    let error = client.version().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert!(error.to_string().contains("asynchronous"), "{error}");
    let task = client.task(
        "UPID:pve1:000F4240:00000064:68B0A0B0:qmstart:100:root@pam:"
            .parse()
            .unwrap(),
    );
    let steps: Vec<_> = task.watch().collect();
    assert!(matches!(steps.as_slice(), [Err(error)] if error.kind() == Kind::InvalidInput));
    // Dropping the last handle here must not panic either.
    drop((task, client));
}

#[test]
fn it_speaks_https_from_a_plain_thread() {
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let simulator = Simulator::new(World::lab());
    let served = server.block_on(simulator.serve()).unwrap();
    let client = Client::builder()
        .endpoint(served.endpoint())
        .token("root@pam!lab=lab-secret")
        .trust(Trust::fingerprint(served.fingerprint()).unwrap())
        .build()
        .unwrap();
    let client = blocking::Client::new(client).unwrap();
    let vm = made(&client, 100);
    assert_eq!(vm.start().call().unwrap(), Started::Started);
}

#[test]
fn changes_of_machines_are_planned_and_made_together() {
    let client = lab();
    let (one, other) = (made(&client, 100), made(&client, 101));
    let changes = client
        .change_set()
        .config(&one, QemuConfig::new().with_cores(4))
        .tags(&other, &["web"]);
    let plan = changes.plan().unwrap();
    let told = "VM 100 on pve1\n  + cores: 4\nVM 101 on pve1\n  + tags: web";
    assert_eq!(plan.to_string(), told);
    let steps = plan.apply().unwrap();
    assert!(steps.iter().all(|step| step.result.is_ok()), "{steps:?}");
    assert_eq!(steps[1].qemu.config().unwrap().tags(), ["web"]);
    assert!(changes.plan().unwrap().is_empty());
}

#[cfg(feature = "api-qemu")]
#[test]
fn calls_of_the_interface_wait_too() {
    use proxmox_client::api::qemu::{GetConfig, PostStatusStart};
    let client = lab();
    made(&client, 100);
    let config = client.call(GetConfig::new("pve1", 100)).unwrap();
    assert_eq!(config.name().as_deref(), Some("web"));
    let upid = client.call(PostStatusStart::new("pve1", 100)).unwrap();
    client.task(upid).wait().unwrap();
    let missing = client.call(GetConfig::new("pve1", 999)).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

/// A server on loopback for clients with a ticket, and what keeps it running.
fn served() -> ((tokio::runtime::Runtime, Server), blocking::Client) {
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let world = World::lab().with_user("root@pam", "pw").with_guest(
        "pve1",
        100,
        &QemuConfig::new().with("serial0", "socket"),
    );
    let simulator = Simulator::at_real_speed(world);
    simulator.with(|world| {
        let now = world.now();
        assert!(world.mark_started(100, now));
    });
    let served = server.block_on(simulator.serve()).unwrap();
    let pin = blocking::probe_fingerprint(&served.endpoint()).unwrap();
    let client = Client::builder()
        .endpoint(served.endpoint())
        .login(proxmox_client::Login::new("root@pam", "pw"))
        .trust(Trust::fingerprint(pin).unwrap())
        .build()
        .unwrap();
    let client = blocking::Client::new(client).unwrap();
    ((server, served), client)
}

/// Reads until the output ends with a text.
fn until(terminal: &mut impl std::io::Read, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        terminal.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_terminal_is_read_and_written_as_a_file_is() {
    use std::io::{Read as _, Write as _};
    let (_server, client) = served();
    let console = client.node("pve1").qemu(100).console();
    let mut terminal = console.terminal().unwrap();
    assert!(until(&mut terminal, "$ ").contains("/vms/100"));
    terminal.resize(132, 50).unwrap();
    terminal.write_all(b"stty size\r").unwrap();
    terminal.flush().unwrap();
    let answer = until(&mut terminal, "$ ");
    assert_eq!(answer, "stty size\r\n50 132\r\n$ ");

    // One thread waits for output while another one types.
    let (mut output, mut keys) = terminal.split();
    let reading = std::thread::spawn(move || {
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        rest
    });
    keys.write_all(b"exit\r").unwrap();
    keys.flush().unwrap();
    assert_eq!(reading.join().unwrap(), "exit\r\n");
}

#[test]
fn a_screen_begins_with_its_greeting() {
    use std::io::Read as _;
    let (_server, client) = served();
    let mut screen = client.node("pve1").qemu(100).console().vnc().unwrap();
    assert_eq!(screen.password().len(), 8);
    let mut greeting = [0; 12];
    screen.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"RFB 003.008\n");
}

#[cfg(feature = "ssh")]
#[test]
fn a_server_that_does_not_answer_over_ssh_is_told_of() {
    use proxmox_client::ssh::{HostKey, SshTarget};
    let client = lab();
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    assert_eq!(
        blocking::probe_host_key("127.0.0.1", port)
            .unwrap_err()
            .kind(),
        Kind::Connect
    );
    let known = HostKey::pinned("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU").unwrap();
    let ssh = client.ssh(
        SshTarget::new("127.0.0.1", known)
            .with_port(port)
            .with_password("x"),
    );
    assert_eq!(ssh.connect().unwrap_err().kind(), Kind::Connect);
    let snippets = client.node("pve1").storage("local").snippets(&ssh);
    assert_eq!(snippets.folder().unwrap(), "/var/lib/vz/snippets");
    assert_eq!(
        snippets
            .put("web.yaml", "#cloud-config\n")
            .unwrap_err()
            .kind(),
        Kind::Connect
    );
    ssh.disconnect().unwrap();
}
