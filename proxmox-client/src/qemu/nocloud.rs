//! Cloud-init data as an ISO image built in memory: the way to own user data without access to the node's files.
//!
//! A guest's cloud-init takes the files of a volume labelled `cidata` (data source NoCloud). The image is uploaded as
//! any other and attached as a CD-ROM drive.

use crate::error::{Error, Result};
use crate::storage::Upload;

/// Bytes of a sector.
const SECTOR: usize = 2048;
/// Where the descriptors begin.
const DESCRIPTORS: usize = 16;
/// Where the path tables and directories begin: after the three descriptors.
const TABLES: usize = 19;

/// The files of a NoCloud volume.
///
/// ```
/// use proxmox_client::NoCloud;
/// let image = NoCloud::new("talos-1", "local-hostname: worker-1\n")
///     .with_user_data("#cloud-config\nusers: [default]\n")
///     .build()?;
/// assert_eq!(&image[16 * 2048 + 1..16 * 2048 + 6], b"CD001");
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct NoCloud {
    files: Vec<(String, Vec<u8>)>,
}

impl std::fmt::Debug for NoCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Their content may hold passwords.
        let names = self.files.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl NoCloud {
    /// Meta data: the instance's id (a new one makes cloud-init run again) and further lines of YAML.
    pub fn new(instance_id: &str, more: &str) -> Self {
        let id = serde_json::Value::from(instance_id);
        let meta = format!("instance-id: {id}\n{more}");
        Self { files: Vec::new() }
            .with_file("meta-data", meta)
            .with_file("user-data", "#cloud-config\n")
    }

    /// User data.
    #[must_use]
    pub fn with_user_data(self, text: impl Into<Vec<u8>>) -> Self {
        self.with_file("user-data", text)
    }

    /// Network configuration.
    #[must_use]
    pub fn with_network_config(self, text: impl Into<Vec<u8>>) -> Self {
        self.with_file("network-config", text)
    }

    /// Data for the vendor's part.
    #[must_use]
    pub fn with_vendor_data(self, text: impl Into<Vec<u8>>) -> Self {
        self.with_file("vendor-data", text)
    }

    /// Any file in the root directory.
    #[must_use]
    pub fn with_file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.retain(|(have, _)| have != name);
        self.files.push((name.to_owned(), content.into()));
        self.files.sort_by(|left, right| left.0.cmp(&right.0));
        self
    }

    /// The image: ISO 9660 with Joliet names, labelled `cidata`. The same files give the same bytes.
    ///
    /// # Errors
    /// A name that cannot stand in a directory, or more than twelve files.
    pub fn build(&self) -> Result<Vec<u8>> {
        self.check()?;
        let files = self.placed();
        let end = files
            .last()
            .map_or(TABLES + 6, |file| file.sector + file.sectors);
        let mut image = vec![0; end * SECTOR];
        let mut put = |sector: usize, bytes: &[u8]| {
            image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
        };
        // Path tables of both kinds, each in both byte orders, then both root directories.
        for (joliet, first) in [(false, TABLES), (true, TABLES + 3)] {
            let root = first + 2;
            put(first, &path_table(root, false));
            put(first + 1, &path_table(root, true));
            put(root, &directory(root, &files, joliet));
            let descriptor = descriptor(joliet, end, first, root);
            put(DESCRIPTORS + usize::from(joliet), &descriptor);
        }
        put(DESCRIPTORS + 2, b"\xffCD001\x01");
        for file in &files {
            put(file.sector, file.content);
        }
        Ok(image)
    }

    /// The image as an upload of that name, such as `web-cidata.iso`.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn upload(&self, file_name: &str) -> Result<Upload> {
        Ok(Upload::from_bytes("iso", file_name, self.build()?))
    }

    fn check(&self) -> Result<()> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        for (name, _) in &self.files {
            if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
                return Err(Error::invalid(format!(
                    "`{}` is no file name for an image: 64 letters, digits and -_. at most",
                    name.escape_debug()
                )));
            }
        }
        // One sector holds a directory of so many names of that length.
        if self.files.len() > 12 {
            return Err(Error::invalid("an image takes twelve files at most"));
        }
        Ok(())
    }

    fn placed(&self) -> Vec<Placed<'_>> {
        let mut sector = TABLES + 6;
        self.files
            .iter()
            .map(|(name, content)| {
                let sectors = content.len().div_ceil(SECTOR);
                let placed = Placed {
                    name,
                    content,
                    sector,
                    sectors,
                };
                sector += sectors;
                placed
            })
            .collect()
    }
}

/// A file and where it lies.
struct Placed<'a> {
    name: &'a str,
    content: &'a [u8],
    sector: usize,
    sectors: usize,
}

/// A number in both byte orders, as descriptors and directories want it.
fn both(number: usize) -> [u8; 8] {
    let number = number as u32;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both_short(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

/// An entry of a directory.
fn entry(name: &[u8], sector: usize, length: usize, is_directory: bool) -> Vec<u8> {
    let size = 33 + name.len() + (name.len() + 1) % 2;
    let mut entry = vec![size as u8, 0];
    entry.extend(both(sector));
    entry.extend(both(length));
    // 1980-01-01, so that the same files give the same bytes.
    entry.extend([80, 1, 1, 0, 0, 0, 0]);
    entry.extend([u8::from(is_directory) << 1, 0, 0]);
    entry.extend(both_short(1));
    entry.push(name.len() as u8);
    entry.extend(name);
    entry.resize(size, 0);
    entry
}

/// Joliet names are UTF-16; the others are in capitals with a version.
fn spelled(name: &str, joliet: bool) -> Vec<u8> {
    if joliet {
        return name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    }
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .take(30)
        .collect();
    format!("{name};1").into_bytes()
}

fn directory(root: usize, files: &[Placed<'_>], joliet: bool) -> Vec<u8> {
    let mut bytes = entry(&[0], root, SECTOR, true);
    bytes.extend(entry(&[1], root, SECTOR, true));
    for file in files {
        let name = spelled(file.name, joliet);
        bytes.extend(entry(&name, file.sector, file.content.len(), false));
    }
    bytes.resize(SECTOR, 0);
    bytes
}

fn path_table(root: usize, big: bool) -> Vec<u8> {
    let (sector, parent) = (root as u32, 1u16);
    let mut table = vec![1, 0];
    if big {
        table.extend(sector.to_be_bytes());
        table.extend(parent.to_be_bytes());
    } else {
        table.extend(sector.to_le_bytes());
        table.extend(parent.to_le_bytes());
    }
    table.extend([0, 0]);
    table
}

fn descriptor(joliet: bool, end: usize, tables: usize, root: usize) -> Vec<u8> {
    let text = |text: &str, length: usize| -> Vec<u8> {
        let mut bytes: Vec<u8> = if joliet {
            text.encode_utf16().flat_map(u16::to_be_bytes).collect()
        } else {
            text.as_bytes().to_vec()
        };
        while bytes.len() + 1 < length && joliet {
            bytes.extend([0, b' ']);
        }
        bytes.resize(length, if joliet { 0 } else { b' ' });
        bytes
    };
    let mut out = vec![if joliet { 2 } else { 1 }];
    out.extend(b"CD001\x01\x00");
    out.extend(text("LINUX", 32));
    out.extend(text("cidata", 32));
    out.extend([0; 8]);
    out.extend(both(end));
    let mut escape = [0; 32];
    if joliet {
        escape[..3].copy_from_slice(b"%/E");
    }
    out.extend(escape);
    out.extend(both_short(1));
    out.extend(both_short(1));
    out.extend(both_short(SECTOR as u16));
    out.extend(both(10));
    out.extend((tables as u32).to_le_bytes());
    out.extend([0; 4]);
    out.extend((tables as u32 + 1).to_be_bytes());
    out.extend([0; 4]);
    out.extend(entry(&[0], root, SECTOR, true));
    for length in [128, 128, 128, 128, 37, 37, 37] {
        out.extend(text("", length));
    }
    for _ in 0..3 {
        out.extend(b"1980010100000000\x00");
    }
    out.extend(b"0000000000000000\x00");
    out.extend([1, 0]);
    out.resize(SECTOR, 0);
    out
}
