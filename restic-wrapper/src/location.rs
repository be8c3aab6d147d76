//! Where a repository is, with the credentials for it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::invocation::Invocation;
use crate::secret::{Secret, mask_url_passwords};
use crate::version::Version;

/// Where a repository is.
///
/// Credentials are kept apart from the address: they reach restic through its environment alone, never as an argument.
/// `Debug` and `Display` show the address without them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Location {
    scheme: Scheme,
    address: OsString,
    plain_env: Vec<(Cow<'static, str>, OsString)>,
    secret_env: Vec<(Cow<'static, str>, Secret)>,
    options: Vec<(String, String)>,
    needs: Vec<(&'static str, Version)>,
    problems: Vec<String>,
}

/// What kind of storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// A folder.
    Local,
    /// SFTP through the `ssh` program.
    Sftp,
    /// restic's own HTTP protocol: rest-server, `rclone serve restic`.
    Rest,
    /// S3 of any maker.
    S3,
    /// Backblaze B2.
    B2,
    /// Azure blob storage.
    Azure,
    /// Google cloud storage.
    Gs,
    /// OpenStack Swift.
    Swift,
    /// Whatever the `rclone` program reaches.
    Rclone,
    /// A text that was given as it is.
    Other,
}

impl Location {
    fn new(scheme: Scheme, address: impl Into<OsString>) -> Self {
        Self {
            scheme,
            address: address.into(),
            plain_env: Vec::new(),
            secret_env: Vec::new(),
            options: Vec::new(),
            needs: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A folder. A relative path counts from the working directory of this program.
    #[must_use]
    pub fn local(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mut location = Self::new(Scheme::Local, path.as_os_str());
        if path.as_os_str().is_empty() {
            location
                .problems
                .push("the path of the repository is empty".to_owned());
        }
        // `local:` keeps a folder called `s3:…` a folder.
        let mut address = OsString::from("local:");
        address.push(path);
        location.address = address;
        location
    }

    /// `sftp://[user@]host[:port]/path`. Keys and options are those of the `ssh` program; it must not ask questions.
    #[must_use]
    pub fn sftp(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> Self {
        let mut address = String::from("sftp://");
        if let Some(user) = user {
            address.push_str(user);
            address.push('@');
        }
        address.push_str(host);
        if let Some(port) = port {
            address.push_str(&format!(":{port}"));
        }
        // One slash ends the authority, one more makes the path absolute.
        address.push('/');
        address.push_str(path);
        let mut location = Self::new(Scheme::Sftp, address);
        if host.is_empty() || host.starts_with('-') {
            location
                .problems
                .push(format!("{host:?} is not a host name"));
        }
        location
    }

    /// A REST server: `https://host:8000/path/`. A user name and a password in the URL are moved out of it.
    #[must_use]
    pub fn rest(url: &str) -> Self {
        let url = url.strip_prefix("rest:").unwrap_or(url);
        let (address, user, password) = split_credentials(url);
        let mut location = Self::new(Scheme::Rest, format!("rest:{address}"));
        if !(address.starts_with("http://")
            || address.starts_with("https://")
            || address.starts_with("unix:")
            || address.starts_with("http+unix://"))
        {
            location.problems.push(format!(
                "{:?} is not the URL of a REST server, such as https://host:8000/",
                mask_url_passwords(&address)
            ));
        }
        if let (Some(user), Some(password)) = (user, password) {
            location = location.rest_user(user, password);
        }
        location
    }

    /// User name and password for a REST server (restic 0.16.1 and newer).
    #[must_use]
    pub fn rest_user(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.plain_env
            .push(("RESTIC_REST_USERNAME".into(), user.into().into()));
        self.secret_env
            .push(("RESTIC_REST_PASSWORD".into(), password.into()));
        self.needs
            .push(("a user name for the REST server", Version::new(0, 16, 1)));
        self
    }

    /// S3 at any endpoint: `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000`; a prefix may be empty.
    #[must_use]
    pub fn s3(endpoint: &str, bucket: &str, prefix: &str) -> Self {
        let endpoint = endpoint.trim_end_matches('/');
        let mut address = format!("s3:{endpoint}/{bucket}");
        if !prefix.trim_matches('/').is_empty() {
            address.push('/');
            address.push_str(prefix.trim_matches('/'));
        }
        let mut location = Self::new(Scheme::S3, address);
        if endpoint.is_empty() || bucket.is_empty() {
            location
                .problems
                .push("S3 needs an endpoint and a bucket".to_owned());
        }
        if endpoint.contains('@') {
            location
                .problems
                .push("credentials do not belong in an S3 endpoint".to_owned());
        }
        location
    }

    /// Access key and secret key for S3.
    #[must_use]
    pub fn s3_keys(mut self, access: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.plain_env
            .push(("AWS_ACCESS_KEY_ID".into(), access.into().into()));
        self.secret_env
            .push(("AWS_SECRET_ACCESS_KEY".into(), secret.into()));
        self
    }

    /// Session token for S3.
    #[must_use]
    pub fn s3_session(mut self, token: impl Into<Secret>) -> Self {
        self.secret_env
            .push(("AWS_SESSION_TOKEN".into(), token.into()));
        self
    }

    /// Region for S3, where the endpoint does not say it.
    #[must_use]
    pub fn s3_region(mut self, region: impl Into<String>) -> Self {
        self.plain_env
            .push(("AWS_DEFAULT_REGION".into(), region.into().into()));
        self
    }

    /// Backblaze B2.
    #[must_use]
    pub fn b2(
        bucket: &str,
        prefix: &str,
        account: impl Into<String>,
        key: impl Into<Secret>,
    ) -> Self {
        let mut location = Self::new(Scheme::B2, format!("b2:{bucket}:{prefix}"));
        location
            .plain_env
            .push(("B2_ACCOUNT_ID".into(), account.into().into()));
        location
            .secret_env
            .push(("B2_ACCOUNT_KEY".into(), key.into()));
        location
    }

    /// Azure blob storage, with the account's key.
    #[must_use]
    pub fn azure(
        container: &str,
        prefix: &str,
        account: impl Into<String>,
        key: impl Into<Secret>,
    ) -> Self {
        let mut location = Self::new(Scheme::Azure, format!("azure:{container}:/{prefix}"));
        location
            .plain_env
            .push(("AZURE_ACCOUNT_NAME".into(), account.into().into()));
        location
            .secret_env
            .push(("AZURE_ACCOUNT_KEY".into(), key.into()));
        location
    }

    /// Google cloud storage, with the file of a service account.
    #[must_use]
    pub fn gs(
        bucket: &str,
        prefix: &str,
        project: impl Into<String>,
        credentials: impl Into<PathBuf>,
    ) -> Self {
        let mut location = Self::new(Scheme::Gs, format!("gs:{bucket}:/{prefix}"));
        location
            .plain_env
            .push(("GOOGLE_PROJECT_ID".into(), project.into().into()));
        location.plain_env.push((
            "GOOGLE_APPLICATION_CREDENTIALS".into(),
            credentials.into().into_os_string(),
        ));
        location
    }

    /// OpenStack Swift. Its many variables (`OS_AUTH_URL`, `OS_PASSWORD`, …) are given with [`Location::secret_env`].
    #[must_use]
    pub fn swift(container: &str, prefix: &str) -> Self {
        Self::new(Scheme::Swift, format!("swift:{container}:/{prefix}"))
    }

    /// Whatever the `rclone` program reaches: the name of a remote and a path in it. Credentials are rclone's own.
    #[must_use]
    pub fn rclone(remote: &str, path: &str) -> Self {
        Self::new(Scheme::Rclone, format!("rclone:{remote}:{path}"))
    }

    /// Reads an address in restic's own notation. Credentials within a URL are moved out of it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (scheme, _) = text.split_once(':').unwrap_or(("", text));
        match scheme {
            "rest" => Self::rest(text),
            "local" => Self::local(&text["local:".len()..]),
            "sftp" => Self::new(Scheme::Sftp, text),
            "s3" => Self::new(Scheme::S3, text),
            "b2" => Self::new(Scheme::B2, text),
            "azure" => Self::new(Scheme::Azure, text),
            "gs" => Self::new(Scheme::Gs, text),
            "swift" => Self::new(Scheme::Swift, text),
            "rclone" => Self::new(Scheme::Rclone, text),
            _ if text.is_empty() || !text.contains("://") => Self::local(text),
            _ => Self::new(Scheme::Other, text),
        }
    }

    /// One more variable for the environment of restic, with a value that is no secret.
    #[must_use]
    pub fn env(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<OsString>) -> Self {
        self.plain_env.push((name.into(), value.into()));
        self
    }

    /// One more variable for the environment of restic, with a secret value.
    #[must_use]
    pub fn secret_env(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Secret>,
    ) -> Self {
        self.secret_env.push((name.into(), value.into()));
        self
    }

    /// An extended option of the storage (`-o key=value`), such as `s3.bucket-lookup=path`. No place for secrets: options
    /// are arguments.
    #[must_use]
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// What kind of storage it is.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Adds address, credentials and options. A second repository (`copy`) has other names for the same variables.
    pub(crate) fn apply(&self, invocation: &mut Invocation, secondary: bool) {
        let name = if secondary {
            "RESTIC_FROM_REPOSITORY"
        } else {
            "RESTIC_REPOSITORY"
        };
        // The address is no argument either: it may hold a user name, and restic reads the variable just as well.
        invocation.env.push((name.into(), self.address.clone()));
        for (name, value) in &self.plain_env {
            invocation.env.push((name.as_ref().into(), value.clone()));
        }
        for (name, value) in &self.secret_env {
            invocation
                .secret_env
                .push((name.as_ref().into(), value.clone()));
        }
        for (key, value) in &self.options {
            invocation
                .global
                .push(format!("--option={key}={value}").into());
        }
        invocation.needs.extend(self.needs.iter().copied());
        invocation.problems.extend(self.problems.iter().cloned());
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url_passwords(&self.address.to_string_lossy()))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Takes `user:password@` out of a URL.
fn split_credentials(url: &str) -> (String, Option<String>, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None, None);
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((credentials, host)) => {
            let (user, password) = match credentials.split_once(':') {
                Some((user, password)) => (user, Some(percent_decode(password))),
                None => (credentials, None),
            };
            match password {
                Some(password) => (
                    format!("{scheme}://{host}{path}"),
                    Some(percent_decode(user)),
                    Some(password),
                ),
                None => (url.to_owned(), None, None),
            }
        }
        None => (url.to_owned(), None, None),
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match (
            bytes[at],
            hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
