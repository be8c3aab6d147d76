//! Unpredictable names, for what must not be mistaken for something of somebody else.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::error::{Error, Kind, Result};

/// A number that nobody else draws: the keys of the standard library's hash maps come from the operating system.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Bytes of the operating system that are good enough for keys.
pub(crate) fn secret<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let provider = rustls::crypto::ring::default_provider();
    let filled = provider.secure_random.fill(&mut bytes);
    filled.map_err(|_| Error::new(Kind::Internal, "there are no random numbers"))?;
    Ok(bytes)
}

/// 32 hexadecimal digits.
pub(crate) fn token() -> String {
    format!("{:016x}{:016x}", number(), number())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_token_comes_twice() {
        let drawn: BTreeSet<String> = (0..1000).map(|_| super::token()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|token| token.len() == 32));
    }
}
