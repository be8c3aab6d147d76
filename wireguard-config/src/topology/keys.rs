//! The keys of an inventory's members and pairs.

use std::collections::BTreeMap;
use std::fmt;

use hmac::digest::FixedOutput as _;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::key::{PresharedKey, PrivateKey, PublicKey, Random};

use super::inventory::{Inventory, PresharedPolicy};

/// What [`Keys::complete`] had to make.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CreatedKey {
    /// The private key of the member with this name.
    Member(String),
    /// The seed from which the preshared keys of pairs are derived.
    Seed,
}

#[derive(Clone)]
struct MemberKey {
    private: Option<PrivateKey>,
    /// Derived once: a scalar product for each line of each file is what makes mesh generators slow.
    public: PublicKey,
}

/// The secrets of a network: private keys by member name, and preshared keys of pairs.
///
/// Preshared keys come from one seed (HMAC-SHA-256 over both names and a generation), so that a mesh of 1,000
/// members keeps 32 bytes rather than 499,500 keys, and adding a member changes no other pair's key. A pair can
/// also be given a key of its own. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Keys {
    members: BTreeMap<String, MemberKey>,
    seed: Option<PresharedKey>,
    generations: BTreeMap<(String, String), u64>,
    pairs: BTreeMap<(String, String), PresharedKey>,
}

fn pair(one: &str, other: &str) -> (String, String) {
    let (first, second) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    (first.to_owned(), second.to_owned())
}

impl Keys {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes what the inventory needs and the store lacks, changes nothing else, and says what it made.
    ///
    /// Call it before the first thing that depends on the keys, and store the result safely in between.
    pub fn complete(
        &mut self,
        inventory: &Inventory,
        random: &mut (impl Random + ?Sized),
    ) -> Vec<CreatedKey> {
        let mut created = Vec::new();
        for member in &inventory.members {
            if !self.members.contains_key(&member.name) {
                self.set_private(&member.name, PrivateKey::generate(random));
                created.push(CreatedKey::Member(member.name.clone()));
            }
        }
        if inventory.preshared == PresharedPolicy::PerPair && self.seed.is_none() {
            self.seed = Some(PresharedKey::generate(random));
            created.push(CreatedKey::Seed);
        }
        created
    }

    /// Puts in a member's private key; an earlier one is dropped.
    pub fn set_private(&mut self, member: impl Into<String>, key: PrivateKey) {
        let public = key.public_key();
        self.members.insert(
            member.into(),
            MemberKey {
                private: Some(key),
                public,
            },
        );
    }

    /// Puts in the public key of a member that keeps its private key to itself, such as a telephone.
    pub fn set_public(&mut self, member: impl Into<String>, key: PublicKey) {
        self.members.insert(
            member.into(),
            MemberKey {
                private: None,
                public: key,
            },
        );
    }

    /// Puts in the seed of the preshared keys.
    pub fn set_seed(&mut self, seed: PresharedKey) {
        self.seed = Some(seed);
    }

    /// Gives a pair a preshared key of its own.
    pub fn set_preshared(&mut self, one: &str, other: &str, key: PresharedKey) {
        self.pairs.insert(pair(one, other), key);
    }

    /// The names of members with a key, sorted.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Whether the store holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.seed.is_none() && self.pairs.is_empty()
    }

    /// A member's private key, if it is here.
    #[must_use]
    pub fn private(&self, member: &str) -> Option<&PrivateKey> {
        self.members.get(member)?.private.as_ref()
    }

    /// A member's public key.
    #[must_use]
    pub fn public(&self, member: &str) -> Option<PublicKey> {
        self.members.get(member).map(|key| key.public)
    }

    /// The seed of the preshared keys.
    #[must_use]
    pub fn seed(&self) -> Option<&PresharedKey> {
        self.seed.as_ref()
    }

    /// The pairs that have a preshared key of their own, sorted.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str, &PresharedKey)> {
        self.pairs
            .iter()
            .map(|((one, other), key)| (one.as_str(), other.as_str(), key))
    }

    /// The pairs whose derived key was renewed, with the generation.
    pub fn generations(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.generations
            .iter()
            .map(|((one, other), n)| (one.as_str(), other.as_str(), *n))
    }

    /// Sets the generation of a pair's derived key; 0 is the first. Another generation is another key.
    pub fn set_generation(&mut self, one: &str, other: &str, generation: u64) {
        self.generations.insert(pair(one, other), generation);
    }

    /// Forgets a member and the keys of its pairs.
    pub fn remove(&mut self, member: &str) {
        self.members.remove(member);
        self.pairs
            .retain(|(one, other), _| one != member && other != member);
        self.generations
            .retain(|(one, other), _| one != member && other != member);
    }

    /// The preshared key of a pair: its own one, else the derived one, else none.
    #[must_use]
    pub fn preshared(&self, one: &str, other: &str) -> Option<PresharedKey> {
        let mut own = None;
        let mut generation = 0;
        if !self.pairs.is_empty() || !self.generations.is_empty() {
            let pair = pair(one, other);
            own = self.pairs.get(&pair).cloned();
            generation = self.generations.get(&pair).copied().unwrap_or(0);
        }
        own.or_else(|| Some(self.deriver()?.derive(one, other, generation)))
    }

    pub(crate) fn explicit_preshared(&self, one: &str, other: &str) -> Option<PresharedKey> {
        if self.pairs.is_empty() {
            return None;
        }
        self.pairs.get(&pair(one, other)).cloned()
    }

    fn deriver(&self) -> Option<Deriver> {
        Deriver::new(self.seed.as_ref()?)
    }
}

struct Deriver(Hmac<Sha256>);

impl Deriver {
    fn new(seed: &PresharedKey) -> Option<Self> {
        let mut mac = Hmac::new_from_slice(seed.expose_bytes()).ok()?;
        mac.update(b"wireguard-config preshared 1\0");
        Some(Self(mac))
    }

    fn derive(&self, one: &str, other: &str, generation: u64) -> PresharedKey {
        let (first, second) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let mut mac = self.0.clone();
        for name in [first, second] {
            mac.update(&(name.len() as u64).to_be_bytes());
            mac.update(name.as_bytes());
        }
        mac.update(&generation.to_be_bytes());
        PresharedKey::fill_with(|bytes| mac.finalize_into(bytes.into()))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("members", &self.members.keys().collect::<Vec<_>>())
            .field("pairs", &self.pairs.keys().collect::<Vec<_>>())
            .field("seed", &self.seed.is_some())
            .finish()
    }
}
