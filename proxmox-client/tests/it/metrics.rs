//! Figures over time, and servers that they are sent to.

use proxmox_client::metrics::{
    Consolidation, GuestSample, MetricServerKind, MetricServerSettings, NodeSample, StorageSample,
    Timeframe,
};
use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::Answer;
use proxmox_client::{Ensured, Kind, Removed};

#[test]
fn samples_tell_what_was_measured_and_keep_what_is_new() {
    let answer = |body: &str| Answer::new(200, "OK", body);
    let nodes: Vec<NodeSample> = answer(
        r#"{"data":[{"time":1795173120},{"time":1795173180,"cpu":0.0127,"memused":"2147483648","loadavg":0.1,"pressurecpusome":0.5}]}"#,
    )
    .data()
    .unwrap();
    assert_eq!((nodes[0].time, nodes[0].cpu), (1_795_173_120, None));
    assert_eq!(
        (nodes[1].cpu, nodes[1].memory),
        (Some(0.0127), Some(2_147_483_648.0))
    );
    assert_eq!(nodes[1].extra["pressurecpusome"], 0.5);
    let guests: Vec<GuestSample> = answer(r#"{"data":[{"time":1,"netin":12.5,"disk":null}]}"#)
        .data()
        .unwrap();
    assert_eq!((guests[0].received, guests[0].disk), (Some(12.5), None));
    let storages: Vec<StorageSample> =
        answer(r#"{"data":[{"time":1795172880,"total":107374182400,"used":8e9}]}"#)
            .data()
            .unwrap();
    assert_eq!(storages[0].used, Some(8e9));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_reaches_the_server_and_is_not_made_up() {
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    let error = node
        .history(Timeframe::Decade, Consolidation::Max)
        .await
        .unwrap_err();
    assert!(error.message().starts_with("not simulated"), "{error}");
    let asked = &simulator.journal()[0];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("GET", "/nodes/pve1/rrddata")
    );
}

#[tokio::test(start_paused = true)]
async fn a_metric_server_is_set_up_changed_and_removed() {
    let simulator = Simulator::new(World::lab());
    let client = simulator.connect();
    let server = client.metric_server("influx");
    let wanted = MetricServerSettings::influxdb("influx.example.test", 8086)
        .with_influxdb_protocol("https")
        .with_bucket("proxmox")
        .with_verification(false)
        .with_token("hunter2");
    assert!(!format!("{wanted:?}").contains("hunter2"));
    assert_eq!(server.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(server.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    // Address and port go with every change, or the server refuses it.
    let off = MetricServerSettings::new()
        .with_disabled(true)
        .with_bucket("");
    assert_eq!(
        server.update(&off).await.unwrap(),
        Ensured::Updated(vec!["disable".to_owned(), "bucket".to_owned()])
    );
    assert_eq!(
        server
            .update(&MetricServerSettings::new().with_token("hunter3"))
            .await
            .unwrap(),
        Ensured::Updated(vec!["token".to_owned()])
    );
    let known = server.get().await.unwrap().unwrap();
    assert_eq!(
        (known.kind, known.port, known.disabled, known.bucket),
        (MetricServerKind::InfluxDb, Some(8086), Some(true), None)
    );
    let foreign = MetricServerSettings::new().with_graphite_path("proxmox");
    assert!(
        server
            .update(&foreign)
            .await
            .unwrap_err()
            .message()
            .contains("unexpected property 'path'")
    );
    let again = server.create(&wanted).await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
    assert_eq!(
        client.metric_servers().await.unwrap()[0].server.as_deref(),
        Some("influx.example.test")
    );
    assert_eq!(server.delete().await.unwrap(), Removed::Removed);
    assert_eq!(server.delete().await.unwrap(), Removed::Absent);
}
