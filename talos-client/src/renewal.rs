//! New client certificates for the contexts of a talosconfig; no authority changes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::certificate;
use crate::error::{Error, ErrorKind};
use crate::secrets::pki::{YEAR, client_identity};
use crate::secrets::{Ca, CertificateAuthority, ClientIdentity, SecretsBundle};
use crate::talosconfig::{Context, TalosConfig};

/// What a renewal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// The new certificate holds for the lifetime that was asked for.
    #[non_exhaustive]
    Renewed {
        /// When it ends.
        until: SystemTime,
    },
    /// The authority ends before that lifetime does: so does the new certificate.
    #[non_exhaustive]
    UntilAuthorityEnds {
        /// When both end.
        until: SystemTime,
    },
}

impl Renewed {
    /// When the new certificate ends.
    pub fn until(self) -> SystemTime {
        match self {
            Self::Renewed { until } | Self::UntilAuthorityEnds { until } => until,
        }
    }
}

/// A new client certificate in the place of an old one: same roles, a new key, nodes and endpoints as they are.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use talos_client::{Renewed, SecretsBundle};
///
/// # #[cfg(feature = "simulator")]
/// # fn main() -> Result<(), talos_client::Error> {
/// let (secrets, now) = (SecretsBundle::fixed_for_tests(), SystemTime::now());
/// let mut config = secrets.talosconfig("homelab", ["10.0.20.11"], now)?;
/// let month = Duration::from_secs(30 * 24 * 3600);
/// let renewed = secrets.renewal(now).lifetime(month).renew(&mut config)?;
/// assert!(matches!(renewed, Renewed::Renewed { .. }));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "simulator"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Renewal<'s> {
    secrets: &'s SecretsBundle,
    now: SystemTime,
    lifetime: Duration,
    context: Option<String>,
}

impl SecretsBundle {
    /// A renewal of client certificates as of `now`, for one year unless told otherwise.
    pub fn renewal(&self, now: SystemTime) -> Renewal<'_> {
        Renewal {
            secrets: self,
            now,
            lifetime: YEAR,
            context: None,
        }
    }
}

impl Renewal<'_> {
    /// How long the new certificate holds.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The context to renew; the current one unless set.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// Renews the certificate of one context in memory.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`] when the context does not exist, trusts another authority than the bundle's, or has
    /// no certificate whose roles could be kept; [`ErrorKind::InvalidSecrets`] when the bundle's Talos CA is damaged or its
    /// own time is over.
    pub fn renew(&self, config: &mut TalosConfig) -> Result<Renewed, Error> {
        let name = self.context.as_deref();
        let authority = self.secrets.authority(Ca::Os)?;
        let context = config.context(name)?;
        check_authority(context, &authority)?;
        let (renewed, identity) = reissue(context, &authority, self.now, self.lifetime)?;
        config.context_mut(name)?.set_identity(&identity);
        Ok(renewed)
    }

    /// Renews the certificate of one context in a file, which is rewritten for the owner only (0600): beside the target,
    /// synced, then renamed over it. It is not written when the renewal fails.
    ///
    /// # Errors
    /// As [`renew`](Self::renew), and [`ErrorKind::Io`].
    pub fn renew_file(&self, path: impl AsRef<Path>) -> Result<Renewed, Error> {
        let path = path.as_ref();
        let mut config = TalosConfig::read_file(path)?;
        let renewed = self.renew(&mut config)?;
        config.write_file(path)?;
        Ok(renewed)
    }
}

/// The context trusts the authority.
fn check_authority(context: &Context, authority: &CertificateAuthority) -> Result<(), Error> {
    let trusted = context.pem("ca")?.unwrap_or_default();
    let ours = certificate::first(authority.certificate());
    if ours.is_some() && certificate::all(&trusted).contains(&ours) {
        return Ok(());
    }
    let message = "the context trusts another authority than the bundle's Talos CA";
    Err(Error::new(ErrorKind::InvalidTalosConfig, message)
        .with_hint("take the secrets of the context's own cluster"))
}

/// A certificate of this authority with the roles of the context's present one, which ends with the authority at the latest.
pub(crate) fn reissue(
    context: &Context,
    authority: &CertificateAuthority,
    now: SystemTime,
    lifetime: Duration,
) -> Result<(Renewed, ClientIdentity), Error> {
    let own = context.pem("crt")?.unwrap_or_default();
    let roles = certificate::first(&own).map(|own| own.organizations);
    let roles = roles.filter(|roles| !roles.is_empty()).ok_or_else(|| {
        let message = "the context has no client certificate whose roles could be kept";
        Error::new(ErrorKind::InvalidTalosConfig, message)
            .with_hint("make a new client certificate of the roles that are wanted")
    })?;
    let issuer = certificate::first(authority.certificate()).ok_or_else(|| {
        let message = "the Talos CA's certificate cannot be read";
        Error::new(ErrorKind::InvalidSecrets, message)
    })?;
    let left = issuer.not_after.duration_since(now).unwrap_or_default();
    if left.is_zero() {
        let message = "the Talos CA has expired: what it signs is valid nowhere";
        return Err(Error::new(ErrorKind::InvalidSecrets, message).with_hint("rotate the Talos CA"));
    }
    let roles = roles.iter().map(String::as_str);
    let identity = client_identity(authority, roles, now, lifetime.min(left))?;
    // Certificates count whole seconds.
    let made = certificate::first(identity.certificate());
    let until = made.map_or(now + lifetime.min(left), |made| made.not_after);
    let renewed = if lifetime <= left {
        Renewed::Renewed { until }
    } else {
        Renewed::UntilAuthorityEnds { until }
    };
    Ok((renewed, identity))
}
