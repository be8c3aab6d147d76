//! Documents of every kind with arbitrary values, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Document, TypedDocument, kinds, v1alpha1};
use crate::config::MachineConfig;
use crate::schema::{Scalar, Schema, Struct, Type};
use crate::version::VersionContract;

/// A source of choices that a seed decides.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }

    fn text(&mut self) -> Value {
        json!(self.pick(&[
            "a",
            "",
            "yes",
            "0644",
            "1e3",
            "two words",
            " indented\n  text\n",
            "x: y",
            "\n\nlines",
            "#",
            "\u{e9}\t",
            "null",
            "-",
            "2026-11-20",
            "{}",
        ]))
    }

    fn scalar(&mut self, kind: Scalar) -> Value {
        match kind {
            Scalar::Bool => json!(self.pick(&[true, false])),
            Scalar::Int => json!(self.pick(&[0_i64, 1, -7, i64::MAX, i64::MIN])),
            Scalar::Int32 => json!(self.pick(&[0, 1000, i32::MIN])),
            Scalar::Uint(64) => json!(self.pick(&[0, 1, u64::MAX])),
            Scalar::Uint(bits) => json!(self.pick(&[0_u64, 1, (1 << bits) - 1])),
            Scalar::Duration => json!(self.pick(&["0", "1h30m", "168h", "-1.5s", "300ms", "7us"])),
            Scalar::Size => json!(self.pick(&["", "10GiB", "-1GiB", "2.5TB", "1,000"])),
            Scalar::SizeMatcher => json!(self.pick(&[">= 4GB", "== 1TB", "10GiB"])),
            Scalar::DiskSize => json!(self.pick(&[
                "0",
                "10GB",
                "1500000000",
                "512MiB",
                "7",
                "9000000000000000000"
            ])),
            Scalar::Cel => json!(self.pick(&["", "system_disk", "disk.size > 6u * GiB"])),
            Scalar::Url => json!(self.pick(&[
                "https://10.0.0.1:6443",
                "http://u:p@[::1]/a?b=c#d",
                "/path",
                "a.example",
                "tcp://h"
            ])),
            Scalar::Prefix => {
                json!(self.pick(&["10.0.0.0/8", "fd00::1/64", "0.0.0.0/0", "10.1.2.3/24"]))
            }
            Scalar::Addr => {
                json!(self.pick(&["10.0.0.1", "fe80::1%eth0", "::", "::ffff:10.0.0.1"]))
            }
            Scalar::AddrPort => json!(self.pick(&["10.0.0.1:80", "[fd00::1]:51820"])),
            Scalar::Base64 => json!(self.pick(&["", "YQ==", "LS0tLS1C"])),
            Scalar::Mode => json!(self.pick(&[0_u32, 0o644, 0o755])),
            Scalar::PortRange => {
                self.pick(&[json!(80), json!("1-2"), json!("10-20"), json!("7-7")])
            }
            Scalar::Arg => {
                let many = json!([self.text(), self.text()]);
                let one = self.text();
                self.pick(&[many, one])
            }
            Scalar::Hex => json!(self.pick(&["", "52:54:00:AB:cd:ef", "0102"])),
            Scalar::FailOverMac => json!(self.pick(&["none", "1", "follow"])),
            Scalar::Table => json!(self.pick(&["main", "unspec", "Local", "42"])),
            Scalar::Enum(choices) => {
                let choices: Vec<&str> = choices.split('|').collect();
                json!(self.pick(&choices))
            }
            Scalar::String => self.text(),
        }
    }

    fn free(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-12),
            3 => json!(1.5),
            4 | 5 => self.text(),
            6 => Value::Array((0..self.roll(3)).map(|_| self.free(depth - 1)).collect()),
            _ => self.free_map(depth - 1),
        }
    }

    fn free_map(&mut self, depth: usize) -> Value {
        let mut map = Map::new();
        for key in ["kind", "a-b", "secret"] {
            if self.roll(2) == 0 {
                map.insert(key.to_owned(), self.free(depth));
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, ty: &Type, depth: usize) -> Value {
        match ty {
            Type::Scalar { kind, .. } => self.scalar(*kind),
            Type::Any => self.free_map(2),
            Type::List(inner) => (0..self.roll(3))
                .map(|_| self.value(inner, depth))
                .collect(),
            Type::Map(inner) => {
                let mut map = Map::new();
                for key in ["b", "a.example", "10", ""] {
                    if self.roll(3) == 0 {
                        map.insert(key.to_owned(), self.value(inner, depth));
                    }
                }
                Value::Object(map)
            }
            Type::Struct { id, .. } => {
                Value::Object(self.structure(Schema::get().structure(*id), depth + 1))
            }
        }
    }

    fn structure(&mut self, shape: &Struct, depth: usize) -> Map<String, Value> {
        let mut map = Map::new();
        for field in &shape.fields {
            // The deeper, the sparser, or the main document would hold megabytes.
            if self.roll(1 + depth.min(3)) == 0 {
                map.insert(field.name.to_owned(), self.value(&field.ty, depth));
            }
        }
        map
    }

    fn document(&mut self, kind: Option<&str>) -> String {
        let shape = match kind.and_then(|kind| Schema::get().kind(kind)) {
            Some(kind) => Schema::get().structure(kind.id),
            None => Schema::get().main(),
        };
        let mut map = self.structure(shape, 0);
        match kind {
            Some(kind) => {
                map.insert("apiVersion".to_owned(), json!("v1alpha1"));
                map.insert("kind".to_owned(), json!(kind));
                // Two ends of one name would not load.
                if kind == "VethConfig" {
                    map.insert("name".to_owned(), json!("veth0"));
                    map.insert("peer".to_owned(), json!({"name": "veth1"}));
                }
            }
            None => {
                map.insert("version".to_owned(), json!("v1alpha1"));
                map.entry("machine").or_insert(json!({}));
            }
        }
        Value::Object(map).to_string()
    }
}

fn all_kinds() -> impl Iterator<Item = Option<&'static str>> {
    let kinds = kinds(VersionContract::new(1, 99)).into_iter().map(Some);
    std::iter::once(None).chain(kinds)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_goes_through_its_type_and_back_without_a_byte_changed(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for kind in all_kinds() {
            let text = dice.document(kind);
            let config = MachineConfig::load(&text);
            prop_assert!(config.is_ok(), "{kind:?}: {config:?}\n{text}");
            let config = config.unwrap();
            let typed = config.typed_documents();
            prop_assert!(typed.is_ok(), "{kind:?}: {typed:?}\n{text}");
            let typed = typed.unwrap();
            let again = MachineConfig::from_documents(typed.clone()).unwrap();
            prop_assert_eq!(&*again.to_yaml(), &*config.to_yaml(), "{}", text);
            prop_assert!(again.means_the_same(&config));
            prop_assert_eq!(again.typed_documents().unwrap(), typed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn what_a_version_refuses_of_a_text_is_what_the_check_before_sending_says(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for kind in all_kinds() {
            let config = MachineConfig::load(&dice.document(kind)).unwrap();
            let text = config.to_yaml();
            for version in [6, 8, 11, 12, 13, 14].map(|minor| VersionContract::new(1, minor)) {
                let read = MachineConfig::load_for(&text, version);
                let refused = config.preflight(version);
                let told = read.as_ref().err().map_or(0, |error| error.problems().len());
                prop_assert_eq!(told, refused.len(), "{}: {:?} {:?}", version, read, refused);
            }
        }
    }
}

#[test]
fn a_version_has_as_many_kinds_as_its_loader() {
    // One kind is read from 1.13 on but stands in no list of the published schema.
    let published = |minor| {
        let kinds = kinds(VersionContract::new(1, minor)).into_iter();
        kinds
            .filter(|kind| *kind != "ImageVerificationConfig")
            .count()
    };
    assert_eq!([12, 13, 14].map(published), [36, 43, 88]);
}

#[test]
fn every_kind_has_a_type_that_says_what_it_is() {
    for kind in all_kinds() {
        let mut dice = Dice(7);
        let config = MachineConfig::load(&dice.document(kind)).unwrap();
        let typed = config.typed_documents().unwrap();
        let [document] = typed.as_slice() else {
            panic!("{kind:?} has no type");
        };
        assert_eq!(document.kind(), kind.unwrap_or_default());
        let known = kind.and_then(|kind| Schema::get().kind(kind));
        assert_eq!(
            document.name().is_some(),
            known.is_some_and(|known| known.named)
        );
        let since = known.map_or(0, |known| known.since);
        assert_eq!(document.since(), VersionContract::new(1, since));
    }
    assert_eq!(v1alpha1::Config::API_VERSION, "v1alpha1");
    assert_eq!(Document::from(v1alpha1::Config::new()).kind(), "");
}
