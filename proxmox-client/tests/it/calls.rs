//! The generated calls.

use std::collections::BTreeSet;

use proxmox_client::api::{self, Answers, Call, MethodInfo, cluster, qemu, storage, tasks};
use proxmox_client::wire::{Answer, Method};
use proxmox_client::{Error, Kind, Pace, ServerVersion};
use serde_json::json;

#[test]
fn every_method_of_both_versions_is_there_once() {
    let in_9_1 = |info: &&MethodInfo| info.is_in(ServerVersion::new(9, 1, 9));
    let (old, new): (Vec<&MethodInfo>, Vec<&MethodInfo>) = api::methods().partition(in_9_1);
    assert_eq!(old.len(), 649);
    let newest = Some(ServerVersion::new(9, 2, 0));
    assert!(new.iter().all(|info| info.since == newest));
    let names: BTreeSet<&str> = api::methods().map(|info| info.name).collect();
    assert_eq!(names.len(), old.len() + new.len());
    let paths: BTreeSet<_> = api::methods()
        .map(|info| (info.method.as_str(), info.path))
        .collect();
    assert_eq!(paths.len(), names.len());
}

#[test]
fn a_call_fills_its_path_and_names_its_parameters_as_the_interface_does() {
    let call = qemu::PostStatusShutdown::new("pve1", 100)
        .force_stop(true)
        .timeout(60);
    let request = call.into_request().unwrap();
    assert_eq!(
        *request.target(),
        "/api2/json/nodes/pve1/qemu/100/status/shutdown"
    );
    assert_eq!(*request.body().unwrap(), "forceStop=1&timeout=60");
    let log = tasks::GetLog::new("pve1", "UPID:a")
        .limit(0)
        .into_request()
        .unwrap();
    assert_eq!(
        *log.target(),
        "/api2/json/nodes/pve1/tasks/UPID%3Aa/log?limit=0"
    );
}

#[test]
fn a_numbered_parameter_knows_its_last_index() {
    let config = |index| {
        qemu::PutConfig::new("pve1", 100)
            .scsi(index, "local:1")
            .into_request()
    };
    assert_eq!(*config(30).unwrap().body().unwrap(), "scsi30=local%3A1");
    let error: Error = config(31).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert_eq!(error.to_string(), "`scsi31`: the last one is scsi30");
    assert!(qemu::GetConfig::new("", 100).into_request().is_err());
}

#[test]
fn a_path_belongs_to_the_method_with_the_most_words_in_common() {
    let name = |method, path| api::find(method, path).map(|info| info.name);
    assert_eq!(
        name(Method::Get, "/nodes/pve1/qemu/100/config"),
        Some("qemu::GetConfig")
    );
    assert_eq!(
        name(Method::Get, "/cluster/sdn/fabrics/all"),
        Some("sdn::GetFabricsAll")
    );
    let volume = "/nodes/pve1/storage/local/content/local:100/vm-100-disk-0.qcow2";
    assert_eq!(
        name(Method::Get, volume),
        Some("storage::GetContentByVolume")
    );
    assert_eq!(name(Method::Get, "/nosuch"), None);
    assert_eq!(name(Method::Delete, "/version"), None);
}

#[test]
fn answers_keep_what_they_do_not_name() {
    let info = api::find(Method::Get, "/storage").unwrap();
    let data = json!([{ "storage": "local", "brand-new": [1, { "x": null }] }]);
    let answer = Answer::new(200, "OK", json!({ "data": data }).to_string());
    assert_eq!(info.probe(&answer).unwrap(), data);
    let broken = Answer::new(200, "OK", json!({ "data": 7 }).to_string());
    assert_eq!(info.probe(&broken).unwrap_err().kind(), Kind::Decode);
}

#[test]
fn methods_tell_what_the_schema_does_not() {
    let info = |method, path| api::find(method, path).unwrap();
    let start = info(Method::Post, "/nodes/pve1/qemu/100/status/start");
    assert_eq!(start.answers, Answers::Task);
    assert!(start.root_parameters.contains(&"skiplock") && !start.root_only);
    let config = info(Method::Post, "/nodes/pve1/qemu/100/config");
    assert_eq!(config.answers, Answers::TaskOrNothing);
    assert_eq!(config.secrets, ["cipassword"]);
    let scan = info(Method::Get, "/nodes/pve1/scan/nfs");
    assert_eq!((scan.pace, scan.answers), (Pace::Slow, Answers::Data));
    let run = info(Method::Post, "/nodes/pve1/execute");
    assert!(run.root_only);
    let rules = info(Method::Get, "/cluster/ha/rules");
    assert_eq!(rules.since, Some(ServerVersion::new(9, 0, 0)));
    assert_eq!(info(Method::Get, "/cluster/ha/groups").since, None);
}

#[cfg(feature = "simulator")]
#[tokio::test(start_paused = true)]
async fn calls_work_against_the_simulator() {
    use proxmox_client::simulator::{Simulator, World};
    let client = Simulator::new(World::lab()).connect();
    let upid = client
        .call(
            qemu::Post::new("pve1", 100)
                .name("made")
                .net(0, "virtio,bridge=vmbr0"),
        )
        .await
        .unwrap();
    client.task(upid).await.unwrap();
    let config = client
        .call(qemu::GetConfig::new("pve1", 100))
        .await
        .unwrap();
    assert_eq!(config.name().as_deref(), Some("made"));
    let storages = client.call(storage::GetStorage::new()).await.unwrap();
    assert_eq!(storages.len(), 3);
    assert_eq!(storages[0].storage().as_deref(), Some("local"));
    assert_eq!(client.call(cluster::GetNextid::new()).await.unwrap(), 101);
}
