//! Methods by path: requests checked and answers split by node from their bytes, without a connection.
//!
//! For what is known only at run time: recordings, proxies and tools that print whatever a method answers. The bytes are
//! read as the messages that [`Node::unary`](crate::Node::unary) and its kin read.

mod json;

use std::fmt;

use prost::{Message, Name};
use zeroize::Zeroizing;

use crate::api::common;
use crate::error::{Error, ErrorKind};
use crate::generated::reflection;
use crate::node::metadata_status;
use crate::transport::status_error;

pub(crate) use json::{Field, Kind, Shape};

const METADATA: &str = "common.Metadata";

/// A method of the API that was found by its path.
#[derive(Clone, Copy)]
pub struct AnyMethod {
    path: &'static str,
    request: Codec,
    answer: Codec,
}

type Canonical = Zeroizing<Vec<u8>>;

#[derive(Clone, Copy)]
struct Codec {
    /// `package.Message`.
    name: fn() -> String,
    /// Reads a message and prints it again: each field once, in order, without defaults and unknown fields.
    canonical: fn(&[u8]) -> Result<Canonical, prost::DecodeError>,
}

impl Codec {
    const fn of<M: Message + Default + Name>() -> Self {
        Self {
            name: M::full_name,
            canonical: |bytes| Ok(Zeroizing::new(M::decode(bytes)?.encode_to_vec())),
        }
    }
}

impl fmt::Debug for AnyMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyMethod({})", self.path)
    }
}

impl AnyMethod {
    pub(crate) const fn new<Q, A>(path: &'static str) -> Self
    where
        Q: Message + Default + Name,
        A: Message + Default + Name,
    {
        Self {
            path,
            request: Codec::of::<Q>(),
            answer: Codec::of::<A>(),
        }
    }

    /// The method with the path `/package.Service/Method`; `None` when the API has none there.
    ///
    /// ```
    /// use talos_client::AnyMethod;
    ///
    /// let version = AnyMethod::find("/machine.MachineService/Version").expect("it is in the API");
    /// let answer = b"\x0a\x18\x12\x09\x0a\x07v1.14.0\x0a\x0b\x0a\x0910.0.20.1";
    /// let results = version.results(answer)?;
    /// assert_eq!(results[0].node(), Some("10.0.20.1"));
    /// assert_eq!(results[0].json(), Some(r#"{"version":{"tag":"v1.14.0"}}"#));
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn find(path: &str) -> Option<Self> {
        let mut every = reflection::SERVICES.iter().copied().flatten();
        every.find(|method| method.path == path).copied()
    }

    /// `/package.Service/Method`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// One request message as this crate sends it: each field once, in order, without defaults and unknown fields.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the bytes are not a message of the method's kind.
    pub fn request(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        (self.request.canonical)(bytes).map_err(|error| {
            let message = format!("{}: not a request of the method", self.path);
            Error::new(ErrorKind::InvalidArgument, message).with_source(error)
        })
    }

    /// Whether the method's request message holds all of `bytes`: no field of them is unknown here.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn holds_request(&self, bytes: &[u8]) -> Result<bool, Error> {
        self.request(bytes)?;
        Ok(json::knows_all(&(self.request.name)(), bytes))
    }

    /// One answer message as JSON: fields named as in the schema, as protobuf's JSON mapping prints them; for a stream,
    /// one of its messages.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the bytes are not a message of the method's kind.
    pub fn answer_json(&self, bytes: &[u8]) -> Result<Zeroizing<String>, Error> {
        self.print(&(self.answer.name)(), &self.answer(bytes)?, "")
    }

    /// One answer message split by node: an answer with an envelope has a result for each message in it, any other answer
    /// is one result. For a stream, one of its messages.
    ///
    /// The order is the order of arrival. The node is named when the endpoint was asked about several nodes.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the bytes are not a message of the method's kind.
    pub fn results(&self, bytes: &[u8]) -> Result<Vec<NodeResult>, Error> {
        let name = (self.answer.name)();
        let answer = self.answer(bytes)?;
        let Some((number, item)) = envelope(&name) else {
            return Ok(vec![self.result(&name, &answer)?]);
        };
        let items = json::parts(&answer, number).map_err(|json::Malformed| self.malformed())?;
        items.iter().map(|part| self.result(item, part)).collect()
    }

    fn result(&self, name: &str, bytes: &[u8]) -> Result<NodeResult, Error> {
        let mut node = None;
        let mut hidden = "";
        if let Some(field) = metadata(name) {
            hidden = field.name;
            let parts =
                json::parts(bytes, field.number).map_err(|json::Malformed| self.malformed())?;
            if let Some(part) = parts.last() {
                let metadata = common::Metadata::decode(*part).map_err(|_| self.malformed())?;
                let status = metadata_status(&metadata);
                node = Some(metadata.hostname).filter(|name| !name.is_empty());
                if let Some(status) = status {
                    return Ok(NodeResult {
                        node,
                        outcome: Err(status),
                    });
                }
            }
        }
        let json = self.print(name, bytes, hidden)?;
        Ok(NodeResult {
            node,
            outcome: Ok(json),
        })
    }

    fn answer(&self, bytes: &[u8]) -> Result<Canonical, Error> {
        (self.answer.canonical)(bytes).map_err(|error| self.malformed().with_source(error))
    }

    fn print(&self, name: &str, bytes: &[u8], hidden: &str) -> Result<Zeroizing<String>, Error> {
        json::text(name, bytes, hidden).map_err(|json::Malformed| self.malformed())
    }

    fn malformed(&self) -> Error {
        let message = format!("{}: not an answer of the method", self.path);
        Error::new(ErrorKind::Protocol, message)
    }
}

/// The field of an envelope that holds a message for each node, and the kind of these messages.
fn envelope(name: &str) -> Option<(u32, &'static str)> {
    let field = json::fields(name)?.iter();
    let mut field = field.filter(|field| field.name == "messages");
    match field.next()? {
        Field {
            number,
            kind: Kind::Message(item),
            shape: Shape::Many,
            ..
        } => metadata(item).map(|_| (*number, *item)),
        _ => None,
    }
}

/// The field that says from which node a message came.
fn metadata(name: &str) -> Option<&'static Field> {
    let is_metadata = |field: &&Field| matches!(field.kind, Kind::Message(METADATA));
    json::fields(name)?.iter().find(is_metadata)
}

/// What one node answered. `Debug` does not show the answer: it can hold a whole configuration.
pub struct NodeResult {
    node: Option<String>,
    outcome: Result<Zeroizing<String>, NodeStatus>,
}

impl fmt::Debug for NodeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeResult")
            .field("node", &self.node)
            .field("bytes", &self.json().map(str::len))
            .field("status", &self.status())
            .finish()
    }
}

impl NodeResult {
    /// The node as the request named it; `None` when the answer does not say, as without forwarding to several nodes.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// The answer as JSON, without the metadata of the envelope; `None` when the node failed.
    pub fn json(&self) -> Option<&str> {
        self.outcome.as_ref().ok().map(|json| json.as_str())
    }

    /// Why the node failed; `None` when it answered.
    pub fn status(&self) -> Option<&NodeStatus> {
        self.outcome.as_ref().err()
    }

    /// [`status`](Self::status) as the error that a call to this node alone gives.
    pub fn error(&self) -> Option<Error> {
        let error = self.status()?.error();
        Some(match &self.node {
            Some(node) => error.with_node(node.clone()),
            None => error,
        })
    }
}

/// A gRPC status other than `OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The number, such as 5.
    pub code: i32,
    /// The text as it came.
    pub message: String,
}

/// The names by number, as the gRPC libraries print them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

impl NodeStatus {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A status by the name of its code, such as `NotFound`; `None` when gRPC has no such code.
    pub fn named(name: &str, message: impl Into<String>) -> Option<Self> {
        let code = CODES.iter().position(|known| *known == name)?;
        Some(Self::new(i32::try_from(code).ok()?, message))
    }

    /// The name of the code, such as `NotFound`; `Code(99)` for one that gRPC does not have.
    pub fn name(&self) -> String {
        let known = usize::try_from(self.code).ok();
        match known.and_then(|code| CODES.get(code)) {
            Some(name) => (*name).to_owned(),
            None => format!("Code({})", self.code),
        }
    }

    /// The error that a call with this status gives.
    pub fn error(&self) -> Error {
        status_error(self.code, &self.message)
    }
}

#[cfg(test)]
mod tests;
