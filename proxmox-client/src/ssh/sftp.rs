//! Files over SFTP.

use std::io::{Read, Write};
use std::path::Path;

use ssh2::{FileStat, OpenFlags, OpenType};

use super::files::{Entry, Fault, Files};
use super::session::{fault, io_fault};
use super::shell::Shell;

/// Reaches files over SFTP, and replaces one with a command where that is possible.
pub(super) struct Sftp<'a> {
    pub(super) session: &'a ssh2::Session,
    pub(super) sftp: &'a ssh2::Sftp,
}

impl Sftp<'_> {
    fn move_to(&self, from: &str, to: &str) -> Result<(), Fault> {
        self.sftp
            .rename(Path::new(from), Path::new(to), None)
            .map_err(fault)
    }

    /// In one step, which version 3 of the protocol cannot. False if the account runs no commands: some servers
    /// then run something else and call it a success.
    fn move_over_by_command(&self, from: &str, to: &str) -> Result<bool, Fault> {
        let shell = Shell {
            session: self.session,
            sudo: false,
        };
        match shell.rename(from, to, true) {
            Err(fault @ (Fault::Lost(_) | Fault::Timeout(_))) => Err(fault),
            _ => Ok(self.size(from)?.is_none()),
        }
    }
}

impl Files for Sftp<'_> {
    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        match self.sftp.stat(Path::new(path)).map_err(fault) {
            Ok(stat) => Ok(Some(stat.size.unwrap_or(0))),
            Err(Fault::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, Fault> {
        let file = self.sftp.open(Path::new(path)).map_err(fault)?;
        let mut content = Vec::new();
        let read = file.take(most).read_to_end(&mut content);
        read.map(|_| content).map_err(io_fault)
    }

    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Fault> {
        let path = Path::new(path);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let opened = self.sftp.open_mode(path, flags, 0o600, OpenType::File);
        let mut file = opened.map_err(fault)?;
        file.write_all(content).map_err(io_fault)?;
        // Not every server can; then its own time to write back counts.
        let _ = file.fsync();
        file.close().map_err(fault)?;
        let stat = FileStat {
            size: None,
            uid: None,
            gid: None,
            perm: Some(mode),
            atime: None,
            mtime: None,
        };
        self.sftp.setstat(path, stat).map_err(fault)
    }

    fn rename(&self, from: &str, to: &str, over: bool) -> Result<(), Fault> {
        if !over {
            return self.move_to(from, to);
        }
        if self.move_over_by_command(from, to)? {
            return Ok(());
        }
        // Without commands the name is free for a moment.
        let aside = format!("{from}.old");
        self.move_to(to, &aside)?;
        if let Err(fault) = self.move_to(from, to) {
            self.move_to(&aside, to)?;
            return Err(fault);
        }
        self.remove(&aside).map(|_| ())
    }

    fn remove(&self, path: &str) -> Result<bool, Fault> {
        match self.sftp.unlink(Path::new(path)).map_err(fault) {
            Ok(()) => Ok(true),
            Err(Fault::Missing(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let found = self.sftp.readdir(Path::new(folder)).map_err(fault)?;
        let files = found.into_iter().filter(|(_, stat)| stat.is_file());
        let named = files.filter_map(|(path, stat)| {
            let name = path.file_name()?.to_str()?.to_owned();
            let size = stat.size.unwrap_or(0);
            Some(Entry { name, size })
        });
        Ok(named.collect())
    }
}
