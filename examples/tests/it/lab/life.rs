//! The life of each environment on the lab: built, verified, changed by hand, healed, removed.

use homelab::apply::Interrupt;
use homelab::lab::gate::Gate;
use homelab::plan::removal;

use super::program::{Program, environment, stories};

async fn built(name: &str) -> Program {
    let program = Program::new(&environment(name), Gate::open());
    program.up_for_good(name).await;
    program
}

async fn serves(program: &Program) {
    let report = program
        .session
        .verify()
        .await
        .unwrap_or_else(|why| panic!("{}", stories(&why)));
    assert!(report.passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn each_environment_serves_after_it_was_built() {
    for (name, machines) in [("development", 3), ("staging", 6), ("production", 9)] {
        let program = built(name).await;
        serves(&program).await;
        let report = program.session.verify().await.unwrap();
        assert_eq!(report.machines.len(), machines);
        assert!(
            report.machines.iter().all(|machine| machine.ready),
            "{report}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_removed_by_hand_is_built_again_and_nothing_else() {
    let program = built("staging").await;
    let node = program.session.proxmox().node("pve1");
    let lost = program.session.spec().node("worker-2").unwrap().clone();
    let machine = node.qemu(lost.vmid.get());
    machine.stop().await.unwrap();
    machine.delete().await.unwrap();
    let plan = program.session.plan().await.unwrap();
    let touched: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| step.id.to_string())
        .collect();
    let own = ["vm/worker-2", "start/worker-2", "talos/worker-2"];
    for id in own {
        assert!(
            touched.iter().any(|touched| touched == id),
            "{id} in {touched:?}"
        );
    }
    let of_machines = ["vm/", "start/", "talos/"];
    let other = touched.iter().find(|id| {
        of_machines.iter().any(|kind| id.starts_with(kind)) && !own.contains(&id.as_str())
    });
    assert_eq!(other, None, "{plan}");
    program.up_for_good("a lost worker").await;
    serves(&program).await;
}

#[tokio::test(start_paused = true)]
async fn removal_leaves_no_machine_and_no_disk_but_the_image() {
    let program = built("development").await;
    let seen = program.session.observe().await.unwrap();
    let plan = removal(program.session.spec(), &seen);
    let removed = program.session.apply(&plan, &Interrupt::default()).await;
    assert_eq!(removed.unwrap().changed, 3);
    program.lab.wiring().proxmox().with(|world| {
        assert_eq!(world.guests().count(), 0);
        assert_eq!(world.volumes("local-lvm"), Vec::<String>::new());
        assert_eq!(world.volumes("local").len(), 1);
    });
    program.up_for_good("built again after its removal").await;
    serves(&program).await;
}
