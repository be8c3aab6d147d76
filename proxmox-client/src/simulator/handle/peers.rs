//! Other clusters that nodes reach, and what is carried there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};

use serde_json::Value;

use super::{Simulator, held, verdict_of};
use crate::simulator::answer::Reply;
use crate::simulator::engine::Verdict;
use crate::simulator::fault::Fault;
use crate::simulator::http::Arrived;
use crate::simulator::peer::{Ask, Endpoint, Errand, Heard};
use crate::simulator::route::Handled;
use crate::simulator::world::World;

impl Simulator {
    /// Another cluster, whose first node the nodes of this one reach at a host, on port 8006. It is there for as long as
    /// anything holds its handle, or a client of it.
    ///
    /// Guests migrate there with [`Qemu::remote_migrate`](crate::Qemu::remote_migrate), which has an example.
    pub fn add_peer(&self, host: &str, other: &Self) {
        let mut peers = held(&self.0.peers);
        peers.retain(|(known, _)| known != host);
        peers.push((host.to_owned(), Arc::downgrade(&other.0)));
        held(&other.0.callers).push(Arc::downgrade(&self.0));
    }

    /// The world at the present moment. What its jobs ask other worlds is carried there on the way.
    pub(super) fn at_present(&self) -> MutexGuard<'_, World> {
        let first = !self.0.carrying.swap(true, Ordering::AcqRel);
        if first {
            self.hear_callers();
        }
        loop {
            let mut world = held(&self.0.world);
            if !world.advance_to_errand(self.0.clock.now()) {
                if first {
                    self.0.carrying.store(false, Ordering::Release);
                }
                return world;
            }
            let errands = world.take_errands();
            // The other world may have something to ask here.
            drop(world);
            let heard = errands.into_iter().map(|errand| {
                let job = errand.job;
                (job, self.carry(errand))
            });
            let heard: Vec<(u64, Heard)> = heard.collect();
            let mut world = held(&self.0.world);
            for (job, heard) in heard {
                world.hear(job, heard);
            }
        }
    }

    /// Clusters that reach this one bring what is due by now. Who is about to bring something is not asked again.
    fn hear_callers(&self) {
        let callers: Vec<_> = held(&self.0.callers).clone();
        let callers = callers.iter().filter_map(Weak::upgrade).map(Self);
        for caller in callers.filter(|caller| !caller.0.carrying.load(Ordering::Acquire)) {
            drop(caller.at_present());
        }
    }

    fn carry(&self, errand: Errand) -> Heard {
        let peer = match self.reach(&errand.endpoint) {
            Ok(peer) => peer,
            Err(why) => {
                let Endpoint { host, port, .. } = &errand.endpoint;
                return Heard::Nothing(format!("Can't connect to {host}:{port} ({why})"));
            }
        };
        match errand.ask {
            Ask::Call {
                method,
                path,
                params,
            } => {
                let mut arrived = Arrived {
                    target: format!("/api2/json{path}"),
                    ..Arrived::default()
                };
                if method != "GET" {
                    arrived.body = Value::Object(params).to_string().into_bytes();
                    let kind = "application/json".to_owned();
                    arrived.headers.insert("content-type".to_owned(), kind);
                }
                arrived.method = method;
                let token = errand.endpoint.token;
                arrived.headers.insert("authorization".to_owned(), token);
                peer.receive(&arrived)
            }
            Ask::Tunnel { upid, command } => peer.at_present().tunnel(&upid, &command),
            Ask::HangUp { upid } => {
                peer.at_present().hang_up(&upid);
                Heard::Told(Ok(Value::Null))
            }
        }
    }

    /// The cluster at an endpoint, or why there is none that is trusted.
    fn reach(&self, endpoint: &Endpoint) -> Result<Self, &'static str> {
        let peer = {
            let peers = held(&self.0.peers);
            let found = peers.iter().find(|(host, _)| *host == endpoint.host);
            found.and_then(|(_, peer)| peer.upgrade())
        };
        let peer = Self(peer.ok_or("No route to host")?);
        if endpoint.port != 8006 {
            return Err("Connection refused");
        }
        // No authority that nodes know by themselves vouches for a modelled one.
        let shown = held(&peer.0.world).shown_fingerprint();
        let pinned = endpoint.fingerprint.as_deref().unwrap_or_default();
        match pinned.eq_ignore_ascii_case(&shown) {
            true => Ok(peer),
            false => Err("certificate verify failed"),
        }
    }

    /// Handles the request of another cluster.
    fn receive(&self, arrived: &Arrived) -> Heard {
        let lost =
            || Heard::Nothing("Server closed connection without sending any data back".into());
        let call = match arrived.decode() {
            Ok(call) => call,
            Err(refusal) => return Heard::Reply(refusal),
        };
        let (entry, fault) = self.note(self.next_number(), &call, self.0.clock.now());
        let refusal = match &fault {
            Fault::ResetBefore => return lost(),
            Fault::Refuse { status, reason } => Some(Reply::bare(*status, reason)),
            Fault::BrokenPipe => Some(Reply::bare(596, "Broken pipe")),
            Fault::ProxyTimeout { executed: false } => {
                Some(Reply::bare(596, "Connection timed out"))
            }
            Fault::LockTimeout => Some(Reply::failed(super::lock_of(&call).timeout_text())),
            Fault::Unauthorized => Some(Reply::bare(401, "Authentication failed!")),
            _ => None,
        };
        let handled = refusal.map_or_else(
            || {
                let mut world = self.at_present();
                world.engine.verdict_for_next = verdict_of(&fault);
                let handled = world.handle(&call, &arrived.headers);
                world.engine.verdict_for_next = Verdict::Natural;
                handled
            },
            Handled::Now,
        );
        let reply = match (handled, &fault) {
            (_, Fault::ResetAfter) => return lost(),
            (_, Fault::ProxyTimeout { .. }) => Reply::bare(596, "Connection timed out"),
            (Handled::Now(reply), _) => reply,
            // What is asked between clusters is answered at once.
            (Handled::Job(_), _) => return lost(),
        };
        self.note_answer(entry, &reply);
        Heard::Reply(reply)
    }
}
