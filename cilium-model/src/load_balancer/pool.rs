//! Addresses of pools as ranges, and pools that get into each other's way.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{AllowFirstLast, CiliumLoadBalancerIPPool, PoolBlock};
use crate::error::{Error, ErrorKind, Problem};

/// A block as first and last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressBlock {
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
}

impl AddressBlock {
    /// True when both have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4()
            && self.first <= other.last
            && other.first <= self.last
    }

    /// True when the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Number of addresses, at most `u128::MAX`.
    #[must_use]
    pub fn len(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Always false: a block has at least one address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// Two pools with common addresses; the later one is out of service until that is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overlap {
    /// One pool.
    pub first: String,
    /// The other.
    pub second: String,
    /// Block of the first.
    pub block: AddressBlock,
}

impl CiliumLoadBalancerIPPool {
    /// The addresses that the pool gives.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every block that is no range.
    pub fn blocks(&self) -> Result<Vec<AddressBlock>, Error> {
        let spec = &self.body.spec;
        let all = spec.allow_first_last_ips == Some(AllowFirstLast::Yes);
        let mut problems = Vec::new();
        let mut found = Vec::new();
        for (n, block) in spec.blocks.iter().flatten().enumerate() {
            match read(block, all) {
                Ok(block) => found.push(block),
                Err(message) => problems.push(Problem::new(format!("spec.blocks[{n}]"), message)),
            }
        }
        if problems.is_empty() {
            return Ok(found);
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!("pool {:?}", self.name()),
            problems,
        ))
    }
}

fn read(block: &PoolBlock, all: bool) -> Result<AddressBlock, String> {
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("{text:?} is no address"))
    };
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    match (text(&block.cidr), text(&block.start), text(&block.stop)) {
        (Some(cidr), None, None) => {
            let net: IpNet = cidr.parse().map_err(|_| format!("{cidr:?} is no CIDR"))?;
            let (mut first, mut last) = (net.network(), net.broadcast());
            // The ends of anything larger than two addresses stay out unless the pool says otherwise.
            let host_bits = net.max_prefix_len() - net.prefix_len();
            if !all && host_bits > 1 {
                first = step(first, true);
                last = step(last, false);
            }
            Ok(AddressBlock { first, last })
        }
        (None, Some(first), last) => {
            let first = address(&first)?;
            let last = last.as_deref().map_or(Ok(first), address)?;
            if first.is_ipv4() != last.is_ipv4() || first > last {
                return Err("stop lies before start".to_owned());
            }
            Ok(AddressBlock { first, last })
        }
        _ => Err("either cidr, or start and stop".to_owned()),
    }
}

fn step(address: IpAddr, up: bool) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let number = u32::from(v4);
            IpAddr::V4(
                if up {
                    number.saturating_add(1)
                } else {
                    number.saturating_sub(1)
                }
                .into(),
            )
        }
        IpAddr::V6(v6) => {
            let number = u128::from(v6);
            IpAddr::V6(
                if up {
                    number.saturating_add(1)
                } else {
                    number.saturating_sub(1)
                }
                .into(),
            )
        }
    }
}

/// Pools that share addresses, each pair once.
///
/// # Errors
/// As [`CiliumLoadBalancerIPPool::blocks`].
pub fn overlaps<'a>(
    pools: impl IntoIterator<Item = &'a CiliumLoadBalancerIPPool>,
) -> Result<Vec<Overlap>, Error> {
    let mut read = Vec::new();
    for pool in pools {
        read.push((pool.name(), pool.blocks()?));
    }
    let mut found = Vec::new();
    for (n, (first, blocks)) in read.iter().enumerate() {
        for (second, others) in &read[n + 1..] {
            let hit = blocks
                .iter()
                .find(|block| others.iter().any(|other| block.overlaps(other)));
            found.extend(hit.map(|block| Overlap {
                first: (*first).to_owned(),
                second: (*second).to_owned(),
                block: *block,
            }));
        }
    }
    Ok(found)
}
