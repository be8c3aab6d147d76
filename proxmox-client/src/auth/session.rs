//! Logins that outlive a program.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::secret::secret;

/// A login that can be kept and used again: a ticket with the token that protects its writes. It ends two hours after
/// its ticket was issued; a client that uses it renews it at half of that.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::simulator::{Simulator, World};
/// # let simulator = Simulator::new(World::lab().with_user("root@pam", "correct horse"));
/// use proxmox_client::{Login, Session};
/// let client = simulator.builder().login(Login::new("root@pam", "correct horse")).build()?;
/// let kept = client.session().await?.expect("it logs in").to_secret_text(); // keep it like a password
///
/// let session = Session::from_secret_text(kept)?;
/// assert_eq!(session.user(), "root@pam");
/// let later = simulator.builder().session(session).build()?;
/// later.version().await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Clone)]
pub struct Session {
    user: String,
    pub(super) ticket: SecretString,
    pub(super) csrf: SecretString,
}

/// How long a ticket lives.
const LIFE: Duration = Duration::from_secs(7200);

impl Session {
    /// From a ticket `PVE:user@realm:…` that was had elsewhere, and its CSRF prevention token.
    ///
    /// # Errors
    /// A text that is no ticket, or only the partial one that asks for a second factor.
    pub fn new(ticket: impl Into<SecretString>, csrf: impl Into<SecretString>) -> Result<Self> {
        let (ticket, csrf) = (ticket.into(), csrf.into());
        let mut parts = ticket.expose_secret().split(':');
        let user = match (parts.next(), parts.next()) {
            (Some("PVE"), Some(user)) if user.contains('@') => user.to_owned(),
            _ => {
                return Err(Error::invalid(
                    "a ticket has the form PVE:user@realm:time::signature",
                ));
            }
        };
        let is_clean = |secret: &SecretString| {
            let text = secret.expose_secret();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_clean(&csrf) || !is_clean(&ticket) {
            return Err(Error::invalid(
                "a ticket and its CSRF prevention token are texts without blanks, and neither is empty",
            ));
        }
        Ok(Self { user, ticket, csrf })
    }

    /// Who is logged in, with realm.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// When it ends unless a client renews it; none if the ticket does not tell when it was issued.
    pub fn expires(&self) -> Option<SystemTime> {
        let issued = self.ticket.expose_secret().split(':').nth(2)?;
        let issued = u64::from_str_radix(issued, 16).ok()?;
        Some(UNIX_EPOCH + Duration::from_secs(issued) + LIFE)
    }

    /// The ticket, for the cookie `PVEAuthCookie` of another program.
    pub fn ticket(&self) -> &SecretString {
        &self.ticket
    }

    /// The CSRF prevention token that writes with the ticket must carry.
    pub fn csrf_prevention_token(&self) -> &SecretString {
        &self.csrf
    }

    /// One text to be kept like a password.
    pub fn to_secret_text(&self) -> SecretString {
        let (ticket, csrf) = (self.ticket.expose_secret(), self.csrf.expose_secret());
        secret(&[ticket, " ", csrf])
    }

    /// From what [`to_secret_text`](Self::to_secret_text) gave.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn from_secret_text(text: impl Into<SecretString>) -> Result<Self> {
        let text = text.into();
        let parts = text.expose_secret().trim().split_once(' ');
        let (ticket, csrf) = parts.ok_or_else(|| {
            Error::invalid(
                "a kept session is a ticket and its CSRF prevention token, with a blank between",
            )
        })?;
        Self::new(ticket, csrf)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_and_read_again() {
        let session = Session::new("PVE:root@pam:6B0036C4::c2ln", "6B0036C4:aGFzaA").unwrap();
        let again = Session::from_secret_text(session.to_secret_text()).unwrap();
        assert_eq!(again.user(), "root@pam");
        assert_eq!(
            again.ticket().expose_secret(),
            "PVE:root@pam:6B0036C4::c2ln"
        );
        assert_eq!(
            again.csrf_prevention_token().expose_secret(),
            "6B0036C4:aGFzaA"
        );
        let issued = UNIX_EPOCH + Duration::from_secs(0x6B00_36C4);
        assert_eq!(again.expires(), Some(issued + LIFE));
        assert!(!format!("{again:?}").contains("c2ln"));
    }

    #[test]
    fn what_is_no_session_is_refused_without_being_repeated() {
        let texts = [
            "",
            "PVE:root@pam:6B0036C4::c2ln",
            "PVE:!tfa!{}:6B003997::c2ln 6B003997:c2ln",
            "PBS:root@pam:6B0036C4::c2ln c2ln",
            "PVE:root@pam:6B0036C4::c2ln c2ln\nx",
        ];
        for text in texts {
            let error = Session::from_secret_text(text).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("c2ln"), "{error:?}");
        }
    }
}
