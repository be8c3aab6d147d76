//! Both directions of a session apart, for threads that wait.

use std::fmt;
use std::io;

use crate::blocking::runtime::Runtime;

/// What comes from a session: the screen's output.
pub struct ReadHalf<T> {
    inner: tokio::io::ReadHalf<T>,
    runtime: Runtime,
}

/// What goes to a session: keys.
pub struct WriteHalf<T> {
    inner: tokio::io::WriteHalf<T>,
    runtime: Runtime,
}

impl<T> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

impl<T: tokio::io::AsyncRead + Unpin> io::Read for ReadHalf<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.read(&mut self.inner, buffer)
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> io::Write for WriteHalf<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.write(&mut self.inner, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.flush(&mut self.inner)
    }
}

macro_rules! halves {
    ($Session:ident) => {
        impl super::$Session {
            /// Both directions apart, for a thread each. The session ends when both are dropped.
            pub fn split(
                self,
            ) -> (
                ReadHalf<crate::console::$Session>,
                WriteHalf<crate::console::$Session>,
            ) {
                let runtime = self.runtime;
                let (input, output) = tokio::io::split(self.inner);
                let input = ReadHalf {
                    inner: input,
                    runtime: runtime.clone(),
                };
                let output = WriteHalf {
                    inner: output,
                    runtime,
                };
                (input, output)
            }
        }
    };
}

halves!(Terminal);
halves!(Vnc);
