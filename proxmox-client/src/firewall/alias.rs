//! Aliases: names for addresses and networks.

use crate::named::{About, Named, Noun, about};
use crate::scalar::record;
use crate::setting::settings;

record! {
    /// An alias: `GET …/firewall/aliases`.
    pub struct AliasInfo {
        required {
            /// Name.
            "name" name: String,
            /// Address, or network with prefix.
            "cidr" network: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// 4 or 6.
            "ipversion" ip_version: u32,
            /// Digest of all aliases here.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of an alias. A new one needs a network.
    pub struct AliasSettings {
        /// Address, or network with prefix.
        with_network "cidr" text,
        /// Comment.
        with_comment "comment" text,
    }
}

impl AliasSettings {
    /// For an address, or a network with prefix.
    pub fn of(network: &str) -> Self {
        Self::new().with_network(network)
    }
}

/// The noun of [`Alias`].
#[derive(Debug)]
#[non_exhaustive]
pub struct AliasNoun;

impl about::Sealed for AliasNoun {
    const ABOUT: About = About {
        // Only the list tells a digest, and removing one that is not there succeeds.
        found_by: Some(("name", "name")),
        always: &["cidr", "comment"],
        whole: true,
        ..About::new("alias", "/aliases", "name")
    };
}

impl Noun for AliasNoun {
    type Info = AliasInfo;
    type Settings = AliasSettings;
}

/// An alias.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{AliasSettings, Ensured};
/// # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
/// let alias = client.firewall().alias("admins");
/// let wanted = AliasSettings::of("192.0.2.0/28").with_comment("Desks");
/// assert_eq!(alias.ensure(&wanted).await?, Ensured::Created);
/// assert_eq!(alias.ensure(&wanted).await?, Ensured::Unchanged);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub type Alias = Named<AliasNoun>;
