//! Uploading files: streamed, with their exact length, without a temporary file.

use std::fmt;
use std::io;
use std::pin::Pin;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, Kind, Result};
use crate::storage::NodeStorage;
use crate::task::Task;
use crate::transport::{Body, Pieces};
use crate::upid::Upid;
use crate::wire::{Answer, Method};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;
/// Separates the parts; a file that holds it cannot end a part early, since the server goes by length too.
const BOUNDARY: &str = "proxmox-ve-client-7f3a91c25be84d06";

/// A file to be uploaded to a storage.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::Upload;
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// let image: &[u8] = &[0; 4096]; // or a file: any reader that gives exactly as many bytes
/// let upload = Upload::from_reader("iso", "empty.iso", 4096, image)
///     .with_checksum("md5", "620f0b67a91f7f74151bc5be745b7110")
///     .on_progress(|sent| println!("{sent} bytes"));
/// assert_eq!(node.storage("local").upload(upload).await?, "local:iso/empty.iso");
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub struct Upload {
    content: String,
    file_name: String,
    length: u64,
    source: Pin<Box<dyn AsyncRead + Send>>,
    checksum: Option<(String, String)>,
    seen: Option<Box<dyn FnMut(u64) + Send>>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("content", &self.content)
            .field("file_name", &self.file_name)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// A file from a reader that gives exactly `length` bytes. `content` is `iso`, `vztmpl` or `import`;
    /// snippets and backups cannot be uploaded through the interface.
    pub fn from_reader(
        content: &str,
        file_name: &str,
        length: u64,
        source: impl AsyncRead + Send + 'static,
    ) -> Self {
        Self {
            content: content.to_owned(),
            file_name: file_name.to_owned(),
            length,
            source: Box::pin(source),
            checksum: None,
            seen: None,
        }
    }

    /// A file in memory.
    pub fn from_bytes(content: &str, file_name: &str, bytes: Vec<u8>) -> Self {
        Self::from_reader(
            content,
            file_name,
            bytes.len() as u64,
            io::Cursor::new(bytes),
        )
    }

    /// Refuses the file unless it arrives with this checksum (`sha256`, `sha512`, …).
    #[must_use]
    pub fn with_checksum(mut self, algorithm: &str, checksum: &str) -> Self {
        self.checksum = Some((algorithm.to_owned(), checksum.to_owned()));
        self
    }

    /// Calls `seen` with the number of bytes of the file that were handed to the connection so far.
    #[must_use]
    pub fn on_progress(mut self, seen: impl FnMut(u64) + Send + 'static) -> Self {
        self.seen = Some(Box::new(seen));
        self
    }

    fn check(&self) -> Result<()> {
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if self.file_name.is_empty() || !self.file_name.chars().all(safe) {
            return Err(Error::invalid(format!(
                "`{}` is not a file name that a storage takes: letters, digits and -_.+",
                self.file_name.escape_debug()
            )));
        }
        if !["iso", "vztmpl", "import"].contains(&self.content.as_str()) {
            return Err(Error::invalid(format!(
                "`{}` cannot be uploaded: iso, vztmpl or import",
                self.content.escape_debug()
            )));
        }
        Ok(())
    }

    /// What stands before the file: the server wants the fields in this order, the file last.
    fn head(&self) -> String {
        let mut head = String::new();
        let mut field = |name: &str, value: &str| {
            head.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        };
        field("content", &self.content);
        if let Some((algorithm, checksum)) = &self.checksum {
            field("checksum-algorithm", algorithm);
            field("checksum", checksum);
        }
        head.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            self.file_name
        ));
        head
    }

    fn into_body(self) -> Body {
        let head = self.head();
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let length = head.len() as u64 + self.length + tail.len() as u64;
        let once = |text: String| futures::stream::once(async move { Ok(text.into_bytes()) });
        let state = (self.source, self.length, self.seen, 0u64);
        let file =
            futures::stream::try_unfold(state, |(mut source, left, mut seen, sent)| async move {
                if left == 0 {
                    return Ok::<_, io::Error>(None);
                }
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                let read = source.read(&mut piece).await?;
                if read == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file is shorter than the length that was told",
                    ));
                }
                piece.truncate(read);
                let sent = sent + read as u64;
                if let Some(seen) = &mut seen {
                    seen(sent);
                }
                Ok(Some((piece, (source, left - read as u64, seen, sent))))
            });
        let pieces: Pieces = Box::pin(once(head).chain(file).chain(once(tail)));
        Body::Pieces { length, pieces }
    }
}

impl NodeStorage {
    /// Uploads a file and waits until the node has put it in place; gives its volume id. A file of that name
    /// is replaced.
    ///
    /// The address that the client talks to must be this node's own: uploads are never forwarded. It is sent
    /// once; a failure that leaves open whether the file arrived is told as such.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Upload;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let local = node.storage("local");
    /// let image = vec![0; 2 << 20];
    /// let volid = local.upload(Upload::from_bytes("iso", "empty.iso", image)).await?;
    /// assert_eq!(volid, "local:iso/empty.iso");
    /// assert_eq!(local.content(Some("iso")).await?[0].size, Some(2 << 20));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a name or content that no storage takes, [`Kind::Parameter`] for a wrong
    /// extension, a task failure for a wrong checksum.
    pub async fn upload(&self, upload: Upload) -> Result<String> {
        let doing = format!("uploading {} to {}", upload.file_name, self.name());
        upload.check().map_err(|error| error.doing(doing.clone()))?;
        let volid = format!("{}:{}/{}", self.name(), upload.content, upload.file_name);
        let request = self.request(Method::Post, "/upload", &[])?;
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let client = self.node().client();
        let answer = client.send_body(&request, kind, upload.into_body()).await;
        let upid: Upid = answer
            .and_then(|answer: Answer| answer.data::<String>())
            .and_then(|upid| upid.parse())
            .map_err(|error| error.doing(doing.clone()))?;
        let finish = Box::new(|report: crate::task::TaskReport| report.check());
        Task::new(client.clone(), upid, finish)
            .await
            .map_err(|error| match error.kind() {
                Kind::Deadline => error,
                _ => error.doing(doing),
            })?;
        Ok(volid)
    }
}
