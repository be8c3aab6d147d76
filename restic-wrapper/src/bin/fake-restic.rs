//! Plays the script that lies beside the path it was started under. See `restic_wrapper::simulator::FakeRestic`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use restic_wrapper::simulator::{FakeRestic, Step};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The argument under which it starts itself to hold pipes open.
const HOLD: &str = "--hold-pipes";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    if let [flag, millis] = args.as_slice()
        && flag == HOLD
    {
        std::thread::sleep(Duration::from_millis(millis.parse().unwrap_or(0)));
        return ExitCode::SUCCESS;
    }
    let script = match FakeRestic::beside(Path::new(&program)) {
        Ok(script) => script,
        Err(error) => {
            complain(&format!(
                "fake-restic: no script beside {program}: {error}\n"
            ));
            return ExitCode::FAILURE;
        }
    };
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        complain("fake-restic: cannot watch for signals\n");
        return ExitCode::FAILURE;
    };
    let reply = script.reply(&args);
    let mut ignoring = false;
    for step in reply.steps {
        ignoring |= step == Step::IgnoreSignals;
        let stopped = asked(&mut interrupt, &mut terminate, ignoring);
        tokio::select! {
            biased;
            () = stopped => {
                complain("signal interrupt received, cleaning up\n");
                return ExitCode::from(130);
            }
            () = play(&program, step) => {}
        }
    }
    // A pipe that nobody reads any more is the reader's affair.
    let _ = std::io::stdout().flush();
    ExitCode::from(u8::try_from(reply.exit).unwrap_or(1))
}

async fn asked(interrupt: &mut Signal, terminate: &mut Signal, ignoring: bool) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if !ignoring {
            return;
        }
    }
}

fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

async fn play(program: &str, step: Step) {
    let mut out = std::io::stdout().lock();
    match step {
        Step::Out(text) => {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
        Step::OutHex(text) => {
            let digits = text.as_bytes().chunks(2);
            let bytes: Vec<u8> = digits
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            let _ = out.write_all(&bytes).and_then(|()| out.flush());
        }
        Step::Err(text) => complain(&text),
        Step::RepeatOut(line, times) => {
            for _ in 0..times {
                let _ = writeln!(out, "{line}");
            }
            let _ = out.flush();
        }
        Step::RepeatErr(line, times) => {
            let text = format!("{line}\n");
            for _ in 0..times {
                complain(&text);
            }
        }
        Step::Sleep(millis) => {
            drop(out);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Step::ReadInput => {
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        }
        Step::HoldPipes(millis) => {
            let _ = std::process::Command::new(program)
                .args([HOLD, &millis.to_string()])
                .stdin(Stdio::null())
                .spawn();
        }
        Step::Die => {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
        _ => {}
    }
}
