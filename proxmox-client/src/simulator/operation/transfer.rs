//! Files that come to a storage: downloads and uploads.

use std::time::Duration;

use super::Operation;
use crate::simulator::answer::Reply;
use crate::simulator::http::Arrival;
use crate::simulator::task::seconds;
use crate::simulator::volume::Volume;
use crate::simulator::world::{RemoteFile, World};

impl World {
    pub(super) fn check_download(&self, volid: &str) -> Result<(), Reply> {
        match self.storage_of(volid) {
            Some(storage) if storage.volumes.contains_key(volid) => Err(Reply::failed(format!(
                "refusing to override existing file '{}'",
                storage.path_of(volid)
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn finish_download(
        &mut self,
        job: u64,
        volid: &str,
        url: &str,
        content: &str,
        checksum: Option<&(String, String)>,
    ) -> Result<(), Reply> {
        let path = self
            .storage_of(volid)
            .map(|storage| storage.path_of(volid))
            .unwrap_or_default();
        self.log(job, format!("downloading {url} to {path}"));
        let Some(file) = self.remote_file(url) else {
            return Err(Reply::failed(format!(
                "download failed: command '/usr/bin/wget --progress=dot:giga -O {path}.tmp {url}' failed: exit code 8"
            )));
        };
        if let Some((algorithm, wanted)) = checksum {
            self.log(job, format!("calculating checksum...({algorithm})"));
            if let Some(have) = file.sha256.as_ref().filter(|_| algorithm == "sha256")
                && !have.eq_ignore_ascii_case(wanted)
            {
                return Err(Reply::failed(format!(
                    "checksum mismatch: got '{have}' != expect '{}'",
                    wanted.to_ascii_lowercase()
                )));
            }
            self.log(job, "OK, checksum verified");
        }
        self.put_file(volid, content, file.size);
        self.log(job, format!("download of '{url}' to '{path}' finished"));
        Ok(())
    }

    pub(super) fn finish_upload(
        &mut self,
        job: u64,
        volid: &str,
        content: &str,
        file: &Arrival,
        checksum: Option<&(String, String)>,
    ) -> Result<(), Reply> {
        let path = self
            .storage_of(volid)
            .map(|storage| storage.path_of(volid))
            .unwrap_or_default();
        let spool = format!("/var/tmp/pveupload-{}", &file.sha256[..16]);
        self.log(job, format!("starting file import from: {spool}"));
        if let Some((algorithm, wanted)) = checksum {
            if algorithm == "sha256" && !file.sha256.eq_ignore_ascii_case(wanted) {
                return Err(Reply::failed(format!(
                    "checksum mismatch: got '{}' != expect '{wanted}'",
                    file.sha256
                )));
            }
            self.log(job, "calculating checksum...OK, checksum verified");
        }
        let node = self.nodes.keys().next().cloned().unwrap_or_default();
        self.log(job, format!("target node: {node}"));
        self.log(job, format!("target file: {path}"));
        self.log(job, format!("file size is: {}", file.size));
        self.log(job, format!("command: cp -- {spool} {path}"));
        self.put_file(volid, content, file.size);
        self.log(job, "finished file import successfully");
        Ok(())
    }

    fn put_file(&mut self, volid: &str, content: &str, size: u64) {
        let volume = Volume::file(volid, content, size, seconds(self.now));
        if let Some(storage) = self.storages.get_mut(volid.split(':').next().unwrap_or("")) {
            storage.volumes.insert(volid.to_owned(), volume);
        }
    }

    fn remote_file(&self, url: &str) -> Option<RemoteFile> {
        self.remote.get(url).or(self.any_remote.as_ref()).cloned()
    }

    /// How long a download takes.
    pub(in super::super) fn download_time(&self, operation: &Operation) -> Duration {
        match operation {
            Operation::Download { url, .. } => self
                .remote_file(url)
                .map_or(Duration::from_millis(200), |file| {
                    Duration::from_secs_f64(file.size as f64 / file.speed.max(1) as f64)
                }),
            _ => Duration::ZERO,
        }
    }
}
