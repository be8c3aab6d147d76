//! What answers at a simulated terminal: it repeats lines, and knows its size and how to end.

use super::SimConsole;
use super::frame::{Frame, Frames};

/// A terminal from its first byte on.
#[derive(Debug)]
pub(super) struct Shell {
    /// What the first line has to be; none once it came.
    hello: Option<String>,
    received: Vec<u8>,
    frames: Frames,
    line: Vec<u8>,
    size: (u32, u32),
    output: Vec<u8>,
    path: String,
}

impl Shell {
    pub(super) fn new(console: &SimConsole) -> Self {
        Self {
            hello: Some(format!("{}:{}", console.user, console.ticket)),
            received: Vec::new(),
            frames: Frames::default(),
            line: Vec::new(),
            size: (0, 0),
            output: Vec::new(),
            path: console.path.clone(),
        }
    }

    /// What is to be sent, once.
    pub(super) fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes what came; whether the session goes on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        if let Some(hello) = &self.hello {
            self.received.extend_from_slice(bytes);
            let Some(end) = self.received.iter().position(|byte| *byte == b'\n') else {
                return self.received.len() <= hello.len();
            };
            // The terminal logs in with the ticket, and no login is called like a token.
            if self.received[..end] != *hello.as_bytes() || hello.contains('!') {
                return false;
            }
            let rest = self.received.split_off(end + 1);
            self.hello = None;
            let greeting = format!(
                "OK\r\nSimulated terminal of {}: it repeats lines.\r\n$ ",
                self.path
            );
            self.output.extend(greeting.into_bytes());
            self.frames.feed(&rest);
        } else {
            self.frames.feed(bytes);
        }
        loop {
            match self.frames.next() {
                Ok(Some(Frame::Input(keys))) => {
                    if !keys.into_iter().all(|key| self.press(key)) {
                        return false;
                    }
                }
                Ok(Some(Frame::Size { columns, rows })) => self.size = (columns, rows),
                Ok(Some(Frame::Ping)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn press(&mut self, key: u8) -> bool {
        if key != b'\r' {
            self.line.push(key);
            self.output.push(key);
            return true;
        }
        let line = std::mem::take(&mut self.line);
        self.output.extend(b"\r\n");
        match line.as_slice() {
            b"exit" => return false,
            b"stty size" => {
                let (columns, rows) = self.size;
                self.output.extend(format!("{rows} {columns}").into_bytes());
            }
            other => self.output.extend(other),
        }
        self.output.extend(b"\r\n$ ");
        true
    }
}
