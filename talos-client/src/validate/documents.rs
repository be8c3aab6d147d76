//! Documents one by one: each room looks at the kinds that it knows.

use super::{Findings, containers, kubernetes, network, system, volumes};
use crate::config::Document;

pub(super) fn check(document: &Document, findings: &mut Findings<'_>) {
    let kind = document.kind.unwrap_or_default();
    let name = document.name().unwrap_or_default();
    if kind == "ContainerConfig" {
        containers::check(name, document, findings);
    }
    volumes::check(kind, name, document, findings);
    network::check(kind, name, document, findings);
    kubernetes::check(kind, name, document, findings);
    system::check(kind, name, document, findings);
}
