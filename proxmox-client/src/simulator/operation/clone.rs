//! Clones: full ones copy, linked ones stand on their source.

use std::time::Duration;

use super::disk::DriveText;
use super::{CloneWork, LOCK_WAIT, is_drive};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Key, Made, Patience, Step};
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::world::World;

impl World {
    /// The steps of a clone's task.
    pub(in super::super) fn clone_steps(&self, work: &CloneWork) -> Vec<Step> {
        let running = self.guests.get(&work.source).is_some_and(Guest::is_on);
        let species = self.guests.get(&work.source).map(|guest| guest.species);
        let species = species.unwrap_or_default();
        let lock = |vmid, shared| Step::Lock {
            key: Key::Guest(vmid),
            shared,
            wait: Patience::Clone,
            prefix: String::new(),
        };
        let mut steps = vec![
            lock(work.source, !running),
            Step::Check(0),
            lock(work.target, false),
            Step::Check(1),
        ];
        if species == Species::Container {
            // The locks in both configurations guard it, which its request has taken.
            steps = vec![Step::Check(2)];
        }
        if self.daemon.is_some() {
            // It looks at the source and its storages before it takes a lock; changes of one machine do not.
            steps.insert(0, Step::Work(Duration::from_millis(6)));
        }
        steps.push(Step::Compute(if work.full {
            self.durations.full_clone
        } else {
            self.durations.linked_clone
        }));
        let mut drives = self.drives_of(work.source);
        drives.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, drive) in drives {
            let Some(volume) = self.volume(&drive.file) else {
                continue;
            };
            let storage = work
                .storage
                .clone()
                .or_else(|| drive.file.split_once(':').map(|(s, _)| s.to_owned()));
            let Some((storage, key)) =
                storage.and_then(|s| self.storage_key(&s).map(|key| (s, key)))
            else {
                continue;
            };
            // What a linked clone allocates is small, whatever the size of its disk.
            let size = if work.full { volume.size } else { 0 };
            let cloud_init = drive.file.contains("-cloudinit");
            steps.push(Step::Lock {
                key: key.clone(),
                shared: false,
                wait: LOCK_WAIT,
                prefix: "clone failed: ".to_owned(),
            });
            steps.extend(self.allocation_steps(&storage, size));
            let disk = (volume.format.clone(), volume.size, volume.used);
            steps.push(Step::Made(Made {
                storage,
                key,
                disk: (!cloud_init).then_some(disk),
            }));
            // Activating the new volume lets others have the lock meanwhile.
            steps.push(Step::Compute(self.durations.activate));
            if running
                && species == Species::Machine
                && !cloud_init
                && let Some(text) = &self.mirror_error
            {
                let text = format!("clone failed: {text}");
                steps.push(Step::Refuse(Reply::failed(text)));
            }
            if work.full && !cloud_init {
                let time =
                    |speed: u64| Duration::from_secs_f64(volume.used as f64 / speed.max(1) as f64);
                // Who is limited waits most of the time.
                steps.push(match work.limit {
                    Some(limit) => Step::Work(time(limit)),
                    None => Step::Compute(time(self.durations.copy_speed)),
                });
            }
        }
        steps.push(Step::Finish);
        steps
    }

    pub(super) fn check_clone(
        &mut self,
        job: u64,
        work: &CloneWork,
        stage: u8,
    ) -> Result<(), Reply> {
        if stage != 1 {
            if stage == 2 {
                let (source, target) = (work.source, work.target);
                let line = format!("creating a clone of container {source} with ID {target}");
                self.log(job, line);
            }
            let guest = self.require(work.source)?;
            if guest.is_on() != work.running {
                return Err(Reply::failed("unexpected state change"));
            }
            return match guest.species {
                Species::Machine => guest.unlocked().map(|_| ()),
                Species::Container => Ok(()),
            };
        }
        if self.guests.contains_key(&work.target) {
            return Err(Reply::failed(format!(
                "unable to create VM {}: config file already exists",
                work.target
            )));
        }
        self.log(
            job,
            format!(
                "creating a clone of VM {} with ID {}",
                work.source, work.target
            ),
        );
        let mut guest = Guest::new(Species::Machine, work.target, &work.node);
        guest.config.insert("lock".to_owned(), "clone".into());
        self.guests.insert(work.target, guest);
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.cleanup_owned = true;
        }
        Ok(())
    }

    pub(super) fn finish_clone(&mut self, job: u64, work: &CloneWork) -> Result<(), Reply> {
        let source = self.require(work.source)?;
        let species = source.species;
        let mut config = match &work.snapshot {
            Some(name) => source
                .snapshots
                .get(name)
                .map(|s| s.config.clone())
                .unwrap_or_default(),
            None => source.config.clone(),
        };
        for dropped in ["template", "lock", "parent", "snaptime"] {
            config.shift_remove(dropped);
        }
        config.retain(|key, _| !key.starts_with("unused"));
        let slots: Vec<(String, String)> = config
            .iter()
            .filter(|(key, _)| is_drive(key))
            .map(|(k, v)| (k.clone(), text_of(v)))
            .collect();
        for (slot, text) in slots {
            let drive = DriveText::parse(&text);
            if species == Species::Container {
                let way = if work.full {
                    "full clone of mountpoint"
                } else {
                    "linked clone of mount point"
                };
                self.log(job, format!("create {way} {slot} ({})", drive.file));
            }
            let placed = self.clone_drive(job, work, &drive)?;
            config.insert(slot, placed.into());
        }
        let nets: Vec<String> = config
            .keys()
            .filter(|key| key.starts_with("net"))
            .cloned()
            .collect();
        for net in nets {
            let text = text_of(&config[&net]);
            let fresh = self.draw_mac();
            let parts: Vec<String> = text
                .split(',')
                .map(|part| match part.split_once('=') {
                    Some((model, mac)) if mac.len() == 17 && mac.matches(':').count() == 5 => {
                        format!("{model}={fresh}")
                    }
                    _ => part.to_owned(),
                })
                .collect();
            config.insert(net, parts.join(",").into());
        }
        if species == Species::Machine {
            config.insert(
                "smbios1".to_owned(),
                format!("uuid={}", self.draw_uuid()).into(),
            );
            config.insert("vmgenid".to_owned(), self.draw_uuid().into());
        }
        let name = match species {
            Species::Machine => "name",
            Species::Container => "hostname",
        };
        if let Some(text) = &work.name {
            config.insert(name.to_owned(), text.as_str().into());
        } else if !config.contains_key(name) && species == Species::Machine {
            config.insert(
                "name".to_owned(),
                format!("Copy-of-VM-{}", work.source).into(),
            );
        }
        if let Some(text) = &work.description {
            config.insert("description".to_owned(), text.as_str().into());
        }
        let guest = self.guest_mut(work.target)?;
        guest.config = config;
        guest.node.clone_from(&work.node);
        if let Some(pool) = work.pool.as_ref().and_then(|id| self.pools.get_mut(id)) {
            pool.vms.insert(work.target);
        }
        self.unlock_source(work);
        Ok(())
    }

    /// Volumes that a clone made and nobody removed: they belong to its id, whoever has it.
    pub(in super::super) fn leave_volumes(&mut self, target: u32, made: &[Made]) {
        for volume in made {
            // A storage that is gone by now took its volumes with it.
            let _ = match &volume.disk {
                Some((format, size, used)) => {
                    self.make_volume(0, target, &volume.storage, format, *size, *used)
                }
                None => self.make_cloud_init(0, target, &volume.storage),
            };
        }
    }

    fn clone_drive(
        &mut self,
        job: u64,
        work: &CloneWork,
        drive: &DriveText,
    ) -> Result<String, Reply> {
        let Some(volume) = self
            .volume(&drive.file)
            .filter(|volume| volume.is_disk())
            .cloned()
        else {
            return Ok(drive.print());
        };
        let own = drive.file.split(':').next().unwrap_or("").to_owned();
        let mut drive = drive.clone();
        if drive.file.contains("-cloudinit") {
            let storage = work.storage.clone().filter(|_| work.full).unwrap_or(own);
            let text = DriveText {
                file: format!("{storage}:cloudinit"),
                rest: Vec::new(),
            };
            let placed = self.place_drive(0, work.target, "ide2", &text)?;
            drive.file = DriveText::parse(&placed).file;
            return Ok(drive.print());
        }
        if work.full {
            let storage = work.storage.clone().unwrap_or(own);
            let container = volume.content == Species::Container.content();
            // What a clone of a machine logs of its copies is not modelled.
            let job = if container { job } else { 0 };
            drive.file = self.make_volume(
                job,
                work.target,
                &storage,
                &volume.format,
                volume.size,
                volume.used,
            )?;
            if container {
                self.log_file_system(job, volume.size);
            }
        } else {
            let base = drive
                .file
                .split_once(':')
                .map_or("", |(_, name)| name)
                .to_owned();
            let made = self.make_volume(0, work.target, &own, &volume.format, volume.size, 4096)?;
            let name = made.split_once(':').map_or("", |(_, name)| name).to_owned();
            let linked = format!("{own}:{base}/{name}");
            if let Some(storage) = self.storages.get_mut(&own)
                && let Some(mut volume) = storage.volumes.remove(&made)
            {
                volume.parent = Some(base);
                storage.volumes.insert(linked.clone(), volume);
            }
            drive.file = linked;
        }
        Ok(drive.print())
    }
}
