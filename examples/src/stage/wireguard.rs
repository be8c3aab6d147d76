//! The overlay: from the peers of `cluster.yaml` to keys, files and a table of who reaches whom.

use wireguard_config::{
    Endpoint, Error, Inventory, Keys, Member, Network, Plan, PublicKey, Topology,
};

use crate::spec::Spec;
use crate::spec::overlay::{PeerRole, WireGuard, WireGuardPeer};

/// Name of the interface on every peer.
pub const INTERFACE: &str = "wg0";

/// The peers as an inventory; nothing when the environment has no overlay.
///
/// # Errors
/// An address or endpoint that WireGuard would not take; `cluster.yaml` has been checked for those.
pub fn inventory(spec: &Spec) -> Result<Option<Inventory>, Error> {
    let Some(overlay) = &spec.wireguard else {
        return Ok(None);
    };
    let seconds = u16::try_from(overlay.keepalive.get().as_secs()).unwrap_or(u16::MAX);
    let mut inventory = Inventory::new(overlay.subnet.to_string().parse()?)
        .topology(Topology::HubAndSpoke)
        .listen_port(overlay.port)
        .keepalive(seconds)
        .interface(INTERFACE);
    for (name, peer) in &overlay.peers {
        inventory = inventory.member(member(overlay, name, peer)?);
    }
    Ok(Some(inventory))
}

fn member(overlay: &WireGuard, name: &str, peer: &WireGuardPeer) -> Result<Member, Error> {
    let endpoint = || -> Result<Option<Endpoint>, Error> {
        peer.endpoint
            .as_ref()
            .map(|endpoint| endpoint.to_string().parse())
            .transpose()
    };
    let mut member = match (peer.role, endpoint()?) {
        (PeerRole::Hub, Some(endpoint)) => Member::hub(name, endpoint),
        (PeerRole::Device, _) => Member::roaming(name),
        (_, Some(endpoint)) => Member::new(name).endpoint(endpoint),
        (_, None) => Member::new(name),
    };
    member = member
        .address(peer.address.into())
        .mtu(u32::from(overlay.mtu));
    for route in &peer.routes {
        member = member.routed(route.to_string().parse::<Network>()?);
    }
    Ok(member)
}

/// Puts the public keys that stand in `cluster.yaml` beside those that are kept in the secret file.
///
/// # Errors
/// A public key that is none; `cluster.yaml` has been checked for that.
pub fn given_keys(spec: &Spec, keys: &mut Keys) -> Result<(), Error> {
    for (name, peer) in spec.wireguard.iter().flat_map(|overlay| &overlay.peers) {
        if let Some(key) = &peer.public_key {
            keys.set_public(name.as_str(), PublicKey::from_base64(key.as_str())?);
        }
    }
    Ok(())
}

/// The plan for all peers; nothing when the environment has no overlay.
///
/// `keys` must be complete: [`Keys::complete`] makes what is missing, and the caller keeps it before going on.
///
/// # Errors
/// As [`inventory`] and [`given_keys`], or a key that is missing.
pub fn plan(spec: &Spec, keys: &Keys) -> Result<Option<Plan>, Error> {
    let Some(inventory) = inventory(spec)? else {
        return Ok(None);
    };
    let mut keys = keys.clone();
    given_keys(spec, &mut keys)?;
    inventory.plan(&keys).map(Some)
}

/// One line per pair: `laptop -> cluster: via vps`.
#[must_use]
pub fn reachability(plan: &Plan) -> Vec<String> {
    plan.reachability()
        .pairs()
        .map(|(from, to, verdict)| format!("{from} -> {to}: {verdict}"))
        .collect()
}
