//! What the state of a device says about its peers.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::device::Device;
use crate::diff::{Changes, Operation, PeerUpdate};
use crate::endpoint::{Endpoint, Host};
use crate::key::PublicKey;

/// The times by which health is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thresholds {
    /// A session in use renews its handshake every 120 s; after this age (135 s by default) a name is worth resolving anew.
    pub resolve_after: Duration,
    /// After this age (180 s by default) the keys are void and nothing passes.
    pub stale_after: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            resolve_after: Duration::from_secs(135),
            stale_after: Duration::from_secs(180),
        }
    }
}

/// Two handshakes that collide can keep a new pair silent for this long, so judge a peer no sooner after a change.
pub const SETTLING_TIME: Duration = Duration::from_secs(15);

/// Something about one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The peer.
    pub peer: PublicKey,
    /// What it is.
    pub symptom: Symptom,
}

/// What a peer's state shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symptom {
    /// It is configured and not on the device.
    Missing,
    /// It has an endpoint, packets were sent, and no handshake was ever completed.
    NeverConnected,
    /// The last handshake is older than a session lives although it should be kept alive.
    Stale {
        /// Its age.
        age: Duration,
    },
    /// Since the state before, packets were sent and none came back.
    OneWay {
        /// Bytes sent meanwhile.
        sent: u64,
    },
    /// It was heard from elsewhere than it is configured.
    EndpointMoved {
        /// What the configuration says.
        configured: Endpoint,
        /// Where it is.
        now: Endpoint,
    },
    /// Its endpoint is a name, and silence suggests that the address behind it has changed.
    ResolveAgain {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not on the device"),
            Self::NeverConnected => f.write_str("has never completed a handshake"),
            Self::Stale { age } => {
                write!(f, "completed its last handshake {} s ago", age.as_secs())
            }
            Self::OneWay { sent } => write!(f, "was sent {sent} bytes and answered none"),
            Self::EndpointMoved { configured, now } => {
                write!(f, "is at {now}, configured at {configured}")
            }
            Self::ResolveAgain { name } => write!(f, "may have a new address behind {name}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {} {}", self.peer, self.symptom)
    }
}

/// Judges a device by its configuration, its state at the time `now`, and if there is one a state before.
#[must_use]
pub fn judge(
    wanted: &Config,
    before: Option<&Device>,
    device: &Device,
    now: SystemTime,
    thresholds: &Thresholds,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for peer in &wanted.peers {
        let mut find = |symptom| {
            findings.push(Finding {
                peer: peer.public_key,
                symptom,
            })
        };
        let Some(held) = device.peer(&peer.public_key) else {
            find(Symptom::Missing);
            continue;
        };
        let age = held.last_handshake.map(|handshake| handshake.age(now));
        match age {
            None if held.endpoint.is_some() && held.sent > 0 => find(Symptom::NeverConnected),
            Some(age) if age >= thresholds.stale_after && held.keepalive > 0 => {
                find(Symptom::Stale { age })
            }
            _ => {}
        }
        let earlier = before.and_then(|device| device.peer(&peer.public_key));
        if let Some(earlier) = earlier
            && held.sent > earlier.sent
            && held.received == earlier.received
        {
            find(Symptom::OneWay {
                sent: held.sent - earlier.sent,
            });
        }
        match peer
            .endpoint
            .as_ref()
            .map(|endpoint| (endpoint, endpoint.host()))
        {
            Some((_, Host::Name(name)))
                if age.is_none_or(|age| age >= thresholds.resolve_after) =>
            {
                find(Symptom::ResolveAgain { name: name.clone() });
            }
            Some((configured, Host::Address(_) | Host::Scoped(..))) => {
                if let Some(at) = held.endpoint.as_ref().filter(|at| *at != configured) {
                    find(Symptom::EndpointMoved {
                        configured: configured.clone(),
                        now: at.clone(),
                    });
                }
            }
            _ => {}
        }
    }
    findings
}

/// What gives silent peers the addresses that their names have by now.
///
/// `resolve` is asked only for the names of peers that [`judge`] finds worth it ([`Symptom::ResolveAgain`]). A name that it
/// does not know, or whose address the device has already, changes nothing.
#[must_use]
pub fn renew_endpoints(
    wanted: &Config,
    device: &Device,
    now: SystemTime,
    thresholds: &Thresholds,
    mut resolve: impl FnMut(&str) -> Option<IpAddr>,
) -> Changes {
    let mut operations = Vec::new();
    for finding in judge(wanted, None, device, now, thresholds) {
        let Symptom::ResolveAgain { name } = finding.symptom else {
            continue;
        };
        let port = wanted
            .peer(&finding.peer)
            .and_then(|peer| peer.endpoint.as_ref())
            .map(Endpoint::port);
        let (Some(port), Some(address)) = (port, resolve(&name)) else {
            continue;
        };
        let found = Endpoint::new(address, port);
        let held = device
            .peer(&finding.peer)
            .and_then(|peer| peer.endpoint.as_ref());
        if held != Some(&found) {
            let mut update = PeerUpdate::new(finding.peer);
            update.endpoint = Some(found);
            operations.push(Operation::UpdatePeer(update));
        }
    }
    Changes::from_operations(operations)
}
