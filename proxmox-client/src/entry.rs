//! One object of the cluster's configuration by its requests: read, made, changed under its digest, removed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::access::{Ensured, text};
use crate::client::Client;
use crate::error::{Kind, Result};
use crate::property::PropertyString;
use crate::qemu::Removed;
use crate::setting::Settings;
use crate::wire::Request;

/// A property string, also where the server gives an object.
pub(crate) fn property_of(value: &Value) -> PropertyString {
    match value {
        Value::Object(members) => {
            let parts = members
                .iter()
                .map(|(key, value)| format!("{key}={}", text(value)));
            PropertyString::parse(&parts.collect::<Vec<_>>().join(","))
        }
        other => PropertyString::parse(&text(other)),
    }
}

/// One object of the cluster's configuration, by the requests that read, make, change and remove it.
pub(crate) struct Entry<'a> {
    pub(crate) client: &'a Client,
    pub(crate) read: Request,
    /// With what names the object.
    pub(crate) create: Request,
    /// With what every change must repeat.
    pub(crate) change: Request,
    /// What it is, for messages: `storage backup`.
    pub(crate) what: String,
}

impl Entry<'_> {
    /// What the server has; none if there is no such object.
    pub(crate) async fn read(&self) -> Result<Option<Map<String, Value>>> {
        read(self.client, self.read.clone(), &self.what).await
    }

    /// Makes it; gives what the server answers.
    pub(crate) async fn create(&self, wanted: &Settings) -> Result<Value> {
        let mut request = self.create.clone();
        wanted.push_new(request.params_mut());
        self.send(request, "making").await
    }

    /// Changes these settings, under the digest of what was read if there is one.
    pub(crate) async fn change(
        &self,
        wanted: &Settings,
        names: &[String],
        digest: Option<&str>,
    ) -> Result<Value> {
        let mut request = self.change.clone();
        wanted.push_change(names, request.params_mut());
        if let Some(digest) = digest {
            request.params_mut().push("digest", digest);
        }
        self.send(request, "changing").await
    }

    async fn send(&self, request: Request, doing: &str) -> Result<Value> {
        match self.client.request(request).await {
            Ok(envelope) => Ok(envelope.data.unwrap_or(Value::Null)),
            Err(error) => Err(error.doing(format!("{doing} {}", self.what))),
        }
    }

    /// Makes it, or changes what differs; gives what the server answered to that.
    pub(crate) async fn ensure(&self, wanted: &Settings) -> Result<(Ensured, Value)> {
        settle(|| self.settle_once(wanted)).await
    }

    async fn settle_once(&self, wanted: &Settings) -> Result<(Ensured, Value)> {
        let Some(have) = self.read().await? else {
            let made = self.create(wanted).await;
            return made.map(|answer| (Ensured::Created, answer));
        };
        let changed = wanted.differing(&have);
        if changed.is_empty() {
            return Ok((Ensured::Unchanged, Value::Null));
        }
        let digest = have.get("digest").and_then(Value::as_str);
        let answer = self.change(wanted, &changed, digest).await?;
        Ok((Ensured::Updated(changed), answer))
    }
}

/// How often an object is looked at anew because others change it.
const TRIES: u32 = 5;

/// Looks at an object and changes it, and does so anew if someone else made or changed it meanwhile.
pub(crate) async fn settle<T, F>(once: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for _ in 1..TRIES {
        match once().await {
            Err(error) if error.is_already_exists() || error.kind() == Kind::Conflict => {}
            done => return done,
        }
    }
    once().await
}

/// Reads an object; none if there is no such one.
pub(crate) async fn read<T: DeserializeOwned>(
    client: &Client,
    request: Request,
    what: &str,
) -> Result<Option<T>> {
    match client.fetch(request).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.doing(format!("reading {what}"))),
    }
}

/// Removes an object; one that is not there is a result too.
pub(crate) async fn remove(client: &Client, request: Request, what: &str) -> Result<Removed> {
    match client.request(request).await {
        Ok(_) => Ok(Removed::Removed),
        Err(error) if error.is_not_found() => Ok(Removed::Absent),
        Err(error) => Err(error.doing(format!("removing {what}"))),
    }
}
