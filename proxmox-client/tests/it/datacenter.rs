//! Options and log of the cluster.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::Answer;
use proxmox_client::{ClusterLogEntry, ClusterOptions, ClusterSettings, Ensured};

#[tokio::test(start_paused = true)]
async fn options_are_set_where_they_differ_whatever_their_form() {
    let simulator = Simulator::new(World::lab());
    let client = simulator.connect();
    let wanted = ClusterSettings::new()
        .with_description("Homelab")
        .with_migration("insecure", Some("192.0.2.0/24"))
        .with_shutdown_policy("migrate")
        .with_max_workers(8)
        .with_ids(1000, 2000);
    let Ensured::Updated(changed) = client.ensure_cluster_options(&wanted).await.unwrap() else {
        panic!("the options differ");
    };
    assert_eq!(
        changed,
        ["description", "migration", "ha", "max_workers", "next-id"]
    );
    assert_eq!(
        client.ensure_cluster_options(&wanted).await.unwrap(),
        Ensured::Unchanged
    );
    let turned = ClusterSettings::new().with_parts("next-id", "upper=2000,lower=1000");
    assert_eq!(
        client.ensure_cluster_options(&turned).await.unwrap(),
        Ensured::Unchanged
    );
    let options = client.cluster_options().await.unwrap();
    assert_eq!(options.max_workers, Some(8));
    assert_eq!(options.migration.unwrap()["network"], "192.0.2.0/24");
    let dropped = ClusterSettings::new()
        .without("migration")
        .with_ids(1000, 3000);
    assert_eq!(
        client.ensure_cluster_options(&dropped).await.unwrap(),
        Ensured::Updated(vec!["migration".to_owned(), "next-id".to_owned()])
    );
    assert_eq!(client.cluster_options().await.unwrap().migration, None);
    let proxy = ClusterSettings::new().with_http_proxy("http://u:hunter2@192.0.2.1:3128/");
    assert!(!format!("{proxy:?}").contains("hunter2"));
    client.ensure_cluster_options(&proxy).await.unwrap();
    let options = client.cluster_options().await.unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[test]
fn options_and_log_are_read_as_a_server_tells_them() {
    let options: ClusterOptions = Answer::new(
        200,
        "OK",
        r#"{"data":{"migration":{"network":"192.0.2.0/24","type":"insecure"},"registered-tags":["a","b"],"allowed-tags":["a","b","x"],"next-id":{"upper":"1000","lower":"100"},"tag-style":{"case-sensitive":1},"description":"dc\n"}}"#,
    )
    .data()
    .unwrap();
    assert_eq!(
        options.registered_tags.as_deref(),
        Some(&["a".to_owned(), "b".to_owned()][..])
    );
    assert_eq!(options.extra["tag-style"]["case-sensitive"], 1);
    let log: Vec<ClusterLogEntry> = Answer::new(
        200,
        "OK",
        r#"{"data":[{"id":"251:pve1","pid":979,"tag":"pvedaemon","uid":"251","user":"root@pam!sdk","time":1795176763,"pri":6,"msg":"end task","node":"pve1"}]}"#,
    )
    .data()
    .unwrap();
    assert_eq!(
        (log[0].priority, log[0].text.as_str()),
        (Some(6), "end task")
    );
}
