//! Backups on storages: their names, what is in them, and which of them go.

mod dump;
mod restore;

use std::collections::BTreeMap;

use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::retention::{Keep, Mark};
use crate::simulator::volume::Archive;
use crate::simulator::world::World;

pub(in crate::simulator) use dump::{Dump, Mode};
pub(in crate::simulator) use restore::{ContainerRestore, Restore};

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

/// What `tar` tells of all it has read or written: whole blocks, and how many in a second.
fn told_total(bytes: u64, seconds: u64) -> String {
    const BLOCK: u64 = 10_240;
    let whole = bytes.div_ceil(BLOCK).max(1) * BLOCK;
    let (size, speed) = (told_short(whole), told_short(whole / seconds.max(1)));
    format!("{whole} ({size}, {speed}/s)")
}

/// A size in the largest unit that gives one at least, with a decimal below ten, rounded up.
fn told_short(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.iter().find(|(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    let tenths = (bytes * 10).div_ceil(1 << shift);
    match tenths {
        0..100 => format!("{}.{}{unit}", tenths / 10, tenths % 10),
        _ => format!("{}{unit}", tenths.div_ceil(10)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_told_in_blocks_and_short() {
        for (bytes, seconds, expected) in [
            (0, 1, "10240 (10KiB, 10KiB/s)"),
            (136_314_880, 2, "136314880 (130MiB, 65MiB/s)"),
            (1_398_558_720, 40, "1398558720 (1.4GiB, 34MiB/s)"),
            (1_000_000, 0, "1003520 (980KiB, 980KiB/s)"),
        ] {
            assert_eq!(told_total(bytes, seconds), expected);
        }
    }

    #[test]
    fn names_of_backups_tell_guest_moment_and_format() {
        let read = |name: &str| {
            let parts = read_name(&format!("local:backup/{name}"))?;
            Some((parts.kind, parts.vmid, parts.at, parts.format))
        };
        let at = 1_767_225_600;
        let told =
            |kind: &str, vmid, format: &str| Some((kind.to_owned(), vmid, at, format.to_owned()));
        for (name, expected) in [
            (
                "vzdump-lxc-200-2026_01_01-00_00_00.tar.zst",
                told("lxc", 200, "tar.zst"),
            ),
            (
                "vzdump-qemu-100-2026_01_01-00_00_00.vma",
                told("qemu", 100, "vma"),
            ),
            ("ct/200/2026-01-01T00:00:00Z", told("lxc", 200, "pbs-ct")),
            ("vzdump-lxc-200-2026_01_32-00_00_00.tar.zst", None),
            ("vzdump-lxc-200-yesterday.tar.zst", None),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }
}
