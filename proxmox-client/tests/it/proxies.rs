//! Ways to a server: proxies that the caller names, and certificates that a server asks for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxmox_client::simulator::{Server, Simulator, World};
use proxmox_client::{Client, ClientBuilder, ClientCertificate, Kind, Proxy, QemuConfig, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "root@pam!lab=lab-secret";

/// How a proxy learns where a connection shall go.
#[derive(Clone, Copy)]
enum Protocol {
    Connect,
    Socks5,
}

/// A proxy that leads every connection to `target`, and counts them.
async fn proxy(protocol: Protocol, target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                match protocol {
                    Protocol::Connect => connect_request(&mut stream).await,
                    Protocol::Socks5 => socks_request(&mut stream).await,
                }
                let mut onward = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    (address, count)
}

async fn connect_request(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"CONNECT pve.invalid:8006 HTTP/1.1\r\n"));
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
}

async fn socks_request(stream: &mut TcpStream) {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    stream.read_exact(&mut methods).await.unwrap();
    stream.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 5];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "a connection to a name");
    let mut name = vec![0; request[4].into()];
    stream.read_exact(&mut name).await.unwrap();
    assert_eq!(name, b"pve.invalid");
    assert_eq!(stream.read_u16().await.unwrap(), 8006);
    let done = [5, 0, 0, 1, 127, 0, 0, 1, 0, 1];
    stream.write_all(&done).await.unwrap();
}

/// A client of a server whose name nobody but a proxy resolves.
fn hidden(server: &Server) -> ClientBuilder {
    Client::builder()
        .endpoint("pve.invalid")
        .token(TOKEN)
        .retry(proxmox_client::retry::RetryPolicy::never())
        .trust(Trust::fingerprint(server.fingerprint()).unwrap())
}

#[tokio::test]
async fn a_proxy_leads_to_servers_that_are_not_reached_directly() {
    let server = Simulator::new(World::lab()).serve().await.unwrap();
    let direct = hidden(&server).build().unwrap().version().await;
    assert_eq!(direct.unwrap_err().kind(), Kind::Connect);
    for (protocol, scheme) in [(Protocol::Connect, "http"), (Protocol::Socks5, "socks5h")] {
        let (address, count) = proxy(protocol, server.address()).await;
        let through = Proxy::new(format!("{scheme}://{address}")).unwrap();
        let client = hidden(&server).proxy(through.clone()).build().unwrap();
        assert_eq!(client.version().await.unwrap().version, "9.1.9");
        assert_eq!(count.load(Ordering::Relaxed), 1, "{scheme}");
        let except = hidden(&server).proxy(through.with_exceptions(".invalid"));
        let error = except.build().unwrap().version().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(
            count.load(Ordering::Relaxed),
            1,
            "an exception goes directly"
        );
    }
}

/// Lets time pass for everyone, without waiting for it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_that_the_server_is_about_to_close_is_not_used_again() {
    let simulator = Simulator::at_real_speed(World::lab());
    let server = simulator.serve().await.unwrap();
    let (address, count) = proxy(Protocol::Connect, server.address()).await;
    let through = Proxy::new(format!("http://{address}")).unwrap();
    let client = hidden(&server).proxy(through).build().unwrap();
    for (idle, connections) in [(0, 1), (2, 1), (4, 2)] {
        pass(Duration::from_secs(idle)).await;
        client.version().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), connections, "{idle} s idle");
    }
}

#[tokio::test]
async fn a_console_is_reached_through_the_proxy_as_well() {
    let machine = QemuConfig::new();
    let world = World::lab().with_guest("pve1", 100, &machine);
    let simulator = Simulator::at_real_speed(world);
    let server = simulator.serve().await.unwrap();
    for (protocol, scheme) in [(Protocol::Connect, "http"), (Protocol::Socks5, "socks5h")] {
        let (address, count) = proxy(protocol, server.address()).await;
        let through = Proxy::new(format!("{scheme}://{address}")).unwrap();
        let client = hidden(&server).proxy(through).build().unwrap();
        let mut screen = client.node("pve1").qemu(100).console().vnc().await.unwrap();
        let mut greeting = String::new();
        screen.read_to_string(&mut greeting).await.unwrap();
        assert_eq!(greeting, "RFB 003.008\n");
        assert!(count.load(Ordering::Relaxed) > 0, "{scheme}");
    }
}

/// A certificate with its key, signed by a new authority.
struct Identity {
    authority: String,
    certificate: String,
    key: KeyPair,
}

fn identity(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity {
        authority: issuer.pem(),
        certificate: certificate.pem(),
        key,
    }
}

/// A reverse proxy that asks for certificates of an authority; it answers `GET /version` itself.
async fn guarded(own: &Identity, clients: &Identity) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pem = |text: &str| {
        use rustls_pki_types::pem::PemObject;
        rustls_pki_types::CertificateDer::from_pem_slice(text.as_bytes()).unwrap()
    };
    let mut roots = RootCertStore::empty();
    roots.add(pem(&clients.authority)).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![pem(&own.certificate)], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = r#"{"data":{"version":"9.1.9","release":"9.1","repoid":"1"}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_server_that_asks_for_one() {
    let (server, known) = (identity("localhost"), identity("operator"));
    let address = guarded(&server, &known).await;
    let client = |own: Option<ClientCertificate>| {
        let mut builder = Client::builder()
            .endpoint(format!("https://localhost:{}", address.port()))
            .token(TOKEN)
            .retry(proxmox_client::retry::RetryPolicy::never())
            .trust(Trust::ca_pem(&server.authority));
        if let Some(own) = own {
            builder = builder.client_certificate(own);
        }
        builder.build().unwrap()
    };
    let of = |who: &Identity| {
        ClientCertificate::from_pem(&who.certificate, who.key.serialize_pem()).unwrap()
    };
    assert_eq!(
        client(Some(of(&known))).version().await.unwrap().version,
        "9.1.9"
    );
    assert!(client(None).version().await.is_err());
    assert!(
        client(Some(of(&identity("stranger"))))
            .version()
            .await
            .is_err()
    );
}

#[test]
fn a_client_certificate_is_checked_and_its_key_is_shown_nowhere() {
    let who = identity("operator");
    let key = who.key.serialize_pem();
    let secret = key.lines().nth(1).unwrap();
    let good = ClientCertificate::from_pem(&who.certificate, &*key).unwrap();
    let without = ClientCertificate::from_pem(&key, &*key).unwrap_err();
    let cut = ClientCertificate::from_pem(&who.certificate, &key[..key.len() / 2]).unwrap_err();
    let shown = format!("{good:?} {without:?} {without} {cut:?} {cut}");
    assert!(!shown.contains(secret), "{shown}");
}
