//! New keys without an outage: staged plans, as data, with the way back at every stage.
//!
//! The order for a member's key is the one that loses nothing in practice: (1) its peers learn the new public key,
//! without networks and without keepalive; (2) the member takes its new private key; (3) its peers move the networks to the
//! new key; (4) they forget the old one. A keepalive in the first stage would begin a handshake to a key that
//! nobody has yet, and its retry timer would then stand in the way of the good one for five seconds.
//!
//! A preshared key counts from the next handshake on, at most 120 s later, so its two ends may change it some seconds
//! apart; after 180 s without agreement the pair falls silent.

use std::fmt;
use std::time::Duration;

use crate::diff::{Operation, PeerUpdate};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{PresharedKey, PrivateKey, PublicKey, Random};
use crate::topology::{Keys, MemberPlan, Plan};

/// The most time that may pass between the two ends of a preshared key, with room to spare before 120 s.
pub const PRESHARED_GAP: Duration = Duration::from_secs(60);

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageKind {
    /// Peers learn the new public key.
    Announce,
    /// The member takes its new private key. The next stage follows at once: in between, nothing passes.
    Switch,
    /// Peers move the networks to the new key.
    Move,
    /// Peers forget the old key. Before it, wait until every peer shows a handshake with the new one.
    Forget,
    /// One end of a pair takes the new preshared key.
    FirstEnd,
    /// The other end does, within [`PRESHARED_GAP`].
    SecondEnd,
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce => "announce the new key to the peers",
            Self::Switch => "switch to the new key",
            Self::Move => "move the networks to the new key",
            Self::Forget => "forget the old key",
            Self::FirstEnd => "give one end the new preshared key",
            Self::SecondEnd => "give the other end the new preshared key",
        })
    }
}

/// What one member does in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Action {
    /// The member.
    pub member: String,
    /// What it does.
    pub operations: Vec<Operation>,
    /// What takes it back.
    pub undo: Vec<Operation>,
}

/// Actions that may be carried out side by side; the next stage begins when all are done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stage {
    /// What it is for.
    pub kind: StageKind,
    /// The actions.
    pub actions: Vec<Action>,
}

/// A rotation of one key. To give up after some stages, carry out their `undo` in reverse order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The stages, in order.
    pub stages: Vec<Stage>,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Key {
        member: String,
        key: PrivateKey,
    },
    Preshared {
        one: String,
        other: String,
        key: PresharedKey,
    },
}

/// Rotations of members that do not peer with each other, which may go on at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wave {
    /// One for each member of the wave.
    pub rotations: Vec<Rotation>,
}

fn find<'p>(plan: &'p Plan, name: &str) -> Result<MemberPlan<'p>> {
    plan.member(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Inventory,
            format!("the plan has no member {name:?}"),
        )
    })
}

impl Rotation {
    /// Stages that give a member a new key.
    ///
    /// # Errors
    /// [`ErrorKind::Inventory`] for an unknown member, [`ErrorKind::MissingKey`] when its old private key is not in the
    /// plan, [`ErrorKind::Unsupported`] when the new key is the old one.
    pub fn key(plan: &Plan, member: &str, new: PrivateKey) -> Result<Self> {
        let here = find(plan, member)?;
        let old = here.private_key().cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::MissingKey,
                format!("{member} keeps its private key to itself"),
            )
            .with_hint("let the member make its new key, and put the public one into the key store")
        })?;
        let (old_public, new_public) = (here.public_key(), new.public_key());
        if old_public == new_public {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the new key of {member} is its old one"),
            ));
        }
        let mut announce = Vec::new();
        let mut moves = Vec::new();
        let mut forget = Vec::new();
        for peer in here.peers() {
            let config = peer.config();
            let Some(entry) = config.peer(&old_public) else {
                continue;
            };
            let mut bare = entry.clone();
            bare.public_key = new_public;
            bare.allowed_ips.clear();
            bare.keepalive = None;
            let action = |operations, undo| Action {
                member: peer.name().to_owned(),
                operations,
                undo,
            };
            announce.push(action(
                vec![Operation::AddPeer(bare)],
                vec![Operation::RemovePeer(new_public)],
            ));
            moves.push(action(
                vec![gain(new_public, entry)],
                vec![gain(old_public, entry), settle(new_public, entry)],
            ));
            let mut emptied = entry.clone();
            emptied.allowed_ips.clear();
            forget.push(action(
                vec![Operation::RemovePeer(old_public)],
                vec![Operation::AddPeer(emptied)],
            ));
        }
        let switch = Action {
            member: member.to_owned(),
            operations: vec![Operation::SetPrivateKey(Some(new.clamped()))],
            undo: vec![Operation::SetPrivateKey(Some(old))],
        };
        let stages = [
            (StageKind::Announce, announce),
            (StageKind::Switch, vec![switch]),
            (StageKind::Move, moves),
            (StageKind::Forget, forget),
        ];
        Ok(Self {
            stages: stages
                .into_iter()
                .map(|(kind, actions)| Stage { kind, actions })
                .collect(),
            outcome: Outcome::Key {
                member: member.to_owned(),
                key: new,
            },
        })
    }

    /// Stages that give a pair a new preshared key.
    ///
    /// # Errors
    /// [`ErrorKind::Inventory`] for an unknown member, [`ErrorKind::Unsupported`] when the two do not peer.
    pub fn preshared(plan: &Plan, one: &str, other: &str, new: PresharedKey) -> Result<Self> {
        let stage = |kind, here: &str, there: &str| -> Result<Stage> {
            let (here, there) = (find(plan, here)?, find(plan, there)?);
            let config = here.config();
            let entry = config.peer(&there.public_key()).ok_or_else(|| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!("{} and {} do not peer", here.name(), there.name()),
                )
            })?;
            let set = |key: Option<PresharedKey>| {
                let mut update = PeerUpdate::new(entry.public_key);
                update.preshared_key = Some(key);
                vec![Operation::UpdatePeer(update)]
            };
            let action = Action {
                member: here.name().to_owned(),
                operations: set(Some(new.clone())),
                undo: set(entry.preshared_key.clone()),
            };
            Ok(Stage {
                kind,
                actions: vec![action],
            })
        };
        Ok(Self {
            stages: vec![
                stage(StageKind::FirstEnd, one, other)?,
                stage(StageKind::SecondEnd, other, one)?,
            ],
            outcome: Outcome::Preshared {
                one: one.to_owned(),
                other: other.to_owned(),
                key: new.clone(),
            },
        })
    }

    /// New keys for all members whose private keys are in the plan, in waves. Members that peer are never in one
    /// wave, so a full mesh takes as many waves as it has members, and a star two.
    ///
    /// # Errors
    /// None beyond those of [`Rotation::key`].
    pub fn mesh(plan: &Plan, random: &mut (impl Random + ?Sized)) -> Result<Vec<Wave>> {
        let members: Vec<MemberPlan<'_>> = plan.members().collect();
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for (at, member) in members
            .iter()
            .enumerate()
            .filter(|(_, m)| m.private_key().is_some())
        {
            let apart = |wave: &&mut Vec<usize>| {
                wave.iter()
                    .all(|&other| !member.peers_with(&members[other]))
            };
            match waves.iter_mut().find(apart) {
                Some(wave) => wave.push(at),
                None => waves.push(vec![at]),
            }
        }
        let wave = |members_of: Vec<usize>, random: &mut _| -> Result<Wave> {
            let rotation = |at: usize, random: &mut _| {
                Self::key(plan, members[at].name(), PrivateKey::generate(random))
            };
            let rotations = members_of
                .into_iter()
                .map(|at| rotation(at, &mut *random))
                .collect::<Result<_>>()?;
            Ok(Wave { rotations })
        };
        waves
            .into_iter()
            .map(|members_of| wave(members_of, &mut *random))
            .collect()
    }

    /// Puts the outcome into the key store, for the next plan and its files.
    ///
    /// Do it before the first stage, in a copy that is stored safely: a new key that is lost between the stages
    /// locks the member out.
    pub fn apply_to(&self, keys: &mut Keys) {
        match &self.outcome {
            Outcome::Key { member, key } => keys.set_private(member, key.clone()),
            Outcome::Preshared { one, other, key } => keys.set_preshared(one, other, key.clone()),
        }
    }
}

/// Gives all networks of `entry` to the peer with this key, and its keepalive.
fn gain(key: PublicKey, entry: &crate::Peer) -> Operation {
    let mut update = PeerUpdate::new(key);
    update.add.clone_from(&entry.allowed_ips);
    update.all.clone_from(&entry.allowed_ips);
    update.keepalive = entry.keepalive;
    Operation::UpdatePeer(update)
}

/// Takes the keepalive away again.
fn settle(key: PublicKey, entry: &crate::Peer) -> Operation {
    let mut update = PeerUpdate::new(key);
    update.keepalive = entry.keepalive.map(|_| 0);
    Operation::UpdatePeer(update)
}
