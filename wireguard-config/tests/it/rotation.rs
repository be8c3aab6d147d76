//! Rotations: carried out on configurations, they end at the next plan, and every stage can be taken back.

use std::collections::BTreeMap;

use wireguard_config::rotation::{Rotation, Stage, StageKind};
use wireguard_config::{
    Changes, Config, ErrorKind, Inventory, Keys, Member, Plan, PresharedKey, PrivateKey, Topology,
};

use crate::support::Seeded;

fn inventory() -> Inventory {
    Inventory::new("10.7.0.0/24".parse().unwrap())
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("hub", "192.0.2.1:51820".parse().unwrap()))
        .member(Member::new("a"))
        .member(Member::new("b").routed("192.168.5.0/24".parse().unwrap()))
}

fn keys() -> Keys {
    let mut keys = Keys::new();
    keys.complete(&inventory(), &mut Seeded::new(3));
    keys
}

type Configs = BTreeMap<String, Config>;

fn configs(plan: &Plan) -> Configs {
    plan.members()
        .map(|m| (m.name().to_owned(), m.config()))
        .collect()
}

fn carry_out(configs: &mut Configs, stage: &Stage) {
    for action in &stage.actions {
        configs
            .get_mut(&action.member)
            .unwrap()
            .apply(&action.operations);
    }
}

fn take_back(configs: &mut Configs, stage: &Stage) {
    for action in &stage.actions {
        configs.get_mut(&action.member).unwrap().apply(&action.undo);
    }
}

fn assert_same(one: &Configs, other: &Configs, when: &str) {
    for (name, config) in one {
        let changes = Changes::between(config, &other[name]);
        assert!(changes.is_empty(), "{when}, {name}: {changes}");
    }
}

fn check(rotation: &Rotation, keys: &Keys) {
    let before = configs(&inventory().plan(keys).unwrap());
    let mut now = before.clone();
    for (done, stage) in rotation.stages.iter().enumerate() {
        carry_out(&mut now, stage);
        let mut back = now.clone();
        for stage in rotation.stages[..=done].iter().rev() {
            take_back(&mut back, stage);
        }
        assert_same(&back, &before, &format!("after {:?} and back", stage.kind));
    }
    let mut after = keys.clone();
    rotation.apply_to(&mut after);
    assert_same(
        &now,
        &configs(&inventory().plan(&after).unwrap()),
        "at the end",
    );
}

#[test]
fn a_new_key_goes_through_four_stages_and_each_can_be_taken_back() {
    let keys = keys();
    let plan = inventory().plan(&keys).unwrap();
    for member in ["hub", "a", "b"] {
        let rotation =
            Rotation::key(&plan, member, PrivateKey::generate(&mut Seeded::new(8))).unwrap();
        let kinds: Vec<_> = rotation.stages.iter().map(|s| s.kind).collect();
        assert_eq!(
            kinds,
            [
                StageKind::Announce,
                StageKind::Switch,
                StageKind::Move,
                StageKind::Forget
            ]
        );
        check(&rotation, &keys);
    }
}

#[test]
fn the_announced_peer_has_neither_networks_nor_keepalive() {
    let plan = inventory().plan(&keys()).unwrap();
    let rotation = Rotation::key(&plan, "hub", PrivateKey::generate(&mut Seeded::new(8))).unwrap();
    for action in &rotation.stages[0].actions {
        let mut config = plan.member(&action.member).unwrap().config();
        let old = config.peers[0].clone();
        config.apply(&action.operations);
        assert_eq!(config.peers[0], old);
        let new = &config.peers[1];
        assert!(new.allowed_ips.is_empty() && new.keepalive.is_none());
        assert_eq!(
            (&new.preshared_key, &new.endpoint),
            (&old.preshared_key, &old.endpoint)
        );
    }
}

#[test]
fn a_preshared_key_goes_to_one_end_and_then_to_the_other() {
    let keys = keys();
    let plan = inventory().plan(&keys).unwrap();
    let new = PresharedKey::generate(&mut Seeded::new(8));
    check(
        &Rotation::preshared(&plan, "hub", "a", new.clone()).unwrap(),
        &keys,
    );
    let error = Rotation::preshared(&plan, "a", "b", new).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_star_is_rotated_in_two_waves() {
    let keys = keys();
    let plan = inventory().plan(&keys).unwrap();
    let waves = Rotation::mesh(&plan, &mut Seeded::new(8)).unwrap();
    assert_eq!(
        waves
            .iter()
            .map(|wave| wave.rotations.len())
            .collect::<Vec<_>>(),
        [1, 2]
    );
    let mut now = configs(&plan);
    let mut after = keys.clone();
    for rotation in waves.iter().flat_map(|wave| &wave.rotations) {
        // Waves of one plan fit together although the keys of peers change meanwhile.
        rotation.apply_to(&mut after);
        for stage in &rotation.stages {
            carry_out(&mut now, stage);
        }
    }
    assert_same(
        &now,
        &configs(&inventory().plan(&after).unwrap()),
        "at the end",
    );
}

#[test]
fn what_cannot_be_rotated_is_refused() {
    let mut keys = keys();
    let plan = inventory().plan(&keys).unwrap();
    let key = plan.member("a").unwrap().private_key().unwrap().clone();
    assert_eq!(
        Rotation::key(&plan, "a", key).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let new = PrivateKey::generate(&mut Seeded::new(8));
    assert_eq!(
        Rotation::key(&plan, "x", new.clone()).unwrap_err().kind(),
        ErrorKind::Inventory
    );
    keys.set_public("a", plan.member("a").unwrap().public_key());
    let plan = inventory().plan(&keys).unwrap();
    assert_eq!(
        Rotation::key(&plan, "a", new).unwrap_err().kind(),
        ErrorKind::MissingKey
    );
}
