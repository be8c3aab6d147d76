//! The blocking handles, from plain threads against the simulator.

use std::time::Duration;

use proxmox_client::simulator::{Simulator, World};
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
