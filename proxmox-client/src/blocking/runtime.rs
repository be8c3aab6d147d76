//! Where the asynchronous calls run while a thread waits for them.

use std::fmt;
use std::future::Future;
#[cfg(feature = "console")]
use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
#[cfg(feature = "console")]
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A runtime of its own, shared by a client and all handles that came from it.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Engine>);

/// The runtime ends when this is dropped, without anyone waiting for its end: that would not be allowed in an
/// asynchronous context, where the last handle may be dropped.
struct Engine {
    handle: Handle,
    /// Dropped to end the thread.
    _keep: oneshot::Sender<()>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// One thread, so that connections are looked after while nobody waits.
    pub(crate) fn new() -> Result<Self> {
        let failed = |error| {
            Error::invalid("the thread for blocking calls cannot be started").with_source(error)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (keep, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("proxmox-client".to_owned())
            .spawn(move || runtime.block_on(ended))
            .map_err(failed)?;
        Ok(Self(Arc::new(Engine {
            handle,
            _keep: keep,
        })))
    }

    /// Waits for `call` on this thread.
    pub(crate) fn run<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if Handle::try_current().is_ok() {
            return Err(Error::invalid(
                "a blocking call was made on a thread of an asynchronous runtime; use the asynchronous client there, \
                 or a thread of its own (std::thread)",
            ));
        }
        self.0.handle.block_on(call)
    }

    /// Waits for a piece of input or output of a session; a refusal to wait is a failure of it.
    #[cfg(feature = "console")]
    fn transfer<T>(&self, piece: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match self.run(async { Ok(piece.await) }) {
            Ok(done) => done,
            Err(refused) => Err(io::Error::other(refused)),
        }
    }

    /// Waits for some bytes; none at all is the end.
    #[cfg(feature = "console")]
    pub(crate) fn read<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.transfer(stream.read(buffer))
    }

    /// Waits until some bytes are taken.
    #[cfg(feature = "console")]
    pub(crate) fn write<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        bytes: &[u8],
    ) -> io::Result<usize> {
        self.transfer(stream.write(bytes))
    }

    /// Waits until everything is sent.
    #[cfg(feature = "console")]
    pub(crate) fn flush<S: AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<()> {
        self.transfer(stream.flush())
    }

    /// The items of a stream, waited for one by one; a refusal to wait is the last item.
    pub(crate) fn iterate<T>(
        &self,
        stream: impl Stream<Item = Result<T>>,
    ) -> impl Iterator<Item = Result<T>> {
        let runtime = self.clone();
        let mut stream = Some(Box::pin(stream));
        std::iter::from_fn(move || {
            let items = stream.as_mut()?;
            let item = runtime.run(async { Ok(items.next().await) });
            if !matches!(item, Ok(Some(_))) {
                stream = None;
            }
            item.unwrap_or_else(|error| Some(Err(error)))
        })
    }
}
