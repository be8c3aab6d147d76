//! Fabrics: routes that nodes tell each other, which tunnels go over. Since 9.0.

use std::fmt;

use crate::error::Result;
use crate::named::{About, Named, Noun, about, all, list};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Wanted, settings};

open_enum! {
    /// How nodes tell each other their routes.
    pub enum FabricProtocol {
        /// OpenFabric.
        OpenFabric = "openfabric",
        /// OSPF.
        Ospf = "ospf",
    }
}

record! {
    /// A fabric: `GET /cluster/sdn/fabrics/fabric`.
    pub struct FabricInfo {
        required {
            /// Name.
            "id" id: String,
        }
        optional {
            /// How its nodes tell each other their routes.
            "protocol" protocol: FabricProtocol,
            /// Network that its nodes' addresses are from.
            "ip_prefix" prefix: String,
            /// IPv6 network that its nodes' addresses are from.
            "ip6_prefix" prefix6: String,
            /// Area of OSPF.
            "area" area: String,
            /// How often nodes of OpenFabric greet each other, in seconds.
            "hello_interval" hello_interval: f64,
            /// How often nodes of OpenFabric tell what they know, in seconds.
            "csnp_interval" csnp_interval: f64,
            /// Digest of all fabrics.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a fabric. A new one needs a protocol, which the functions that make settings give.
    pub struct FabricSettings {
        /// Network that its nodes' addresses are from.
        with_prefix "ip_prefix" text,
        /// IPv6 network that its nodes' addresses are from; OpenFabric only.
        with_prefix6 "ip6_prefix" text,
        /// Area of OSPF, a number or an address.
        with_area "area" text,
        /// How often nodes of OpenFabric greet each other, in seconds: 1 to 600, 3 by default.
        with_hello_interval "hello_interval" number,
        /// How often nodes of OpenFabric tell what they know, in seconds: 1 to 600, 10 by default.
        with_csnp_interval "csnp_interval" number,
    }
}

impl FabricSettings {
    /// OpenFabric, with addresses from a network.
    pub fn openfabric(prefix: &str) -> Self {
        let kind = FabricProtocol::OpenFabric;
        Self::new()
            .with("protocol", kind.as_str())
            .with_prefix(prefix)
    }

    /// OSPF in an area, with addresses from a network.
    pub fn ospf(area: &str, prefix: &str) -> Self {
        let kind = FabricProtocol::Ospf;
        let settings = Self::new().with("protocol", kind.as_str());
        settings.with_area(area).with_prefix(prefix)
    }
}

/// The noun of [`Fabric`].
#[derive(Debug)]
#[non_exhaustive]
pub struct FabricNoun;

impl about::Sealed for FabricNoun {
    const ABOUT: About = About {
        always: &["protocol"],
        delete_each: true,
        removed_without_lock: true,
        ..About::new("fabric", "/cluster/sdn/fabrics/fabric", "id")
    };
}

impl Noun for FabricNoun {
    type Info = FabricInfo;
    type Settings = FabricSettings;
}

/// A fabric. It cannot be removed while the configuration is locked: the interface takes no token for that.
pub type Fabric = Named<FabricNoun>;

impl Fabric {
    /// Its nodes, as they are configured.
    ///
    /// Example: see [`Sdn::fabric`](crate::sdn::Sdn::fabric).
    pub async fn nodes(&self) -> Result<Vec<FabricNodeInfo>> {
        all::<FabricNodeNoun>(self.client(), list::<FabricNodeNoun>(&[self.id()])).await
    }

    /// One of its nodes.
    ///
    /// Example: see [`Sdn::fabric`](crate::sdn::Sdn::fabric).
    pub fn node(&self, node: impl Into<String>) -> FabricNode {
        FabricNode::new(self.client(), &[self.id()], node).under(self.token())
    }
}

record! {
    /// A node of a fabric: `GET /cluster/sdn/fabrics/node/{fabric_id}`.
    pub struct FabricNodeInfo {
        required {
            /// Node.
            "node_id" node: String,
        }
        optional {
            /// Fabric.
            "fabric_id" fabric: String,
            /// How it tells others its routes.
            "protocol" protocol: FabricProtocol,
            /// Its address in the fabric.
            "ip" address: String,
            /// Its IPv6 address in the fabric.
            "ip6" address6: String,
            /// Its interfaces, each such as `name=eno1,ip=192.0.2.1/31`.
            "interfaces" interfaces: Vec<String>,
            /// Digest of all fabrics.
            "digest" digest: String,
        }
    }
}

/// An interface over which a node of a fabric reaches others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FabricInterface {
    name: String,
    address: Option<String>,
    address6: Option<String>,
    hello_multiplier: Option<u32>,
}

impl FabricInterface {
    /// An interface without an address of its own: it uses the node's.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            address6: None,
            hello_multiplier: None,
        }
    }

    /// Its own address with prefix.
    #[must_use]
    pub fn with_address(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// Its own IPv6 address with prefix; OpenFabric only.
    #[must_use]
    pub fn with_address6(mut self, address: &str) -> Self {
        self.address6 = Some(address.to_owned());
        self
    }

    /// After how many greetings that did not come a neighbour is lost, 2 to 100; OpenFabric only.
    #[must_use]
    pub fn with_hello_multiplier(mut self, count: u32) -> Self {
        self.hello_multiplier = Some(count);
        self
    }
}

impl fmt::Display for FabricInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name={}", self.name)?;
        if let Some(address) = &self.address {
            write!(f, ",ip={address}")?;
        }
        if let Some(address) = &self.address6 {
            write!(f, ",ip6={address}")?;
        }
        if let Some(count) = &self.hello_multiplier {
            write!(f, ",hello_multiplier={count}")?;
        }
        Ok(())
    }
}

settings! {
    /// Settings of a node of a fabric. A new one needs its fabric's protocol, which the functions that make settings give.
    pub struct FabricNodeSettings {
        /// Its address in the fabric.
        with_address "ip" text,
        /// Its IPv6 address in the fabric; OpenFabric only.
        with_address6 "ip6" text,
    }
}

impl FabricNodeSettings {
    fn of(protocol: &FabricProtocol, address: &str) -> Self {
        Self::new()
            .with("protocol", protocol.as_str())
            .with_address(address)
    }

    /// A node of an OpenFabric fabric.
    pub fn openfabric(address: &str) -> Self {
        Self::of(&FabricProtocol::OpenFabric, address)
    }

    /// A node of an OSPF fabric.
    pub fn ospf(address: &str) -> Self {
        Self::of(&FabricProtocol::Ospf, address)
    }

    /// All its interfaces.
    #[must_use]
    pub fn with_interfaces(
        mut self,
        interfaces: impl IntoIterator<Item = FabricInterface>,
    ) -> Self {
        let interfaces = interfaces.into_iter().map(|one| one.to_string());
        self.0
            .set("interfaces", Wanted::items(interfaces.collect()));
        self
    }
}

/// The noun of [`FabricNode`].
#[derive(Debug)]
#[non_exhaustive]
pub struct FabricNodeNoun;

impl about::Sealed for FabricNodeNoun {
    const ABOUT: About = About {
        always: &["protocol"],
        delete_each: true,
        removed_without_lock: true,
        ..About::new(
            "fabric node",
            "/cluster/sdn/fabrics/node/{fabric_id}",
            "node_id",
        )
    };
}

impl Noun for FabricNodeNoun {
    type Info = FabricNodeInfo;
    type Settings = FabricNodeSettings;
}

/// A node of a fabric.
pub type FabricNode = Named<FabricNodeNoun>;
