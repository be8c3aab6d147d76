//! Contexts of a talosconfig that nodes accept during a rotation of the Talos API's authority.

use std::time::{Duration, SystemTime};

use super::{CaRotation, RotatedCa, RotationCredentials};
use crate::error::{Error, ErrorKind};
use crate::renewal::{Renewed, reissue};
use crate::talosconfig::TalosConfig;

impl CaRotation {
    /// Gives the current context of a talosconfig a new client certificate and the authorities that a stage needs; roles,
    /// endpoints and nodes stay. The certificate ends with the authority that signs it at the latest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a rotation of the Kubernetes CA, which no talosconfig depends on;
    /// [`ErrorKind::InvalidTalosConfig`] when the context has no certificate whose roles could be kept;
    /// [`ErrorKind::InvalidSecrets`] when the signing authority is damaged or over.
    pub fn reissue(
        &self,
        config: &mut TalosConfig,
        credentials: RotationCredentials,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Renewed, Error> {
        if self.ca != RotatedCa::TalosApi {
            let message = "a talosconfig does not depend on the Kubernetes CA";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let (signer, trusted) = match credentials {
            RotationCredentials::Old => (&self.old, self.old.certificate().to_owned()),
            RotationCredentials::New => (&self.new, self.new.certificate().to_owned()),
            RotationCredentials::Both => {
                let both = [self.old.certificate(), self.new.certificate()];
                let both = both.map(|pem| format!("{}\n", pem.trim_end()));
                (&self.new, both.concat())
            }
        };
        let context = config.context_mut(None)?;
        let (renewed, identity) = reissue(context, signer, now, lifetime)?;
        context.set_identity(&identity);
        context.set_authorities(&trusted);
        Ok(renewed)
    }
}
