//! A server with one answer, so that only the client's work is measured.

use std::sync::Arc;

use proxmox_client::simulator::Simulator;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with the same body.
pub(crate) struct Canned {
    port: u16,
    fingerprint: String,
}

impl Canned {
    /// `GET /cluster/resources` of a cluster with so many guests.
    pub(crate) async fn resources(guests: u32) -> Self {
        let list: Vec<Value> = (0..guests)
            .map(|index| {
                json!({
                    "id": format!("qemu/{}", 100 + index), "type": "qemu", "vmid": 100 + index,
                    "node": format!("pve{}", index % 12), "name": format!("guest-number-{index}"),
                    "status": if index % 3 == 0 { "stopped" } else { "running" },
                    "maxcpu": 4, "cpu": f64::from(index % 97) / 100.0,
                    "maxmem": 8_589_934_592u64, "mem": 2_147_483_648u64 + u64::from(index),
                    "maxdisk": 34_359_738_368u64, "disk": 0, "uptime": 86_400 + index,
                    "netin": 123_456_789u64 + u64::from(index), "netout": 987_654_321u64,
                    "diskread": 4_567_890u64, "diskwrite": 7_654_321u64,
                    "pool": format!("pool{}", index % 7), "tags": "prod;web", "template": 0,
                    "hastate": "started", "memhost": 2_200_000_000u64,
                })
            })
            .collect();
        Self::new(json!({ "data": list }).to_string()).await
    }

    async fn new(body: String) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(made.cert.der());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer: Arc<[u8]> = answer.into_bytes().into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut request = Vec::new();
                    let mut piece = [0; 4096];
                    while let Ok(read) = stream.read(&mut piece).await {
                        if read == 0 {
                            return;
                        }
                        request.extend_from_slice(&piece[..read]);
                        if request.ends_with(b"\r\n\r\n") {
                            request.clear();
                            if stream.write_all(&answer).await.is_err()
                                || stream.flush().await.is_err()
                            {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            fingerprint: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Our client in a process of its own.
    pub(crate) async fn ours(&self, arguments: &[u64]) -> Value {
        let words: Vec<String> = arguments.iter().map(u64::to_string).collect();
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command
            .env("PEERS_CLIENT", "p3")
            .env("PEERS_ENDPOINT", format!("https://127.0.0.1:{}", self.port))
            .env("PEERS_FINGERPRINT", &self.fingerprint)
            .env("PEERS_ARGUMENTS", words.join(" "));
        super::answer(command).await.expect("our own client")
    }
}

/// Ways to one server that can be cut, as three nodes of a cluster.
pub(crate) struct Ways {
    pub(crate) addresses: Vec<String>,
    pub(crate) fingerprint: String,
    ways: Vec<tokio::task::JoinHandle<()>>,
    _server: proxmox_client::simulator::Server,
}

impl Ways {
    pub(crate) async fn to(simulator: &Simulator, number: usize) -> Self {
        let server = simulator.serve().await.unwrap();
        let (mut addresses, mut ways) = (Vec::new(), Vec::new());
        for _ in 0..number {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(format!("https://{}", listener.local_addr().unwrap()));
            let target = server.address();
            ways.push(tokio::spawn(async move {
                let mut open = tokio::task::JoinSet::new();
                while let Ok((mut from, _)) = listener.accept().await {
                    open.spawn(async move {
                        if let Ok(mut to) = tokio::net::TcpStream::connect(target).await {
                            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                        }
                    });
                }
            }));
        }
        Self {
            addresses,
            fingerprint: server.fingerprint().to_owned(),
            ways,
            _server: server,
        }
    }

    /// The node is gone: its connections break, and it takes no new ones.
    pub(crate) fn cut(&self, index: usize) {
        self.ways[index].abort();
    }
}
