//! Answers as the real server gives them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// An answer on its way out.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) body: Vec<u8>,
    pub(super) json: bool,
    /// Whether the body is packed on its way, whatever the caller accepts.
    #[serde(default)]
    pub(super) packed: bool,
}

/// What handlers give: data, or a refusal.
pub(super) type Outcome = Result<Reply, Reply>;

impl Reply {
    pub(super) fn data(data: impl Into<Value>) -> Self {
        Self::envelope(&json!({ "data": data.into() }))
    }

    pub(super) fn page(data: impl Into<Value>, total: usize) -> Self {
        Self::envelope(&json!({ "data": data.into(), "total": total }))
    }

    /// Data with another member beside it.
    pub(super) fn with(data: impl Into<Value>, name: &str, value: impl Into<Value>) -> Self {
        Self::envelope(&json!({ "data": data.into(), name: value.into() }))
    }

    fn envelope(value: &Value) -> Self {
        Self {
            status: 200,
            reason: "OK".to_owned(),
            body: value.to_string().into_bytes(),
            json: true,
            packed: false,
        }
    }

    /// The answer with only those entries of its list that `keep` wants, and as it left them.
    pub(super) fn changed(self, mut keep: impl FnMut(&mut Value) -> bool) -> Self {
        let Ok(mut whole) = serde_json::from_slice::<Value>(&self.body) else {
            return self;
        };
        if let Some(Value::Array(entries)) = whole.get_mut("data") {
            entries.retain_mut(&mut keep);
        }
        Self {
            body: whole.to_string().into_bytes(),
            ..self
        }
    }

    /// A refusal whose text is in the reason phrase and in the body.
    pub(super) fn refusal(status: u16, text: impl Into<String>) -> Self {
        let text = text.into();
        let body = json!({ "data": null, "message": format!("{text}\n") });
        Self {
            status,
            reason: text.lines().next().unwrap_or_default().to_owned(),
            body: body.to_string().into_bytes(),
            json: true,
            packed: false,
        }
    }

    /// The usual refusal of a handler.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::refusal(500, text)
    }

    /// A refusal without a body, as the HTTP layer and the proxy give it.
    pub(super) fn bare(status: u16, reason: &str) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            body: Vec::new(),
            json: false,
            packed: false,
        }
    }

    /// How long the handler worked on it: an agent that does not answer is waited for.
    pub(super) fn takes(&self) -> Duration {
        match self.reason.as_str() {
            "QEMU guest agent is not running" => Duration::from_secs(3),
            _ => Duration::ZERO,
        }
    }

    /// A refusal of parameters.
    pub(super) fn parameters(errors: Map<String, Value>) -> Self {
        Self::invalid("Parameter verification failed.".to_owned(), errors)
    }

    /// A refusal of parameters with a text of its own.
    pub(super) fn invalid(text: String, errors: Map<String, Value>) -> Self {
        let body = json!({ "data": null, "message": format!("{text}\n"), "errors": errors });
        Self {
            status: 400,
            reason: text,
            body: body.to_string().into_bytes(),
            json: true,
            packed: false,
        }
    }

    pub(super) fn parameter(name: &str, why: impl Into<String>) -> Self {
        let mut errors = Map::new();
        errors.insert(name.to_owned(), Value::String(why.into()));
        Self::parameters(errors)
    }
}
