//! Suites of Cilium: policy verdicts and Hubble filters.

use anyhow::Context;
use cilium_model::ErrorKind;
use cilium_model::hubble::{FilterSet, Flow as HubbleFlow, FlowFilter};
use cilium_model::policy::rule::{Entity, Protocol};
use cilium_model::policy::selector::Label;
use cilium_model::policy::verdict::{
    Decision, Direction, Endpoint, Enforcement, Flow, HttpRequest, Options, Policy, PolicySet,
    Reason, Request, SideVerdict,
};
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[&Verdicts, &HubbleFilters];

fn cases(folder: &Folder, files: &[&str]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in files {
        if let Some(Value::Object(mut document)) = folder.own_json(file)? {
            let cases = document.remove("cases").and_then(|cases| match cases {
                Value::Array(cases) => Some(cases),
                _ => None,
            });
            all.extend(cases.with_context(|| format!("{file} has no list of cases"))?);
        }
    }
    Ok(all)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

struct Verdicts;

const VERDICTS: &[&str] = &["verdicts.json", "random-verdicts.json"];

impl Suite for Verdicts {
    fn name(&self) -> &'static str {
        "cilium-verdicts"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in cases(folder, VERDICTS)? {
            runner.try_case(text(&case, "name"), || verdict(&case));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in cases(folder, VERDICTS)? {
            let id = text(&case, "name");
            let expected = &case["expected"];
            let Some(output) = outputs.get(id) else {
                report.differs(id, "did not run");
                continue;
            };
            let wrong = ["verdict", "request"]
                .into_iter()
                .find(|key| expected.get(*key).is_some() && expected.get(*key) != output.get(*key));
            match wrong {
                Some(key) => report.differs(
                    id,
                    format!(
                        "{key}: {}, expected {}; {output}",
                        output[key], expected[key]
                    ),
                ),
                None => report.right(),
            }
            for key in ["decidedBy", "auth"] {
                if expected.get(key) != output.get(key) && expected.get("invalid").is_none() {
                    report.note(
                        id,
                        format!("{key}: {}, library {}", output[key], expected[key]),
                    );
                }
            }
        }
        Ok(())
    }
}

fn endpoint(value: &Value) -> Result<Endpoint, String> {
    let labels = list(value, "labels")
        .iter()
        .filter_map(Value::as_str)
        .map(Label::parse);
    let mut endpoint = if let Some(ip) = value.get("ip").and_then(Value::as_str) {
        let address = ip.parse().map_err(|_| format!("{ip:?} is no address"))?;
        match value.get("fqdn").and_then(Value::as_str) {
            Some(name) => Endpoint::resolved(name, address),
            None => Endpoint::address(address),
        }
    } else if let Some(entity) = value.get("entity").and_then(Value::as_str) {
        Endpoint::entity(Entity::from(entity))
    } else {
        Endpoint::from_labels([])
    };
    for label in labels {
        endpoint = endpoint.with_label(label);
    }
    let ports = value.get("namedPorts").and_then(Value::as_object);
    for (name, port) in ports.into_iter().flatten() {
        let (number, protocol) = port
            .as_str()
            .and_then(|port| port.split_once('/'))
            .ok_or_else(|| format!("{port} is no named port"))?;
        let number = number
            .parse()
            .map_err(|_| format!("{number:?} is no port"))?;
        endpoint = endpoint.with_named_port(name, number, Protocol::from(protocol));
    }
    Ok(endpoint)
}

fn request(case: &Value) -> Option<Request> {
    let given = case.get("request")?;
    if let Some(name) = given.get("dns").and_then(Value::as_str) {
        return Some(Request::dns(name));
    }
    let http = given.get("http")?;
    let mut request =
        HttpRequest::new(text(http, "method"), text(http, "path")).host(text(http, "host"));
    let headers = http.get("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        request = request.header(name, value.as_str().unwrap_or_default());
    }
    Some(request.into())
}

fn verdict(case: &Value) -> Result<Value, String> {
    let switch = |name: &str| case.pointer(&format!("/options/{name}")) == Some(&Value::Bool(true));
    let enforcement = match text(case, "policyEnforcement") {
        "always" => Enforcement::Always,
        "never" => Enforcement::Never,
        _ => Enforcement::Default,
    };
    let options = Options::default()
        .host_firewall(switch("hostFirewall"))
        .node_selector_labels(switch("nodeSelectorLabels"))
        .enforcement(enforcement);
    let mut policies = Vec::new();
    for policy in list(case, "policies").iter().filter_map(Value::as_str) {
        match Policy::read_all(policy) {
            Ok(read) => policies.extend(read),
            Err(error) if error.kind() == ErrorKind::Shape => return Ok(invalid(&error)),
            Err(error) => return Err(error.to_string()),
        }
    }
    let set = match PolicySet::new(policies, options) {
        Ok(set) => set,
        Err(error) => return Ok(invalid(&error)),
    };
    let subject = endpoint(&case["subject"])?;
    let peer = endpoint(&case["peer"])?;
    let (direction, source, destination) = match text(case, "direction") {
        "ingress" => (Direction::Ingress, &peer, &subject),
        _ => (Direction::Egress, &subject, &peer),
    };
    let port = case["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| format!("{} is no port", case["port"]))?;
    let mut flow = Flow::new(
        source,
        destination,
        Protocol::from(text(case, "protocol")),
        port,
    );
    if let Some(request) = request(case) {
        flow = flow.with_request(request);
    }
    Ok(answer(&set.evaluate_side(&flow, direction), direction))
}

fn invalid(error: &cilium_model::Error) -> Value {
    json!({"verdict": "invalid", "invalid": error.to_string()})
}

fn answer(side: &SideVerdict, direction: Direction) -> Value {
    let verdict = match side.decision {
        Decision::Denied => "denied",
        Decision::AllowedL7(_) => "allowed-l7",
        _ => "allowed",
    };
    let mut output = json!({"verdict": verdict});
    if let (Some(allowed), false) = (side.request_allowed, side.decision == Decision::Denied) {
        output["request"] = json!(if allowed { "allowed" } else { "denied" });
    }
    if let Some(mode) = &side.authentication {
        output["auth"] = json!(match mode.as_str() {
            "required" => "spire",
            other => other,
        });
    }
    let mut decided: Vec<String> = match &side.reason {
        Reason::Rules(rules) => rules.iter().map(|rule| rule.name.clone()).collect(),
        Reason::Open | Reason::NotEnforced => vec![format!("allow-any-{direction}")],
        Reason::Localhost => vec!["allow-localhost-ingress".to_owned()],
        Reason::Closed => vec![format!("deny-any-{direction}")],
        _ => Vec::new(),
    };
    decided.sort_unstable();
    decided.dedup();
    if !decided.is_empty() {
        output["decidedBy"] = json!(decided);
    }
    output
}

struct HubbleFilters;

const FILTERS: &[&str] = &["hubble-filters.json", "random-hubble-filters.json"];

impl Suite for HubbleFilters {
    fn name(&self) -> &'static str {
        "hubble-filters"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in cases(folder, FILTERS)? {
            runner.try_case(text(&case, "name"), || filter(&case));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in cases(folder, FILTERS)? {
            let id = text(&case, "name");
            let output = outputs.get(id);
            if output.is_some_and(|output| output.get("unsupported").is_some()) {
                report.note(id, "unsupported");
            } else if case.get("invalid").is_none() {
                report.equal(id, &json!({"match": case["match"]}), output);
            } else if output.is_some_and(|output| output.get("invalid").is_some()) {
                report.right();
            } else {
                report.differs(id, format!("accepted, expected {}", case["invalid"]));
            }
        }
        Ok(())
    }
}

fn filter(case: &Value) -> Result<Value, String> {
    let flow = HubbleFlow::from_json(&case["flow"]).map_err(|error| error.to_string())?;
    let mut lists = Vec::new();
    for key in ["whitelist", "blacklist"] {
        let mut filters = Vec::new();
        for value in list(case, key) {
            let cel = value.pointer("/experimental/cel_expression");
            if cel.is_some() {
                return Err("CEL expressions are not evaluated".to_owned());
            }
            match FlowFilter::from_json(value) {
                Ok(filter) => filters.push(filter),
                Err(error) => return Ok(json!({"invalid": error.to_string()})),
            }
        }
        lists.push(filters);
    }
    let deny = lists.pop().unwrap_or_default();
    let allow = lists.pop().unwrap_or_default();
    match FilterSet::new(allow, deny) {
        Ok(set) => Ok(json!({"match": set.matches(&flow)})),
        Err(error) => Ok(json!({"invalid": error.to_string()})),
    }
}
