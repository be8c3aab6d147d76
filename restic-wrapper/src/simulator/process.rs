//! A simulated process: its output comes when its modelled time has come.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt as _;

use super::Simulator;
use super::commands::{Request, run};
use super::world::Fault;
use crate::event::Stream;
use crate::invocation::{Input, Invocation};
use crate::outcome::Exit;
use crate::process::{Happening, Stop};
use crate::version::Version;

/// How often a waiting process looks at a clock that it cannot sleep on.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct SimulatedProcess {
    simulator: Simulator,
    pid: u32,
    version: Version,
    state: State,
    input_error: Option<std::io::Error>,
}

enum State {
    /// Reads its input first.
    Starting {
        invocation: Box<Invocation>,
        input: Vec<u8>,
    },
    Running {
        started: SystemTime,
        output: VecDeque<(Duration, Stream, Vec<u8>)>,
        ends: Duration,
        exit: Exit,
    },
    Ended,
}

impl fmt::Debug for SimulatedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedProcess")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl SimulatedProcess {
    pub(super) fn new(
        simulator: Simulator,
        pid: u32,
        version: Version,
        invocation: Invocation,
    ) -> Self {
        let state = State::Starting {
            invocation: Box::new(invocation),
            input: Vec::new(),
        };
        Self {
            simulator,
            pid,
            version,
            state,
            input_error: None,
        }
    }

    /// Why the input could not be read, if it could not.
    pub(crate) fn input_error(&self) -> Option<std::io::Error> {
        // Asked once, at the end; the kind and the text are what a caller looks at.
        self.input_error
            .as_ref()
            .map(|error| std::io::Error::new(error.kind(), error.to_string()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The next thing that happens. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, sink: &mut (dyn FnMut(Stream, &[u8]) + Send)) -> Happening {
        if let State::Starting { invocation, input } = &mut self.state {
            match &mut invocation.input {
                Input::Nothing => {}
                Input::Bytes(bytes) => input.append(bytes),
                Input::Stream(stream) => loop {
                    match stream.read_buf(input).await {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) => {
                            self.input_error = Some(error);
                            self.stop(Stop::Interrupt);
                            break;
                        }
                    }
                },
            }
        }
        if let State::Starting { invocation, input } = &mut self.state {
            let input = std::mem::take(input);
            let request = Request::new(self.version, invocation, input);
            self.begin(&request);
        }
        let State::Running {
            started,
            output,
            ends,
            exit,
        } = &mut self.state
        else {
            return Happening::Finished;
        };
        let due = output.front().map_or(*ends, |(at, _, _)| *at);
        while self.simulator.now() < *started + due {
            tokio::time::sleep(LOOK).await;
        }
        if let Some((_, stream, bytes)) = output.pop_front() {
            sink(stream, &bytes);
            return Happening::Output;
        }
        let exit = *exit;
        self.simulator.with(|_| {});
        self.state = State::Ended;
        Happening::Exited(exit)
    }

    fn begin(&mut self, request: &Request) {
        let simulator = self.simulator.clone();
        let number = simulator.with(|world| world.journal.len());
        let info = request.info(number);
        let fault = simulator.fault_for(&info);
        let now = simulator.now();
        let running = simulator.with(|world| {
            let mut script = match &fault {
                Fault::Unreachable => super::commands::Script::fail(
                    request.version,
                    1,
                    "Fatal: unable to open repository: dial tcp: connection refused",
                ),
                Fault::Fail { code, message } => {
                    super::commands::Script::fail(request.version, *code, message)
                }
                _ => run(world, now, request),
            };
            if let Fault::Delay(extra) = &fault {
                script.duration += *extra;
            }
            world.journal.push(super::Journal {
                at: now,
                request: info,
                exit: script.exit,
            });
            world.begin(now, self.pid, &request.repository, &script);
            let mut exit = Exit::Code(script.exit);
            let mut ends = script.duration;
            let mut output: VecDeque<_> = script.output.into_iter().collect();
            match &fault {
                Fault::KilledBefore => {
                    ends /= 2;
                    output.retain(|(at, _, _)| *at < ends);
                    world.interrupt(self.pid, true);
                    exit = Exit::Signal(9);
                }
                Fault::KilledAfter => {
                    world.settle(now + script.duration);
                    output.clear();
                    exit = Exit::Signal(9);
                }
                Fault::CutOutput(limit) => cut(&mut output, *limit),
                _ => {}
            }
            State::Running {
                started: now,
                output,
                ends,
                exit,
            }
        });
        self.state = running;
    }

    /// A signal to the process.
    pub(crate) fn stop(&mut self, stop: Stop) {
        match &mut self.state {
            State::Starting { .. } => {
                self.state = State::Running {
                    started: self.simulator.now(),
                    output: VecDeque::new(),
                    ends: Duration::ZERO,
                    exit: Exit::Code(130),
                };
            }
            State::Running {
                output, ends, exit, ..
            } => {
                let hard = stop == Stop::Kill;
                let pid = self.pid;
                if self.simulator.with(|world| world.interrupt(pid, hard)) {
                    output.clear();
                    *ends = Duration::ZERO;
                    if hard {
                        *exit = Exit::Signal(9);
                    } else {
                        output.push_back((
                            Duration::ZERO,
                            Stream::Stderr,
                            b"signal interrupt received, cleaning up\n".to_vec(),
                        ));
                        *exit = Exit::Code(130);
                    }
                }
            }
            State::Ended => {}
        }
    }
}

impl Drop for SimulatedProcess {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended) {
            let pid = self.pid;
            self.simulator.with(|world| world.interrupt(pid, false));
        }
    }
}

fn cut(output: &mut VecDeque<(Duration, Stream, Vec<u8>)>, mut left: usize) {
    for (_, stream, bytes) in output.iter_mut() {
        if *stream == Stream::Stdout {
            bytes.truncate(left);
            left -= bytes.len();
        }
    }
}
