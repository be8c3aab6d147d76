//! The gate that every request to a simulator passes: it counts, tells a watcher, and can break one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The simulated system that a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum System {
    /// The Proxmox VE API.
    Proxmox,
    /// The machine API of a Talos node.
    Talos,
    /// The Kubernetes API.
    Kubernetes,
    /// A run of restic.
    Restic,
}

impl System {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxmox => "proxmox",
            Self::Talos => "talos",
            Self::Kubernetes => "kubernetes",
            Self::Restic => "restic",
        }
    }
}

/// Requests that a fault treats alike: same system, same method, same path but for names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct RequestClass {
    /// The system.
    pub system: System,
    /// The HTTP method, the service of a remote call, or the command.
    pub method: String,
    /// The path with names replaced, or the remote method.
    pub template: String,
}

impl RequestClass {
    /// The class of one request.
    pub fn new(system: System, method: impl Into<String>, template: impl Into<String>) -> Self {
        Self {
            system,
            method: method.into(),
            template: template.into(),
        }
    }
}

impl fmt::Display for RequestClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.system.name(),
            self.method,
            self.template
        )
    }
}

/// How a request is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Break {
    /// The connection is reset before anything was done.
    ResetBefore,
    /// Everything is done, the answer is lost.
    AnswerLost,
    /// Proxmox VE: 596, the request was never executed.
    ProxyNeverSent,
    /// Proxmox VE: 596, the request was executed.
    ProxySent,
    /// Proxmox VE: the lock of the object was not free in time.
    LockTimeout,
    /// Proxmox VE: the task ends with an error.
    TaskFailed,
}

impl Break {
    /// All ways to break a request of a system.
    pub fn all_for(system: System) -> &'static [Self] {
        match system {
            System::Proxmox => &[
                Self::ResetBefore,
                Self::AnswerLost,
                Self::ProxyNeverSent,
                Self::ProxySent,
                Self::LockTimeout,
                Self::TaskFailed,
            ],
            System::Talos | System::Kubernetes | System::Restic => {
                &[Self::ResetBefore, Self::AnswerLost]
            }
        }
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passage {
    /// It is answered.
    Free,
    /// It is broken.
    Broken(Break),
}

#[derive(Default)]
struct State {
    count: usize,
    breaking: Option<(RequestClass, usize, Break)>,
    occurrences: BTreeMap<RequestClass, usize>,
    broken: bool,
    watcher: Option<Watcher>,
}

type Watcher = Arc<dyn Fn(&Arrival) + Send + Sync>;

/// A request that is about to be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// How many requests were let through before it.
    pub before: usize,
    /// Its class.
    pub class: RequestClass,
    /// How many of its class came, itself included.
    pub occurrence: usize,
}

/// The gate; clones share it.
#[derive(Clone, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Gate")
            .field("count", &state.count)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that lets everything pass.
    pub fn open() -> Self {
        Self::default()
    }

    /// A gate that breaks the `occurrence`th request (from 1) of a class, once.
    pub fn breaking(class: RequestClass, occurrence: usize, how: Break) -> Self {
        let gate = Self::default();
        gate.state().breaking = Some((class, occurrence, how));
        gate
    }

    /// Has every request told to `watcher` before it is processed; the lab may be looked at from there.
    pub fn watch(&self, watcher: impl Fn(&Arrival) + Send + Sync + 'static) {
        self.state().watcher = Some(Arc::new(watcher));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the passage of one request, before it is processed.
    pub fn ask(&self, class: RequestClass) -> Passage {
        let mut state = self.state();
        state.count += 1;
        let occurrence = state.occurrences.entry(class.clone()).or_default();
        *occurrence += 1;
        let occurrence = *occurrence;
        let passage = match &state.breaking {
            Some((broken, which, how)) if *broken == class && *which == occurrence => {
                Passage::Broken(*how)
            }
            _ => Passage::Free,
        };
        state.broken |= passage != Passage::Free;
        let (before, watcher) = (state.count - 1, state.watcher.clone());
        drop(state);
        if let Some(watcher) = watcher {
            watcher(&Arrival {
                before,
                class,
                occurrence,
            });
        }
        passage
    }

    /// Whether the request that was to be broken came by.
    pub fn has_broken(&self) -> bool {
        self.state().broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(template: &str) -> RequestClass {
        RequestClass::new(System::Proxmox, "GET", template)
    }

    #[test]
    fn the_named_occurrence_of_a_class_is_broken_once() {
        let gate = Gate::breaking(class("/nodes"), 2, Break::AnswerLost);
        let passages: Vec<_> = ["/nodes", "/version", "/nodes", "/nodes"]
            .map(|path| gate.ask(class(path)))
            .into();
        let broken = Passage::Broken(Break::AnswerLost);
        assert_eq!(
            passages,
            [Passage::Free, Passage::Free, broken, Passage::Free]
        );
        assert!(gate.has_broken());
    }

    #[test]
    fn a_watcher_hears_of_each_request_with_its_place() {
        let (gate, heard) = (Gate::open(), Arc::new(Mutex::new(Vec::new())));
        let ears = heard.clone();
        gate.watch(move |arrival| {
            let mut heard = ears.lock().unwrap();
            heard.push((arrival.before, arrival.occurrence));
        });
        for path in ["/nodes", "/version", "/nodes"] {
            gate.ask(class(path));
        }
        assert_eq!(*heard.lock().unwrap(), [(0, 1), (1, 1), (2, 2)]);
    }
}
