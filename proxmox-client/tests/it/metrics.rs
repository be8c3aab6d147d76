//! Figures over time, and servers that they are sent to.

use std::time::{Duration, SystemTime};

use proxmox_client::metrics::{
    Consolidation, ExportOptions, GuestSample, MetricServerKind, MetricServerSettings, NodeSample,
    StorageSample, Timeframe,
};
use proxmox_client::property::Drive;
use proxmox_client::simulator::{Clock, NodeSpec, Simulator, World};
use proxmox_client::wire::Answer;
use proxmox_client::{Ensured, Kind, QemuConfig, Removed};

const MINUTE: Duration = Duration::from_secs(60);
const GIB: f64 = 1_073_741_824.0;

fn unix(moment: SystemTime) -> u64 {
    moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[test]
fn samples_tell_what_was_measured_and_keep_what_is_new() {
    let answer = |body: &str| Answer::new(200, "OK", body);
    let nodes: Vec<NodeSample> = answer(
        r#"{"data":[{"time":1795173120},{"time":1795173180,"cpu":0.0127,"memused":"2147483648","loadavg":0.1,"pressuregpusome":0.5}]}"#,
    )
    .data()
    .unwrap();
    assert_eq!((nodes[0].time, nodes[0].cpu), (1_795_173_120, None));
    assert_eq!(
        (nodes[1].cpu, nodes[1].memory),
        (Some(0.0127), Some(2_147_483_648.0))
    );
    assert_eq!(nodes[1].extra["pressuregpusome"], 0.5);
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

fn at_rest(world: World) -> Simulator {
    let clock = Clock::stepped(world.now());
    Simulator::with_clock(world, clock)
}

#[tokio::test]
async fn a_guest_has_figures_from_its_beginning_and_of_its_work_while_it_runs() {
    let config = QemuConfig::new().with_cores(2).with_memory_mib(4096);
    let mut world = World::lab().with_guest("pve1", 100, &config);
    // Half an hour later it is started, and ten minutes later it goes off.
    let start = world.now();
    let (on, off) = (start + MINUTE * 30, start + MINUTE * 40);
    world.advance(on);
    assert!(world.mark_started(100, on));
    world.advance(off);
    assert!(world.mark_stopped(100));
    world.advance(start + MINUTE * 60);
    let simulator = at_rest(world);
    let client = simulator.connect();
    let (vm, node) = (client.node("pve1").qemu(100), client.node("pve1"));

    let hour = vm
        .history(Timeframe::Hour, Consolidation::Average)
        .await
        .unwrap();
    assert_eq!(hour.len(), 60);
    let step = hour[1].time - hour[0].time;
    assert_eq!((step, hour[59].time), (60, unix(start + MINUTE * 60)));
    let ran: Vec<u64> = hour
        .iter()
        .filter(|sample| sample.memory.is_some())
        .map(|sample| sample.time)
        .collect();
    assert_eq!(ran.len(), 10);
    assert_eq!((ran[0], ran[9]), (unix(on) + 60, unix(off)));
    assert!(
        hour.iter()
            .all(|sample| sample.max_memory == Some(4096.0 * 1_048_576.0))
    );
    assert!(hour.iter().all(|sample| sample.max_cpu == Some(2.0)));

    // The node felt it.
    let hour = node
        .history(Timeframe::Hour, Consolidation::Max)
        .await
        .unwrap();
    let used: Vec<f64> = hour.iter().filter_map(|sample| sample.memory).collect();
    let (idle, busy) = (2.0 * GIB, 6.0 * GIB);
    assert_eq!(used.iter().filter(|used| **used == busy).count(), 10);
    assert_eq!(used.iter().filter(|used| **used == idle).count(), 50);
    assert_eq!(hour[0].available_memory, Some(94.0 * GIB));

    // It was not there before the node's boot.
    let day = vm
        .history(Timeframe::Day, Consolidation::Average)
        .await
        .unwrap();
    assert_eq!(day.len(), 1440);
    assert_eq!(
        (day[0].max_memory, day[1439].max_memory),
        (None, Some(4.0 * GIB))
    );
    // Of half an hour's average ten minutes are not enough, its highest value neither.
    let week = vm
        .history(Timeframe::Week, Consolidation::Max)
        .await
        .unwrap();
    assert_eq!((week.len(), week[335].memory), (336, None));
    let decade = node
        .history(Timeframe::Decade, Consolidation::Average)
        .await
        .unwrap();
    assert_eq!(
        (decade.len(), decade[1].time - decade[0].time),
        (570, 604_800)
    );
    let refused = vm
        .history(Timeframe::Decade, Consolidation::Average)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Parameter);
}

#[tokio::test(start_paused = true)]
async fn a_new_guest_and_its_disk_show_from_the_minute_they_were_made() {
    let simulator = Simulator::new(World::lab());
    let client = simulator.connect();
    let node = client.node("pve1");
    let storage = node.storage("local-lvm");
    let config = QemuConfig::new().with_drive("scsi0", Drive::allocate("local-lvm", 8));
    let vm = node.create_qemu(100, config).await.unwrap().qemu;
    simulator.with(|world| world.advance(world.now() + MINUTE * 20));
    let hour = vm
        .history(Timeframe::Hour, Consolidation::Average)
        .await
        .unwrap();
    let known = hour
        .iter()
        .filter(|sample| sample.max_disk == Some(8.0 * GIB));
    assert!((20..=22).contains(&known.count()));
    let before = hour.iter().filter(|sample| sample.max_disk.is_none());
    assert!((38..=40).contains(&before.count()));
    let told = storage
        .history(Timeframe::Hour, Consolidation::Average)
        .await
        .unwrap();
    assert!(told.iter().all(|sample| sample.total == Some(1024.0 * GIB)));
    vm.delete().await.unwrap();
    simulator.with(|world| world.advance(world.now() + MINUTE * 5));
    let gone = vm
        .history(Timeframe::Hour, Consolidation::Average)
        .await
        .unwrap();
    assert_eq!(gone[59].max_disk, None, "what is gone is not measured");
    assert!(
        gone.iter().any(|sample| sample.max_disk.is_some()),
        "what was stays"
    );
    let never = node.qemu(101);
    let error = never
        .history(Timeframe::Hour, Consolidation::Average)
        .await
        .unwrap_err();
    assert!(error.message().starts_with("not simulated"), "{error}");
}

#[tokio::test]
async fn older_servers_keep_fewer_samples_and_figures() {
    let simulator = at_rest(World::lab().with_version("8.4.5"));
    let node = simulator.connect().node("pve1");
    let day = node
        .history(Timeframe::Day, Consolidation::Average)
        .await
        .unwrap();
    assert_eq!((day.len(), day[1].time - day[0].time), (70, 1800));
    let last = &day[69];
    assert_eq!((last.load, last.available_memory), (Some(0.1), None));
}

#[tokio::test]
async fn metrics_are_exported_by_pulse_node_and_moment() {
    let mut world = World::lab()
        .with_node(NodeSpec::new("pve2", 8, 16 << 30))
        .with_guest("pve2", 100, &QemuConfig::new().with_memory_mib(1024));
    let started = world.now();
    world.mark_started(100, started);
    world.advance(started + MINUTE * 2);
    let client = at_rest(world).connect();
    let all = client.export_metrics(&ExportOptions::new()).await.unwrap();
    let newest = all[0].time;
    assert!(
        all.iter().all(|metric| metric.time == newest),
        "only the newest"
    );
    let value = |id: &str, name: &str| {
        let mut found = all
            .iter()
            .filter(|metric| metric.id == id && metric.name == name);
        found.next().map(|metric| metric.value)
    };
    assert_eq!(value("node/pve2", "mem_used"), Some(3.0 * GIB));
    assert_eq!(value("node/pve1", "mem_used"), Some(2.0 * GIB));
    assert_eq!(value("qemu/100", "mem_total"), Some(GIB));
    let up = value("qemu/100", "uptime").unwrap();
    assert_eq!(up, (newest - unix(started)) as f64);
    assert_eq!(value("storage/pve1/local", "disk_total"), Some(100.0 * GIB));

    let history = ExportOptions::new().with_history();
    let kept = client
        .export_metrics(&history.clone().of_nodes(["pve1"]))
        .await
        .unwrap();
    let mut moments: Vec<u64> = kept.iter().map(|metric| metric.time).collect();
    assert!(moments.is_sorted());
    moments.dedup();
    assert_eq!((moments.len(), moments[1] - moments[0]), (181, 10));
    assert!(
        kept.iter().all(|metric| metric.id != "qemu/100"),
        "it is elsewhere"
    );
    let recent = client
        .export_metrics(&history.since(newest - 30))
        .await
        .unwrap();
    assert!(recent.iter().all(|metric| metric.time > newest - 30));
    let unknown = ExportOptions::new().of_nodes(["pve9"]);
    let error = client.export_metrics(&unknown).await.unwrap_err();
    assert_eq!(
        error.message(),
        "Requested node-list contains unknown nodes - pve9"
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
