//! Suite `talos`: the cases of `index.json`, one kind each.

use anyhow::Context as _;
use serde_json::{Value, json};
use talos_client::{Error, Generator, MachineConfig, MachineType, Patch, SecretsBundle};

use super::super::{Folder, Outputs, Report, Runner, Suite};

const INDEX: &str = "index.json";

pub(super) struct Configs;

impl Suite for Configs {
    fn name(&self) -> &'static str {
        "talos"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let Some(index) = folder.own_json(INDEX)? else {
            return Ok(());
        };
        for case in index["cases"].as_array().into_iter().flatten() {
            let id = text(&case["id"]).to_owned();
            let inputs = Inputs {
                folder,
                values: &case["inputs"],
            };
            runner.try_case(id, || {
                inputs
                    .answer(text(&case["kind"]))
                    .map_err(|error| format!("{error:#}"))
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let Some(index) = folder.own_json(INDEX)? else {
            return Ok(());
        };
        for case in index["cases"].as_array().into_iter().flatten() {
            let id = text(&case["id"]);
            let output = outputs.get(id).cloned().unwrap_or(Value::Null);
            match judge(folder, case, &output)? {
                None => report.right(),
                Some(what) => report.differs(id, what),
            }
        }
        Ok(())
    }
}

struct Inputs<'a> {
    folder: &'a Folder,
    values: &'a Value,
}

type Answer = anyhow::Result<Value>;

/// The text of a configuration that became Rust types, document by document, and a configuration again.
fn through_types(config: &MachineConfig) -> Result<String, Error> {
    let again = MachineConfig::from_documents(config.typed_documents()?)?;
    Ok(again.to_yaml().to_string())
}

impl Inputs<'_> {
    fn file(&self, key: &str) -> anyhow::Result<String> {
        self.folder.text(text(&self.values[key]))
    }

    fn answer(&self, kind: &str) -> Answer {
        match kind {
            "generate" => self.generate(),
            "roundtrip" => Ok(outcome(
                MachineConfig::load(&self.file("config")?)
                    .and_then(|config| through_types(&config)),
            )),
            "load" => self.load(),
            "redact" => Ok(outcome(MachineConfig::load(&self.file("config")?).map(
                |config| config.to_redacted_yaml(text(&self.values["replacement"])),
            ))),
            "secrets-from-config" => Ok(outcome(
                MachineConfig::load(&self.file("config")?)
                    .and_then(|config| SecretsBundle::from_config(&config))
                    .map(|bundle| bundle.to_yaml().to_string()),
            )),
            "secrets-validate" => self.secrets_validate(),
            "patch" => Ok(outcome(patched(&self.file("base")?, &self.patches()?))),
            "patch-load" => self.patch_load(),
            "diff" => self.diff(),
            other => Ok(json!({"unsupported": other})),
        }
    }

    fn load(&self) -> Answer {
        Ok(match MachineConfig::load(&self.file("config")?) {
            Ok(config) => {
                json!({"text": config.to_yaml().as_str(), "document_kinds": config.document_kinds()})
            }
            Err(error) => json!({"error": describe(&error)}),
        })
    }

    fn secrets_validate(&self) -> Answer {
        let checked = SecretsBundle::from_yaml(&self.file("secrets")?).and_then(|b| b.validate());
        Ok(match checked {
            Ok(()) => json!({"valid": true}),
            Err(error) => {
                let errors: Vec<_> = error.problems().iter().map(|p| p.message.clone()).collect();
                json!({"valid": false, "errors": errors})
            }
        })
    }

    fn generate(&self) -> Answer {
        let values = self.values;
        let secrets = SecretsBundle::from_yaml(&self.file("secrets")?)?;
        let mut generator = Generator::new(
            text(&values["cluster"]),
            text(&values["endpoint"]),
            text(&values["kubernetes_version"]),
            secrets,
        )?
        .contract(text(&values["version_contract"]).parse()?);
        for (name, value) in values["options"].as_object().into_iter().flatten() {
            generator = option(generator, name, value)?;
        }
        let machine = match text(&values["machine_type"]) {
            "controlplane" => MachineType::ControlPlane,
            "worker" => MachineType::Worker,
            "init" => MachineType::Init,
            other => return Ok(json!({"unsupported": format!("machine type {other}")})),
        };
        let config = generator.generate(machine)?;
        let mut config = config;
        for patch in self.patches()? {
            config = config.patched(&Patch::load(&patch)?)?;
        }
        Ok(json!({"text": through_types(&config)?}))
    }

    fn diff(&self) -> Answer {
        let original = MachineConfig::load(&self.file("original")?)?;
        let modified = MachineConfig::load(&self.file("modified")?)?;
        let patches = original.patches_to(&modified)?;
        let texts: Vec<&str> = patches.iter().filter_map(Patch::text).collect();
        Ok(json!({"diff": original.diff(&modified).as_str(), "patches": texts}))
    }

    fn patches(&self) -> anyhow::Result<Vec<String>> {
        let names = self.values["patches"].as_array().into_iter().flatten();
        names.map(|name| self.folder.text(text(name))).collect()
    }

    fn patch_load(&self) -> Answer {
        Ok(match Patch::load(&self.file("patch")?) {
            Ok(patch) => json!({"selectors": patch.deletions()}),
            Err(error) => json!({"error": describe(&error)}),
        })
    }
}

fn option(generator: Generator, name: &str, value: &Value) -> anyhow::Result<Generator> {
    let texts = || value.as_array().into_iter().flatten().map(text);
    let port = || -> anyhow::Result<u16> { Ok(u16::try_from(value.as_u64().context("a port")?)?) };
    let on = value.as_bool().unwrap_or_default();
    Ok(match name {
        "additionalSANs" => generator.additional_sans(texts()),
        "allowScheduling" => generator.allow_scheduling_on_control_planes(on),
        "dnsDomain" => generator.dns_domain(text(value)),
        "installDisk" => generator.install_disk(text(value)),
        "installImage" => generator.install_image(text(value)),
        "kernelArgs" => generator.kernel_args(texts()),
        "skipUnattended" => generator.skip_unattended_install(),
        "localAPIServerPort" => generator.local_api_server_port(port()?),
        "sysctls" => generator.sysctls(pairs(value)),
        "cniURL" => generator.cni_url(text(value)),
        "registryMirrors" => {
            let mirrors = value.as_object().into_iter().flatten();
            mirrors.fold(generator, |generator, (name, urls)| {
                generator.registry_mirror(name, urls.as_array().into_iter().flatten().map(text))
            })
        }
        "registryCACert" => pairs(value).fold(generator, |g, (name, pem)| g.registry_ca(name, pem)),
        "registryInsecure" => texts().fold(generator, Generator::registry_insecure),
        "kubePrismPort" => generator.kube_prism_port(port()?),
        "discovery" => generator.discovery(on),
        "kubespan" => generator.kubespan(),
        "hostDNSForward" => generator.forward_kube_dns_to_host(),
        "debug" => generator.debug(on),
        "disableKubernetes" => generator.without_kubernetes(),
        "disableEtcd" => generator.without_etcd(),
        other => anyhow::bail!("unknown option {other}"),
    })
}

fn pairs(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), text(value)))
}

pub(super) fn outcome(result: Result<String, Error>) -> Value {
    match result {
        Ok(text) => json!({"text": text}),
        Err(error) => json!({"error": describe(&error)}),
    }
}

/// All patches are read before the first is applied, as the reference does it.
pub(super) fn patched(base: &str, patches: &[String]) -> Result<String, Error> {
    let patches: Vec<Patch> = patches
        .iter()
        .map(|text| Patch::load(text))
        .collect::<Result<_, _>>()?;
    let mut config = MachineConfig::load(base)?;
    for patch in &patches {
        config = config.patched(patch)?;
    }
    Ok(config.to_yaml().to_string())
}

/// The error with its causes.
pub(super) fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn judge(folder: &Folder, case: &Value, output: &Value) -> anyhow::Result<Option<String>> {
    let expected = &case["expected"];
    if !output["unsupported"].is_null() {
        return Ok(Some(short(output)));
    }
    if !expected["error"].is_null() || !expected["error_contains"].is_null() {
        let wanted = expected["error"]
            .as_str()
            .or(expected["error_contains"].as_str());
        return Ok(match output["error"].as_str() {
            Some(_) => None,
            None => Some(format!(
                "expected the error {wanted:?}, got {}",
                short(output)
            )),
        });
    }
    if let Some(file) = expected["file"].as_str() {
        let wanted = folder.text(file)?;
        let Some(got) = output["text"].as_str() else {
            return Ok(Some(short(output)));
        };
        let (wanted, got) = if expected["compare"] == "semantic" {
            // By meaning: both as the crate prints them.
            let printed =
                |text: &str| MachineConfig::load(text).map(|config| config.to_yaml().to_string());
            (printed(&wanted)?, printed(got)?)
        } else {
            (wanted, got.to_owned())
        };
        if let Some(difference) = first_line(&wanted, &got) {
            return Ok(Some(difference));
        }
    }
    if let Some(file) = expected["diff_file"].as_str() {
        let wanted = folder.text(file)?;
        let got = text(&output["diff"]);
        if let Some(difference) = first_line(&wanted, got) {
            return Ok(Some(format!("diff: {difference}")));
        }
        if let Some(difference) = wrong_patches(folder, case, output)? {
            return Ok(Some(format!("patches: {difference}")));
        }
    }
    for key in ["document_kinds", "selectors", "valid", "errors"] {
        if !expected[key].is_null() && expected[key] != output[key] {
            return Ok(Some(format!(
                "{key}: expected {}, got {}",
                expected[key], output[key]
            )));
        }
    }
    Ok(None)
}

/// Patches are right when they turn the original into the modified configuration.
fn wrong_patches(folder: &Folder, case: &Value, output: &Value) -> anyhow::Result<Option<String>> {
    let mut config = MachineConfig::load(&folder.text(text(&case["inputs"]["original"]))?)?;
    let modified = MachineConfig::load(&folder.text(text(&case["inputs"]["modified"]))?)?;
    for patch in output["patches"].as_array().into_iter().flatten() {
        config = config.patched(&Patch::load(text(patch))?)?;
    }
    let wrong = !config.means_the_same(&modified);
    Ok(wrong.then(|| "applied, they do not give the modified configuration".to_owned()))
}

pub(super) fn first_line(wanted: &str, got: &str) -> Option<String> {
    if wanted == got {
        return None;
    }
    let (mut left, mut right) = (wanted.lines(), got.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return Some(format!("line {number}: expected {a:?}, got {b:?}")),
        }
    }
    Some("the texts differ in their last newline".to_owned())
}

pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(600).collect()
}
