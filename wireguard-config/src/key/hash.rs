//! A quick hash for tables of public keys, seeded anew in each process so that nobody can prepare collisions.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Builds hashers with a seed of this table's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHash(u64);

impl Default for KeyHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            state: self.0,
            seed: self.0 | 1,
        }
    }
}

#[derive(Debug)]
pub(crate) struct KeyHasher {
    state: u64,
    seed: u64,
}

impl KeyHasher {
    /// Multiplies with the secret seed and folds the upper half back in.
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word)
            * u128::from(self.seed.rotate_left(23) ^ 0x9e37_79b9_7f4a_7c15);
        self.state = (product as u64) ^ ((product >> 64) as u64);
        self.seed = self.seed.rotate_left(17);
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}
