//! Inheritance of roles, tokens, pools, and the checks of the schema.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

/// Users `ann@pve` and `bob@pve`, both in group `ops`, and what `give` gives them.
fn world(give: &[(&str, &str, &str)]) -> World {
    let mut world = World::new(1, SystemTime::UNIX_EPOCH)
        .with_user("ann@pve", "a password")
        .with_user("bob@pve", "a password")
        .with_token("ann@pve!whole", "s")
        .with_separate_token("ann@pve!part", "s")
        .with_separate_token("root@pam!part", "s")
        .with_role("Look", &["VM.Audit"])
        .with_role("Run", &["VM.Audit", "VM.PowerMgmt"]);
    for (who, role, path) in give {
        world = world.with_role_for(who, role, path);
    }
    world.groups.insert("ops".to_owned(), Map::new());
    for user in ["ann@pve", "bob@pve"] {
        let user = world.users.get_mut(user).unwrap();
        user.groups.insert("ops".to_owned());
    }
    world
}

fn on(world: &World, who: &str, path: &str) -> Vec<&'static str> {
    let rights = world.directory().rights_of(who);
    rights.on(path).into_keys().collect()
}

#[test]
fn a_role_holds_on_its_path_and_below_it() {
    let world = world(&[("ann@pve", "Look", "/vms")]);
    let table: [(&str, &str, &[&str]); 6] = [
        ("ann@pve", "/vms", &["VM.Audit"]),
        ("ann@pve", "/vms/100", &["VM.Audit"]),
        ("ann@pve", "/", &[]),
        ("ann@pve", "/vmsx", &[]),
        ("bob@pve", "/vms/100", &[]),
        ("eve@pve", "/vms/100", &[]),
    ];
    for (who, path, privileges) in table {
        assert_eq!(on(&world, who, path), privileges, "{who} {path}");
    }
    assert_eq!(on(&world, "root@pam", "/anything").len(), PRIVILEGES.len());
}

#[test]
fn a_role_that_does_not_propagate_holds_on_its_path_only() {
    let mut world = world(&[("ann@pve", "Look", "/vms")]);
    let mut here = world.acl.first().unwrap().clone();
    here.path = "/vms/100".to_owned();
    here.role = "Run".to_owned();
    here.propagate = false;
    world.acl.insert(here);
    let run = ["VM.Audit", "VM.PowerMgmt"];
    assert_eq!(on(&world, "ann@pve", "/vms/100"), run);
    // Farther below, what comes from above holds again.
    assert_eq!(on(&world, "ann@pve", "/vms/100/x"), ["VM.Audit"]);
    let rights = world.directory().rights_of("ann@pve");
    assert_eq!(rights.on("/vms/100").get("VM.Audit"), Some(&false));
    assert_eq!(rights.on("/vms/101").get("VM.Audit"), Some(&true));
}

#[test]
fn what_is_nearer_replaces_what_is_farther_and_users_replace_groups_at_one_place() {
    let world = world(&[
        ("@ops", "Run", "/vms"),
        ("ann@pve", "Look", "/vms"),
        ("@ops", "Run", "/vms/200"),
        ("@ops", "NoAccess", "/vms/300"),
        ("ann@pve", "Run", "/vms/300"),
    ]);
    let run: &[&str] = &["VM.Audit", "VM.PowerMgmt"];
    let table: [(&str, &str, &[&str]); 6] = [
        ("ann@pve", "/vms/100", &["VM.Audit"]),
        ("bob@pve", "/vms/100", run),
        // A group's role that is nearer replaces the user's own.
        ("ann@pve", "/vms/200", run),
        ("bob@pve", "/vms/300", &[]),
        ("ann@pve", "/vms/300", run),
        ("bob@pve", "/vms", run),
    ];
    for (who, path, privileges) in table {
        assert_eq!(on(&world, who, path), privileges, "{who} {path}");
    }
}

#[test]
fn no_access_takes_away_what_stands_beside_it() {
    let world = world(&[
        ("ann@pve", "Run", "/vms"),
        ("ann@pve", "NoAccess", "/vms"),
        ("bob@pve", "NoAccess", "/vms"),
        ("bob@pve", "Run", "/vms/100"),
    ]);
    assert!(on(&world, "ann@pve", "/vms/100").is_empty());
    assert_eq!(on(&world, "bob@pve", "/vms/100").len(), 2);
    assert!(on(&world, "bob@pve", "/vms/101").is_empty());
}

#[test]
fn a_token_has_its_users_rights_or_the_part_of_them_that_it_was_given() {
    let world = world(&[
        ("ann@pve", "Look", "/vms"),
        ("ann@pve!part", "Administrator", "/vms/100"),
        ("root@pam!part", "Look", "/vms"),
    ]);
    let table: [(&str, &str, &[&str]); 6] = [
        ("ann@pve!whole", "/vms/100", &["VM.Audit"]),
        ("ann@pve!part", "/vms/100", &["VM.Audit"]),
        ("ann@pve!part", "/vms/101", &[]),
        ("ann@pve!none", "/vms/100", &[]),
        ("root@pam!part", "/vms/100", &["VM.Audit"]),
        ("root@pam!part", "/nodes", &[]),
    ];
    for (who, path, privileges) in table {
        assert_eq!(on(&world, who, path), privileges, "{who} {path}");
    }
}

#[test]
fn a_pools_roles_hold_on_its_members_unless_access_is_taken_away() {
    let mut world = world(&[
        ("ann@pve", "Run", "/pool/web"),
        ("bob@pve", "NoAccess", "/pool/web"),
        ("@ops", "Look", "/vms"),
        ("ann@pve", "NoAccess", "/vms/101"),
    ]);
    let mut pool = Pool::default();
    pool.vms.extend([100, 101]);
    pool.storages.insert("fast".to_owned());
    world.pools.insert("web".to_owned(), pool);
    assert_eq!(on(&world, "ann@pve", "/vms/100").len(), 2);
    assert_eq!(on(&world, "ann@pve", "/storage/fast").len(), 2);
    assert!(on(&world, "ann@pve", "/vms/101").is_empty());
    assert_eq!(on(&world, "ann@pve", "/vms/102"), ["VM.Audit"]);
    assert!(on(&world, "bob@pve", "/vms/100").is_empty());
    let below = world.directory().rights_of("ann@pve").on("/vms/100");
    // What comes from the pool never propagates.
    assert_eq!(below.get("VM.PowerMgmt"), Some(&false));
    assert_eq!(below.get("VM.Audit"), Some(&true));
}

#[test]
fn paths_are_normalized_or_none() {
    let table = [
        ("/vms/100", Some("/vms/100")),
        ("vms//100/", Some("/vms/100")),
        ("/", Some("/")),
        ("/pool/", Some("/pool")),
        ("/pool/a b", None),
        ("/access/realm/ä", None),
    ];
    for (path, normal) in table {
        assert_eq!(normalized(path).as_deref(), normal, "{path}");
    }
}

/// Asks a check of the schema as a user, with parameters.
fn asked(world: &World, who: &str, check: Value, params: Value) -> Option<(u16, String)> {
    let permission = Permission::read(&serde_json::json!({ "check": check }));
    let rights = world.directory().rights_of(who);
    let value = |name: &str| Some(params.get(name)?.as_str()?.to_owned());
    let refused = permission.refuse(&rights, &value);
    refused
        .err()
        .map(|refusal| (refusal.status, refusal.reason))
}

fn refused(text: &str) -> Option<(u16, String)> {
    Some((403, text.to_owned()))
}

#[test]
fn checks_of_the_schema_name_what_is_missing() {
    use serde_json::json;
    let world = world(&[
        ("ann@pve", "Run", "/vms/100"),
        ("ann@pve", "PVEUserAdmin", "/access/groups/ops"),
        ("bob@pve", "PVEUserAdmin", "/access"),
    ]);
    let ann = |check: Value, params: Value| asked(&world, "ann@pve", check, params);
    let on = |privileges: Value| json!(["perm", "/vms/{vmid}", privileges]);
    let vm = |id: &str| json!({ "vmid": id });
    assert_eq!(
        ann(on(json!(["VM.Audit", "VM.PowerMgmt"])), vm("100")),
        None
    );
    assert_eq!(
        ann(on(json!(["VM.Audit", "VM.Clone", "VM.Backup"])), vm("100")),
        refused("Permission check failed (/vms/100, VM.Clone)")
    );
    let any = json!(["perm", "/vms/{vmid}", ["VM.Clone", "VM.Audit"], "any", 1]);
    assert_eq!(ann(any.clone(), vm("100")), None);
    assert_eq!(
        ann(any, vm("101")),
        refused("Permission check failed (/vms/101, VM.Clone|VM.Audit)")
    );
    // What is no path names none, even to an administrator's token.
    let pool = || json!(["perm", "/pool/{poolid}", ["Pool.Allocate"]]);
    let odd = || json!({ "poolid": "a b" });
    let nowhere = refused("Permission check failed (, Pool.Allocate)");
    assert_eq!(asked(&world, "root@pam!part", pool(), odd()), nowhere);
    assert_eq!(ann(pool(), odd()), nowhere);

    let clone = json!([
        "and",
        ["perm", "/vms/{vmid}", ["VM.Audit"]],
        [
            "or",
            ["perm", "/vms/{newid}", ["VM.Allocate"]],
            [
                "perm",
                "/pool/{pool}",
                ["VM.Allocate"],
                "require_param",
                "pool"
            ]
        ]
    ]);
    let to = json!({ "vmid": "100", "newid": "101" });
    assert_eq!(ann(clone, to), refused("Permission check failed"));
}

#[test]
fn checks_about_users_know_groups_and_oneself() {
    use serde_json::json;
    let mut world = world(&[
        ("ann@pve", "PVEUserAdmin", "/access/groups/ops"),
        ("bob@pve", "PVEUserAdmin", "/access"),
    ])
    .with_user("out@pve", "a password");
    world.groups.insert("dev".to_owned(), Map::new());
    let of = |user: &str| json!({ "userid": user });
    let group = || json!(["userid-group", ["User.Modify"]]);
    let own = || json!(["or", ["userid-param", "self"], group()]);
    let ask = |who: &str, check: Value, params: Value| asked(&world, who, check, params);
    assert_eq!(ask("ann@pve", group(), of("bob@pve")), None);
    let denied = refused("Permission check failed");
    assert_eq!(ask("ann@pve", group(), of("out@pve")), denied);
    assert_eq!(ask("bob@pve", group(), of("out@pve")), None);
    let unknown = Some((500, "no such user ('x@pve')".to_owned()));
    assert_eq!(ask("bob@pve", group(), of("x@pve")), unknown);
    assert_eq!(ask("out@pve", own(), of("out@pve")), None);
    assert_eq!(ask("out@pve", own(), of("ann@pve")), denied);
    // A token is not its user.
    assert_eq!(ask("ann@pve!part", own(), of("ann@pve")), denied);

    let create = || {
        json!([
            "and",
            ["userid-param", "Realm.AllocateUser"],
            ["userid-group", ["User.Modify"], "groups_param", "create"]
        ])
    };
    let new = |groups: Option<&str>| match groups {
        Some(groups) => json!({ "userid": "new@pve", "groups": groups }),
        None => of("new@pve"),
    };
    assert_eq!(
        ask("ann@pve", create(), new(Some("ops"))),
        refused("Permission check failed (/access/realm/pve, Realm.AllocateUser)")
    );
    assert_eq!(ask("bob@pve", create(), new(None)), None);
    let world = world
        .clone()
        .with_role_for("ann@pve", "PVEUserAdmin", "/access/realm/pve");
    let ann = |params: Value| asked(&world, "ann@pve", create(), params);
    assert_eq!(ann(new(Some("ops"))), None);
    assert_eq!(
        ann(new(Some("ops,dev"))),
        refused("Permission check failed (/access/groups/dev, User.Modify)")
    );
    assert_eq!(
        ann(new(None)),
        refused("Permission check failed (/access/groups, User.Modify)")
    );
}

#[test]
fn whoever_allocates_may_give_rights_there() {
    use serde_json::json;
    let world = world(&[
        ("ann@pve", "PVEVMAdmin", "/vms"),
        ("bob@pve", "Administrator", "/access"),
    ]);
    let modify = |who: &str, path: &str| {
        asked(
            &world,
            who,
            json!(["perm-modify", "{path}"]),
            json!({ "path": path }),
        )
    };
    assert_eq!(modify("ann@pve", "/vms/100"), None);
    assert_eq!(
        modify("ann@pve", "/vms"),
        refused("Permission check failed (/vms, Permissions.Modify)")
    );
    assert_eq!(
        modify("bob@pve", "/storage/fast"),
        refused("Permission check failed (/storage/fast, Permissions.Modify|Datastore.Allocate)")
    );
    assert_eq!(modify("bob@pve", "/access/groups"), None);
}

#[test]
fn every_check_of_the_schema_is_known() {
    fn unknown(check: &check::Check) -> bool {
        match check {
            check::Check::Unknown => true,
            check::Check::All(checks) | check::Check::Any(checks) => checks.iter().any(unknown),
            _ => false,
        }
    }
    for line in crate::simulator::schema::lines() {
        if let Permission::Checked(check) = Permission::read(&line) {
            assert!(!unknown(&check), "{line}");
        }
    }
}

proptest! {
    /// A token with rights of its own never has what its user has not, and never what it was not given.
    #[test]
    fn separate_tokens_have_the_intersection(
        user in prop::collection::vec((0..4usize, 0..5usize), 0..6),
        token in prop::collection::vec((0..4usize, 0..5usize), 0..6),
        at in 0..5usize,
    ) {
        const ROLES: [&str; 4] = ["Look", "Run", "NoAccess", "PVEVMAdmin"];
        const PATHS: [&str; 5] = ["/", "/vms", "/vms/100", "/vms/101", "/storage"];
        let mut give = Vec::new();
        give.extend(user.iter().map(|(role, path)| ("ann@pve", ROLES[*role], PATHS[*path])));
        give.extend(token.iter().map(|(role, path)| ("ann@pve!part", ROLES[*role], PATHS[*path])));
        let whole = world(&give);
        let alone: Vec<_> = give.iter().copied().filter(|(who, ..)| who.contains('!')).collect();
        let alone: Vec<_> = alone.iter().map(|(_, role, path)| ("bob@pve", *role, *path)).collect();
        let alone = world(&alone);
        let bound = on(&whole, "ann@pve", PATHS[at]);
        let given = on(&alone, "bob@pve", PATHS[at]);
        let both: Vec<_> = given.into_iter().filter(|name| bound.contains(name)).collect();
        prop_assert_eq!(on(&whole, "ann@pve!part", PATHS[at]), both);
    }
}
