//! Backups on storages: their names, what is in them, and which of them go.

mod dump;
mod restore;

use std::collections::BTreeMap;

use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::retention::{Keep, Mark};
use crate::simulator::volume::Archive;
use crate::simulator::world::World;

pub(in crate::simulator) use dump::Dump;
pub(in crate::simulator) use restore::Restore;

/// A backup on its way to its mark: where it is in the list, its moment in seconds, and what is decided already.
type Marked = (usize, u64, Option<Mark>);

/// What the name of a backup tells.
pub(in crate::simulator) struct NameParts {
    /// `qemu`, `lxc` or `openvz`.
    pub(in crate::simulator) kind: String,
    pub(in crate::simulator) vmid: u32,
    pub(in crate::simulator) at: u64,
    pub(in crate::simulator) format: String,
}

/// Reads a backup's name; none unless it is one that backups have.
pub(in crate::simulator) fn read_name(volid: &str) -> Option<NameParts> {
    let (_, name) = volid.split_once(":backup/")?;
    let clock = |text: &str, mark: char| -> Option<(u32, u32, u32)> {
        let numbers: Vec<u32> = text
            .split(mark)
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        <[u32; 3]>::try_from(numbers)
            .ok()
            .map(|[a, b, c]| (a, b, c))
    };
    if let Some(rest) = name
        .strip_prefix("vm/")
        .or_else(|| name.strip_prefix("ct/"))
    {
        let (vmid, moment) = rest.split_once('/')?;
        let (date, time) = moment.strip_suffix('Z')?.split_once('T')?;
        let (year, month, day) = clock(date, '-')?;
        let at = Moment::seconds(i64::from(year), month, day, clock(time, ':')?)?;
        let kind = if name.starts_with("vm/") {
            "qemu"
        } else {
            "lxc"
        };
        return Some(NameParts {
            kind: kind.to_owned(),
            vmid: vmid.parse().ok()?,
            at,
            format: format!("pbs-{}", &name[..2]),
        });
    }
    let rest = name.strip_prefix("vzdump-")?;
    let (stem, format) = rest.split_once('.')?;
    let parts: Vec<&str> = stem.split('-').collect();
    let [kind @ ("qemu" | "lxc" | "openvz"), vmid, date, time] = parts.as_slice() else {
        return None;
    };
    let (year, month, day) = clock(date, '_')?;
    Some(NameParts {
        kind: (*kind).to_owned(),
        vmid: vmid.parse().ok()?,
        at: Moment::seconds(i64::from(year), month, day, clock(time, '_')?)?,
        format: format.to_owned(),
    })
}

impl World {
    /// What becomes of the backups on a storage by rules.
    pub(in crate::simulator) fn prune_marks(
        &self,
        storage: &str,
        keep: &Keep,
        vmid: Option<u32>,
        kind: Option<&str>,
    ) -> Vec<(String, Mark)> {
        let Some(storage) = self.storages.get(storage) else {
            return Vec::new();
        };
        let mut marks: Vec<(String, Mark)> = Vec::new();
        let mut groups: BTreeMap<(String, u32), Vec<Marked>> = BTreeMap::new();
        for (volid, volume) in storage
            .volumes
            .iter()
            .filter(|(_, v)| v.content == "backup")
        {
            let name = read_name(volid);
            let of = name.as_ref().map(|name| name.vmid).or(volume.vmid);
            let own_kind = name.as_ref().map_or("unknown", |name| name.kind.as_str());
            if vmid.is_some_and(|vmid| of != Some(vmid))
                || kind.is_some_and(|kind| kind != own_kind)
            {
                continue;
            }
            let archive = storage.archives.get(volid);
            let guarded = archive
                .is_some_and(|archive| archive.protected)
                .then_some(Mark::Protected);
            let index = marks.len();
            marks.push((volid.clone(), guarded.unwrap_or(Mark::Renamed)));
            if let Some(name) = name {
                let group = groups.entry((name.kind, name.vmid)).or_default();
                group.push((index, name.at, guarded));
            }
        }
        for group in groups.into_values() {
            let mut backups: Vec<_> = group.iter().map(|(_, at, mark)| (*at, *mark)).collect();
            keep.mark(&mut backups);
            for ((index, ..), (_, mark)) in group.iter().zip(backups) {
                marks[*index].1 = mark.unwrap_or(Mark::Keep);
            }
        }
        marks
    }

    pub(in crate::simulator) fn prune(
        &mut self,
        job: u64,
        storage: &str,
        keep: Option<&str>,
        vmid: Option<u32>,
        kind: Option<&str>,
    ) -> Result<(), Reply> {
        let keep = self.rules_for(storage, keep).map_err(Reply::failed)?;
        for (volid, mark) in self.prune_marks(storage, &keep, vmid, kind) {
            if mark == Mark::Remove {
                self.log(job, format!("removing backup '{volid}'"));
                self.drop_volume(&volid);
            }
        }
        Ok(())
    }

    /// The rules that are given, or those of the storage.
    pub(in crate::simulator) fn rules_for(
        &self,
        name: &str,
        given: Option<&str>,
    ) -> Result<Keep, String> {
        let Some(storage) = self.storages.get(name) else {
            return Err(format!("storage '{name}' does not exist"));
        };
        if !storage.content.iter().any(|kind| kind == "backup") {
            return Err(format!("storage '{name}' does not support backups"));
        }
        match given.or(storage.prune_backups.as_deref()) {
            Some(text) => text.parse(),
            None => Err(format!(
                "no prune-backups options configured for storage '{name}'"
            )),
        }
    }

    /// Removes a volume and what belongs to it; false if there was none.
    pub(in crate::simulator) fn drop_volume(&mut self, volid: &str) -> bool {
        let storage = self
            .storages
            .get_mut(volid.split(':').next().unwrap_or_default());
        storage.is_some_and(|storage| {
            storage.archives.remove(volid);
            storage.volumes.remove(volid).is_some()
        })
    }

    pub(in crate::simulator) fn refuse_protected(&self, volid: &str) -> Result<(), Reply> {
        let archive = self
            .storage_of(volid)
            .and_then(|storage| storage.archives.get(volid));
        match archive
            .filter(|archive| archive.protected)
            .and(volid.split_once(':'))
        {
            None => Ok(()),
            Some((storage, name)) => Err(Reply::failed(format!(
                "cannot remove protected volume '{name}' on '{storage}'"
            ))),
        }
    }

    /// What is in a backup; none if it was put there from outside, so that nobody knows.
    pub(in crate::simulator) fn archive(
        &self,
        node: &str,
        volid: &str,
    ) -> Result<Option<&Archive>, Reply> {
        let name = volid.split(':').next().unwrap_or_default();
        let Some(storage) = self.storages.get(name) else {
            return Err(Reply::failed(format!("storage '{name}' does not exist")));
        };
        storage.refuse(node).map_err(Reply::failed)?;
        match storage.volumes.get(volid) {
            Some(volume) if volume.content == "backup" => Ok(storage
                .archives
                .get(volid)
                .filter(|archive| !archive.config.is_empty())),
            _ => Err(Reply::failed(format!("volume '{volid}' does not exist"))),
        }
    }
}
