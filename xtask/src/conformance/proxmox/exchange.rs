//! Recorded exchanges, sent to the simulator at their own moments.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::wire::{Answer, Method, Params, Request, unescape};
use serde_json::Value;

/// The token that all recordings used.
pub(super) const TOKEN: &str = "root@pam!sdk=recorded";

/// A simulator whose clock is stepped, and what it gave in place of recorded task identifiers and digests.
pub(super) struct Player {
    pub(super) simulator: Simulator,
    start: SystemTime,
    ours: BTreeMap<String, String>,
}

impl Player {
    pub(super) fn new(world: World) -> Self {
        let start = world.now();
        let simulator = Simulator::with_clock(world, Clock::stepped(start));
        Self {
            simulator,
            start,
            ours: BTreeMap::new(),
        }
    }

    /// The clock goes to this many seconds after the start, never back.
    pub(super) fn step_to(&self, seconds: f64) {
        let moment = self.start + Duration::from_secs_f64(seconds.max(0.0));
        if let Ok(ahead) = moment.duration_since(self.simulator.clock().now()) {
            self.simulator.clock().advance(ahead);
        }
    }

    /// Sends a recorded request; while it waits, the clock goes on in steps of 10 ms.
    pub(super) async fn send(&self, case: &Value) -> Option<Answer> {
        let request = request(case, &self.ours)?;
        let mut sent = pin!(self.simulator.answer(TOKEN, &request));
        loop {
            tokio::select! {
                biased;
                answer = &mut sent => return answer,
                () = tokio::task::yield_now() => self.simulator.clock().advance(Duration::from_millis(10)),
            }
        }
    }

    /// From here on our task stands for the recorded one, and our digest for the recorded one.
    pub(super) fn learn(&mut self, recorded: &Value, ours: &Value) {
        for pointer in ["/data", "/data/digest"] {
            let pair = recorded
                .pointer(pointer)
                .and_then(Value::as_str)
                .zip(ours.pointer(pointer).and_then(Value::as_str));
            if let Some((recorded, ours)) =
                pair.filter(|(r, _)| r.starts_with("UPID:") || pointer != "/data")
            {
                self.ours.insert(recorded.to_owned(), ours.to_owned());
            }
        }
    }
}

/// The request of a recorded exchange.
pub(super) fn request(case: &Value, ours: &BTreeMap<String, String>) -> Option<Request> {
    let method = match case["method"].as_str()? {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        _ => return None,
    };
    let path = case["path"].as_str()?;
    let segments: Vec<String> = path.split('/').skip(1).map(unescape).collect();
    let values: Vec<&str> = segments
        .iter()
        .map(|segment| ours.get(segment).map_or(segment.as_str(), String::as_str))
        .collect();
    let template: String = values.iter().map(|_| "/{}").collect();
    let mut params = Params::new();
    for (name, value) in case["params"].as_object().into_iter().flatten() {
        // A file, told in words, and its name go into the body's last part.
        if name == "(file)" || name == "filename" && case["params"]["(file)"].is_string() {
            continue;
        }
        match value
            .as_str()
            .filter(|_| name == "digest")
            .and_then(|digest| ours.get(digest))
        {
            Some(digest) => params.push(name.as_str(), digest.as_str()),
            None => params.push_value(name, value),
        }
    }
    Some(Request::new(method, &template, &values).with_params(params))
}

/// The body as JSON.
pub(super) fn body(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body())
        .unwrap_or_else(|_| String::from_utf8_lossy(answer.body()).into_owned().into())
}
