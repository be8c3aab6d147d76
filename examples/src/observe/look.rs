//! One look at all systems.

use super::{KubernetesSeen, MachineSeen, Observation, TalosSeen};
use crate::failure::Failure;
use crate::session::Session;
use crate::stage::{kubernetes, proxmox, restic, secrets, talos, tunnel};

/// Looks at all systems. What does not answer yet is part of the sight, not an error.
///
/// # Errors
///
/// Proxmox VE does not answer, or a system refuses.
pub async fn observe(session: &Session) -> Result<Observation, Failure> {
    let (spec, client, image) = (session.spec(), session.proxmox(), session.image());
    let mut seen = Observation {
        missing_secrets: secrets::missing(session)?,
        stale_tunnel_files: tunnel::stale(session)?,
        ..Observation::default()
    };
    for host in &spec.proxmox.hosts {
        let host_seen = proxmox::see_host(client, spec, host, image).await?;
        seen.hosts.insert(host.name.to_string(), host_seen);
    }
    for node in &spec.nodes {
        let reporter = session.events().reporter(format!("look/{}", node.name));
        let machine =
            proxmox::see_machine(client, spec, node, image, session.pace(), &reporter).await?;
        seen.machines.insert(node.name.to_string(), machine);
    }
    seen.leftovers = proxmox::see_leftovers(client, spec).await?;
    let Some(bundle) = session.bundle()? else {
        return Ok(seen);
    };
    let work = talos::Work::new(session.target(), spec, &bundle, image);
    for node in &spec.nodes {
        if let Some(MachineSeen::Present {
            running: true,
            talos,
            ..
        }) = seen.machines.get_mut(node.name.as_str())
        {
            *talos = work.see(node).await?;
        }
    }
    let configured = |machine: &MachineSeen| {
        matches!(
            machine,
            MachineSeen::Present {
                talos: TalosSeen::Configured { .. },
                ..
            }
        )
    };
    if seen.machines.values().any(configured) {
        seen.etcd = work.etcd_members().await?;
    }
    if seen
        .etcd
        .as_ref()
        .is_some_and(|members| !members.is_empty())
    {
        seen.kubernetes = match session.kubernetes().await {
            Ok(cluster) => kubernetes::see(cluster, &session.objects()?).await?,
            Err(failure) if failure.is_transient() => KubernetesSeen::Silent,
            Err(failure) => return Err(failure),
        };
    }
    seen.backup = restic::see(session).await?;
    Ok(seen)
}
