//! Image factory schematics: what an image contains, its id, and the addresses of what is built from it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::config::{decode, encode};
use crate::error::{Error, ErrorKind, Problem};
use crate::schema::Schema;
use crate::value::{Map, Value};
use crate::yaml::{parse, print};

/// The public image factory.
const FACTORY: &str = "factory.talos.dev";

/// What an image contains. Equal contents have equal ids, computed without asking the factory.
///
/// ```
/// use talos_client::Schematic;
///
/// let schematic = Schematic::default().extension("siderolabs/iscsi-tools").extension("siderolabs/qemu-guest-agent");
/// assert_eq!(
///     schematic.installer_image("v1.13.9", "metal"),
///     format!("factory.talos.dev/metal-installer/{}:v1.13.9", schematic.id()),
/// );
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Schematic {
    values: Map,
}

impl fmt::Debug for Schematic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schematic").field("id", &self.id()).finish()
    }
}

impl Schematic {
    /// Reads YAML or JSON strictly, as the factory does.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] with every unknown key and wrong type.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let invalid = |problems| {
            Error::new(ErrorKind::InvalidArgument, "the schematic does not load")
                .with_problems(problems)
        };
        let nodes = parse::documents(text).map_err(|syntax| {
            invalid(vec![Problem::at(
                syntax.line,
                syntax.column,
                "",
                syntax.message,
            )])
        })?;
        let Some(node) = nodes.first() else {
            return Err(invalid(vec![Problem::at(1, 1, "", "the text is empty")]));
        };
        let mut findings = decode::Findings::default();
        decode::check_keys(node, &mut findings.problems);
        let shape = Schema::get().schematic();
        let values = decode::Decoder::new(&mut findings).structure(shape, node, &[]);
        let mut problems = findings.problems;
        problems.extend(findings.unknown.iter().map(|unknown| {
            Problem::at(
                unknown.line,
                unknown.column,
                unknown.path.join("."),
                "unknown key",
            )
        }));
        if problems.is_empty() {
            Ok(Self { values })
        } else {
            Err(invalid(problems))
        }
    }

    fn put(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut root = Value::Map(std::mem::take(&mut self.values));
        root.put(path, value.into());
        if let Value::Map(map) = root {
            self.values = map;
        }
        self
    }

    fn push(self, path: &str, item: String) -> Self {
        let root = Value::Map(self.values.clone());
        let mut list = root
            .at(path)
            .map(Value::as_list)
            .unwrap_or_default()
            .to_vec();
        list.push(Value::text(item));
        self.put(path, Value::List(list))
    }

    /// Adds an official extension, `siderolabs/iscsi-tools`. The order counts for the id.
    #[must_use]
    pub fn extension(self, name: impl Into<String>) -> Self {
        self.push(
            "customization.systemExtensions.officialExtensions",
            name.into(),
        )
    }

    /// Adds a kernel argument.
    #[must_use]
    pub fn kernel_arg(self, arg: impl Into<String>) -> Self {
        self.push("customization.extraKernelArgs", arg.into())
    }

    /// The official extensions.
    pub fn extensions(&self) -> Vec<String> {
        let root = Value::Map(self.values.clone());
        let list = root
            .at("customization.systemExtensions.officialExtensions")
            .map(Value::as_list)
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_text)
            .map(str::to_owned)
            .collect()
    }

    /// The text that the id is computed from.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        print::document(
            &mut text,
            &print::Out::Map(encode::structure(
                Schema::get().schematic(),
                &self.values,
                None,
            )),
        );
        text
    }

    /// SHA-256 of the canonical text, hexadecimal.
    pub fn id(&self) -> String {
        Sha256::digest(self.canonical())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Where the public factory has an image: `image_url("v1.13.9", "nocloud-amd64.raw.xz")`.
    pub fn image_url(&self, version: &str, file: &str) -> String {
        format!("https://{FACTORY}/image/{}/{version}/{file}", self.id())
    }

    /// The installer image for a platform (`metal`, `nocloud`), which `machine.install.image` and upgrades take.
    pub fn installer_image(&self, version: &str, platform: &str) -> String {
        format!("{FACTORY}/{platform}-installer/{}:{version}", self.id())
    }
}
