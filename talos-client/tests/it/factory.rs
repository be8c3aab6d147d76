//! The image factory's client against a factory on loopback that answers as the real one is documented to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use talos_client::{ErrorKind, Factory, Schematic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

type Store = Arc<Mutex<BTreeMap<String, String>>>;

/// Status and body of the answer to a request.
fn answer(store: &Store, method: &str, path: &str, body: &str) -> (u16, String) {
    match (method, path) {
        ("POST", "/schematics") => match Schematic::from_yaml(body) {
            Ok(schematic) => {
                store.lock().unwrap().insert(schematic.id(), schematic.canonical());
                (201, format!("{{\"id\":\"{}\"}}", schematic.id()))
            }
            Err(error) => (400, error.to_string()),
        },
        ("GET", "/versions") => (200, "[\"v1.12.9\",\"v1.13.9\"]".to_owned()),
        ("GET", "/version/v1.13.9/extensions/official") => (
            200,
            "[{\"name\":\"siderolabs/iscsi-tools\",\"ref\":\"ghcr.io/siderolabs/iscsi-tools:v0.2.0\",\"digest\":\"sha256:00\",\"author\":\"Sidero Labs\",\"description\":\"iSCSI\"}]".to_owned(),
        ),
        ("GET", "/damaged/versions") => (200, "<html>".to_owned()),
        ("GET", path) => match path.strip_prefix("/schematics/").and_then(|id| store.lock().unwrap().get(id).cloned()) {
            Some(text) => (200, text),
            None => (404, "not found".to_owned()),
        },
        _ => (405, String::new()),
    }
}

async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let store = Store::default();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut read = Vec::new();
                let mut part = [0; 4096];
                let (head, length) = loop {
                    let count = stream.read(&mut part).await.unwrap_or_default();
                    if count == 0 {
                        return;
                    }
                    read.extend_from_slice(&part[..count]);
                    let text = String::from_utf8_lossy(&read).into_owned();
                    if let Some((head, _)) = text.split_once("\r\n\r\n") {
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(':')?;
                            name.eq_ignore_ascii_case("content-length")
                                .then(|| value.trim().parse().ok())?
                        });
                        break (head.to_owned(), length.unwrap_or(0_usize));
                    }
                };
                let from = head.len() + 4;
                while read.len() < from + length {
                    let count = stream.read(&mut part).await.unwrap_or_default();
                    read.extend_from_slice(&part[..count]);
                }
                let mut words = head.split(' ');
                let (method, path) = (
                    words.next().unwrap_or_default(),
                    words.next().unwrap_or_default(),
                );
                let body = String::from_utf8_lossy(&read[from..]).into_owned();
                let (status, text) = answer(&store, method, path, &body);
                let reply = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            });
        }
    });
    address
}

fn schematic() -> Schematic {
    Schematic::default()
        .extension("siderolabs/iscsi-tools")
        .kernel_arg("net.ifnames=0")
}

#[tokio::test]
async fn a_schematic_that_was_told_can_be_asked_for() {
    let factory = Factory::builder().url(serve().await).build().unwrap();
    let missing = factory.get(&schematic().id()).await.unwrap_err();
    assert!(missing.is_not_found());
    let id = factory.create(&schematic()).await.unwrap();
    assert_eq!(id, schematic().id());
    assert_eq!(factory.create(&schematic()).await.unwrap(), id);
    assert_eq!(factory.get(&id).await.unwrap(), schematic());
}

#[tokio::test]
async fn versions_and_extensions_are_typed() {
    let factory = Factory::builder().url(serve().await).build().unwrap();
    assert_eq!(factory.versions().await.unwrap(), ["v1.12.9", "v1.13.9"]);
    let extensions = factory.extensions("v1.13.9").await.unwrap();
    assert_eq!(extensions[0].name, "siderolabs/iscsi-tools");
    assert_eq!(
        factory.extensions("v0.0.1").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let url = factory
        .image_url(&schematic(), "v1.13.9", "metal-amd64.iso")
        .unwrap();
    assert!(url.ends_with(&format!(
        "/image/{}/v1.13.9/metal-amd64.iso",
        schematic().id()
    )));
}

#[tokio::test]
async fn what_cannot_be_is_said_before_or_after_asking() {
    let address = serve().await;
    let factory = Factory::builder().url(&address).build().unwrap();
    assert_eq!(
        factory.get("../versions").await.unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert_eq!(
        factory.extensions("a/b").await.unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    let damaged = Factory::builder()
        .url(format!("{address}/damaged"))
        .build()
        .unwrap();
    assert_eq!(
        damaged.versions().await.unwrap_err().kind(),
        ErrorKind::Protocol
    );
    assert_eq!(
        Factory::builder()
            .url("factory")
            .build()
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidArgument
    );
    let closed = Factory::builder()
        .url("http://127.0.0.1:1")
        .build()
        .unwrap();
    assert_eq!(
        closed.versions().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}
