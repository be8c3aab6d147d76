//! Answers and requests as bytes; the messages that make them are the generated ones.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{Any, Duration, Timestamp};
use serde_json::{Value, json};

use super::{AnyMethod, NodeStatus, json as fields};
use crate::ErrorKind;
use crate::api::cluster::{ClusterService, HealthCheckRequest};
use crate::api::common::{Data, Metadata};
use crate::api::cosi::resource::{self, GetResponse, Resource};
use crate::api::google::rpc::Status;
use crate::api::machine::{
    Event, HostnameResponse, LvmService, MachineService, PhaseEvent, Restart, RestartResponse,
};
use crate::api::{machine, time};
use crate::generated::reflection::{ENUMS, MESSAGES, SERVICES};

fn from(node: &str) -> Metadata {
    Metadata {
        hostname: node.to_owned(),
        ..Metadata::default()
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn every_method_is_found_and_every_table_is_sorted() {
    let paths: BTreeSet<&str> = SERVICES
        .iter()
        .copied()
        .flatten()
        .map(|m| m.path())
        .collect();
    assert_eq!(paths.len(), SERVICES.iter().map(|s| s.len()).sum::<usize>());
    for path in paths {
        let method = AnyMethod::find(path).unwrap();
        assert_eq!(method.path(), path);
        assert!(fields::fields(&(method.request.name)()).is_some(), "{path}");
        assert!(fields::fields(&(method.answer.name)()).is_some(), "{path}");
    }
    assert!(AnyMethod::find("/machine.MachineService/Nothing").is_none());
    assert!(MESSAGES.is_sorted_by_key(|(name, _)| name));
    assert!(ENUMS.is_sorted_by_key(|(name, _)| name));
}

#[test]
fn an_envelope_gives_a_result_for_each_node_and_a_failure_hides_no_answer() {
    let failed = machine::Hostname {
        metadata: Some(Metadata {
            error: "rpc error: code = NotFound desc = gone".to_owned(),
            status: Some(Status {
                code: 5,
                message: "gone".to_owned(),
                details: Vec::new(),
            }),
            ..from("b")
        }),
        ..machine::Hostname::default()
    };
    let fine = machine::Hostname {
        metadata: Some(from("a")),
        hostname: "cp1".to_owned(),
    };
    let answer = HostnameResponse {
        messages: vec![failed, fine.clone(), fine],
    };
    let results = MachineService::HOSTNAME
        .any()
        .results(&answer.encode_to_vec())
        .unwrap();
    assert_eq!(results.len(), 3, "a node that is named twice answers twice");
    assert_eq!(results[0].node(), Some("b"));
    assert_eq!(
        results[0].status(),
        NodeStatus::named("NotFound", "gone").as_ref()
    );
    assert_eq!(results[0].json(), None);
    let error = results[0].error().unwrap();
    assert_eq!(
        (error.kind(), error.node()),
        (ErrorKind::NotFound, Some("b"))
    );
    for result in &results[1..] {
        assert_eq!(result.node(), Some("a"));
        assert_eq!(result.json(), Some(r#"{"hostname":"cp1"}"#));
        assert!(result.error().is_none());
    }
}

#[test]
fn a_failure_of_an_older_node_has_only_the_text() {
    let failed = Restart {
        metadata: Some(Metadata {
            error: "it broke".to_owned(),
            ..from("a")
        }),
    };
    let answer = RestartResponse {
        messages: vec![failed],
    };
    let results = MachineService::RESTART
        .any()
        .results(&answer.encode_to_vec())
        .unwrap();
    let status = results[0].status().unwrap();
    assert_eq!(
        (status.name(), status.message.as_str()),
        ("Unknown".to_owned(), "it broke")
    );
}

#[test]
fn an_answer_without_envelope_is_one_result() {
    let empty = LvmService::VOLUME_GROUP_REMOVE.any().results(&[]).unwrap();
    assert_eq!(empty.len(), 1);
    assert_eq!((empty[0].node(), empty[0].json()), (None, Some("{}")));

    let none = MachineService::HOSTNAME.any().results(&[]).unwrap();
    assert!(
        none.is_empty(),
        "an envelope with nothing in it is no node's answer"
    );

    // The metadata of a resource is its own, not that of a node.
    let answer = GetResponse {
        resource: Some(Resource {
            metadata: Some(resource::Metadata {
                id: "eth0".to_owned(),
                labels: [("kind".to_owned(), String::new())].into(),
                ..resource::Metadata::default()
            }),
            ..Resource::default()
        }),
    };
    let method = AnyMethod::find("/cosi.resource.State/Get").unwrap();
    let results = method.results(&answer.encode_to_vec()).unwrap();
    assert_eq!(
        parsed(results[0].json().unwrap()),
        json!({"resource": {"metadata": {"id": "eth0", "labels": {"kind": ""}}}})
    );
}

#[test]
fn a_frame_of_a_stream_is_split_like_an_answer() {
    let frame = Data {
        metadata: Some(from("a")),
        bytes: b"log".to_vec(),
    };
    let bytes = frame.encode_to_vec();
    let logs = MachineService::LOGS.any();
    let results = logs.results(&bytes).unwrap();
    assert_eq!(results[0].node(), Some("a"));
    assert_eq!(results[0].json(), Some(r#"{"bytes":"bG9n"}"#));
    assert_eq!(
        parsed(&logs.answer_json(&bytes).unwrap()),
        json!({"metadata": {"hostname": "a"}, "bytes": "bG9n"})
    );
    assert!(!format!("{results:?}").contains("bG9n"));
}

#[test]
fn values_print_as_the_mapping_says() {
    let event = Event {
        data: Some(Any {
            type_url: "talos/runtime/machine.PhaseEvent".to_owned(),
            value: PhaseEvent {
                phase: "boot".to_owned(),
                action: 1,
            }
            .encode_to_vec(),
        }),
        ..Event::default()
    };
    let events = MachineService::EVENTS.any();
    assert_eq!(
        parsed(&events.answer_json(&event.encode_to_vec()).unwrap()),
        json!({"data": {"@type": "talos/runtime/machine.PhaseEvent", "phase": "boot", "action": "STOP"}})
    );
    let strange = Event {
        data: Some(Any {
            type_url: "talos/runtime/new.Thing".to_owned(),
            value: vec![1],
        }),
        ..Event::default()
    };
    assert_eq!(
        parsed(&events.answer_json(&strange.encode_to_vec()).unwrap()),
        json!({"data": {"@type": "talos/runtime/new.Thing", "value": "AQ=="}})
    );
    let clock = time::TimeResponse {
        messages: vec![time::Time {
            localtime: Some(Timestamp {
                seconds: 1,
                nanos: 500_000_000,
            }),
            ..time::Time::default()
        }],
    };
    let results = time::TimeService::TIME
        .any()
        .results(&clock.encode_to_vec())
        .unwrap();
    assert_eq!(
        results[0].json(),
        Some(r#"{"localtime":"1970-01-01T00:00:01.500Z"}"#)
    );
    let stats = machine::SystemStat {
        boot_time: u64::MAX,
        cpu_total: Some(machine::CpuStat {
            user: 0.5,
            idle: f64::INFINITY,
            ..machine::CpuStat::default()
        }),
        ..machine::SystemStat::default()
    };
    let answer = machine::SystemStatResponse {
        messages: vec![stats],
    };
    let results = MachineService::SYSTEM_STAT
        .any()
        .results(&answer.encode_to_vec())
        .unwrap();
    assert_eq!(
        parsed(results[0].json().unwrap()),
        json!({"boot_time": "18446744073709551615", "cpu_total": {"user": 0.5, "idle": "Infinity"}})
    );
}

#[test]
fn a_request_is_held_whole_unless_it_has_a_field_that_is_unknown_here() {
    let method = ClusterService::HEALTH_CHECK.any();
    let request = HealthCheckRequest {
        wait_timeout: Some(Duration {
            seconds: 5,
            nanos: 0,
        }),
        ..HealthCheckRequest::default()
    };
    let bytes = request.encode_to_vec();
    assert_eq!(*method.request(&bytes).unwrap(), bytes);
    assert!(method.holds_request(&bytes).unwrap());
    // A default that is written out says nothing: it is held, and not sent.
    let written_out = b"\x0a\x02\x08\x00";
    assert!(method.holds_request(written_out).unwrap());
    assert_eq!(*method.request(written_out).unwrap(), b"\x0a\x00");
    let newer = b"\x12\x02\x50\x01";
    assert!(!method.holds_request(newer).unwrap());
    let broken = method.holds_request(b"\xff\xff\x01").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn what_is_no_message_of_the_method_is_an_error() {
    let method = MachineService::VERSION.any();
    for bytes in [
        &b"\x0a"[..],
        b"\x0a\x05ab",
        b"\x0a\x04\x12\x02\x0a\x01",
        b"\x0b",
    ] {
        assert_eq!(
            method.results(bytes).unwrap_err().kind(),
            ErrorKind::Protocol
        );
    }
}

#[test]
fn codes_have_the_names_of_grpc() {
    let status = NodeStatus::named("PermissionDenied", "no").unwrap();
    assert_eq!(
        (status.code, status.name()),
        (7, "PermissionDenied".to_owned())
    );
    assert_eq!(NodeStatus::new(99, "").name(), "Code(99)");
    assert_eq!(NodeStatus::new(-1, "").name(), "Code(-1)");
    assert!(NodeStatus::named("Nothing", "").is_none());
}
