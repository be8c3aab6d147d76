//! Files that appear whole, on disk, readable by their owner only.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

fn failure(path: &Path, message: &str, error: std::io::Error) -> Failure {
    Failure::permanent(path.display().to_string(), message).caused_by(error)
}

/// Reads a file of secrets; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(path, "cannot be opened", error)),
    };
    refuse_open_to_others(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .map_err(|error| failure(path, "cannot be read", error))?;
    Ok(Some(text))
}

#[cfg(unix)]
fn refuse_open_to_others(path: &Path, file: &fs::File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file
        .metadata()
        .map_err(|error| failure(path, "cannot be read", error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let place = path.display().to_string();
        return Err(
            Failure::permanent(&place, format!("is open to others (mode {mode:04o})")).hint(
                format!("chmod 600 {place}, then think about who may have read it"),
            ),
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_to_others(_: &Path, _: &fs::File) -> Result<(), Failure> {
    Ok(())
}

/// Writes a file whole: beside its place, synced, then renamed into it, then the folder is synced.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failure(folder, "cannot be created", error))?;
    // A temporary file of this library has mode 0600 from its first byte.
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .map_err(|error| failure(folder, "a file cannot be created here", error))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failure(path, "cannot be written", error))?;
    file.persist(path)
        .map_err(|error| failure(path, "cannot be put in place", error.error))?;
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), Failure> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failure(folder, "cannot be synced", error))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), Failure> {
    Ok(())
}
