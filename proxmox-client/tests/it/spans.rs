//! What calls and tasks tell to a tracing subscriber.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use proxmox_client::simulator::{Clock, Fault, Simulator, World};
use proxmox_client::task::Submitted;
use proxmox_client::{Login, QemuConfig};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What a subscriber writes.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Writes everything that this thread tells until the guard is dropped.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn told(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn calls_and_tasks_are_spans_without_secrets() {
    let lines = Lines::default();
    let _guard = lines.listen();

    let world = World::lab().with_user("root@pam", "correct horse");
    let clock = Clock::accelerated(world.now(), 1000.0);
    let simulator = Simulator::with_clock(world, clock);
    let login = Login::new("root@pam", "correct horse");
    let client = simulator.builder().login(login).build().unwrap();
    let config = QemuConfig::new().with("cipassword", "s3cret-value");
    let vm = client
        .node("pve1")
        .create_qemu(4711, config)
        .await
        .unwrap()
        .qemu;
    vm.start().await.unwrap();
    client.node("pve1").qemu(4712).config().await.unwrap_err();
    let first = AtomicBool::new(true);
    simulator.on_request(move |_| match first.swap(false, Ordering::Relaxed) {
        true => Fault::BrokenPipe,
        false => Fault::None,
    });
    client.version().await.unwrap();

    let told = lines.told();
    let spans: Vec<&str> = told.lines().filter(|line| line.contains("close")).collect();
    let one = |parts: &[&str]| {
        let found = spans
            .iter()
            .any(|span| parts.iter().all(|part| span.contains(part)));
        assert!(found, "{parts:?} in {told}");
    };
    let start = "path=\"/nodes/{node}/qemu/{vmid}/status/start\"";
    one(&["call{method=POST", start, "attempts=1 status=200"]);
    one(&[
        "task{upid=\"UPID:pve1:",
        ":qmstart:4711:root@pam:",
        "outcome=\"done\"",
    ]);
    one(&[
        "path=\"/nodes/{node}/qemu/{vmid}/config\"",
        "error=NotFound",
    ]);
    one(&["path=\"/version\" attempts=2 status=200"]);
    let calls = spans
        .iter()
        .filter(|span| span.contains("call{") && !span.contains("task{"));
    assert!(calls.clone().all(|span| !span.contains("4711")), "{told}");
    for secret in ["correct horse", "s3cret-value", "PVE:root@pam"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_is_followed_from_its_first_line_to_its_last() {
    let world = World::lab().with_volume("local:import/guest.qcow2", 64 << 20);
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    let config = QemuConfig::new().with("scsi0", "local:0,import-from=local:import/guest.qcow2");
    let vm = client
        .node("pve1")
        .create_qemu(100, config)
        .await
        .unwrap()
        .qemu;
    let Submitted::Task(task) = vm.start().submit().await.unwrap() else {
        panic!("a start is a task");
    };
    let followed: Vec<_> = task.follow_log().map(Result::unwrap).collect().await;
    assert_eq!(followed, task.log().await.unwrap());
    let numbers: Vec<u64> = followed.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (1..=followed.len() as u64).collect::<Vec<_>>());
    assert_eq!(followed.last().unwrap().text, "TASK OK");
    let gone = client.task(
        task.upid()
            .as_str()
            .replace(":qmstart:100:", ":qmstart:999:")
            .parse()
            .unwrap(),
    );
    let lines: Vec<_> = gone.follow_log().collect().await;
    assert!(lines.last().unwrap().is_err(), "{lines:?}");
}
