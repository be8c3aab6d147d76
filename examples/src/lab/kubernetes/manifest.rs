//! Objects that a system component applies from inside, as the controllers of a control plane do.

use std::time::SystemTime;

use serde_json::Value;

use super::answer::{Answer, Body, Request, apply_internally};
use super::controllers::instant;
use super::object::{group_of, name, namespace, text};
use super::world::World;

impl World {
    /// Applies one object server-side for a manager, taking over what others own.
    ///
    /// # Errors
    ///
    /// What the API answers: a kind that is not served yet, or an object that is refused.
    pub fn apply_as(
        &mut self,
        manager: &str,
        now: SystemTime,
        object: &Value,
    ) -> Result<(), String> {
        let api_version = text(object, "/apiVersion");
        let kind = self
            .resource_of_kind(group_of(api_version), text(object, "/kind"))
            .ok_or_else(|| {
                format!(
                    "no resource serves {} {}",
                    api_version,
                    text(object, "/kind")
                )
            })?;
        let root = if api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        let home = match namespace(object) {
            "" => String::new(),
            home => format!("/namespaces/{home}"),
        };
        let path = format!(
            "{root}/{api_version}{home}/{}/{}",
            kind.plural,
            name(object)
        );
        let request = Request::new("PATCH", path)
            .query(format!("fieldManager={manager}&force=true"))
            .body("application/apply-patch+yaml", object.to_string());
        match apply_internally(self, instant(now), &request) {
            Answer::Complete(response) if response.status < 300 => Ok(()),
            Answer::Complete(response) => match response.body {
                Body::Json(body) => Err(text(&body, "/message").to_owned()),
                _ => Err("refused".to_owned()),
            },
            Answer::Watch(_) => Err("answered with a stream".to_owned()),
        }
    }
}
