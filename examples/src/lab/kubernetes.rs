//! An in-memory Kubernetes API for the lab: real enough for `kube` and `kubectl`.
//!
//! [`World`] holds the objects as plain data, [`answer`] is the HTTP face as a pure function of
//! world, time and request, [`Simulator`] shares one world between connections: in process
//! ([`Simulator::client`]) and over TLS ([`Simulator::serve`]). Controllers and kubelets catch up
//! before each answer ([`settle`]); time comes from outside, so that the lab can run it faster than
//! real and tests can step it.
//!
//! What it does not have it refuses with 404 and "not simulated": logs, exec, port forwarding, OpenAPI,
//! token requests, access reviews. Roles are stored but not evaluated (whoever is authenticated may
//! do everything), webhooks and admission policies are stored but not called, CEL rules, patterns
//! and formats of CRD schemas are not checked, and controllers leave no `managedFields`. CronJobs
//! start nothing, pods have no priorities and preempt nobody, nobody issues certificates for
//! cert-manager, and Pod Security checks `restricted` as it does `baseline`.

mod admission;
mod answer;
mod apply;
mod certificate;
mod controllers;
mod defaults;
mod delete;
mod discovery;
mod environment;
mod fault;
mod fields;
mod manifest;
mod needs;
mod node;
mod object;
mod patch;
mod pod_security;
mod quantity;
mod read;
mod refusal;
mod resource;
mod route;
mod schema;
mod selector;
mod serve;
mod service;
mod settings;
mod simulator;
mod typed;
mod validate;
mod watch;
mod world;
mod write;

pub use answer::{Answer, Body, Request, Response, answer};
pub use controllers::settle;
pub use environment::{Environment, NoNeeds, Readiness, Stage, Storage, Timings, Unlimited, Unmet};
pub use fault::{Fault, JournalEntry, RequestInfo};
pub use needs::CatalogueNeeds;
pub use node::{Machine, printed};
pub use serve::{ServeError, Server, Tls};
pub use service::{Broken, ResponseBody, Service};
pub use settings::{Settings, User};
pub use simulator::{Clock, Simulator};
pub use watch::Watch;
pub use world::World;
