//! Named objects of the cluster's configuration: read, made, changed under their digest, removed.

use std::fmt;
use std::marker::PhantomData;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::access::Ensured;
use crate::client::Client;
use crate::entry::{remove, settle};
use crate::error::{Error, Kind, Result};
use crate::qemu::Removed;
use crate::setting::Settings;
use crate::wire::{Method, Request};

pub(crate) mod about {
    /// Where objects of a noun are, and how the interface speaks of them.
    #[derive(Debug, Clone, Copy)]
    pub struct About {
        /// Path of all of them, with a `{…}` for each place that they are in.
        pub(crate) collection: &'static str,
        /// Path to which new ones are posted, where it is not that of all of them: it ends with the name.
        pub(crate) post_to_own_path: bool,
        /// The parameter that names a new one.
        pub(crate) key: &'static str,
        /// What it is called in errors.
        pub(crate) what: &'static str,
        /// The kind, where there is only one and the interface asks for it.
        pub(crate) kind: Option<&'static str>,
        /// Whether changes must repeat the kind.
        pub(crate) kind_again: bool,
        /// Settings that every change must repeat.
        pub(crate) always: &'static [&'static str],
        /// Whether a change replaces the whole object: what it leaves out is gone, and it takes no `delete`.
        pub(crate) whole: bool,
        /// Whether a removal takes no token of a lock.
        pub(crate) removed_without_lock: bool,
        /// Whether `delete` is a list of names, not one text.
        pub(crate) delete_each: bool,
        /// Where an object is found in the list of all: the member that holds its name, and the one that paths use.
        pub(crate) found_by: Option<(&'static str, &'static str)>,
        /// Whether removing one that is not there is no usual refusal, so that it must be looked for first.
        pub(crate) looks_first: bool,
        /// Whether there are several kinds, one of which a new object must name.
        pub(crate) has_kinds: bool,
        /// Members of answers that are secret.
        pub(crate) secrets: &'static [&'static str],
    }

    impl About {
        pub(crate) const fn new(
            what: &'static str,
            collection: &'static str,
            key: &'static str,
        ) -> Self {
            Self {
                collection,
                post_to_own_path: false,
                key,
                what,
                kind: None,
                kind_again: false,
                always: &[],
                whole: false,
                delete_each: false,
                removed_without_lock: false,
                found_by: None,
                secrets: &[],
                looks_first: false,
                has_kinds: false,
            }
        }
    }

    /// Only this crate knows how to reach objects.
    pub trait Sealed {
        #[doc(hidden)]
        const ABOUT: About;
    }
}

pub(crate) use about::About;

/// A noun of the interface whose objects have names and settings.
pub trait Noun: about::Sealed {
    /// An object as it is.
    type Info: DeserializeOwned + Send;
    /// Settings that are wanted of one.
    type Settings: AsRef<Settings> + Sync;
}

/// One object by its name. It need not exist.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{AliasSettings, Ensured, Kind, Removed};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let gateway = client.firewall().alias("gateway");
/// assert!(gateway.get().await?.is_none());
/// gateway.create(&AliasSettings::of("192.0.2.1")).await?;
/// let moved = AliasSettings::of("192.0.2.254");
/// assert_eq!(gateway.update(&moved).await?, Ensured::Updated(vec!["cidr".to_owned()]));
/// assert_eq!(gateway.ensure(&moved).await?, Ensured::Unchanged);
/// assert_eq!(gateway.get().await?.unwrap().network, "192.0.2.254");
/// assert_eq!(gateway.delete().await?, Removed::Removed);
/// assert_eq!(gateway.update(&moved).await.unwrap_err().kind(), Kind::NotFound);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub struct Named<N: Noun> {
    client: Client,
    /// Path of what the collection is in, if there are several such things.
    base: String,
    places: Vec<String>,
    id: String,
    token: Option<SecretString>,
    noun: PhantomData<fn() -> N>,
}

impl<N: Noun> Clone for Named<N> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            base: self.base.clone(),
            places: self.places.clone(),
            id: self.id.clone(),
            token: self.token.clone(),
            noun: PhantomData,
        }
    }
}

impl<N: Noun> fmt::Debug for Named<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(N::ABOUT.what)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<N: Noun> Named<N> {
    pub(crate) fn new(client: &Client, places: &[&str], id: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            base: String::new(),
            places: places.iter().map(|place| (*place).to_owned()).collect(),
            id: id.into(),
            token: None,
            noun: PhantomData,
        }
    }

    /// The collection is below this path.
    pub(crate) fn below(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Sends this with every write: the caller holds the configuration's lock.
    pub(crate) fn under(mut self, token: Option<SecretString>) -> Self {
        self.token = token;
        self
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn token(&self) -> Option<SecretString> {
        self.token.clone()
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} {} {}", N::ABOUT.what, self.id)
    }

    fn collection(&self, method: Method) -> Request {
        let places: Vec<&str> = self.places.iter().map(String::as_str).collect();
        let template = format!("{}{}", self.base, N::ABOUT.collection);
        Request::new(method, &template, &places)
    }

    /// The request of one object, by the name that paths use.
    fn own(&self, method: Method, id: &str) -> Request {
        let mut places: Vec<&str> = self.places.iter().map(String::as_str).collect();
        places.push(id);
        let template = format!("{}{}/{{{}}}", self.base, N::ABOUT.collection, N::ABOUT.key);
        Request::new(method, &template, &places)
    }

    fn locked(&self, mut request: Request) -> Request {
        if let Some(token) = &self.token {
            let token = secrecy::ExposeSecret::expose_secret(token);
            request.params_mut().push("lock-token", token);
        }
        request
    }

    /// The name that paths use, and the members; none if there is no such object.
    async fn read(&self) -> Result<Option<(String, Map<String, Value>)>> {
        let found = match N::ABOUT.found_by {
            None => {
                let found = self.client.fetch(self.own(Method::Get, &self.id)).await;
                found.map(|members| Some((self.id.clone(), members)))
            }
            Some((member, own)) => {
                let all = self.client.fetch(self.collection(Method::Get)).await;
                all.map(|all: Vec<Map<String, Value>>| {
                    let is = |one: &Map<String, Value>| {
                        let name = one.get(member).and_then(Value::as_str);
                        name.is_some_and(|name| name.eq_ignore_ascii_case(&self.id))
                    };
                    let one = all.into_iter().find(is)?;
                    let id = one.get(own).and_then(Value::as_str)?.to_owned();
                    Some((id, one))
                })
            }
        };
        match found {
            Ok(found) => Ok(found),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.doing(self.doing("reading"))),
        }
    }

    /// The object as it is; none if there is no such one. Secrets that the server shows are left out.
    ///
    /// Example: see [`Named`].
    ///
    /// # Errors
    /// [`Kind::Permission`], and what any call can fail with.
    pub async fn get(&self) -> Result<Option<N::Info>> {
        let Some((_, mut members)) = self.read().await? else {
            return Ok(None);
        };
        // Some answers leave the name out, since the path has it.
        let name = members.entry(N::ABOUT.key);
        name.or_insert_with(|| self.id.as_str().into());
        hide(&mut members, N::ABOUT.secrets);
        decode(members.into())
            .map(Some)
            .map_err(|error| error.doing(self.doing("reading")))
    }

    /// Makes it.
    ///
    /// Example: see [`Named`].
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if there is one of that name, [`Kind::InvalidInput`] if the settings say no kind where
    /// there are several, and [`Kind::Parameter`] for settings that the server refuses.
    pub async fn create(&self, wanted: &N::Settings) -> Result<()> {
        let doing = || self.doing("making");
        let wanted = wanted.as_ref();
        let about = N::ABOUT;
        let mut request = if about.post_to_own_path {
            self.own(Method::Post, &self.id)
        } else {
            self.collection(Method::Post)
                .with(about.key, self.id.as_str())
        };
        match (about.kind, &wanted.kind) {
            (Some(kind), _) => request.params_mut().push("type", kind),
            (None, Some(kind)) => request.params_mut().push("type", kind.as_str()),
            (None, None) if about.has_kinds => {
                let why = format!(
                    "the settings do not say of which kind the {} is",
                    about.what
                );
                return Err(Error::invalid(why).doing(doing()));
            }
            (None, None) => {}
        }
        wanted.push_new(request.params_mut());
        let done = self.client.request(self.locked(request)).await;
        done.map(|_| ()).map_err(|error| error.doing(doing()))
    }

    /// Changes what is not as wanted; what the settings do not name is left alone. Secrets that the server does not
    /// show are always sent. The change is bound to the digest of what was read; after someone else's change it is
    /// decided anew.
    ///
    /// Example: see [`Named`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none, [`Kind::InvalidInput`] if it is of another kind, [`Kind::Conflict`] if others
    /// change it all the time, [`Kind::Parameter`] for settings that the server refuses.
    pub async fn update(&self, wanted: &N::Settings) -> Result<Ensured> {
        self.settle(wanted, false).await
    }

    /// Makes sure that there is one with these settings; what they do not name is left alone. A secret that the server
    /// does not show is sent when the object is made, and by [`update`](Self::update) afterwards.
    ///
    /// Example: see [`Named`].
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`update`](Self::update).
    pub async fn ensure(&self, wanted: &N::Settings) -> Result<Ensured> {
        self.settle(wanted, true).await
    }

    async fn settle(&self, wanted: &N::Settings, make: bool) -> Result<Ensured> {
        if wanted.as_ref().digest.is_some() {
            // The caller's digest decides: what others did meanwhile is to be refused.
            return self.settle_once(wanted, make).await;
        }
        settle(|| self.settle_once(wanted, make)).await
    }

    async fn settle_once(&self, wanted: &N::Settings, make: bool) -> Result<Ensured> {
        match self.read().await? {
            Some((id, have)) => self.change(&id, have, wanted.as_ref(), make).await,
            None if make => self.create(wanted).await.map(|()| Ensured::Created),
            None => {
                let text = format!("there is no {} {}", N::ABOUT.what, self.id);
                Err(Error::new(Kind::NotFound, text).doing(self.doing("changing")))
            }
        }
    }

    async fn change(
        &self,
        id: &str,
        have: Map<String, Value>,
        wanted: &Settings,
        make: bool,
    ) -> Result<Ensured> {
        let doing = || self.doing("changing");
        let kind = have.get("type").and_then(Value::as_str);
        if let (Some(kind), Some(wanted)) = (kind, &wanted.kind)
            && kind != wanted
        {
            let why =
                format!("it is of kind {kind}, which cannot become {wanted}: remove it first");
            return Err(Error::invalid(why).doing(doing()));
        }
        let mut changed = wanted.differing(&have);
        if !make {
            changed.extend(wanted.hidden(&have));
        }
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self.own(Method::Put, id);
        let params = request.params_mut();
        if let (true, Some(kind)) = (N::ABOUT.kind_again, kind) {
            params.push("type", kind);
        }
        for name in N::ABOUT.always {
            if let Some(value) = have
                .get(*name)
                .filter(|_| !changed.iter().any(|c| c == name))
            {
                params.push_value(name, value);
            }
        }
        match N::ABOUT.whole {
            true => {
                wanted.push_whole(&changed, params);
            }
            false if N::ABOUT.delete_each => wanted.push_change_each(&changed, params),
            false => wanted.push_change(&changed, params),
        }
        let read = have.get("digest").and_then(Value::as_str);
        if let Some(digest) = wanted.digest.as_deref().or(read) {
            params.push("digest", digest);
        }
        let done = self.client.request(self.locked(request)).await;
        done.map_err(|error| error.doing(doing()))?;
        Ok(Ensured::Updated(changed))
    }

    /// Removes it.
    ///
    /// Example: see [`Named`].
    ///
    /// # Errors
    /// [`Kind::InUse`] if something needs it.
    pub async fn delete(&self) -> Result<Removed> {
        let id = match N::ABOUT.found_by {
            None if !N::ABOUT.looks_first => self.id.clone(),
            _ => match self.read().await? {
                Some((id, _)) => id,
                None => return Ok(Removed::Absent),
            },
        };
        let mut request = self.own(Method::Delete, &id);
        if !N::ABOUT.removed_without_lock {
            request = self.locked(request);
        }
        let what = format!("{} {}", N::ABOUT.what, self.id);
        remove(&self.client, request, &what).await
    }
}

/// All objects of a noun, without secrets.
pub(crate) async fn all<N: Noun>(client: &Client, request: Request) -> Result<Vec<N::Info>> {
    let doing = || format!("listing every {}", N::ABOUT.what);
    let found: Result<Vec<Map<String, Value>>> = client.fetch(request).await;
    let found = found.map_err(|error| error.doing(doing()))?;
    let read = found.into_iter().map(|mut members| {
        hide(&mut members, N::ABOUT.secrets);
        decode(members.into())
    });
    read.collect::<Result<_>>()
        .map_err(|error| error.doing(doing()))
}

/// The request that lists objects of a noun.
pub(crate) fn list<N: Noun>(places: &[&str]) -> Request {
    Request::new(Method::Get, N::ABOUT.collection, places)
}

/// Takes secrets out of an answer.
pub(crate) fn hide(members: &mut Map<String, Value>, secrets: &[&str]) {
    for name in secrets {
        if let Some(Value::String(mut text)) = members.shift_remove(*name) {
            secrecy::zeroize::Zeroize::zeroize(&mut text);
        }
    }
}

/// Reads an answer that was taken apart.
pub(crate) fn decode<T: DeserializeOwned>(members: Value) -> Result<T> {
    serde_json::from_value(members).map_err(|error| {
        Error::new(Kind::Decode, "the answer does not have the promised form")
            .with_sent(crate::Sent::Answered)
            .with_source(error.to_string())
    })
}
