//! From an inventory of members to a checked plan of who talks with whom, and to each member's configuration.
//!
//! The order is always: describe the members in an [`Inventory`], complete the [`Keys`], make the [`Plan`], look at
//! its [`reachability`](Plan::reachability), and only then write its [`files`](Plan::files).

mod allocate;
mod inventory;
mod key_text;
mod keys;
mod links;
mod plan;
mod reachability;
mod stream;
mod validate;
#[cfg(feature = "yaml")]
mod yaml;

pub use allocate::Leases;
pub use inventory::{Inventory, Lan, Member, PresharedPolicy, Role, Topology};
pub use keys::{CreatedKey, Keys};
pub use plan::{File, MemberPlan, Plan};
pub use reachability::{Obstacle, Reachability, Verdict};
pub(crate) use validate::is_interface_name;
