//! A small cluster in a simulator with a clock that tests step.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use talos_client::simulator::{NodeSpec, Simulator, World};
use talos_client::{
    Generator, Interface, MachineConfig, MachineType, Patch, SecretsBundle, TalosConfig,
    VersionContract,
};

/// Modelled time that moves only when told to.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<SystemTime>>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::now())))
    }

    pub(crate) fn step(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }

    pub(crate) fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct Lab {
    pub(crate) clock: Clock,
    pub(crate) simulator: Simulator,
    pub(crate) secrets: SecretsBundle,
}

pub(crate) const NODES: [(&str, &str); 4] = [
    ("cp1", "10.0.20.11"),
    ("cp2", "10.0.20.12"),
    ("cp3", "10.0.20.13"),
    ("w1", "10.0.20.21"),
];

impl Lab {
    /// All nodes powered on, nothing configured.
    pub(crate) fn new() -> Self {
        let clock = Clock::new();
        let mut world = World::new();
        for (name, address) in NODES {
            world.add(NodeSpec::new(name, address.parse::<IpAddr>().unwrap()));
            world.power_on(name, clock.now()).unwrap();
        }
        let ticks = clock.clone();
        let simulator = Simulator::new(world, Arc::new(move || ticks.now()));
        Self {
            clock,
            simulator,
            secrets: SecretsBundle::fixed_for_tests(),
        }
    }

    pub(crate) fn config(&self, name: &str) -> MachineConfig {
        let address = NODES.iter().find(|(node, _)| *node == name).unwrap().1;
        let machine = if name.starts_with("cp") {
            MachineType::ControlPlane
        } else {
            MachineType::Worker
        };
        let generator = Generator::new(
            "lab",
            "https://10.0.20.10:6443",
            "1.36.1",
            self.secrets.clone(),
        )
        .unwrap();
        let mut interface = Interface::named("eth0")
            .address(format!("{address}/24"))
            .gateway("10.0.20.1");
        if name.starts_with("cp") {
            interface = interface.vip("10.0.20.10");
        }
        let patch = Patch::builder(VersionContract::V1_13)
            .hostname(name)
            .install_disk("/dev/sda")
            .interface(interface)
            .cni_none()
            .build()
            .unwrap();
        generator
            .generate(machine)
            .unwrap()
            .patched(&patch)
            .unwrap()
    }

    pub(crate) fn talosconfig(&self) -> TalosConfig {
        self.secrets
            .talosconfig("lab", ["10.0.20.11"], self.clock.now())
            .unwrap()
    }

    /// Every node configured and running.
    pub(crate) async fn configure(&self) {
        self.clock.step(30);
        for (name, address) in NODES {
            let client = self.simulator.connect_maintenance(address);
            client
                .endpoint()
                .apply_configuration(&self.config(name))
                .await
                .unwrap();
        }
        self.clock.step(120);
    }
}
