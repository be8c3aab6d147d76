//! What connects the simulators: one step brings all of them up to the present.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use proxmox_client::simulator as proxmox;
use restic_wrapper::simulator as restic;
use talos_client::simulator as talos;
use talos_client::{Ca, MachineConfig, SecretsBundle};
use zeroize::Zeroizing;

use super::clock::LabClock;
use super::gate::Gate;
use super::kubernetes::{self, CatalogueNeeds, Environment, Machine, Settings};
use super::{hardware, hooks, state::LabWorld};
use crate::component::{Catalogue, Component, Source};
use crate::failure::Failure;
use crate::render;
use crate::spec::Spec;
use crate::stage::talos::Image;

/// The disks of a machine by the slot that they are in; Talos sees them in this order.
const SLOTS: [(&str, &str); 2] = [("scsi0", "/dev/sda"), ("scsi1", "/dev/sdb")];

/// An image on the modelled internet: the version and the extensions of a Talos image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BootImage {
    /// The version, `v1.13.9`.
    pub version: String,
    /// Extensions by short name.
    pub extensions: Vec<String>,
}

/// All simulators of one lab and the step that connects them.
#[derive(Debug)]
pub struct Wiring {
    proxmox: proxmox::Simulator,
    talos: talos::Simulator,
    kubernetes: kubernetes::Simulator,
    restic: restic::Simulator,
    gate: Gate,
    clock: LabClock,
    images: Mutex<BTreeMap<String, BootImage>>,
    stage: Mutex<Stage>,
    system_objects: Vec<serde_json::Value>,
}

/// How far the cluster has come.
#[derive(Debug, Default)]
struct Stage {
    kubernetes_is_there: bool,
    /// Kubelets by node, with whether they were up at the last look: only a change disturbs the cluster.
    kubelets: BTreeMap<String, bool>,
}

/// A started machine, as its firmware finds it.
#[derive(Debug)]
struct Hardware {
    name: String,
    since: Option<SystemTime>,
    address: Option<IpAddr>,
    cores: u32,
    memory: u64,
    disks: Vec<talos::DiskSpec>,
    image: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `32G`, `512M` in bytes.
fn bytes(text: &str) -> Option<u64> {
    text.parse::<proxmox_client::Size>()
        .ok()
        .map(proxmox_client::Size::as_bytes)
}

fn part<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    value
        .split(',')
        .find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

impl Hardware {
    fn of(guest: &proxmox::Guest) -> Self {
        let text = |key: &str| guest.text(key).unwrap_or_default();
        let number = |key: &str| text(key).parse::<u64>().unwrap_or(1);
        let address = part(&text("ipconfig0"), "ip")
            .and_then(|address| address.split('/').next()?.parse().ok());
        let disks = SLOTS.iter().filter_map(|(slot, device)| {
            let value = guest.text(slot)?;
            Some(talos::DiskSpec::new(*device, bytes(part(&value, "size")?)?))
        });
        let image = text("ide2");
        let image = image
            .split(',')
            .next()
            .and_then(|volume| volume.rsplit_once('/'));
        Self {
            name: guest.name().unwrap_or_default().to_owned(),
            since: guest.started_at(),
            address,
            cores: u32::try_from(number("cores") * number("sockets").max(1)).unwrap_or(1),
            memory: number("memory") << 20,
            disks: disks.collect(),
            image: image.map(|(_, file)| file.to_owned()),
        }
    }

    fn spec(&self, image: &BootImage, address: IpAddr) -> talos::NodeSpec {
        let extensions = image
            .extensions
            .iter()
            .map(|name| talos::ExtensionSpec::new(name, "lab"));
        talos::NodeSpec::new(&self.name, address)
            .cores(self.cores)
            .memory(self.memory)
            .disks(self.disks.clone())
            .talos_version(&image.version)
            .extensions(extensions)
    }
}

impl Wiring {
    pub(super) fn new(
        spec: &Spec,
        clock: &LabClock,
        gate: Gate,
        kept: Option<LabWorld>,
    ) -> Result<Arc<Self>, Failure> {
        let image = Image::of(spec)?;
        let boot = BootImage {
            version: spec.versions.talos.to_string(),
            extensions: image.extension_names().map(str::to_owned).collect(),
        };
        let catalogue = Catalogue::of(spec);
        let environment = environment(spec, &catalogue)?;
        let (proxmox_world, talos_world, kubernetes_world, restic_world) = match kept {
            Some(kept) => (kept.proxmox, kept.talos, kept.kubernetes, kept.restic),
            None => (
                hardware::world(spec, clock.now()),
                talos::World::new(),
                None,
                restic::World::default(),
            ),
        };
        let now = clock.function();
        let kubernetes_is_there = kubernetes_world.is_some();
        let kubernetes_world =
            kubernetes_world.unwrap_or_else(|| kubernetes::World::new(Settings::default()));
        let time = now.clone();
        let proxmox_clock = proxmox::Clock::from_fn(move || time(), clock.pace().speed());
        let time = now.clone();
        let restic = restic::Simulator::with_clock(move || time());
        restic.restore(restic_world);
        let kubernetes =
            kubernetes::Simulator::from_world(kubernetes_world, environment, now.clone());
        kubernetes.set_available(kubernetes_is_there);
        let wiring = Arc::new(Self {
            proxmox: proxmox::Simulator::with_clock(proxmox_world, proxmox_clock),
            talos: talos::Simulator::new(talos_world, now),
            kubernetes,
            restic,
            gate,
            clock: clock.clone(),
            images: Mutex::new([(image.file_name().to_owned(), boot)].into()),
            stage: Mutex::new(Stage {
                kubernetes_is_there,
                kubelets: BTreeMap::new(),
            }),
            system_objects: catalogue
                .components
                .iter()
                .filter(|component| component.source == Source::Talos)
                .flat_map(Component::stand_in)
                .collect(),
        });
        hooks::install(&wiring);
        Ok(wiring)
    }

    /// Proxmox VE.
    pub fn proxmox(&self) -> &proxmox::Simulator {
        &self.proxmox
    }

    /// The Talos nodes.
    pub fn talos(&self) -> &talos::Simulator {
        &self.talos
    }

    /// The Kubernetes API.
    pub fn kubernetes(&self) -> &kubernetes::Simulator {
        &self.kubernetes
    }

    /// Backups.
    pub fn restic(&self) -> &restic::Simulator {
        &self.restic
    }

    /// The gate that every request passes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What the files of Talos images hold, by name.
    pub fn with_images<T>(&self, change: impl FnOnce(&mut BTreeMap<String, BootImage>) -> T) -> T {
        change(&mut lock(&self.images))
    }

    pub(super) fn snapshot(&self) -> LabWorld {
        self.settle();
        let there = lock(&self.stage).kubernetes_is_there;
        LabWorld::new(
            self.clock.now(),
            self.proxmox.snapshot(),
            self.talos.snapshot(),
            there.then(|| self.kubernetes.snapshot()),
            self.restic.snapshot(),
        )
    }

    /// Brings every system up to the present, in the order in which one follows from the other.
    pub(super) fn settle(&self) {
        let now = self.clock.now();
        let mut stage = lock(&self.stage);
        let machines: Vec<Hardware> = self
            .proxmox
            .with(|world| world.guests().map(Hardware::of).collect());
        self.power(&machines, now);
        self.bring_up_kubernetes(&mut stage, now);
        if stage.kubernetes_is_there {
            self.register_kubelets(&mut stage, &machines, now);
        }
    }

    /// Machines that run are nodes that boot; machines that are gone are no nodes.
    fn power(&self, machines: &[Hardware], now: SystemTime) {
        let images = lock(&self.images);
        self.talos.with(|world, _| {
            let gone: Vec<String> = world
                .names()
                .filter(|name| machines.iter().all(|machine| machine.name != *name))
                .map(str::to_owned)
                .collect();
            for name in gone {
                world.remove(&name);
            }
            for machine in machines {
                let known = world.spec(&machine.name).is_some();
                match (machine.since, machine.address, &machine.image) {
                    (Some(since), Some(address), Some(image)) => {
                        let Some(image) = images.get(image) else {
                            continue;
                        };
                        if !known {
                            world.add(machine.spec(image, address));
                        }
                        // It is there by the line above, so this cannot fail.
                        let _ = world.power_on(&machine.name, since.min(now));
                    }
                    (None, _, _) if known => {
                        let _ = world.power_off(&machine.name, now);
                    }
                    _ => {}
                }
            }
        });
    }

    /// What the Kubernetes API is served with: the authority of the cluster, and the addresses that it answers at.
    pub(super) fn api_certificate(&self) -> Option<kubernetes::Tls> {
        let config = self.control_plane()?;
        let (certificate, key) = authority(&config)?;
        let host = config.endpoint().map(host_of);
        let mut tls = kubernetes::Tls::new(certificate, key.as_str());
        for name in config
            .cert_sans()
            .into_iter()
            .chain(host.map(str::to_owned))
        {
            tls = tls.name(name);
        }
        Some(tls)
    }

    /// The configuration of a control plane whose API server is up and answers at the address of the cluster.
    fn control_plane(&self) -> Option<MachineConfig> {
        self.talos.with(|world, now| {
            let names: Vec<String> = world.names().map(str::to_owned).collect();
            let up = names
                .into_iter()
                .find(|name| world.api_server_is_up(name, now))?;
            let config = world.config(&up)?;
            let at = world.find(host_of(config.endpoint()?), now)?.to_owned();
            let config = config.clone();
            world.api_server_is_up(&at, now).then_some(config)
        })
    }

    /// The Kubernetes API answers while an API server is up; it comes into being with the first one.
    fn bring_up_kubernetes(&self, stage: &mut Stage, now: SystemTime) {
        let found = self.control_plane();
        self.kubernetes.set_available(found.is_some());
        let (Some(config), false) = (found, stage.kubernetes_is_there) else {
            return;
        };
        stage.kubernetes_is_there = true;
        let settings = settings(&config);
        self.kubernetes.restore(kubernetes::World::new(settings));
        let inline = config.inline_manifests();
        self.kubernetes.with(|world| {
            let inline = inline
                .iter()
                .flat_map(|manifest| documents(&manifest.contents));
            for object in self.system_objects.iter().cloned().chain(inline) {
                if let Err(refusal) = world.apply_as("talos", now, &object) {
                    tracing::warn!(%refusal, "the control plane could not apply a manifest");
                }
            }
        });
    }

    /// Nodes that run their configuration have a kubelet, and it registers.
    fn register_kubelets(&self, stage: &mut Stage, machines: &[Hardware], now: SystemTime) {
        let kubelets: Vec<(Machine, bool)> = self.talos.with(|world, _| {
            let kubelet = |machine: &Hardware| {
                let config = world.config(&machine.name)?;
                let running = world.state(&machine.name, now) == talos::NodeState::Running;
                let spec = world.spec(&machine.name)?;
                let address = world.addresses(&machine.name, now).first()?.to_string();
                let name = world.hostname(&machine.name, now)?;
                let version = config
                    .kubernetes_version()
                    .unwrap_or_default()
                    .trim_start_matches('v');
                let mut kubelet = Machine::new(name, address, spec.cores, spec.memory)
                    .versions(
                        version,
                        format!("Talos ({})", spec.talos_version),
                        "6.18.0-talos",
                    )
                    .extensions(
                        spec.extensions
                            .iter()
                            .map(|extension| extension.name.clone())
                            .collect(),
                    );
                if config
                    .machine_type()
                    .is_some_and(|kind| kind.is_control_plane())
                {
                    kubelet = kubelet.control_plane();
                }
                kubelet.own_network = !config.cni_is_none();
                for (key, value) in config.node_labels() {
                    kubelet = kubelet.label(key, value);
                }
                Some((kubelet, running))
            };
            machines.iter().filter_map(kubelet).collect()
        });
        let changed: Vec<(Machine, bool)> = kubelets
            .into_iter()
            .filter(|(kubelet, running)| stage.kubelets.get(&kubelet.name) != Some(running))
            .collect();
        if changed.is_empty() {
            return;
        }
        self.kubernetes.with(|world| {
            for (kubelet, running) in changed {
                let name = kubelet.name.clone();
                let known = world.machines().any(|machine| machine.name == name);
                if running && !known {
                    world.register_node(now, kubelet);
                } else {
                    world.set_kubelet(now, &name, running);
                }
                stage.kubelets.insert(name, running);
            }
        });
    }
}

/// The host of `https://host:port`.
fn host_of(endpoint: &str) -> &str {
    let rest = endpoint.trim_start_matches("https://");
    rest.split([':', '/']).next().unwrap_or(rest)
}

/// What an API server was configured with.
fn settings(config: &MachineConfig) -> Settings {
    let mut settings = Settings::default();
    if let Some(version) = config.kubernetes_version() {
        settings = settings.version(version.trim_start_matches('v'));
    }
    let nets = |texts: Vec<String>| texts.iter().find_map(|text| text.parse().ok());
    if let (Some(services), Some(pods)) =
        (nets(config.service_subnets()), nets(config.pod_subnets()))
    {
        settings = settings.networks(services, pods);
    }
    match authority(config) {
        Some((pem, _)) => settings.ca_pem(pem),
        None => settings,
    }
}

/// The Kubernetes CA that a control plane's configuration carries: certificate and key.
fn authority(config: &MachineConfig) -> Option<(String, Zeroizing<String>)> {
    let bundle = SecretsBundle::from_config(config).ok()?;
    let certificate = bundle.ca_certificate(Ca::Kubernetes).ok()?;
    Some((certificate, bundle.ca_key(Ca::Kubernetes).ok()?))
}

/// The objects of an inline manifest; a text that is not YAML has none, as on a real control plane.
fn documents(text: &str) -> Vec<serde_json::Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options(text, options).unwrap_or_default()
}

/// What surrounds the API: what components need, and what Git and chart repositories hold.
fn environment(spec: &Spec, catalogue: &Catalogue) -> Result<Environment, Failure> {
    let needs = CatalogueNeeds::new(catalogue.clone());
    let mut environment = Environment::default().readiness(needs);
    for (path, objects) in render::sources(spec, catalogue)? {
        environment = environment.git(path, objects);
    }
    Ok(environment)
}
