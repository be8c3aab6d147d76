//! Image registries: a section of the main document up to contract 1.11, documents of their own from 1.12 on.

use super::PatchBuilder;
use crate::documents::v1alpha1::{self, Machine, Registries, RegistryConfig};
use crate::documents::{
    Base64, RegistryAuthConfig, RegistryMirrorConfig, RegistryTLSConfig, Secret, Url, cri,
};

/// Where images of a registry are pulled from instead.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct RegistryMirror {
    registry: String,
    endpoints: Vec<String>,
    override_path: bool,
    skip_fallback: Option<bool>,
}

impl RegistryMirror {
    /// For a registry, `docker.io`, or `*` for all.
    pub fn new(registry: impl Into<String>) -> Self {
        Self {
            registry: registry.into(),
            endpoints: Vec::new(),
            override_path: false,
            skip_fallback: None,
        }
    }

    /// A URL to pull from; several are tried in order.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push(url.into());
        self
    }

    /// The endpoints' paths are complete: no `/v2` is added.
    pub fn override_path(mut self) -> Self {
        self.override_path = true;
        self
    }

    /// Whether to give up, and not ask the registry itself, when no endpoint has the image. Contract 1.9 and later.
    pub fn skip_fallback(mut self, skip: bool) -> Self {
        self.skip_fallback = Some(skip);
        self
    }
}

impl PatchBuilder {
    /// A mirror of a registry.
    ///
    /// ```
    /// use talos_client::{Patch, RegistryMirror, VersionContract};
    ///
    /// let mirror = RegistryMirror::new("docker.io").endpoint("https://mirror.lan");
    /// let patch = Patch::builder(VersionContract::V1_13).registry_mirror(mirror).build()?;
    /// # let _ = patch;
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn registry_mirror(mut self, mirror: RegistryMirror) -> Self {
        let place = format!("mirror of {}", mirror.registry);
        let urls = mirror.endpoints.iter();
        let urls: Vec<Url> = urls.filter_map(|url| self.read(&place, url)).collect();
        if self.is(12) {
            let endpoint = |url| {
                let endpoint = cri::RegistryEndpoint::new().with_url(url);
                if mirror.override_path {
                    endpoint.with_override_path(true)
                } else {
                    endpoint
                }
            };
            let endpoints: Vec<_> = urls.into_iter().map(endpoint).collect();
            let mut document = RegistryMirrorConfig::new(mirror.registry).with_endpoints(endpoints);
            document.skip_fallback = mirror.skip_fallback;
            return self.document(document);
        }
        let mut section = v1alpha1::RegistryMirror::new().with_endpoints(mirror.endpoints);
        section.override_path = mirror.override_path.then_some(true);
        section.skip_fallback = mirror.skip_fallback;
        self.registries(Registries::new().with_mirrors([(mirror.registry, section)]))
    }

    /// Name and password for a registry.
    pub fn registry_auth(self, registry: &str, name: &str, password: impl Into<Secret>) -> Self {
        if self.is(12) {
            return self.document(
                RegistryAuthConfig::new(registry)
                    .with_username(name)
                    .with_password(password),
            );
        }
        let auth = v1alpha1::RegistryAuth::new()
            .with_username(name)
            .with_password(password);
        self.registry(registry, RegistryConfig::new().with_auth(auth))
    }

    /// The certificate, PEM, of the authority that a registry's certificate is from.
    pub fn registry_ca(self, registry: &str, certificate: &str) -> Self {
        if self.is(12) {
            return self.document(RegistryTLSConfig::new(registry).with_ca(certificate));
        }
        let tls = v1alpha1::RegistryTls::new().with_ca(Base64::encode(certificate));
        self.registry(registry, RegistryConfig::new().with_tls(tls))
    }

    /// Do not look at the certificate of a registry.
    pub fn registry_insecure(self, registry: &str) -> Self {
        if self.is(12) {
            let tls = RegistryTLSConfig::new(registry).with_insecure_skip_verify(true);
            return self.document(tls);
        }
        let tls = v1alpha1::RegistryTls::new().with_insecure_skip_verify(true);
        self.registry(registry, RegistryConfig::new().with_tls(tls))
    }

    fn registry(self, registry: &str, config: RegistryConfig) -> Self {
        self.registries(Registries::new().with_config([(registry, config)]))
    }

    fn registries(self, registries: Registries) -> Self {
        self.machine(Machine::new().with_registries(registries))
    }
}
