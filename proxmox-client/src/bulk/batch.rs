//! Several calls to a node in one.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::node::Node;
use crate::wire::{Answer, Method, Request};

/// Parameters as a member of the batch: a repeated name is an array.
fn arguments(request: &Request) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in request.params().iter() {
        match all.get_mut(name) {
            None => {
                all.insert(name.to_owned(), value.into());
            }
            Some(Value::Array(items)) => items.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    all
}

/// The calls as the interface wants them, each below the node.
fn commands(node: &str, calls: &[Request]) -> Result<String> {
    let prefix = format!("/nodes/{node}/");
    let mut all = Vec::new();
    for call in calls {
        let Some(below) = call.path().strip_prefix(&prefix) else {
            let text = format!("{} is no call to node {node}", call.describe());
            return Err(Error::invalid(text));
        };
        all.push(json!({
            "method": call.method().as_str(), "path": below, "args": arguments(call),
        }));
    }
    Ok(Value::from(all).to_string())
}

/// One of the answers, as if it had come alone.
fn answer(told: &Value) -> Answer {
    let status = told.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| status.try_into().ok());
    let status: u16 = status.unwrap_or(500);
    let message = told.get("message").and_then(Value::as_str);
    let reason = message.unwrap_or_default().lines().next();
    let reason = reason.unwrap_or(if status == 200 { "OK" } else { "" });
    Answer::new(status, reason, told.to_string())
}

impl Node {
    /// Makes several calls to this node one after the other, within one. Each has an answer of its own, in their order; a
    /// failure does not keep the next ones from being made. Only `root@pam` with a ticket may do that.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::wire::{Method, Request};
    /// use proxmox_client::{Kind, Login, NodeStatus, QemuConfig};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let simulator = Simulator::new(World::lab().with_user("root@pam", "secret"));
    /// let client = simulator.builder().login(Login::new("root@pam", "secret")).build()?;
    /// let status = Request::new(Method::Get, "/nodes/{node}/status", &["pve1"]);
    /// let missing = Request::new(Method::Get, "/nodes/{node}/qemu/{vmid}/config", &["pve1", "999"]);
    /// let answers = client.node("pve1").execute(&[status, missing]).await?;
    /// let status: NodeStatus = answers[0].data()?;
    /// assert_eq!(status.cpus(), Some(24));
    /// assert_eq!(answers[1].data::<QemuConfig>().unwrap_err().kind(), Kind::NotFound);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) for a call to something else than this node,
    /// [`Kind::RootOnly`](crate::Kind::RootOnly) for others than `root@pam`. Failures of the calls are in their answers.
    pub async fn execute(&self, calls: &[Request]) -> Result<Vec<Answer>> {
        let commands = commands(self.name(), calls)?;
        let request = self.request(Method::Post, "/execute")?;
        let answers: Vec<Value> = self
            .client()
            .fetch(request.with("commands", commands))
            .await?;
        Ok(answers.iter().map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_below_their_node() {
        let read = Request::new(
            Method::Get,
            "/nodes/{node}/qemu/{vmid}/config",
            &["pve1", "7"],
        );
        let write = Request::new(Method::Post, "/nodes/{node}/x", &["pve1"])
            .with("a", "1")
            .with("b", "x")
            .with("b", "y")
            .with("b", "z");
        let text = commands("pve1", &[read.clone(), write]).unwrap_or_default();
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let wanted = json!([
            { "method": "GET", "path": "qemu/7/config", "args": {} },
            { "method": "POST", "path": "x", "args": { "a": "1", "b": ["x", "y", "z"] } },
        ]);
        assert_eq!(told, wanted);
        assert!(commands("pve2", &[read]).is_err());
    }

    #[test]
    fn answers_are_what_they_would_be_alone() {
        let good = answer(&json!({ "status": 200, "data": [1, 2] }));
        assert_eq!(good.data::<Vec<u32>>().ok(), Some(vec![1, 2]));
        let bad = json!({
            "status": 400, "message": "Parameter verification failed.\n", "errors": { "vmid": "no" },
        });
        let failure = answer(&bad).failure();
        let failure = failure.map(|error| (error.kind(), error.parameters().len()));
        assert_eq!(failure, Some((crate::Kind::Parameter, 1)));
        let odd = answer(&json!({ "message": "VM is locked (backup)\n" }));
        assert_eq!(
            odd.failure().map(|error| error.kind()),
            Some(crate::Kind::Locked)
        );
    }
}
