//! Private, public and preshared keys: read, made, compared and wiped.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};

pub(crate) mod encoding;
pub(crate) mod hash;

/// Where random bytes come from. Every `FnMut(&mut [u8])` is one.
///
/// The library never reaches for a generator of its own: hand in the operating system's (feature `os-random`
/// has it as `OsRandom`), or a seeded one in tests.
pub trait Random {
    /// Fills the whole slice with unpredictable bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// The operating system's random generator.
#[cfg(feature = "os-random")]
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "a value that callers name")]
pub struct OsRandom;

#[cfg(feature = "os-random")]
impl Random for OsRandom {
    /// # Panics
    /// When the operating system has no random bytes to give, which Linux rules out after boot.
    #[allow(clippy::expect_used)]
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// 32 secret bytes on the heap, so that moving the owner leaves no copy behind; wiped on drop.
struct Secret(Box<[u8; 32]>);

impl Secret {
    fn take(bytes: &mut [u8; 32]) -> Self {
        let mut held = Box::new([0; 32]);
        held.copy_from_slice(bytes);
        bytes.zeroize();
        Self(held)
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        let mut held = Box::new([0; 32]);
        held.copy_from_slice(&*self.0);
        Self(held)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

macro_rules! secret_key {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Takes 32 bytes as they are and wipes the caller's copy.
            pub fn take_bytes(bytes: &mut [u8; 32]) -> Self {
                Self(Secret::take(bytes))
            }

            /// Reads the 44 characters of canonical base64 that WireGuard's tools use.
            ///
            /// # Errors
            /// [`ErrorKind::Key`] with the reason; the text itself is never part of it.
            pub fn from_base64(text: &str) -> Result<Self> {
                Self::decode(text.as_bytes()).map_err(|fault| fault.into_error($what))
            }

            /// Reads 64 hexadecimal digits, as in the user-space API.
            ///
            /// # Errors
            /// [`ErrorKind::Key`]; the text itself is never part of it.
            pub fn from_hex(text: &str) -> Result<Self> {
                let mut key = Self::zero();
                if encoding::from_hex(text.as_bytes(), &mut key.0.0) {
                    return Ok(key);
                }
                Err(Error::new(
                    ErrorKind::Key,
                    concat!($what, " is not 64 hexadecimal digits"),
                ))
            }

            pub(crate) fn decode(text: &[u8]) -> Result<Self, encoding::KeyFault> {
                let mut key = Self::zero();
                encoding::from_base64(text, &mut key.0.0)?;
                Ok(key)
            }

            fn zero() -> Self {
                Self(Secret(Box::new([0; 32])))
            }

            /// The key in base64. The name says what it does: the text is secret and wiped when dropped.
            #[must_use]
            pub fn expose_base64(&self) -> Zeroizing<String> {
                let mut text = Zeroizing::new(String::with_capacity(44));
                self.push_base64(&mut text);
                text
            }

            /// Appends the key in base64 to `out`, which from then on holds a secret.
            pub fn push_base64(&self, out: &mut String) {
                let mut digits = encoding::to_base64(self.expose_bytes());
                out.push_str(encoding::as_str(&digits));
                digits.zeroize();
            }

            /// Appends the key as 64 hexadecimal digits to `out`, which from then on holds a secret.
            pub fn push_hex(&self, out: &mut String) {
                let mut digits = encoding::to_hex(self.expose_bytes());
                out.push_str(encoding::as_str(&digits));
                digits.zeroize();
            }

            /// The 32 secret bytes.
            #[must_use]
            pub fn expose_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }

            /// Whether all 32 bytes are zero, which WireGuard reads as "no key".
            #[must_use]
            pub fn is_zero(&self) -> bool {
                self.expose_bytes().ct_eq(&[0; 32]).into()
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::from_base64(text)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose_bytes().ct_eq(other.expose_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

/// A Curve25519 private key. Redacted in `Debug`, compared in constant time, wiped on drop.
#[derive(Clone)]
pub struct PrivateKey(Secret);

/// A symmetric key that two peers mix into their handshake. Redacted, compared in constant time, wiped on drop.
#[derive(Clone)]
pub struct PresharedKey(Secret);

secret_key!(PrivateKey, "private key");
secret_key!(PresharedKey, "preshared key");

impl PrivateKey {
    /// Makes a new key, clamped as `wg genkey` does.
    pub fn generate(random: &mut (impl Random + ?Sized)) -> Self {
        let mut key = Self::zero();
        random.fill(&mut key.0.0[..]);
        key.clamp();
        key
    }

    /// Whether the bits that Curve25519 fixes are as `wg genkey` leaves them.
    #[must_use]
    pub fn is_clamped(&self) -> bool {
        let bytes = self.expose_bytes();
        bytes[0] & 7 == 0 && bytes[31] & 0xc0 == 0x40
    }

    /// The same key as the kernel keeps it; the public key does not change.
    #[must_use]
    pub fn clamped(&self) -> Self {
        let mut key = self.clone();
        key.clamp();
        key
    }

    fn clamp(&mut self) {
        let bytes = &mut self.0.0;
        bytes[0] &= 248;
        bytes[31] = (bytes[31] & 127) | 64;
    }

    /// The public key that belongs to it: one scalar product, about 15 microseconds.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let public = self.derive();
        scrub_stack::<2048>();
        public
    }

    #[inline(never)]
    fn derive(&self) -> PublicKey {
        let mut copy = Zeroizing::new([0; 32]);
        copy.copy_from_slice(self.expose_bytes());
        let secret = x25519_dalek::StaticSecret::from(*copy);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

/// Overwrites the stack that a call just left: libraries take secrets by value and leave copies there.
#[inline(never)]
fn scrub_stack<const WORDS: usize>() {
    let mut dead = [0u64; WORDS];
    dead.zeroize();
    std::hint::black_box(&dead);
}

impl PresharedKey {
    /// Lets `fill` write the key where it will stay, so that no copy is left elsewhere.
    pub(crate) fn fill_with(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Self::zero();
        Self::call(fill, &mut key.0.0);
        scrub_stack::<256>();
        key
    }

    #[inline(never)]
    fn call(fill: impl FnOnce(&mut [u8; 32]), bytes: &mut [u8; 32]) {
        fill(bytes);
    }

    /// Makes a new key from 32 random bytes.
    pub fn generate(random: &mut (impl Random + ?Sized)) -> Self {
        let mut key = Self::zero();
        random.fill(&mut key.0.0[..]);
        key
    }
}

/// A Curve25519 public key: the identity of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the 44 characters of canonical base64 that WireGuard's tools use.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] with the reason.
    pub fn from_base64(text: &str) -> Result<Self> {
        Self::decode(text.as_bytes()).map_err(|fault| fault.into_error("public key"))
    }

    pub(crate) fn decode(text: &[u8]) -> Result<Self, encoding::KeyFault> {
        encoding::public_from_base64(text).map(Self)
    }

    /// Reads 64 hexadecimal digits, as in the user-space API.
    ///
    /// # Errors
    /// [`ErrorKind::Key`].
    pub fn from_hex(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        if encoding::from_hex(text.as_bytes(), &mut bytes) {
            return Ok(Self(bytes));
        }
        Err(Error::new(
            ErrorKind::Key,
            "public key is not 64 hexadecimal digits",
        ))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Appends the key in base64 to `out`.
    pub fn push_base64(&self, out: &mut String) {
        out.push_str(encoding::as_str(&encoding::to_base64(&self.0)));
    }

    /// Appends the key as 64 hexadecimal digits to `out`.
    pub fn push_hex(&self, out: &mut String) {
        out.push_str(encoding::as_str(&encoding::to_hex(&self.0)));
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_base64(text)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(encoding::as_str(&encoding::to_base64(&self.0)))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}
