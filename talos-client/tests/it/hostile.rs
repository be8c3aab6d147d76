//! Texts that are made to cost much: every reader refuses them at a limit, so that time and memory stay bounded. The
//! limits themselves are tested beside the parser.

use talos_client::{Error, MachineConfig, Patch, Schematic, SecretsBundle, TalosConfig};

/// What every reader says to a text.
fn readers(text: &str) -> [(&'static str, Result<(), Error>); 5] {
    [
        ("configuration", MachineConfig::load(text).map(drop)),
        ("patch", Patch::load(text).map(drop)),
        ("talosconfig", TalosConfig::from_yaml(text).map(drop)),
        ("schematic", Schematic::from_yaml(text).map(drop)),
        ("secrets", SecretsBundle::from_yaml(text).map(drop)),
    ]
}

fn all_refuse(what: &str, text: &str) {
    for (reader, outcome) in readers(text) {
        let error = outcome
            .err()
            .unwrap_or_else(|| panic!("{reader} takes {what}"));
        assert_eq!(error.problems().len(), 1, "{reader}: {what}");
        assert!(error.to_string().len() < 500, "{reader} repeats {what}");
    }
}

#[test]
fn nesting_has_a_limit_in_every_style() {
    for depth in [200, 100_000] {
        all_refuse(
            "lists in lists",
            &format!("a: {}1{}", "[".repeat(depth), "]".repeat(depth)),
        );
        all_refuse("open lists", &"[".repeat(depth));
        all_refuse("open mappings", &"{a: ".repeat(depth));
        all_refuse("items of items", &format!("{}1", "- ".repeat(depth)));
        all_refuse("keys of keys", &"? ".repeat(depth));
    }
    let indented: String = (0..2_000)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    all_refuse("mappings in mappings", &indented);
}

#[test]
fn aliases_do_not_multiply() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let of = format!("*a{},", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{of}]\n"));
    }
    all_refuse("lists of lists of aliases", &bomb);
    let long = "x".repeat(1 << 20);
    all_refuse(
        "aliases of a long text",
        &format!("a: &a {long}\nb: [{}]\n", "*a,".repeat(100)),
    );
    let chain: String = (0..120).map(|level| format!("&a{level} [")).collect();
    all_refuse(
        "anchors around anchors",
        &format!("a: {chain}{long}{}", "]".repeat(120)),
    );
    let merges: String = (1..40)
        .map(|n| format!("m{n}: &m{n} {{<<: [*m{0}, *m{0}], k{n}: 1}}\n", n - 1))
        .collect();
    all_refuse("merges of merges", &format!("m0: &m0 {{k0: 1}}\n{merges}"));
}

#[test]
fn numbers_of_things_have_limits() {
    let keys: String = (0..1_000_000).map(|n| format!("k{n}: 1\n")).collect();
    all_refuse("a million keys", &keys);
    all_refuse("a million items", &"- 1\n".repeat(1_000_000));
    all_refuse("a million documents", &"--- {a: 1}\n".repeat(1_000_000));
    all_refuse("a million empty documents", &"---\n".repeat(1_000_000));
}

#[test]
fn scalars_of_100_mb_are_refused_before_they_are_read() {
    all_refuse(
        "a long text",
        &format!("machine: {{token: {}}}\n", "x".repeat(100 << 20)),
    );
    all_refuse(
        "a long comment",
        &format!("a: 1\n#{}\n", "x".repeat(100 << 20)),
    );
}

#[test]
fn long_scalars_below_the_limit_cost_as_much_as_they_are_long() {
    // A token, a key and a number that no field wants.
    let long = "7".repeat(1 << 20);
    let config = MachineConfig::load(&format!("machine: {{token: '{long}'}}\n")).unwrap();
    assert!(config.to_yaml().len() > long.len());
    let error = MachineConfig::load(&format!("debug: {long}\n")).unwrap_err();
    assert!(error.to_string().len() < 500);
    all_refuse("a long key", &format!("? {long}\n: 1\n"));
}

#[test]
fn operations_of_a_patch_do_not_multiply_what_they_copy() {
    let config = MachineConfig::load("machine: {type: worker, certSANs: [a]}\n").unwrap();
    let patched = |patch: &str| config.patched(&Patch::load(patch).unwrap());
    let double = "- {op: copy, from: /machine/certSANs, path: /machine/certSANs/-}\n";
    let error = patched(&double.repeat(60)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("nest deeper than 128 levels or copy more than 250000 values"),
        "{error}"
    );
    let deep: String = (1..500)
        .map(|n| format!("- {{op: add, path: {}, value: {{}}}}\n", "/a".repeat(n)))
        .collect();
    assert!(
        patched(&deep)
            .unwrap_err()
            .to_string()
            .contains("nest deeper")
    );
}

#[test]
fn beginnings_of_pem_blocks_that_never_end_are_given_up() {
    use talos_client::{ValidationMode, ValidationOptions};
    let text = format!(
        "machine: {{type: worker}}\n---\napiVersion: v1alpha1\nkind: TrustedRootsConfig\nname: a\ncertificates: |\n{}",
        "    -----BEGIN CERTIFICATE-----\n".repeat(200_000)
    );
    let config = MachineConfig::load(&text).unwrap();
    assert!(
        !config
            .validate(&ValidationOptions::new(ValidationMode::Metal))
            .is_valid()
    );
}
