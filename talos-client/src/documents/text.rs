//! Texts with a form of their own.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::codec::{textual, zeroable};
use crate::error::{Error, ErrorKind};
use crate::{size, uri};

/// The parts that all texts here share.
macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text!(Url, Expression, Size, SizeMatcher, Base64);

fn refused(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("not {what}: {why}"))
}

/// A URL in the form that Talos prints.
///
/// ```
/// use talos_client::documents::Url;
///
/// let url: Url = "https://10.0.0.1:6443".parse()?;
/// assert_eq!(url.as_str(), "https://10.0.0.1:6443");
/// assert!("https://10.0.0.1:no".parse::<Url>().is_err());
/// # Ok::<(), talos_client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url(String);

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let uri = uri::parse(text).map_err(|why| refused("a URL", &why))?;
        Ok(Self(uri.to_string()))
    }
}

/// An expression (CEL) that selects disks, volumes or links. It is checked when the configuration is validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expression(String);

impl Expression {
    /// An expression as it is written in the configuration.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The disk with this device path, `/dev/sda`.
    pub fn disk_path(path: &str) -> Self {
        Self(format!("disk.dev_path == {}", literal(path)))
    }

    /// The link with this permanent hardware address.
    pub fn link_mac(address: &str) -> Self {
        let address = literal(&address.to_lowercase());
        Self(format!("mac(link.permanent_addr) == {address}"))
    }
}

/// A text as a literal of an expression.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Expression {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl FromStr for Expression {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// A size, kept as written: `10GiB`, `-1GiB` to leave that much free, `50%`.
///
/// ```
/// use talos_client::documents::Size;
///
/// assert_eq!(Size::gib(10).as_str(), "10GiB");
/// assert_eq!("50%".parse::<Size>()?, Size::percent(50));
/// assert!("10 parsecs".parse::<Size>().is_err());
/// # Ok::<(), talos_client::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(String);

impl Size {
    /// So many times 1024³ bytes.
    pub fn gib(count: u32) -> Self {
        Self(format!("{count}GiB"))
    }

    /// So many times 1024² bytes.
    pub fn mib(count: u32) -> Self {
        Self(format!("{count}MiB"))
    }

    /// A share of the disk; more than 100 is 100. Only greatest sizes can be a share.
    pub fn percent(share: u8) -> Self {
        Self(format!("{}%", share.min(100)))
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.is_empty() {
            size::parse(text).map_err(|why| refused("a size", &why))?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// A size with a comparison in front, `>= 4GB`. It is checked when the configuration is validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeMatcher(String);

impl From<&str> for SizeMatcher {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for SizeMatcher {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(text))
    }
}

/// Base64 of binary content or PEM text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base64(String);

impl Base64 {
    /// Encodes the content, for example a certificate in PEM.
    pub fn encode(content: impl AsRef<[u8]>) -> Self {
        Self(STANDARD.encode(content))
    }

    /// The content.
    pub fn decode(&self) -> Vec<u8> {
        STANDARD.decode(&self.0).unwrap_or_default()
    }
}

impl FromStr for Base64 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = STANDARD.decode(text);
        read.map_err(|error| refused("base64", &error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

textual!(Url, Expression, Size, SizeMatcher, Base64);
zeroable!(Expression, Size, SizeMatcher, Base64);
