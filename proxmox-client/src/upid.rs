//! Task identifiers: `UPID:node:pid:pstart:starttime:type:id:user:`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Kind};

/// A task's identifier, which also says where, what, when and by whom.
///
/// ```
/// use proxmox_client::Upid;
/// let upid: Upid = "UPID:pve1:000014B6:0008A4D0:6B004739:qmcreate:100:root@pam!sdk:".parse()?;
/// assert_eq!(upid.node(), "pve1");
/// assert_eq!(upid.kind(), "qmcreate");
/// assert_eq!(upid.id(), Some("100"));
/// assert_eq!((upid.user(), upid.token()), ("root@pam", Some("sdk")));
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Upid {
    text: String,
    node: u16,
    kind: (u16, u16),
    id: (u16, u16),
    user: (u16, u16),
    pid: u32,
    pstart: u64,
    start: u32,
}

impl Upid {
    /// The node that runs the task and keeps its log.
    pub fn node(&self) -> &str {
        &self.text[5..5 + usize::from(self.node)]
    }

    fn slice(&self, (start, end): (u16, u16)) -> &str {
        &self.text[usize::from(start)..usize::from(end)]
    }

    /// The kind of work, such as `qmstart`, `vzdump`, `imgcopy`.
    pub fn kind(&self) -> &str {
        self.slice(self.kind)
    }

    /// What the task works on: mostly a guest's id, for a clone that of its source; none for some kinds.
    pub fn id(&self) -> Option<&str> {
        Some(self.slice(self.id)).filter(|id| !id.is_empty())
    }

    /// The user with realm, without a token's name.
    pub fn user(&self) -> &str {
        let user = self.slice(self.user);
        user.split_once('!').map_or(user, |(user, _)| user)
    }

    /// The token's name, if one started the task.
    pub fn token(&self) -> Option<&str> {
        self.slice(self.user)
            .split_once('!')
            .map(|(_, token)| token)
    }

    /// The worker's process id on its node.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The worker's start, in clock ticks since the node booted.
    pub fn pstart(&self) -> u64 {
        self.pstart
    }

    /// When the task began, to the second.
    pub fn started_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.start.into())
    }

    /// The identifier as the server writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Upid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::new(
                Kind::Decode,
                format!("`{}` is not a task identifier", text.escape_debug()),
            )
        })
    }
}

fn parse(text: &str) -> Option<Upid> {
    let rest = text.strip_prefix("UPID:")?;
    if text.len() > usize::from(u16::MAX)
        || !text.bytes().all(|b| b.is_ascii_graphic() || b >= 0x80)
    {
        return None;
    }
    // The id may hold anything but a colon; the user may not hold one either.
    let parts: Vec<&str> = rest.split(':').collect();
    let [node, pid, pstart, start, kind, id, user, ""] = parts.as_slice() else {
        return None;
    };
    let word = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let hex = |s: &str, min: usize, max: usize| {
        (min..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if !word(node)
        || !word(kind)
        || user.is_empty()
        || !hex(pid, 8, 8)
        || !hex(pstart, 8, 16)
        || !hex(start, 8, 8)
    {
        return None;
    }
    let span = |part: &str| {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        (start as u16, (start + part.len()) as u16)
    };
    Some(Upid {
        node: node.len() as u16,
        kind: span(kind),
        id: span(id),
        user: span(user),
        pid: u32::from_str_radix(pid, 16).ok()?,
        pstart: u64::from_str_radix(pstart, 16).ok()?,
        start: u32::from_str_radix(start, 16).ok()?,
        text: text.to_owned(),
    })
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
