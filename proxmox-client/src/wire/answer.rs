//! An answer as it came, and the envelope inside.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result, Sent, classify};
use crate::secret::Held;

/// An HTTP answer: status, reason phrase and body; `Debug` shows neither of the latter, since they may be secret.
///
/// ```
/// use proxmox_client::Kind;
/// use proxmox_client::wire::Answer;
/// let good = Answer::new(200, "OK", r#"{"data":["a","b"]}"#);
/// assert_eq!(good.data::<Vec<String>>()?, ["a", "b"]);
/// let bad = Answer::new(500, "VM 100 already exists", r#"{"data":null}"#);
/// assert_eq!(bad.failure().unwrap().kind(), Kind::AlreadyExists);
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Answer {
    status: u16,
    reason: String,
    body: Held,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The members of a successful answer; `Debug` shows the names of those beside `data` alone, since values may be secret.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct Envelope<T = Value> {
    /// What was asked for.
    #[serde(
        default = "Option::default",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    pub data: Option<T>,
    /// Number of all entries, where the list is a page of it.
    pub total: Option<u64>,
    /// Other members beside `data`, such as `changes`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<T> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra: Vec<&String> = self.extra.keys().collect();
        f.debug_struct("Envelope")
            .field("has_data", &self.data.is_some())
            .field("total", &self.total)
            .field("extra", &extra)
            .finish()
    }
}

#[derive(Deserialize)]
struct Typed<T> {
    data: T,
}

#[derive(Deserialize, Default)]
struct Failure {
    message: Option<String>,
    #[serde(default)]
    errors: Option<BTreeMap<String, Value>>,
}

impl Answer {
    /// An answer from its parts.
    pub fn new(status: u16, reason: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            reason: reason.into(),
            body: Held {
                bytes: body.into(),
                secret: false,
            },
        }
    }

    /// The same, with a body that holds a secret: it is wiped when it is dropped, and an error that it cannot be read
    /// repeats nothing of it. Clients do this with the answers of calls that are known to tell secrets.
    #[must_use]
    pub fn with_secrets(mut self) -> Self {
        self.body.secret = true;
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body.bytes
    }

    /// Whether the status is a success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The text of a successful answer that is no JSON: a log or file asked for with `download`.
    pub fn plain_text(&self) -> Option<&str> {
        let text = std::str::from_utf8(self.body())
            .ok()
            .filter(|_| self.is_success())?;
        (!text.trim_start().starts_with('{')).then_some(text)
    }

    /// The failure that this answer reports, if it does.
    ///
    /// The body's `message` wins over the reason phrase, which a proxy in between may have rewritten;
    /// servers before 9 and refusals of the HTTP layer have the reason phrase only.
    pub fn failure(&self) -> Option<Error> {
        if self.is_success() {
            return None;
        }
        let failure: Failure = serde_json::from_slice(self.body()).unwrap_or_default();
        let plain = std::str::from_utf8(self.body())
            .ok()
            .map(str::trim)
            .filter(|text| !text.is_empty() && !text.starts_with('{') && !text.starts_with('<'));
        let text = failure
            .message
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .or((!self.reason.trim().is_empty()).then(|| self.reason.trim()))
            .or(plain)
            .unwrap_or("no reason given");
        let parameters: BTreeMap<String, String> = failure
            .errors
            .unwrap_or_default()
            .into_iter()
            .map(|(name, why)| {
                (
                    name,
                    why.as_str().map_or_else(|| why.to_string(), str::to_owned),
                )
            })
            .collect();
        let kind = classify(
            self.status,
            text,
            parameters
                .iter()
                .map(|(name, why)| (name.as_str(), why.as_str())),
        );
        let sent = match kind {
            Kind::ProxyTimeout | Kind::Proxy => Sent::Maybe,
            Kind::ProxyBroken | Kind::NodeUnreachable => Sent::No,
            _ => Sent::Answered,
        };
        Some(
            Error::new(kind, text)
                .with_status(self.status)
                .with_sent(sent)
                .with_parameters(parameters),
        )
    }

    /// The envelope of a successful answer.
    pub fn envelope(&self) -> Result<Envelope> {
        match self.failure() {
            Some(error) => Err(error),
            None => self.parse(),
        }
    }

    /// `data` of a successful answer, decoded from the bytes without a step in between.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        match self.failure() {
            Some(error) => Err(error),
            None => self.parse::<Typed<T>>().map(|typed| typed.data),
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let refused = |why: String| {
            Error::new(Kind::Decode, "the answer does not have the promised form")
                .with_status(self.status)
                .with_sent(Sent::Answered)
                .with_source(why)
        };
        // Looked at once as a whole, which is faster than each text of a long list by itself.
        let text = std::str::from_utf8(self.body());
        let text = text.map_err(|error| refused(error.to_string()))?;
        serde_json::from_str(text).map_err(|error| {
            // The parser's text repeats the value that it did not expect.
            refused(match self.body.secret {
                true => format!("line {} column {}", error.line(), error.column()),
                false => error.to_string(),
            })
        })
    }
}
