//! Private files: read, and written so that a crash leaves the old or the new content, never half of it.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{what} {}", path.display())).with_source(error)
}

pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, Error> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| failed("reading", path, error))
}

/// Mode 0600, missing directories 0700, written beside the target, synced, renamed.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder
        .create(directory)
        .map_err(|error| failed("making the directory", directory, error))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    // Unique among the writers of this process too.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let partial = directory.join(format!(".{name}.{}.{number}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        // One that a crash left may have other permissions, or be somebody's link.
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = options.open(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        // The partial file may not exist; the first error is the one to tell.
        let _ = std::fs::remove_file(&partial);
        failed("writing", path, error)
    })
}
