//! Guests that carry a mark: found wherever they are, and told from those of others.

use std::time::Duration;

use tokio::time::Instant;

use super::{Guest, GuestConfig, config};
use crate::cluster::ResourceFilter;
use crate::error::{Error, Kind, Result, Sent};
use crate::qemu::Mark;

/// How long an answer that got lost is waited for: the server's own limit of 30 s and its queue.
const LATE: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the work may have been done although the call failed.
pub(crate) fn may_have_happened(error: &Error) -> bool {
    error.sent() == Sent::Maybe || matches!(error.kind(), Kind::AlreadyExists | Kind::TaskUnknown)
}

/// The guest if it carries a mark, wherever in the cluster it is; none if there is none of that kind and id. While it
/// is being made or moved, the end of that is waited for.
pub(crate) async fn find_marked<G: Guest>(mut guest: G, mark: &Mark) -> Result<Option<G>> {
    let mut idle = 0;
    loop {
        let config = match config(&guest, false).await {
            Ok(config) => config,
            Err(error) if error.is_not_found() => match elsewhere(&guest).await? {
                Some(there) => {
                    guest = there;
                    continue;
                }
                None => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        let text = |key: &str| config.map().get(key).and_then(|text| text.as_str());
        match text("lock") {
            Some(lock @ ("create" | "clone" | "migrate")) => {
                // A task that just ended is gone from the list before its lock is.
                idle = if is_worked_on(&guest).await? {
                    0
                } else {
                    idle + 1
                };
                if idle > 2 {
                    let text = format!("it is locked ({lock}), and no task works on it");
                    let doing = guest.doing("looking for the mark of");
                    return Err(Error::new(Kind::Locked, text).doing(doing));
                }
                tokio::time::sleep(PAUSE).await;
            }
            _ if mark.is_on(guest.vmid(), &config) => return Ok(Some(guest)),
            _ => {
                let name = text(G::NAME).unwrap_or_default();
                let text = format!("`{name}` does not carry the mark {mark}");
                let doing = guest.doing("looking for the mark of");
                return Err(Error::new(Kind::Foreign, text).doing(doing));
            }
        }
    }
}

/// The guest at another node, if the cluster's list, which is some seconds old, says so.
async fn elsewhere<G: Guest>(guest: &G) -> Result<Option<G>> {
    let resources = guest.client().resources(Some(ResourceFilter::Vm)).await?;
    let id = format!("{}/{}", G::BRANCH, guest.vmid());
    let found = resources.into_iter().find(|resource| resource.id == id);
    let node = found.and_then(|resource| resource.node);
    let node = node.filter(|node| node != guest.node());
    Ok(node.map(|node| guest.clone().at(node)))
}

/// After a call that failed: the guest, if the mark proves that the call made it; else the failure.
pub(crate) async fn prove_made<G: Guest>(guest: G, mark: &Mark, error: Error) -> Result<G> {
    if !may_have_happened(&error) {
        return Err(error);
    }
    let until = Instant::now() + LATE;
    loop {
        match find_marked(guest.clone(), mark).await? {
            Some(guest) => return Ok(guest),
            // Only what is on its way can still come.
            None if error.sent() == Sent::Maybe && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            None => return Err(error),
        }
    }
}

/// Whether a task of its node makes, clones or moves guests of its kind now. Tasks of clones name their source, so it
/// may be about another one.
async fn is_worked_on<G: Guest>(guest: &G) -> Result<bool> {
    let node = guest.client().node(guest.node());
    let running = node.running_tasks().await?;
    let kind = |kind: Option<&str>| kind.is_some_and(|kind| G::MAKERS.contains(&kind));
    Ok(running.iter().any(|task| kind(task.kind.as_deref())))
}
