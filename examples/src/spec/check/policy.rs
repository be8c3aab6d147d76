//! Whether the policies that are rendered let every declared connection through.

use super::Check;
use crate::component::Flow;
use crate::stage::cilium::{Network, policy};

pub(super) fn run(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let network = match Network::new(check.catalogue, policy::policies(spec, check.catalogue)) {
        Ok(network) => network,
        Err(error) => {
            check
                .error(
                    "policy-unreachable",
                    "cilium",
                    format!("the policies of this environment would be refused: {error}"),
                )
                .help("this is a fault of the program, not of the file")
                .done();
            return;
        }
    };
    for row in network.declared() {
        let Some(refusal) = &row.refused else {
            continue;
        };
        let isolated = refusal
            .namespace
            .as_deref()
            .filter(|_| refusal.policy.as_deref() == Some(policy::DENY_ALL));
        let at = isolated.and_then(|namespace| {
            spec.cilium
                .isolate
                .iter()
                .position(|known| known.as_str() == namespace)
        });
        let path = at.map_or_else(
            || "cilium".to_owned(),
            |index| format!("cilium.isolate[{index}]"),
        );
        let help = match isolated {
            Some(namespace) => {
                format!("take {namespace} out of cilium.isolate, or switch off what needs it")
            }
            None => refusal.missing.clone(),
        };
        check
            .error(
                "policy-unreachable",
                path,
                format!("{} is declared, but {refusal}", arrow(&row.flow)),
            )
            .rests_on(&[
                "cilium",
                "components",
                "gateway",
                "dns",
                "gitops",
                "backup",
                "proxmox.endpoint",
            ])
            .help(help)
            .done();
    }
}

fn arrow(flow: &Flow) -> String {
    flow.to_string().replace("->", "→")
}
