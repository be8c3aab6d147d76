//! The same over real sockets and TLS.

use talos_client::{Client, ClientBuilder, ErrorKind};

use crate::support::Lab;

fn at(address: &str, to: std::net::SocketAddr) -> ClientBuilder {
    Client::builder()
        .endpoint(address)
        .connect_to(format!("{address}:50000"), to)
}

#[tokio::test]
async fn maintenance_mode_is_pinned_then_the_clusters_certificates_take_over() {
    let lab = Lab::new();
    lab.clock.step(30);
    let served = lab.simulator.serve("cp1").await.unwrap();

    let wrong = at("10.0.20.11", served.address())
        .maintenance_fingerprint("AAAA")
        .build()
        .unwrap();
    let error = wrong.endpoint().version().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);

    let pinned = at("10.0.20.11", served.address())
        .maintenance_fingerprint(served.fingerprint())
        .build()
        .unwrap();
    assert_eq!(pinned.endpoint().version().await.unwrap().tag, "v1.13.9");
    let admin = at("10.0.20.11", served.address())
        .talosconfig(&lab.talosconfig(), None)
        .unwrap()
        .build()
        .unwrap();
    let error = admin.endpoint().version().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_eq!(
        error.hint(),
        Some("the node is in maintenance mode, or belongs to another cluster")
    );

    pinned
        .endpoint()
        .apply_configuration(&lab.config("cp1"))
        .await
        .unwrap();
    lab.clock.step(120);
    assert_eq!(admin.endpoint().hostname().await.unwrap(), "cp1");
    let error = at("10.0.20.11", served.address())
        .maintenance_insecure()
        .build()
        .unwrap()
        .endpoint()
        .version()
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(error.hint().unwrap().contains("the node is configured"));
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_skipped() {
    let lab = Lab::new();
    lab.configure().await;
    let served = lab.simulator.serve("cp2").await.unwrap();
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = Client::builder()
        .endpoints(["10.0.20.11", "10.0.20.12"])
        .connect_to("10.0.20.11:50000", dead)
        .connect_to("10.0.20.12:50000", served.address())
        .talosconfig(&lab.talosconfig(), None)
        .unwrap()
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(client.node("10.0.20.21").hostname().await.unwrap(), "w1");
    }
}
