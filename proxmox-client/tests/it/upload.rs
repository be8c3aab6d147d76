//! Uploads: exact length, fields in order, the checksum at the other end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::{Client, Kind, Trust, Upload};
use sha2::{Digest, Sha256};

/// Bytes that hold line breaks and dashes, as a file may.
fn image(length: usize) -> Vec<u8> {
    b"\r\n--boundary--\r\n\0"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn a_file_arrives_whole_over_the_wire() {
    let world = World::lab();
    let clock = Clock::accelerated(world.now(), 1000.0);
    let simulator = Simulator::with_clock(world, clock);
    let server = simulator.serve().await.unwrap();
    let client = Client::builder()
        .endpoint(server.endpoint())
        .token("root@pam!lab=lab-secret")
        .trust(Trust::fingerprint(server.fingerprint()).unwrap())
        .build()
        .unwrap();
    let bytes = image(3_000_001);
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    let upload = Upload::from_bytes("iso", "talos.iso", bytes.clone())
        .with_checksum("sha256", &sha256(&bytes))
        .on_progress(move |sent| counter.store(sent, Ordering::Relaxed));
    let volid = client
        .node("pve1")
        .storage("local")
        .upload(upload)
        .await
        .unwrap();
    assert_eq!(volid, "local:iso/talos.iso");
    assert_eq!(seen.load(Ordering::Relaxed), 3_000_001);
    let content = client
        .node("pve1")
        .storage("local")
        .content(Some("iso"))
        .await
        .unwrap();
    assert_eq!(content[0].size, Some(3_000_001));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_uploaded_is_refused_with_a_reason() {
    let client = Simulator::new(World::lab()).connect();
    let local = client.node("pve1").storage("local");
    let wrong =
        Upload::from_bytes("iso", "a.iso", image(10)).with_checksum("sha256", &"0".repeat(64));
    let error = local.upload(wrong).await.unwrap_err();
    assert!(error.message().starts_with("checksum mismatch"), "{error}");
    let extension = local
        .upload(Upload::from_bytes("iso", "a.txt", image(10)))
        .await
        .unwrap_err();
    assert_eq!(extension.kind(), Kind::Parameter);
    assert_eq!(extension.parameters()["filename"], "wrong file extension");
    for (content, name) in [
        ("snippets", "a.yaml"),
        ("iso", "../a.iso"),
        ("iso", "a\"b.iso"),
        ("iso", ""),
    ] {
        let error = local
            .upload(Upload::from_bytes(content, name, image(10)))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidInput, "{content} {name}");
    }
    let short = Upload::from_reader("iso", "a.iso", 100, &b"too short"[..]);
    assert_eq!(
        local.upload(short).await.unwrap_err().kind(),
        Kind::Interrupted
    );
    assert!(local.content(Some("iso")).await.unwrap().is_empty());
}
