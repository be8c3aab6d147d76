//! What QEMU on the nodes can do: processor models and their flags, types of machines; and processor models of one's own.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::Ensured;
//! use proxmox_client::capability::CpuModelSettings;
//! # use proxmox_client::simulator::{Simulator, World};
//! # let client = Simulator::new(World::lab().with_version("9.2.3")).connect();
//! let wanted = CpuModelSettings::new()
//!     .with_reported_model("EPYC-Milan")
//!     .with_flags("+aes;-pcid");
//! let own = client.cpu_model("lab");
//! assert_eq!(own.ensure(&wanted).await?, Ensured::Created);
//! assert_eq!(own.ensure(&wanted).await?, Ensured::Unchanged);
//! let models = client.node("pve1").cpu_models().await?;
//! let own = models.iter().find(|model| model.name == "custom-lab").unwrap();
//! assert_eq!((own.custom, own.vendor.as_deref()), (Some(true), Some("AuthenticAMD")));
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

use crate::client::Client;
use crate::error::Result;
use crate::named::{About, Named, Noun, about, all, list};
use crate::node::Node;
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::settings;
use crate::wire::{Method, Request};

record! {
    /// A processor model that machines may have: `GET /nodes/{node}/capabilities/qemu/cpu`.
    pub struct CpuModel {
        required {
            /// Name, as `cpu` of a machine wants it; of custom ones with `custom-` before it.
            "name" name: String,
        }
        optional {
            /// Who makes such processors, as the guest sees it: `AuthenticAMD`, `GenuineIntel`, …; `default` where it is
            /// the node's own.
            "vendor" vendor: String,
            /// Whether it was made on this cluster.
            "custom" custom: bool,
            /// Whether it is a level such as `x86-64-v3` and no model of QEMU's, so that custom ones cannot report it.
            "abstract" level: bool,
        }
    }
}

open_enum! {
    /// Kind of a machine.
    pub enum MachineKind {
        /// With PCI Express.
        Q35 = "q35",
        /// With PCI.
        I440fx = "i440fx",
    }
}

record! {
    /// A type of machine with its version: `GET /nodes/{node}/capabilities/qemu/machines`.
    pub struct MachineType {
        required {
            /// Whole name, such as `pc-q35-10.1`, as `machine` wants it.
            "id" id: String,
        }
        optional {
            /// Kind.
            "type" kind: MachineKind,
            /// Version, such as `10.1` or `9.2+pve1`.
            "version" version: String,
            /// What a version with `+pve` changes.
            "changes" changes: String,
        }
    }
}

record! {
    /// A flag of processors: `GET /nodes/{node}/capabilities/qemu/cpu-flags`.
    pub struct CpuFlag {
        required {
            /// Name, such as `aes`.
            "name" name: String,
        }
        optional {
            /// What it is for.
            "description" description: String,
            /// Nodes whose processors have it.
            "supported-on" nodes: Vec<String>,
        }
    }
}

record! {
    /// A processor model of one's own: `GET /cluster/qemu/custom-cpu-models`.
    pub struct CpuModelInfo {
        required {
            /// Name, with `custom-` before it.
            "cputype" name: String,
        }
        optional {
            /// The model that the guest sees.
            "reported-model" reported_model: String,
            /// Flags to add or take away: `+aes;-pcid`.
            "flags" flags: String,
            /// Whether the hypervisor is hidden.
            "hidden" hidden: bool,
            /// What Windows takes the hypervisor for.
            "hv-vendor-id" hyperv_vendor: String,
            /// Bits of physical addresses, or `host`.
            "phys-bits" address_bits: String,
            /// Bits of physical addresses that the guest may use.
            "guest-phys-bits" guest_address_bits: u32,
            /// Highest basic leaf of `CPUID`.
            "level" level: u32,
            /// Digest of all models.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a processor model. A new one needs a model to report.
    pub struct CpuModelSettings {
        /// The model that the guest sees, such as `EPYC-Milan`: one of QEMU's, no custom one.
        with_reported_model "reported-model" text,
        /// Flags to add or take away: `+aes;-pcid`. All that QEMU knows are allowed.
        with_flags "flags" text,
        /// Whether the hypervisor is hidden.
        with_hidden "hidden" flag,
        /// What Windows takes the hypervisor for: up to 12 letters and digits.
        with_hyperv_vendor "hv-vendor-id" text,
        /// Bits of physical addresses, 8 to 64, or `host`, with which machines move only between like processors.
        with_address_bits "phys-bits" text,
        /// Bits of physical addresses that the guest may use, 32 to 64.
        with_guest_address_bits "guest-phys-bits" number,
        /// Highest basic leaf of `CPUID` that the guest may ask for.
        with_level "level" number,
    }
}

/// The noun of [`CustomCpuModel`].
#[derive(Debug)]
#[non_exhaustive]
pub struct CpuModelNoun;

impl about::Sealed for CpuModelNoun {
    const ABOUT: About = About::new(
        "processor model",
        "/cluster/qemu/custom-cpu-models",
        "cputype",
    );
}

impl Noun for CpuModelNoun {
    type Info = CpuModelInfo;
    type Settings = CpuModelSettings;
}

/// A processor model of one's own. Server 9.2 and later.
pub type CustomCpuModel = Named<CpuModelNoun>;

impl Client {
    /// The processor models of one's own. Server 9.2 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::capability::CpuModelSettings;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_version("9.2.3")).connect();
    /// let wanted = CpuModelSettings::new().with_reported_model("Haswell").with_hidden(true);
    /// client.cpu_model("hidden").create(&wanted).await?;
    /// assert_eq!(client.cpu_models().await?[0].reported_model.as_deref(), Some("Haswell"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cpu_models(&self) -> Result<Vec<CpuModelInfo>> {
        all::<CpuModelNoun>(self, list::<CpuModelNoun>(&[])).await
    }

    /// A processor model of one's own, by its name with or without `custom-`. Server 9.2 and later.
    pub fn cpu_model(&self, name: &str) -> CustomCpuModel {
        let name = name.strip_prefix("custom-").unwrap_or(name);
        CustomCpuModel::new(self, &[], name)
    }

    /// All flags that QEMU knows, which custom models may have, with the nodes whose processors have them. Server 9.2
    /// and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// match client.cpu_flags().await {
    ///     Ok(flags) => flags.iter().for_each(|flag| println!("{}: {:?}", flag.name, flag.nodes)),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotImplemented), // a 9.1 server
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cpu_flags(&self) -> Result<Vec<CpuFlag>> {
        let request = Request::new(Method::Get, "/cluster/qemu/cpu-flags", &[]);
        self.fetch(request).await
    }
}

impl Node {
    /// The processor models that machines may have, custom ones among them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let models = node.cpu_models().await?;
    /// let of_amd = models.iter().filter(|model| model.vendor.as_deref() == Some("AuthenticAMD"));
    /// assert!(of_amd.count() > 5);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cpu_models(&self) -> Result<Vec<CpuModel>> {
        let request = self.request(Method::Get, "/capabilities/qemu/cpu")?;
        self.client().fetch(request).await
    }

    /// The flags that any machine may add or take away, with the nodes whose processors have them. Server 9.1 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let flags = node.cpu_flags().await?;
    /// assert!(flags.iter().any(|flag| flag.name == "aes"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cpu_flags(&self) -> Result<Vec<CpuFlag>> {
        let request = self.request(Method::Get, "/capabilities/qemu/cpu-flags")?;
        self.client().fetch(request).await
    }

    /// The types of machines that QEMU on this node knows, with their versions.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::capability::MachineKind;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let types = node.machine_types().await?;
    /// let newest = types.iter().find(|one| one.kind == Some(MachineKind::Q35)).unwrap();
    /// assert_eq!(newest.id, "pc-q35-10.1");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn machine_types(&self) -> Result<Vec<MachineType>> {
        let request = self.request(Method::Get, "/capabilities/qemu/machines")?;
        self.client().fetch(request).await
    }
}
