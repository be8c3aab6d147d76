//! One node: everything that the machine API offers about it.

use prost::Message;

use crate::api::common;
use crate::client::Client;
use crate::dynamic::NodeStatus;
use crate::error::{Error, ErrorKind};
use crate::method::{ClientStream, ServerStream, Unary};
use crate::transport::{self, Answers, Route};

mod apply;
mod etcd;
mod facts;
mod lifecycle;

pub use apply::{Applied, Apply, ApplyMode};
pub use etcd::{Bootstrapped, EtcdMember};
pub use facts::{Disk, Extension, MemoryInfo, NodeVersion, Resource, Service};
pub use lifecycle::{Kubeconfig, Reset, Upgraded};

/// A handle to one node, or to the endpoint itself.
#[derive(Clone, Debug)]
pub struct Node {
    client: Client,
    name: Option<String>,
}

/// Answers that carry the older envelope: `messages`, each with metadata of the node that it came from.
pub(crate) trait Envelope {
    type Item: HasMetadata;
    fn items(self) -> Vec<Self::Item>;
}

pub(crate) trait HasMetadata {
    fn metadata(&self) -> Option<&common::Metadata>;
}

macro_rules! envelope {
    ($($answer:ty => $item:ty),* $(,)?) => {
        $(
            impl crate::node::Envelope for $answer {
                type Item = $item;
                fn items(self) -> Vec<$item> {
                    self.messages
                }
            }
            impl crate::node::HasMetadata for $item {
                fn metadata(&self) -> Option<&crate::api::common::Metadata> {
                    self.metadata.as_ref()
                }
            }
        )*
    };
}
pub(crate) use envelope;

impl Node {
    pub(crate) fn new(client: Client, name: Option<String>) -> Self {
        Self { client, name }
    }

    /// The address that the handle was made with; `None` is the endpoint.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn route(&self) -> Route {
        let mut metadata = Vec::new();
        // A node in maintenance mode forwards nothing: the endpoint is the node.
        if let Some(node) = self.name.as_ref().filter(|_| !self.client.is_maintenance()) {
            metadata.push(("node", node.clone()));
        }
        if let Some(cluster) = self.client.cluster() {
            metadata.push(("runtime", "Talos".to_owned()));
            metadata.push(("context", cluster.to_owned()));
        }
        Route {
            metadata,
            timeout: Some(self.client.timeout()),
        }
    }

    fn about(&self, error: Error) -> Error {
        match &self.name {
            Some(name) if error.node().is_none() => error.with_node(name.clone()),
            _ => error,
        }
    }

    /// Calls any method with one request and one answer.
    ///
    /// # Errors
    /// The node's status, or that it cannot be reached.
    pub async fn unary<Q, A>(&self, method: Unary<Q, A>, request: Q) -> Result<A, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let route = self.route();
        let call = |link| {
            let (route, request) = (&route, request.clone());
            async move { transport::unary(&link, route, method.path, request).await }
        };
        self.client
            .failover(call)
            .await
            .map_err(|error| self.about(error))
    }

    /// Calls any method that answers with a stream.
    ///
    /// # Errors
    /// As [`unary`](Self::unary); the stream can fail later.
    pub async fn server_stream<Q, A>(
        &self,
        method: ServerStream<Q, A>,
        request: Q,
    ) -> Result<AnswerStream<A>, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let route = self.route();
        let call = |link| {
            let (route, request) = (&route, request.clone());
            async move { transport::server_stream(&link, route, method.path, request).await }
        };
        let answers = self
            .client
            .failover(call)
            .await
            .map_err(|error| self.about(error))?;
        Ok(AnswerStream {
            answers,
            node: self.clone(),
        })
    }

    /// Calls any method that takes a stream of requests.
    ///
    /// # Errors
    /// As [`unary`](Self::unary).
    pub async fn client_stream<Q, A>(
        &self,
        method: ClientStream<Q, A>,
        requests: Vec<Q>,
    ) -> Result<A, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let route = self.route();
        let call = |link| {
            let (route, requests) = (&route, requests.clone());
            async move { transport::client_stream(&link, route, method.path, requests).await }
        };
        self.client
            .failover(call)
            .await
            .map_err(|error| self.about(error))
    }

    /// The one message of an envelope; a status inside it becomes the error.
    async fn single<Q, A>(&self, method: Unary<Q, A>, request: Q) -> Result<A::Item, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + Envelope + 'static,
    {
        let answer = self.unary(method, request).await?;
        let item = answer.items().into_iter().next();
        let item = item.ok_or_else(|| {
            self.about(Error::new(
                ErrorKind::Protocol,
                format!("{}: an empty answer", method.path),
            ))
        })?;
        match item.metadata().and_then(metadata_error) {
            Some(error) => Err(self.about(error)),
            None => Ok(item),
        }
    }
}

/// The error that an answer's metadata carries, if it does.
pub(crate) fn metadata_error(metadata: &common::Metadata) -> Option<Error> {
    let error = metadata_status(metadata)?.error();
    Some(if metadata.hostname.is_empty() {
        error
    } else {
        error.with_node(metadata.hostname.clone())
    })
}

/// The status that an answer's metadata carries, if it does; an older node sends only the text.
pub(crate) fn metadata_status(metadata: &common::Metadata) -> Option<NodeStatus> {
    match &metadata.status {
        Some(status) => Some(NodeStatus::new(status.code, status.message.as_str())),
        None if metadata.error.is_empty() => None,
        None => Some(NodeStatus::new(2, metadata.error.as_str())),
    }
}

/// A stream of answers; dropping it ends the call.
#[derive(Debug)]
pub struct AnswerStream<A> {
    answers: Answers<A>,
    node: Node,
}

impl<A> AnswerStream<A> {
    /// The next answer; `None` at the end.
    ///
    /// # Errors
    /// The status with which the node ended the stream.
    pub async fn next(&mut self) -> Result<Option<A>, Error> {
        self.answers
            .next()
            .await
            .map_err(|error| self.node.about(error))
    }
}

impl AnswerStream<common::Data> {
    /// All bytes of the stream.
    async fn bytes(mut self) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        let mut all = zeroize::Zeroizing::new(Vec::new());
        while let Some(data) = self.next().await? {
            if let Some(error) = data.metadata.as_ref().and_then(metadata_error) {
                return Err(self.node.about(error));
            }
            all.extend_from_slice(&data.bytes);
        }
        Ok(all)
    }
}
