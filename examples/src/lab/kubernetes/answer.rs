//! The HTTP face as a pure function: a request and the time in, an answer out.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::controllers;
use super::discovery;
use super::environment::Environment;
use super::read;
use super::refusal::{Answered, Refusal};
use super::resource::Resource;
use super::route::{self, Route, Target};
use super::settings::User;
use super::watch::Watch;
use super::world::World;
use super::write;

/// One request to the API.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query without question mark.
    pub query: String,
    /// Value of `Accept`.
    pub accept: String,
    /// Value of `Content-Type`.
    pub content_type: String,
    /// Value of `User-Agent`: names the field manager of writes that name none.
    pub user_agent: String,
    /// The body.
    pub body: Vec<u8>,
    /// Who asks.
    pub user: User,
}

impl Request {
    /// A request without body by the administrator.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            query: String::new(),
            accept: "application/json".to_owned(),
            content_type: "application/json".to_owned(),
            user_agent: String::new(),
            body: Vec::new(),
            user: User::admin(),
        }
    }

    /// The same with a query.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// The same with a body of this type.
    #[must_use]
    pub fn body(mut self, content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        self.content_type = content_type.into();
        self.body = body.into();
        self
    }

    /// The same by another user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = user;
        self
    }
}

/// One complete answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Body,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
}

/// Body of an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// A JSON document.
    Json(Value),
    /// Plain text.
    Text(String),
}

impl Response {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            body: Body::Json(body),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8".to_owned(),
            body: Body::Text(body.into()),
            warnings: Vec::new(),
        }
    }
}

/// Either a whole answer or a stream of events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The answer is complete.
    Complete(Response),
    /// Events follow: ask the watch for them as the world moves on.
    Watch(Watch),
}

/// What a request is about once its path, query and method are understood.
pub(crate) struct Call<'a> {
    pub(crate) target: &'a Target,
    pub(crate) resource: &'a Resource,
    pub(crate) query: &'a BTreeMap<String, String>,
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// `apps/v1` of the request.
    pub(crate) fn api_version(&self) -> String {
        self.resource.api_version(&self.target.version)
    }

    /// Name of the field manager: given, else the first word of the user agent.
    pub(crate) fn manager(&self) -> String {
        let given = self.parameter("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = self
            .request
            .user_agent
            .split('/')
            .next()
            .unwrap_or_default();
        if agent.is_empty() {
            "unknown".to_owned()
        } else {
            agent.to_owned()
        }
    }

    /// True when somebody else may see or change only what is in the stored object.
    pub(crate) fn shown(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["apiVersion"] = json!(self.api_version());
        object
    }
}

/// The verb of a request as audit logs and rules name it: `get`, `list`, `watch`, `create`,
/// `update`, `patch`, `apply`, `delete`, `deletecollection`.
pub(crate) fn verb(
    request: &Request,
    target: Option<&Target>,
    query: &BTreeMap<String, String>,
) -> &'static str {
    let named = target.is_none_or(|target| !target.name.is_empty());
    let watching = query
        .get("watch")
        .is_some_and(|one| matches!(one.as_str(), "true" | "1"));
    match request.method.as_str() {
        "GET" if watching => "watch",
        "GET" if named => "get",
        "GET" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" if request.content_type.starts_with(write::APPLY) => "apply",
        "PATCH" => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        _ => "unknown",
    }
}

/// Answers one request at the modelled time `now`.
///
/// Controllers run first, up to `now`; then the request sees the world as it is at that time.
pub fn answer(
    world: &mut World,
    environment: &Environment,
    now: SystemTime,
    request: &Request,
) -> Answer {
    let now = controllers::instant(now);
    controllers::settle_at(world, now, environment);
    apply_internally(world, now, request)
}

/// A request that a controller inside the cluster makes: no controllers run before it.
pub(crate) fn apply_internally(world: &mut World, now: Timestamp, request: &Request) -> Answer {
    handle(world, now, request)
        .unwrap_or_else(|refusal| Answer::Complete(Response::json(refusal.code, refusal.to_json())))
}

fn handle(world: &mut World, now: Timestamp, request: &Request) -> Answered<Answer> {
    let route = Route::parse(&request.path);
    let query = route::query(&request.query);
    authorise(world, &route, &query, request)?;
    let target = match &route {
        Route::Objects(target) => target,
        other if request.method == "GET" => {
            return discovery::answer(world, other, request).map(Answer::Complete);
        }
        Route::Unknown => {
            return Err(Refusal::not_simulated(&format!(
                "{} {}",
                request.method, request.path
            )));
        }
        _ => return Err(Refusal::method_not_allowed()),
    };
    let resource = world
        .resource(&target.group, &target.plural)
        .filter(|one| one.versions.contains(&target.version))
        .ok_or_else(Refusal::no_such_resource)?;
    if !target.namespace.is_empty() && !resource.namespaced {
        return Err(Refusal::no_such_resource());
    }
    let call = Call {
        target,
        resource: &resource,
        query: &query,
        request,
        now,
    };
    match verb(request, Some(target), &query) {
        "watch" => Watch::open(world, &call).map(Answer::Watch),
        "get" => read::get(world, &call).map(Answer::Complete),
        "list" => read::list(world, &call).map(Answer::Complete),
        "create" => write::create(world, &call).map(Answer::Complete),
        "update" => write::update(world, &call).map(Answer::Complete),
        "patch" | "apply" => write::patch(world, &call).map(Answer::Complete),
        "delete" => super::delete::delete(world, &call).map(Answer::Complete),
        "deletecollection" => super::delete::collection(world, &call).map(Answer::Complete),
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// Everyone who is authenticated may do everything; anonymous callers may only ask for version and
/// health, as the default roles of a cluster let them.
fn authorise(
    world: &World,
    route: &Route,
    query: &BTreeMap<String, String>,
    request: &Request,
) -> Answered<()> {
    if request.user.is_authenticated() {
        return Ok(());
    }
    let user = &request.user.name;
    match route {
        Route::Server(name) if !matches!(name.as_str(), "api" | "apis") => Ok(()),
        Route::Objects(target) => {
            let verb = match verb(request, Some(target), query) {
                "apply" => "patch",
                verb => verb,
            };
            let resource = world.resource(&target.group, &target.plural);
            let id = resource.map_or_else(
                || super::resource::qualified(&target.plural, &target.group),
                |one| one.id(),
            );
            let scope = if target.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {:?}", target.namespace)
            };
            let why = format!(
                "User {user:?} cannot {verb} resource {:?} in API group {:?} {scope}",
                target.plural, target.group
            );
            Err(Refusal::forbidden(&id, &target.name, &why))
        }
        _ => {
            let verb = request.method.to_lowercase();
            Err(Refusal::new(
                403,
                "Forbidden",
                format!(
                    "forbidden: User {user:?} cannot {verb} path {:?}",
                    request.path
                ),
            ))
        }
    }
}
