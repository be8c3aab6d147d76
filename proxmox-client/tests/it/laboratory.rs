//! The laboratories that specifications work in.

use proxmox_client::Client;
use proxmox_client::simulator::{NodeSpec, Simulator, World};

/// A world under a clock that outruns the test, and a client.
pub(crate) fn connected(world: World) -> (Simulator, Client) {
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    (simulator, client)
}

/// A world whose work takes as long as it is modelled to, and a client.
pub(crate) fn at_real_speed(world: World) -> (Simulator, Client) {
    let simulator = Simulator::at_real_speed(world);
    let client = simulator.connect();
    (simulator, client)
}

/// The laboratory with three nodes instead of one.
pub(crate) fn three_nodes() -> World {
    ["pve2", "pve3"].iter().fold(World::lab(), |world, name| {
        world.with_node(NodeSpec::new(name, 8, 32 << 30))
    })
}

/// How many calls changed something, or tried to.
pub(crate) fn writes(simulator: &Simulator) -> usize {
    let journal = simulator.journal();
    journal.iter().filter(|entry| entry.method != "GET").count()
}
