//! What a node's upkeep needs to know: disks, updates, subscription.

use crate::error::Result;
use crate::node::Node;
use crate::open::open_enum;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::Method;

record! {
    /// A disk of a node: `GET /nodes/{node}/disks/list`.
    pub struct PhysicalDisk {
        required {
            /// Path of the device, such as `/dev/sda`.
            "devpath" device: String,
        }
        optional {
            /// Size in bytes.
            "size" size: u64,
            /// What it is used for: `LVM`, `ZFS`, `partitions`, …; absent if for nothing.
            "used" used: String,
            /// `hdd`, `ssd`, `nvme`, …
            "type" kind: String,
            /// Model.
            "model" model: String,
            /// Serial number.
            "serial" serial: String,
            /// Vendor.
            "vendor" vendor: String,
            /// Name that is the same in every machine.
            "wwn" wwn: String,
            /// What SMART says: `PASSED`, `FAILED`, `UNKNOWN`, …
            "health" health: String,
            /// How much of a solid-state disk's life is left, in percent; a text where it is not known.
            "wearout" life_left: f64,
            /// Whether it has a GPT.
            "gpt" gpt: bool,
            /// Whether it is mounted.
            "mounted" mounted: bool,
            /// Number of the Ceph disk on it; -1 if there is none.
            "osdid" osd: i64,
        }
    }
}

impl PhysicalDisk {
    /// Whether nothing is on it.
    pub fn is_unused(&self) -> bool {
        self.used.is_none() && self.osd.is_none_or(|osd| osd < 0)
    }
}

record! {
    /// A package that could be updated: `GET /nodes/{node}/apt/update`.
    pub struct PackageUpdate {
        required {
            /// Package.
            "Package" package: String,
        }
        optional {
            /// New version.
            "Version" version: String,
            /// Version that is installed; absent for a new package.
            "OldVersion" old_version: String,
            /// Short description.
            "Title" title: String,
            /// Where it is from.
            "Origin" origin: String,
            /// Section of the repository.
            "Section" section: String,
            /// Priority.
            "Priority" priority: String,
        }
    }
}

open_enum! {
    /// Whether a node has a subscription.
    pub enum SubscriptionStatus {
        /// It has none.
        NotFound = "notfound",
        /// It has one.
        Active = "active",
        /// It was not checked yet.
        New = "new",
        /// It is not good for this node.
        Invalid = "invalid",
        /// It has ended.
        Expired = "expired",
        /// It was suspended.
        Suspended = "suspended",
    }
}

record! {
    /// `GET /nodes/{node}/subscription`. The key is left out.
    pub struct Subscription {
        required {
            /// Whether there is one.
            "status" status: SubscriptionStatus,
        }
        optional {
            /// Level: `c`ommunity, `b`asic, `s`tandard or `p`remium.
            "level" level: String,
            /// Product.
            "productname" product: String,
            /// When the next payment is due, such as `2027-01-31`.
            "nextduedate" next_due: String,
            /// Sockets that it covers.
            "sockets" sockets: u32,
            /// What the node says about it.
            "message" message: String,
        }
    }
}

impl Node {
    /// The node's disks, with what SMART says of them.
    pub async fn physical_disks(&self) -> Result<Vec<PhysicalDisk>> {
        let request = self.request(Method::Get, "/disks/list")?;
        self.client().fetch(request).await
    }

    /// The packages that could be updated, as of the last [`refresh_updates`](Self::refresh_updates).
    pub async fn updates(&self) -> Result<Vec<PackageUpdate>> {
        let request = self.request(Method::Get, "/apt/update")?;
        self.client().fetch(request).await
    }

    /// Asks the repositories what could be updated; nothing is installed.
    pub fn refresh_updates(&self) -> TaskCall<()> {
        TaskCall::new(
            self.client().clone(),
            format!("refreshing updates of {}", self.name()),
            self.request(Method::Post, "/apt/update"),
            |report| report.check().map(|_| ()),
        )
    }

    /// The node's subscription.
    pub async fn subscription(&self) -> Result<Subscription> {
        let request = self.request(Method::Get, "/subscription")?;
        let mut members = self.client().fetch(request).await?;
        crate::named::hide(&mut members, &["key", "signature"]);
        crate::named::decode(members.into())
    }
}
