//! Events: what controllers and kubelets tell about objects.

use serde_json::{Value, json};

use super::super::object::{name, namespace, stamp, text, uid};
use super::Turn;

impl Turn<'_> {
    /// Tells something about an object; the same words are not told twice.
    pub(super) fn event(&mut self, about: &Value, kind: &str, reason: &str, message: &str) {
        let home = match namespace(about) {
            "" => "default",
            home => home,
        };
        // The name follows from the content, so that repeating is finding it again.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in uid(about)
            .bytes()
            .chain(reason.bytes())
            .chain(message.bytes())
        {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let event_name = format!("{}.{hash:016x}", name(about));
        if self.world.get("events", home, &event_name).is_some() {
            return;
        }
        let now = stamp(self.now);
        let component = match reason {
            "FailedScheduling" | "Scheduled" => "default-scheduler",
            "FailedCreate" => "controller-manager",
            "Provisioning"
            | "ProvisioningSucceeded"
            | "ProvisioningFailed"
            | "WaitForFirstConsumer"
            | "ExternalProvisioning" => "persistentvolume-controller",
            _ => "kubelet",
        };
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": event_name, "namespace": home},
            "involvedObject": {
                "apiVersion": text(about, "/apiVersion"),
                "kind": text(about, "/kind"),
                "name": name(about),
                "namespace": namespace(about),
                "uid": uid(about),
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": "",
        });
        self.create("events", event);
    }
}
