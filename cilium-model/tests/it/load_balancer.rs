//! Pools of addresses.

use std::net::IpAddr;

use cilium_model::load_balancer::{
    AllowFirstLast, CiliumLoadBalancerIPPool, LoadBalancerIpPoolSpec, PoolBlock, overlaps,
};

fn pool(name: &str, block: PoolBlock) -> CiliumLoadBalancerIPPool {
    CiliumLoadBalancerIPPool::new(name, LoadBalancerIpPoolSpec::new().blocks([block]))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_ends_of_a_range_stay_out_unless_asked_for() {
    let mut one = pool("one", PoolBlock::of_cidr("192.0.2.0/29"));
    let block = one.blocks().unwrap()[0];
    assert_eq!(
        (block.first, block.last, block.len()),
        (ip("192.0.2.1"), ip("192.0.2.6"), 6)
    );
    one.body.spec.allow_first_last_ips = Some(AllowFirstLast::Yes);
    assert_eq!(one.blocks().unwrap()[0].len(), 8);
    let single = pool("single", PoolBlock::of_cidr("192.0.2.9/32"));
    assert_eq!(single.blocks().unwrap()[0].len(), 1);
}

#[test]
fn pools_that_share_addresses_are_found() {
    let pools = [
        pool("a", PoolBlock::of_cidr("192.0.2.0/28")),
        pool("b", PoolBlock::of_range("192.0.2.14", "192.0.2.20")),
        pool("c", PoolBlock::of_cidr("198.51.100.0/24")),
    ];
    let found = overlaps(&pools).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].first.as_str(), found[0].second.as_str()),
        ("a", "b")
    );
}

#[test]
fn a_block_that_is_no_range_is_named() {
    let error = pool("x", PoolBlock::of_range("192.0.2.9", "192.0.2.1"))
        .blocks()
        .unwrap_err();
    assert_eq!(error.problems()[0].path, "spec.blocks[0]");
}
