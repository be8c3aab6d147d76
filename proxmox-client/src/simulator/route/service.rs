//! Services of a node: which run.

use std::time::Duration;

use serde_json::{Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

/// The services that the interface knows.
const SERVICES: [&str; 23] = [
    "chrony",
    "corosync",
    "cron",
    "ksmtuned",
    "lxcfs",
    "postfix",
    "proxmox-firewall",
    "pve-cluster",
    "pve-firewall",
    "pve-ha-crm",
    "pve-ha-lrm",
    "pve-lxc-syscalld",
    "pvedaemon",
    "pvefw-logger",
    "pveproxy",
    "pvescheduler",
    "pvestatd",
    "qmeventd",
    "spiceproxy",
    "sshd",
    "syslog",
    "systemd-journald",
    "systemd-timesyncd",
];

/// Those that a modelled node does not have.
const MISSING: [&str; 3] = ["pve-lxc-syscalld", "syslog", "systemd-timesyncd"];

/// Those that are not stopped.
const ESSENTIAL: [&str; 3] = ["pveproxy", "pvedaemon", "pve-cluster"];

impl World {
    /// Whether a service of a node runs.
    pub(super) fn runs(&self, node: &str, service: &str) -> bool {
        // The cluster's engine has nothing to do on a single node.
        let idle = service == "corosync" && self.nodes.len() < 2;
        let state = self.nodes.get(node);
        let known = state.and_then(|state| state.services.get(service));
        known
            .copied()
            .unwrap_or(!idle && !MISSING.contains(&service))
    }

    /// A service was started or stopped.
    pub(in super::super) fn turn_service(&mut self, node: &str, service: &str, on: bool) {
        let Some(state) = self.nodes.get_mut(node) else {
            return;
        };
        state.services.insert(service.to_owned(), on);
        if service == "pvescheduler" && on {
            self.scheduler_begins(node);
        }
    }

    fn service_entry(&self, node: &str, service: &str) -> Value {
        let (state, active) = match self.runs(node, service) {
            true => ("running", "active"),
            false => ("dead", "inactive"),
        };
        let unit = match MISSING.contains(&service) {
            true => "not-found",
            false => "enabled",
        };
        json!({
            "service": service, "name": service, "state": state, "active-state": active,
            "unit-state": unit,
        })
    }

    pub(super) fn node_services(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let all = SERVICES
                    .iter()
                    .map(|service| self.service_entry(node, service));
                Ok(Reply::data(all.collect::<Value>()))
            }
            ("GET", [service, "state"]) => Ok(Reply::data(self.service_entry(node, service))),
            ("POST", [service, command @ ("start" | "stop" | "restart" | "reload")]) => {
                Ok(self.service_task(node, service, command, caller))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn service_task(&mut self, node: &str, service: &str, command: &str, caller: &Caller) -> Reply {
        let on = match command {
            "stop" => false,
            "reload" => self.runs(node, service),
            _ => true,
        };
        let last = if command == "stop" && ESSENTIAL.contains(&service) {
            Step::Refuse(Reply::failed(format!(
                "invalid service cmd '{service} stop': refusing to stop essential service!"
            )))
        } else if MISSING.contains(&service) {
            Step::Refuse(Reply::failed(format!(
                "command 'systemctl {command} {service}' failed: exit code 5"
            )))
        } else {
            Step::Finish
        };
        let operation = Operation::Service {
            node: node.to_owned(),
            service: service.to_owned(),
            on,
        };
        let steps = vec![Step::Work(Duration::from_millis(300)), last];
        self.start_task(
            node,
            &format!("srv{command}"),
            service,
            caller,
            operation,
            steps,
        )
    }
}
