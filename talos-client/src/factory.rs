//! The image factory over HTTP: schematics, versions and extensions.
//!
//! Ids and addresses need no factory, see [`Schematic`]; a factory builds only what it was told of before.

mod transport;

use std::time::Duration;

use serde_json::Value as Json;

use self::transport::Http;
use crate::error::{Error, ErrorKind};
use crate::schematic::Schematic;

/// The public image factory.
const PUBLIC: &str = "https://factory.talos.dev";

/// A client of an image factory.
///
/// ```no_run
/// use talos_client::{Factory, Schematic};
///
/// # async fn register() -> Result<(), talos_client::Error> {
/// let factory = Factory::builder().system_roots()?.build()?;
/// let schematic = Schematic::default().extension("siderolabs/iscsi-tools");
/// let id = factory.create(&schematic).await?;
/// assert_eq!(id, schematic.id());
/// let newest = factory.versions().await?.pop();
/// # let _ = newest;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Factory {
    http: Http,
    url: url::Url,
}

/// Makes a [`Factory`].
#[derive(Clone, Debug)]
#[must_use]
pub struct FactoryBuilder {
    url: String,
    timeout: Duration,
    roots: rustls::RootCertStore,
}

/// An official extension of a Talos version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OfficialExtension {
    /// The name that a schematic takes: `siderolabs/iscsi-tools`.
    pub name: String,
    /// The image that holds it, with its version.
    pub image: String,
    /// Digest of the image.
    pub digest: String,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub description: String,
}

impl FactoryBuilder {
    /// Another factory than the public one, `https://factory.example.com`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Longest time for one request; 30 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts the certificate authorities of the operating system, which are read now.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system has none that can be read.
    pub fn system_roots(mut self) -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = self.roots.add_parsable_certificates(found.certs);
        if added > 0 {
            return Ok(self);
        }
        let error = Error::new(
            ErrorKind::Io,
            "the system has no certificate authorities that can be read",
        );
        Err(match found.errors.into_iter().next() {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    /// Trusts one more certificate authority, in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the text holds no certificate.
    pub fn root_certificate(mut self, pem: &str) -> Result<Self, Error> {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject as _;
        let invalid = || Error::new(ErrorKind::InvalidArgument, "no certificate in the PEM text");
        let mut any = false;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| invalid())?;
            self.roots.add(certificate).map_err(|_| invalid())?;
            any = true;
        }
        if any { Ok(self) } else { Err(invalid()) }
    }

    /// The client. Nothing is sent yet; proxies of the environment are not used.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the address is none of http or https.
    pub fn build(self) -> Result<Factory, Error> {
        let url = url::Url::parse(&self.url).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            let message = format!("`{}` is not the address of a factory", self.url);
            Error::new(ErrorKind::InvalidArgument, message)
        })?;
        let http = Http::new(self.roots, self.timeout)?;
        Ok(Factory { http, url })
    }
}

impl Factory {
    /// A builder for the public factory, without any certificate authority yet.
    pub fn builder() -> FactoryBuilder {
        FactoryBuilder {
            url: PUBLIC.to_owned(),
            timeout: Duration::from_secs(30),
            roots: rustls::RootCertStore::empty(),
        }
    }

    /// Makes a schematic known and returns its id. The same schematic always has the same id; telling it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the factory refuses the schematic, [`ErrorKind::Protocol`] when it gives it
    /// another id than [`Schematic::id`], and what a connection can fail with.
    pub async fn create(&self, schematic: &Schematic) -> Result<String, Error> {
        let address = self.address(&["schematics"])?;
        let answer = self.http.post_yaml(address, schematic.canonical()).await?;
        let answer = json(&answer)?;
        let id = answer["id"].as_str().unwrap_or_default();
        if id == schematic.id() {
            return Ok(id.to_owned());
        }
        let message = format!(
            "the factory calls the schematic `{id}`; its id is {}",
            schematic.id()
        );
        Err(Error::new(ErrorKind::Protocol, message)
            .with_hint("the factory is newer than this crate, or it changes schematics"))
    }

    /// The schematic of an id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the factory was never told of it, [`ErrorKind::Protocol`] when its content does not
    /// have this id.
    pub async fn get(&self, id: &str) -> Result<Schematic, Error> {
        if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            let message = format!("`{id}` is not the id of a schematic: 64 hexadecimal digits");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let text = self.http.get(self.address(&["schematics", id])?).await?;
        let schematic = Schematic::from_yaml(&text).map_err(|error| {
            Error::new(ErrorKind::Protocol, "the factory's schematic does not load")
                .with_source(error)
        })?;
        if schematic.id() == id.to_ascii_lowercase() {
            Ok(schematic)
        } else {
            let message = format!("the factory gave schematic {} for {id}", schematic.id());
            Err(Error::new(ErrorKind::Protocol, message))
        }
    }

    /// The Talos versions that the factory builds, in its order: oldest first.
    ///
    /// # Errors
    /// What a connection can fail with.
    pub async fn versions(&self) -> Result<Vec<String>, Error> {
        let answer = json(&self.http.get(self.address(&["versions"])?).await?)?;
        let list = answer
            .as_array()
            .ok_or_else(|| unexpected("a list of versions"))?;
        let version = |version: &Json| {
            let text = version.as_str().map(str::to_owned);
            text.ok_or_else(|| unexpected("a list of versions"))
        };
        list.iter().map(version).collect()
    }

    /// The official extensions of a Talos version, `v1.13.9`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the factory does not know the version.
    pub async fn extensions(&self, version: &str) -> Result<Vec<OfficialExtension>, Error> {
        let parts = ["version", version, "extensions", "official"];
        let answer = json(&self.http.get(self.address(&parts)?).await?)?;
        let list = answer
            .as_array()
            .ok_or_else(|| unexpected("a list of extensions"))?;
        let extension = |item: &Json| {
            let field = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let name = field("name");
            if name.is_empty() {
                return Err(unexpected("extensions with names"));
            }
            Ok(OfficialExtension {
                name,
                image: field("ref"),
                digest: field("digest"),
                author: field("author"),
                description: field("description"),
            })
        };
        list.iter().map(extension).collect()
    }

    /// Where this factory has an image of a schematic: `image_url(&schematic, "v1.13.9", "nocloud-amd64.raw.xz")`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when version or file are not parts of an address.
    pub fn image_url(
        &self,
        schematic: &Schematic,
        version: &str,
        file: &str,
    ) -> Result<String, Error> {
        let address = self.address(&["image", &schematic.id(), version, file])?;
        Ok(address.to_string())
    }

    fn address(&self, parts: &[&str]) -> Result<url::Url, Error> {
        let invalid = |what: &str| {
            let message = format!("`{what}` is not a part of an address");
            Error::new(ErrorKind::InvalidArgument, message)
        };
        let mut url = self.url.clone();
        {
            let mut path = url
                .path_segments_mut()
                .map_err(|()| invalid(self.url.as_str()))?;
            path.pop_if_empty();
            for part in parts {
                if part.is_empty() || matches!(*part, "." | "..") || part.contains('/') {
                    return Err(invalid(part));
                }
                path.push(part);
            }
        }
        Ok(url)
    }
}

fn json(text: &str) -> Result<Json, Error> {
    serde_json::from_str(text).map_err(|cause| unexpected("JSON").with_source(cause))
}

fn unexpected(wanted: &str) -> Error {
    let message = format!("the factory's answer is not what was asked for: {wanted}");
    Error::new(ErrorKind::Protocol, message)
}
