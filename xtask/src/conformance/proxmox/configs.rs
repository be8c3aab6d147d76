//! `proxmox-configs`: guest configuration files, read and printed again.

use proxmox_client::config_file::{ConfigFile, GuestKind};
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite};

pub(super) struct Configs;

impl Suite for Configs {
    fn name(&self) -> &'static str {
        "proxmox-configs"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for name in folder.files("")? {
            let text = folder.text(&name)?;
            runner.case(name.clone(), || output(GuestKind::guess(&text), &text));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for name in folder.files("")? {
            let text = folder.text(&name)?;
            match outputs.get(&name) {
                None => report.differs(name, "did not run"),
                Some(output) if output["text"] != text.as_str() => {
                    report.differs(name, "the text is not printed as it was");
                }
                Some(output) if output["lost"] != json!([]) => {
                    report.differs(name, format!("lost {}", output["lost"]));
                }
                Some(_) => report.right(),
            }
        }
        Ok(())
    }
}

fn output(kind: GuestKind, text: &str) -> Value {
    let file = ConfigFile::parse(kind, text);
    let printed = file.to_string();
    let parts: Vec<_> = file.parts().collect();
    let held: Vec<(&str, &str)> = parts.iter().flat_map(|part| file.entries(part)).collect();
    let lost: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, value)| !held.contains(&(*key, value.trim())))
        .map(|(key, _)| key)
        .collect();
    let again = ConfigFile::parse(kind, &printed);
    let lost = if again == file {
        lost
    } else {
        vec!["the printed text reads differently"]
    };
    let problems: Vec<String> = file.problems().iter().map(ToString::to_string).collect();
    json!({ "text": printed, "lost": lost, "problems": problems })
}
