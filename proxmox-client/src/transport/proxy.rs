//! A proxy on the way to the servers, when the caller names one.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::{Error, Result};

/// A proxy for all connections of a client.
///
/// Clients never look for one by themselves: without [`ClientBuilder::proxy`](crate::ClientBuilder::proxy) they connect
/// directly, whatever the environment says.
///
/// ```
/// use proxmox_client::Proxy;
/// let proxy = Proxy::new("socks5h://127.0.0.1:1080")?.with_exceptions("10.0.0.0/8,.lan");
/// assert!(Proxy::new("ftp://127.0.0.1").is_err());
/// # drop(proxy); Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    /// May carry a user and a password.
    url: SecretString,
    /// For people, without them.
    shown: String,
    exceptions: Option<String>,
}

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

impl Proxy {
    /// A proxy by its address: `http://host:3128`, `https://…` (both by `CONNECT`), `socks5://…` (names are resolved
    /// here), `socks5h://…` (names are resolved there), `socks4://…`, `socks4a://…`. User and password may stand in it.
    ///
    /// # Errors
    /// Another scheme, or no address at all. The text is not repeated, for it may hold a password.
    pub fn new(url: impl Into<SecretString>) -> Result<Self> {
        let url = url.into();
        let parsed = Url::parse(url.expose_secret()).map_err(|error| {
            Error::invalid("the proxy has no address such as http://192.0.2.1:3128")
                .with_source(error)
        })?;
        if !SCHEMES.contains(&parsed.scheme()) {
            return Err(Error::invalid(format!(
                "the proxy's scheme is one of {}, not `{}`",
                SCHEMES.join(", "),
                parsed.scheme().escape_debug()
            )));
        }
        let Some(host) = parsed.host_str().filter(|host| !host.is_empty()) else {
            return Err(Error::invalid("the proxy's address names no host"));
        };
        let port = parsed
            .port()
            .map_or(String::new(), |port| format!(":{port}"));
        Ok(Self {
            shown: format!("{}://{host}{port}", parsed.scheme()),
            url,
            exceptions: None,
        })
    }

    /// The proxy that the environment names for HTTPS: `https_proxy`, `HTTPS_PROXY`, `all_proxy` or `ALL_PROXY`, with the
    /// exceptions of `no_proxy` or `NO_PROXY`; none if none of them is set.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn from_env() -> Result<Option<Self>> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.trim().is_empty())
        };
        let Some(url) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(None);
        };
        let proxy = Self::new(url.trim())?;
        Ok(Some(match first(&["no_proxy", "NO_PROXY"]) {
            Some(exceptions) => proxy.with_exceptions(exceptions),
            None => proxy,
        }))
    }

    /// Hosts that are reached directly: names, domains (`.lan`), addresses and networks, separated by commas; `*` is all.
    #[must_use]
    pub fn with_exceptions(mut self, hosts: impl Into<String>) -> Self {
        self.exceptions = Some(hosts.into());
        self
    }

    pub(crate) fn url(&self) -> &str {
        self.url.expose_secret()
    }

    pub(crate) fn exceptions(&self) -> Option<&str> {
        self.exceptions.as_deref()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.shown)
            .field("exceptions", &self.exceptions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Proxy> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxy::from_variables(find).unwrap()
    }

    #[test]
    fn the_environment_names_the_most_particular_proxy_first() {
        assert!(of(&[]).is_none());
        assert!(of(&[("https_proxy", " ")]).is_none());
        assert!(
            of(&[("http_proxy", "http://192.0.2.1")]).is_none(),
            "all endpoints are https"
        );
        let proxy = of(&[
            ("ALL_PROXY", "socks5://192.0.2.2:1080"),
            ("HTTPS_PROXY", "http://192.0.2.1:3128"),
            ("NO_PROXY", ".lan"),
        ]);
        let proxy = proxy.unwrap();
        assert_eq!(proxy.shown, "http://192.0.2.1:3128");
        assert_eq!(proxy.exceptions(), Some(".lan"));
    }

    #[test]
    fn neither_debug_nor_errors_show_a_password() {
        let proxy = Proxy::new("http://alice:s3cret@192.0.2.1:3128").unwrap();
        assert!(!format!("{proxy:?}").contains("s3cret"));
        for wrong in [
            "gopher://alice:s3cret@192.0.2.1",
            "http://alice:s3cret@",
            "s3cret",
        ] {
            let error = Proxy::new(wrong).unwrap_err();
            assert!(
                !format!("{error:?} {error}").contains("s3cret"),
                "{error:?}"
            );
        }
    }
}
