//! Machines that carry a mark, ids out of a pool, clones that go to another node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use proxmox_client::simulator::{Fault, NodeSpec, Simulator, StorageSpec, World};
use proxmox_client::{
    Claim, Client, CloneOptions, CloneToNode, EnsuredQemu, First, Kind, Mark, Node, QemuConfig,
    VmidLock,
};

fn two_nodes() -> Simulator {
    Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30)))
}

fn mark(text: &str) -> Mark {
    Mark::new(text).unwrap()
}

fn config() -> QemuConfig {
    QemuConfig::new()
        .with_name("web")
        .with("scsi0", "local-lvm:4")
}

/// How often something was asked for that makes a machine.
fn makings(simulator: &Simulator) -> usize {
    let journal = simulator.journal();
    let makes = |path: &str| path.ends_with("/qemu") || path.ends_with("/clone");
    journal
        .iter()
        .filter(|entry| entry.method == "POST" && makes(&entry.path))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_marked_machine_is_made_once_changed_and_left_alone() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    let web = mark("lab/web");
    let ensure = |config| node.ensure_qemu(100, &web, config);
    assert!(matches!(
        ensure(config()).await,
        Ok(EnsuredQemu::Created(_))
    ));
    assert!(matches!(
        ensure(config()).await,
        Ok(EnsuredQemu::Unchanged(_))
    ));
    let changed = ensure(config().with_cores(4)).await.unwrap();
    assert!(matches!(changed, EnsuredQemu::Updated { live, .. } if live == ["cores"]));
    assert_eq!(makings(&simulator), 1);
    assert_eq!(simulator.with(|world| world.volumes("local-lvm").len()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_someone_else_is_left_alone() {
    let simulator = two_nodes();
    let client = simulator.connect();
    client
        .node("pve2")
        .create_qemu(100, config())
        .await
        .unwrap();
    let before = simulator.with(|world| world.guest(100).unwrap().config().clone());
    for node in ["pve1", "pve2"] {
        let ensured = client
            .node(node)
            .ensure_qemu(100, &mark("lab/web"), config())
            .await;
        let error = ensured.unwrap_err();
        assert_eq!(error.kind(), Kind::Foreign, "{error}");
        assert!(
            error
                .message()
                .contains("`web` does not carry the mark lab/web")
        );
    }
    assert_eq!(
        simulator.with(|world| world.guest(100).unwrap().config().clone()),
        before
    );
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_marked_machine_does_not_pass_for_it() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    let template = node
        .ensure_qemu(100, &mark("lab/tmpl"), config().with_description("Base"))
        .await;
    let template = template.unwrap().qemu().clone();
    template.clone_to(101, CloneOptions::new()).await.unwrap();
    let copied = node.find_marked(101, &mark("lab/tmpl")).await.unwrap_err();
    assert_eq!(copied.kind(), Kind::Foreign);
    let web = mark("lab/web");
    let clone = template
        .ensure_clone(102, &web, CloneOptions::new())
        .await
        .unwrap();
    let description = clone.qemu().config().await.unwrap().description().unwrap();
    assert_eq!(description, "Base\n\nowned-by: lab/web (VM 102)");
    let again = template.ensure_clone(102, &web, CloneOptions::new()).await;
    assert!(matches!(again, Ok(EnsuredQemu::Unchanged(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_made_up_for_by_the_mark() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    simulator.on_request(|request| match request.method.as_str() {
        "POST" if request.path.ends_with("/qemu") => Fault::ProxyTimeout { executed: true },
        _ => Fault::None,
    });
    let made = node
        .ensure_qemu(100, &mark("lab/web"), config())
        .await
        .unwrap();
    assert!(matches!(made, EnsuredQemu::Created(_)));
    assert_eq!(makings(&simulator), 1);
    simulator.on_request(|request| match request.method.as_str() {
        "POST" if request.path.ends_with("/qemu") => Fault::ProxyTimeout { executed: false },
        _ => Fault::None,
    });
    let lost = node
        .ensure_qemu(101, &mark("lab/db"), config())
        .await
        .unwrap_err();
    assert_eq!(lost.kind(), Kind::ProxyTimeout, "nothing came of it");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_making_died_is_not_waited_for() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    node.create_qemu(100, config()).await.unwrap();
    simulator.with(|world| world.set_config(100, "lock", "clone"));
    let error = node
        .ensure_qemu(100, &mark("lab/web"), config())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.message().contains("no task works on it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_clone_goes_to_another_node_with_its_local_disks() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    let source = node.create_qemu(100, config()).await.unwrap().qemu;
    let refused = source
        .clone_to(101, CloneOptions::new().with_target("pve2"))
        .await
        .unwrap_err();
    assert!(
        refused.message().contains("VM uses local storage"),
        "{refused}"
    );
    let web = mark("lab/web");
    let how = || {
        CloneToNode::new("pve2")
            .with_name("web-2")
            .with_storage("local-lvm")
    };
    let there = source.clone_to_node(101, &web, how()).await.unwrap();
    assert!(matches!(there, EnsuredQemu::Created(_)));
    assert_eq!(there.qemu().node(), "pve2");
    assert_eq!(
        there.qemu().config().await.unwrap().name().as_deref(),
        Some("web-2")
    );
    let again = source.clone_to_node(101, &web, how()).await.unwrap();
    assert!(matches!(again, EnsuredQemu::Unchanged(_)));
    assert_eq!(again.qemu().node(), "pve2");
    assert_eq!(
        makings(&simulator),
        3,
        "the source, the refusal and one clone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_was_not_moved_yet_is_moved_by_the_next_call() {
    let simulator = two_nodes();
    let node = simulator.connect().node("pve1");
    let source = node.create_qemu(100, config()).await.unwrap().qemu;
    simulator.on_request(|request| match request.path.ends_with("/migrate") {
        true => Fault::Refuse {
            status: 500,
            reason: "no".to_owned(),
        },
        false => Fault::None,
    });
    let web = mark("lab/web");
    let how = || CloneToNode::new("pve2");
    source.clone_to_node(101, &web, how()).await.unwrap_err();
    assert_eq!(
        simulator.with(|world| world.guest(101).unwrap().node().to_owned()),
        "pve1"
    );
    simulator.on_request(|_| Fault::None);
    let there = source.clone_to_node(101, &web, how()).await.unwrap();
    assert!(matches!(there, EnsuredQemu::Created(_)));
    assert_eq!(there.qemu().node(), "pve2");
    assert_eq!(makings(&simulator), 2, "it was cloned once");
}

#[tokio::test(start_paused = true)]
async fn a_shared_storage_takes_a_clone_at_once() {
    let shared = StorageSpec::directory("nas", "/mnt/pve/nas", 1 << 40).with_shared();
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 8, 32 << 30))
        .with_storage(shared);
    let simulator = Simulator::new(world);
    let node = simulator.connect().node("pve1");
    let config = QemuConfig::new().with("scsi0", "nas:4");
    let source = node.create_qemu(100, config).await.unwrap().qemu;
    let to_pve2 = || CloneOptions::new().with_target("pve2");
    let local = to_pve2().with_full(true).with_storage("local-lvm");
    let refused = source.clone_to(101, local).await.unwrap_err();
    assert!(
        refused.message().contains("non-shared storage 'local-lvm'"),
        "{refused}"
    );
    let there = source.clone_to(101, to_pve2()).await.unwrap().qemu;
    assert_eq!(there.node(), "pve2");
}

fn pool(client: &Client, first: First) -> proxmox_client::VmidPool {
    client
        .vmid_pool(8100..=8109)
        .unwrap()
        .with_first(first)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pool_begins_where_it_is_told_and_goes_round() {
    let simulator = two_nodes();
    let client = simulator.connect();
    let node = client.node("pve1");
    let ids = pool(&client, First::At(8108));
    let mut made = Vec::new();
    for _ in 0..4 {
        let created = ids
            .create(|vmid| node.create_qemu(vmid, QemuConfig::new()))
            .await;
        made.push(created.unwrap().qemu.vmid());
    }
    assert_eq!(made, [8108, 8109, 8100, 8101]);
    let outside = client
        .vmid_pool(8100..=8109)
        .unwrap()
        .with_first(First::At(8110));
    assert_eq!(outside.unwrap_err().kind(), Kind::InvalidInput);
    let anywhere = pool(&client, First::Random);
    let created = anywhere
        .create(|vmid| node.create_qemu(vmid, QemuConfig::new()))
        .await;
    assert!((8102..=8107).contains(&created.unwrap().qemu.vmid()));
}

/// Ids that other processes hold, and how many were claimed here and given back.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<(BTreeSet<u32>, usize, usize)>>);

struct Held(Ledger);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().2 += 1;
    }
}

impl VmidLock for Ledger {
    fn claim(&self, vmid: u32) -> Claim<'_> {
        Box::pin(async move {
            let mut ledger = self.0.lock().unwrap();
            if ledger.0.contains(&vmid) {
                return Ok(None);
            }
            ledger.1 += 1;
            let held: Box<dyn Send> = Box::new(Held(self.clone()));
            Ok(Some(held))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_between_processes_is_asked_and_given_back() {
    let simulator = two_nodes();
    let client = simulator.connect();
    let node = client.node("pve1");
    let ledger = Ledger::default();
    ledger.0.lock().unwrap().0.extend([8100, 8101]);
    let ids = pool(&client, First::Lowest).with_lock(ledger.clone());
    let created = ids
        .create(|vmid| node.create_qemu(vmid, QemuConfig::new()))
        .await;
    assert_eq!(created.unwrap().qemu.vmid(), 8102);
    let (_, claimed, returned) = ledger.0.lock().unwrap().clone();
    assert_eq!((claimed, returned), (1, 1));
    ledger.0.lock().unwrap().0.extend(8100..=8109);
    let full = ids
        .create(|vmid| node.create_qemu(vmid, QemuConfig::new()))
        .await;
    assert_eq!(full.unwrap_err().kind(), Kind::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn a_pool_finds_the_machine_of_a_mark_whatever_its_id_and_node() {
    let simulator = two_nodes();
    let client = simulator.connect();
    let ids = pool(&client, First::Lowest);
    let (pve1, pve2) = (client.node("pve1"), client.node("pve2"));
    pve2.create_qemu(8100, QemuConfig::new().with_name("stranger"))
        .await
        .unwrap();
    let ensure = |node: &Node, text: &str| {
        let (ids, node, mark) = (ids.clone(), node.clone(), mark(text));
        async move {
            ids.ensure_qemu(&node, &mark, QemuConfig::new().with_name("web"))
                .await
        }
    };
    let web = ensure(&pve2, "lab/web").await.unwrap();
    assert_eq!((web.qemu().vmid(), web.qemu().node()), (8101, "pve2"));
    let again = ensure(&pve1, "lab/web").await.unwrap();
    assert!(matches!(again, EnsuredQemu::Unchanged(_)));
    assert_eq!((again.qemu().vmid(), again.qemu().node()), (8101, "pve2"));
    let many = (0..4).map(|n| ensure(&pve1, &format!("lab/n{n}")));
    let made: BTreeSet<u32> = join_all(many)
        .await
        .into_iter()
        .map(|made| made.unwrap().qemu().vmid())
        .collect();
    assert_eq!(made, (8102..=8105).collect());
}
