//! Machines on Proxmox VE: how a node of the spec is made, recognised as ours, changed and removed.

use proxmox_client::property::{Agent, BootOrder, Cpu, Drive, IpConfig, Nic};
use proxmox_client::task::Progress;
use proxmox_client::{Client, Error, Kind, Qemu, QemuConfig, ResourceFilter};

use crate::failure::{Failure, Persistence};
use crate::observe::{HostSeen, Leftover, MachineSeen, TalosSeen};
use crate::pace::{Look, Pace, Patience};
use crate::plan::Difference;
use crate::progress::{Outcome, Reporter};
use crate::spec::Spec;
use crate::spec::cluster::Host;
use crate::spec::node::Node;
use crate::spec::quantity::Bytes;
use crate::stage::talos::Image;

/// The tag of everything that these programs made.
const MARK: &str = "homelab";

/// How long a guest may be locked by somebody else's task before a step gives up.
const UNLOCK: Patience = Patience::seconds(600, 3);

/// The lock of a machine whose creation has not ended.
const BEING_MADE: &str = "create";

/// The tag of one cluster's machines.
fn cluster_tag(cluster: &str) -> String {
    format!("cluster-{cluster}")
}

fn is_ours(tags: &[String], cluster: &str) -> bool {
    let own = cluster_tag(cluster);
    tags.iter().any(|tag| tag == MARK) && tags.contains(&own)
}

/// Turns an error of the client into a failure of a place.
fn failed(place: &str, error: Error) -> Failure {
    // A failed task may have been unlucky, and every step looks before it acts: one more look is safe.
    let passes = error.is_retryable()
        || matches!(
            error.kind(),
            Kind::TaskFailed | Kind::TaskUnknown | Kind::Conflict
        );
    Failure::reported(
        place,
        "Proxmox VE did not do it",
        Persistence::passing(passes),
        error.hint(),
        error,
    )
}

/// What was last seen of a task.
fn last_seen(progress: &Progress) -> String {
    let line = progress
        .last_line
        .as_deref()
        .unwrap_or("no line in its log yet");
    match progress.fraction {
        Some(fraction) => format!("{:.0} %: {line}", fraction * 100.0),
        None => line.to_owned(),
    }
}

/// Whole GiB, as disks are allocated; a size beyond what Proxmox VE can number is refused by it, not by us.
fn gib(size: Bytes) -> u32 {
    u32::try_from(size.as_gib_up()).unwrap_or(u32::MAX)
}

/// The configuration of the machine that a node runs on.
pub fn wanted(spec: &Spec, node: &Node, image: &Image) -> QemuConfig {
    let cluster = cluster_tag(spec.name.as_str());
    let mut nic = Nic::virtio(&spec.network.bridge).with_mac(node.mac.to_string());
    if let Some(vlan) = spec.network.vlan {
        nic = nic.with_tag(vlan.get());
    }
    let disk = |storage: &str, gib: u32| {
        Drive::allocate(storage, gib)
            .with_discard("on")
            .with_ssd(true)
            .with_iothread(true)
    };
    let address = IpConfig::default()
        .with_ip(format!("{}/{}", node.address, spec.network.nodes.prefix()))
        .with_gateway(spec.network.gateway.to_string());
    let servers: Vec<_> = spec.dns.servers.iter().map(ToString::to_string).collect();
    let mut config = QemuConfig::new()
        .with_name(node.name.as_str())
        .with_description(&format!(
            "{} of the Talos cluster {}. Made from cluster.yaml: changes made here are undone.",
            node.role, spec.name
        ))
        .with_tags([MARK, cluster.as_str()])
        .with_cores(node.cores)
        .with_sockets(1)
        .with_memory_mib(node.memory.as_mib())
        .with_balloon_mib(0)
        .with_cpu(&Cpu::new("host"))
        .with_machine("q35")
        .with_os_type("l26")
        .with_scsi_controller("virtio-scsi-single")
        .with_on_boot(true)
        .with_agent(&Agent::on())
        .with_serial(0, "socket")
        .with_net(0, nic)
        .with_ip_config(0, &address)
        .with_name_servers(servers.iter().map(String::as_str))
        .with_drive("scsi0", disk(&node.disk.storage, gib(node.disk.size)))
        .with_drive("ide0", Drive::cloud_init(&node.disk.storage))
        .with_drive("ide2", Drive::cdrom(&image.volume(&spec.image.storage)))
        // An empty disk does not boot, so the image comes up once and the installed system ever after.
        .with_boot_order(&BootOrder::new(["scsi0", "ide2"]));
    if let Some(longhorn) = &node.longhorn_disk {
        let drive = disk(&longhorn.storage, gib(longhorn.size)).with_serial(LONGHORN_SERIAL);
        config = config.with_drive("scsi1", drive);
    }
    config
}

/// The serial number of the disk that Longhorn gets; the machine configuration finds the disk by it.
pub const LONGHORN_SERIAL: &str = "longhorn";

/// Looks at a host.
pub async fn see_host(
    client: &Client,
    spec: &Spec,
    host: &Host,
    image: &Image,
) -> Result<HostSeen, Failure> {
    let place = host.name.as_str();
    let version = client
        .version()
        .await
        .map_err(|error| failed(place, error))?;
    let node = client.node(place);
    let status = node.status().await.map_err(|error| failed(place, error))?;
    let mut contradictions = Vec::new();
    if status.cpus().is_some_and(|cpus| cpus < host.cores) {
        let cpus = status.cpus().unwrap_or_default();
        contradictions.push(format!(
            "has {cpus} cores, cluster.yaml says {}",
            host.cores
        ));
    }
    // The kernel keeps a little: a host of 96 GiB shows some hundred MiB less.
    if status
        .total_memory()
        .is_some_and(|bytes| bytes < host.memory.get() / 100 * 97)
    {
        let gib = status.total_memory().unwrap_or_default() >> 30;
        contradictions.push(format!(
            "has {gib} GiB of memory, cluster.yaml says {}",
            host.memory
        ));
    }
    let storages = node
        .storages()
        .await
        .map_err(|error| failed(place, error))?;
    for storage in &host.storages {
        let Some(found) = storages.iter().find(|found| found.storage == storage.name) else {
            let known: Vec<_> = storages
                .iter()
                .map(|found| found.storage.as_str())
                .collect();
            contradictions.push(format!(
                "has no storage {:?} (has: {})",
                storage.name,
                known.join(", ")
            ));
            continue;
        };
        for content in &storage.content {
            if !found.holds(&content.to_string()) {
                contradictions.push(format!("storage {:?} cannot hold {content}", storage.name));
            }
        }
    }
    let volumes = node
        .storage(&spec.image.storage)
        .content(Some("iso"))
        .await
        .map_err(|error| failed(place, error))?;
    let wanted = image.volume(&spec.image.storage);
    let has_image = volumes.iter().any(|volume| volume.volid == wanted);
    Ok(HostSeen {
        version: version.version.clone(),
        has_image,
        contradictions,
    })
}

/// The configuration of a machine, once `busy` finds nothing to wait for in its lock; `None` when there is no machine.
async fn settled(
    machine: &Qemu,
    place: &str,
    what: String,
    pace: Pace,
    reporter: &Reporter,
    busy: impl Fn(&str) -> Option<String>,
) -> Result<Option<QemuConfig>, Failure> {
    pace.wait(reporter, what, UNLOCK, || async {
        match machine.config().await {
            Ok(config) => Ok(match config.lock().as_deref().and_then(&busy) {
                Some(why) => Look::NotYet(why),
                None => Look::There(Some(config)),
            }),
            Err(error) if error.is_not_found() => Ok(Look::There(None)),
            Err(error) => Err(failed(place, error)),
        }
    })
    .await
}

/// Looks at the machine of a node; the operating system in it is looked at elsewhere.
///
/// One that is just being made has no mark yet that tells whose it is: an earlier run that was killed may have
/// asked for it. Its end is waited for.
pub async fn see_machine(
    client: &Client,
    spec: &Spec,
    node: &Node,
    image: &Image,
    pace: Pace,
    reporter: &Reporter,
) -> Result<MachineSeen, Failure> {
    let place = node.name.as_str();
    let machine = client.node(&node.host).qemu(node.vmid.get());
    let what = format!("VM {} to be complete", node.vmid);
    let config = settled(&machine, place, what, pace, reporter, |lock| {
        (lock == BEING_MADE).then(|| "it is being made".to_owned())
    })
    .await?;
    let Some(config) = config else {
        return Ok(MachineSeen::Absent);
    };
    if !is_ours(&config.tags(), spec.name.as_str()) {
        return Ok(MachineSeen::Foreign {
            name: config.name().unwrap_or_default(),
        });
    }
    let status = machine
        .status()
        .await
        .map_err(|error| failed(place, error))?;
    let patch = config.patch_to(&wanted(spec, node, image));
    let differences = patch
        .set
        .values()
        .keys()
        .filter_map(|key| {
            let now = config.text(key).unwrap_or_else(|| "nothing".to_owned());
            Difference::between(key, now, patch.set.text(key).unwrap_or_default())
        })
        .collect();
    let silent = TalosSeen::Silent {
        reason: "not asked".to_owned(),
    };
    Ok(MachineSeen::Present {
        differences,
        running: status.is_running(),
        talos: silent,
    })
}

/// Machines with the mark of the cluster that no node of the spec has the number of.
pub async fn see_leftovers(client: &Client, spec: &Spec) -> Result<Vec<Leftover>, Failure> {
    let guests = client
        .resources(Some(ResourceFilter::Vm))
        .await
        .map_err(|error| failed("proxmox", error))?;
    let mut leftovers: Vec<_> = guests
        .into_iter()
        .filter(|guest| {
            let tags: Vec<_> = guest
                .tags
                .iter()
                .flat_map(|tags| tags.split([';', ',', ' ']))
                .map(str::to_owned)
                .collect();
            is_ours(&tags, spec.name.as_str())
        })
        .filter_map(|guest| Some((guest.vmid?, guest.node?, guest.name.unwrap_or_default())))
        .filter(|(vmid, _, _)| spec.nodes.iter().all(|node| node.vmid.get() != *vmid))
        .map(|(vmid, host, name)| Leftover { host, vmid, name })
        .collect();
    leftovers.sort_by_key(|leftover| leftover.vmid);
    Ok(leftovers)
}

/// Has the host fetch the Talos image.
pub async fn ensure_image(
    client: &Client,
    spec: &Spec,
    host: &str,
    image: &Image,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let seen = reporter.clone();
    let name = image.file_name().to_owned();
    let done = client
        .node(host)
        .storage(&spec.image.storage)
        .download_url(image.download())
        .on_progress(move |progress| {
            seen.waiting(&format!("the download of {name}"), &last_seen(progress))
        })
        .await
        .map_err(|error| failed(host, error))?;
    Ok(match done {
        proxmox_client::Downloaded::AlreadyThere(_) => Outcome::Unchanged,
        _ => Outcome::Changed,
    })
}

/// Makes the machine of a node, or gives the one that is there what the spec says.
pub async fn ensure_machine(
    client: &Client,
    spec: &Spec,
    node: &Node,
    image: &Image,
    pace: Pace,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let place = node.name.as_str();
    let config = wanted(spec, node, image);
    let machine = client.node(&node.host).qemu(node.vmid.get());
    let what = format!("VM {} to be unlocked", node.vmid);
    let present = settled(&machine, place, what, pace, reporter, |lock| {
        Some(format!("locked: {lock}"))
    })
    .await?;
    match present {
        Some(present) if !is_ours(&present.tags(), spec.name.as_str()) => {
            let name = present.name().unwrap_or_default();
            Err(
                Failure::permanent(place, format!("vmid {} belongs to VM {name:?}", node.vmid))
                    .hint("choose another vmid in cluster.yaml"),
            )
        }
        Some(present) => {
            let patch = present.patch_to(&config);
            let update = machine
                .apply(&present, &patch)
                .await
                .map_err(|error| failed(place, error))?;
            Ok(match update {
                proxmox_client::ConfigUpdate::Unchanged => Outcome::Unchanged,
                _ => Outcome::Changed,
            })
        }
        None => {
            let seen = reporter.clone();
            client
                .node(&node.host)
                .create_qemu(node.vmid.get(), config)
                .on_progress(move |progress| {
                    seen.waiting("the machine to be created", &last_seen(progress))
                })
                .await
                .map_err(|error| match error.kind() {
                    // Ours after all: the answer to an earlier try was lost. The next try looks again.
                    Kind::AlreadyExists => {
                        Failure::transient(place, "the number is taken meanwhile").caused_by(error)
                    }
                    _ => failed(place, error),
                })?;
            Ok(Outcome::Changed)
        }
    }
}

/// Starts the machine of a node.
pub async fn ensure_started(
    client: &Client,
    node: &Node,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let seen = reporter.clone();
    let started = client
        .node(&node.host)
        .qemu(node.vmid.get())
        .start()
        .on_progress(move |progress| seen.waiting("the machine to start", &last_seen(progress)))
        .await
        .map_err(|error| failed(node.name.as_str(), error))?;
    Ok(match started {
        proxmox_client::Started::AlreadyRunning => Outcome::Unchanged,
        _ => Outcome::Changed,
    })
}

/// Removes a machine that carries the mark of the cluster, with its disks.
pub async fn ensure_removed(
    client: &Client,
    cluster: &str,
    host: &str,
    vmid: u32,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let place = format!("{host}/{vmid}");
    let machine = client.node(host).qemu(vmid);
    let config = match machine.config().await {
        Ok(config) => config,
        Err(error) if error.is_not_found() => return Ok(Outcome::Unchanged),
        Err(error) => return Err(failed(&place, error)),
    };
    if !is_ours(&config.tags(), cluster) {
        let name = config.name().unwrap_or_default();
        return Err(Failure::permanent(
            &place,
            format!("is VM {name:?}, which this cluster does not own"),
        ));
    }
    if machine
        .status()
        .await
        .map_err(|error| failed(&place, error))?
        .is_running()
    {
        reporter.doing("stopping the machine");
        machine
            .stop()
            .await
            .map_err(|error| failed(&place, error))?;
    }
    reporter.doing("removing the machine and its disks");
    match machine.delete().await {
        Ok(_) => Ok(Outcome::Changed),
        Err(error) if error.is_not_found() => Ok(Outcome::Changed),
        Err(error) => Err(failed(&place, error)),
    }
}
