//! Uploads as they arrive, piece by piece: fields in order, the file last; its bytes are counted and hashed, not kept.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::http::Arrival;

/// More than this before the file is no upload.
const HEAD_LIMIT: usize = 64 * 1024;

/// The body of an upload so far.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    /// `--` and the boundary.
    mark: String,
    head: Vec<u8>,
    params: Map<String, Value>,
    file: Option<File>,
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    hash: Sha256,
    size: u64,
    /// The last bytes, which may be the end of the body rather than of the file.
    held: Vec<u8>,
}

impl Upload {
    /// From the content type, which names the boundary.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        if !content_type.starts_with("multipart/form-data") {
            return None;
        }
        let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
        Some(Self {
            mark: format!("--{boundary}"),
            head: Vec::new(),
            params: Map::new(),
            file: None,
        })
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match &mut self.file {
            Some(file) => file.feed(bytes, self.mark.len() + 6),
            None if self.head.len() < HEAD_LIMIT => {
                self.head.extend_from_slice(bytes);
                self.read_head();
            }
            None => {}
        }
    }

    fn read_head(&mut self) {
        let mut params = Map::new();
        let Some((name, start)) = read_fields(&self.head, &self.mark, &mut params) else {
            return;
        };
        let mut file = File {
            name,
            hash: Sha256::new(),
            size: 0,
            held: Vec::new(),
        };
        file.feed(&self.head[start..], self.mark.len() + 6);
        self.head = Vec::new();
        self.params = params;
        self.file = Some(file);
    }

    /// The fields, and the file if it came whole.
    pub(super) fn finish(self) -> (Map<String, Value>, Option<Arrival>) {
        let tail = format!("\r\n{}--\r\n", self.mark);
        let whole = self.file.filter(|file| file.held == tail.as_bytes());
        let arrival = whole.map(|file| Arrival {
            name: file
                .name
                .rsplit(['/', '\\'])
                .next()
                .unwrap_or_default()
                .to_owned(),
            size: file.size,
            sha256: file
                .hash
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        });
        (self.params, arrival)
    }
}

impl File {
    fn feed(&mut self, bytes: &[u8], tail: usize) {
        // Of a long piece only its end is copied.
        let (sure, rest) = bytes.split_at(bytes.len().saturating_sub(tail));
        if !sure.is_empty() {
            self.take(self.held.len());
            self.hash.update(sure);
            self.size += sure.len() as u64;
        }
        self.held.extend_from_slice(rest);
        self.take(self.held.len().saturating_sub(tail));
    }

    /// So many of the bytes that were held back are the file's.
    fn take(&mut self, count: usize) {
        self.hash.update(&self.held[..count]);
        self.size += count as u64;
        self.held.drain(..count);
    }
}

/// The fields before the file, its name and where it starts; none if its header is not there yet.
fn read_fields(
    body: &[u8],
    mark: &str,
    params: &mut Map<String, Value>,
) -> Option<(String, usize)> {
    let mut rest = body;
    loop {
        rest = rest.strip_prefix(mark.as_bytes())?.strip_prefix(b"\r\n")?;
        let end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let inner = &rest[end + 4..];
        let quoted = |key: &str| {
            let after = head.split(&format!(" {key}=\"")).nth(1)?;
            Some(after.split('"').next()?.to_owned())
        };
        let name = quoted("name")?;
        if let Some(file) = quoted("filename") {
            return Some((file, body.len() - inner.len()));
        }
        let end = find(inner, format!("\r\n{mark}").as_bytes())?;
        params.insert(
            name,
            String::from_utf8_lossy(&inner[..end]).into_owned().into(),
        );
        rest = &inner[end + 2..];
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(file: &[u8]) -> Vec<u8> {
        let mut body = b"--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n\
            --b\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"\r\n\r\n"
            .to_vec();
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--b--\r\n");
        body
    }

    #[test]
    fn an_upload_is_read_alike_however_it_is_cut() {
        let file = b"\r\n--b--\r\n\0--b\r\n".repeat(50);
        for size in [1, 2, 7, 64, 100_000] {
            let mut upload = Upload::new("multipart/form-data; boundary=b").unwrap();
            body(&file)
                .chunks(size)
                .for_each(|piece| upload.feed(piece));
            let (params, arrival) = upload.finish();
            let arrival = arrival.unwrap();
            assert_eq!(params["content"], "iso");
            assert_eq!(
                (arrival.name.as_str(), arrival.size),
                ("a.iso", file.len() as u64)
            );
            assert_eq!(
                arrival.sha256,
                Sha256::digest(&file)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            );
        }
        let mut cut = Upload::new("multipart/form-data; boundary=b").unwrap();
        cut.feed(&body(&file)[..400]);
        assert!(cut.finish().1.is_none());
    }

    #[test]
    fn what_is_no_whole_upload_is_none() {
        let good = body(b"abc");
        for length in 0..good.len() {
            for noise in [0u8, 1, 128] {
                let mut broken = Upload::new("multipart/form-data; boundary=b").unwrap();
                let bytes: Vec<u8> = good[..length].iter().map(|byte| byte ^ noise).collect();
                broken.feed(&bytes);
                assert!(broken.finish().1.is_none(), "{length} {noise}");
            }
        }
        assert!(Upload::new("application/json").is_none());
    }
}
