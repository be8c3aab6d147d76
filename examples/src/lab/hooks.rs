//! How each simulator is led through the gate, and how a break of the gate looks there.

use std::sync::Arc;

use proxmox_client::simulator as proxmox;
use restic_wrapper::simulator as restic;
use talos_client::simulator as talos;

use super::gate::{Break, Passage, RequestClass, System};
use super::kubernetes;
use super::wiring::Wiring;

/// The path of a Proxmox VE request with names and numbers replaced.
fn proxmox_template(path: &str) -> String {
    let mut template = String::new();
    let mut before = "";
    for part in path.split('/').filter(|part| !part.is_empty()) {
        template.push('/');
        template.push_str(match before {
            "nodes" => "{node}",
            "qemu" => "{vmid}",
            "storage" => "{storage}",
            "tasks" => "{upid}",
            "content" => "{volume}",
            _ => part,
        });
        before = part;
    }
    template
}

fn proxmox_fault(passage: Passage) -> proxmox::Fault {
    match passage {
        Passage::Free => proxmox::Fault::None,
        Passage::Broken(Break::ResetBefore) => proxmox::Fault::ResetBefore,
        Passage::Broken(Break::AnswerLost) => proxmox::Fault::ResetAfter,
        Passage::Broken(Break::ProxyNeverSent) => proxmox::Fault::BrokenPipe,
        Passage::Broken(Break::ProxySent) => proxmox::Fault::ProxyTimeout { executed: true },
        Passage::Broken(Break::LockTimeout) => proxmox::Fault::LockTimeout,
        Passage::Broken(Break::TaskFailed) => {
            proxmox::Fault::TaskFails("lab: the task was told to fail".to_owned())
        }
    }
}

fn talos_fault(passage: Passage) -> talos::Fault {
    match passage {
        Passage::Free => talos::Fault::None,
        Passage::Broken(Break::AnswerLost) => talos::Fault::DropAnswer,
        Passage::Broken(_) => talos::Fault::ResetBefore,
    }
}

fn kubernetes_fault(passage: Passage) -> kubernetes::Fault {
    match passage {
        Passage::Free => kubernetes::Fault::None,
        Passage::Broken(Break::AnswerLost) => kubernetes::Fault::DropAnswer,
        Passage::Broken(_) => kubernetes::Fault::ResetBefore,
    }
}

fn restic_fault(passage: Passage) -> restic::Fault {
    match passage {
        Passage::Free => restic::Fault::None,
        Passage::Broken(Break::AnswerLost) => restic::Fault::KilledAfter,
        Passage::Broken(_) => restic::Fault::KilledBefore,
    }
}

/// Leads all simulators of a wiring through its gate. Each request first brings the lab up to the present.
pub(super) fn install(wiring: &Arc<Wiring>) {
    let weak = Arc::downgrade(wiring);
    let ask = move |class: RequestClass| match weak.upgrade() {
        Some(wiring) => {
            wiring.settle();
            wiring.gate().ask(class)
        }
        // The lab is gone, and nobody waits for an answer of it.
        None => Passage::Free,
    };
    let through = ask.clone();
    wiring.proxmox().on_request(move |request| {
        let class = RequestClass::new(
            System::Proxmox,
            &request.method,
            proxmox_template(&request.path),
        );
        proxmox_fault(through(class))
    });
    let through = ask.clone();
    wiring
        .talos()
        .on_request(Some(Arc::new(move |request: &talos::RequestInfo| {
            let (service, method) = request
                .method
                .trim_start_matches('/')
                .split_once('/')
                .unwrap_or_default();
            talos_fault(through(RequestClass::new(System::Talos, service, method)))
        })));
    let through = ask.clone();
    wiring.kubernetes().on_request(move |request| {
        let class = RequestClass::new(System::Kubernetes, request.verb, &request.template);
        kubernetes_fault(through(class))
    });
    wiring.restic().on_request(move |request| {
        restic_fault(ask(RequestClass::new(
            System::Restic,
            "run",
            &request.command,
        )))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_do_not_make_a_class_of_their_own() {
        assert_eq!(
            proxmox_template("/nodes/pve1/qemu/8101/status/start"),
            "/nodes/{node}/qemu/{vmid}/status/start"
        );
        assert_eq!(
            proxmox_template("/nodes/pve1/tasks/UPID:pve1:0:0:0:qmcreate:8101:root@pam:/status"),
            "/nodes/{node}/tasks/{upid}/status"
        );
    }
}
