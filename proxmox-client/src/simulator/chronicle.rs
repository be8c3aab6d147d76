//! What was true of guests and storages from which moment on: what figures over time are made of.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::guest::{Guest, Species};
use super::task::seconds;
use super::volume::Storage;
use super::world::World;

/// States by the seconds at which they began; none where there was nothing to measure.
pub(super) type Course<T> = Vec<(u64, Option<T>)>;

/// What is measured of a guest.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct GuestState {
    pub(super) species: Species,
    pub(super) node: String,
    /// Since when it runs.
    pub(super) since: Option<u64>,
    pub(super) processors: f64,
    pub(super) memory: u64,
    pub(super) disk: u64,
}

/// What is measured of a storage, in bytes.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct StorageState {
    pub(super) total: u64,
    pub(super) used: u64,
}

/// The courses of all guests and storages that ever were.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Chronicle {
    pub(super) guests: BTreeMap<u32, Course<GuestState>>,
    pub(super) storages: BTreeMap<String, Course<StorageState>>,
}

/// The state at a moment.
pub(super) fn at<T>(course: &Course<T>, moment: u64) -> Option<&T> {
    let after = course.partition_point(|(from, _)| *from <= moment);
    let (_, state) = course.get(after.checked_sub(1)?)?;
    state.as_ref()
}

/// Adds a state to a course, unless it is the one that holds already.
fn note<T: PartialEq>(course: &mut Course<T>, moment: u64, state: Option<T>) {
    match course.last_mut() {
        Some((_, last)) if *last == state => {}
        None if state.is_none() => {}
        // What changes twice in one second was only the last of it.
        Some((from, last)) if *from >= moment => *last = state,
        _ => course.push((moment, state)),
    }
}

impl Chronicle {
    pub(super) fn note_storage(&mut self, storage: &Storage, moment: SystemTime) {
        let off = storage.more.get("disable") == Some(&1.into());
        let state = (!off).then(|| StorageState {
            total: storage.total,
            used: storage.used(),
        });
        let course = self.storages.entry(storage.name.clone()).or_default();
        note(course, seconds(moment), state);
    }
}

impl World {
    fn state_of(&self, guest: &Guest) -> GuestState {
        let processors = match guest.species {
            Species::Machine => guest.processors() as f64,
            Species::Container => self
                .container_processors(guest)
                .as_f64()
                .unwrap_or_default(),
        };
        GuestState {
            species: guest.species,
            node: guest.node.clone(),
            since: guest.started_at().map(seconds),
            processors,
            memory: guest.memory_bytes(),
            disk: self.boot_disk_size(guest.vmid),
        }
    }

    /// Notes what a guest is from a moment on.
    pub(super) fn note_guest(&mut self, vmid: u32, moment: SystemTime) {
        let state = self.guests.get(&vmid).map(|guest| self.state_of(guest));
        if state.is_some() || self.chronicle.guests.contains_key(&vmid) {
            let course = self.chronicle.guests.entry(vmid).or_default();
            note(course, seconds(moment), state);
        }
    }

    /// Notes what changed, whatever it was.
    pub(super) fn note_changes(&mut self) {
        let mut guests = self.guests.take_touched();
        for name in self.storages.take_touched() {
            match self.storages.get(&name) {
                Some(storage) => self.chronicle.note_storage(storage, self.now),
                None => {
                    // What guests had there is gone too.
                    guests.extend(self.guests.keys());
                    if let Some(course) = self.chronicle.storages.get_mut(&name) {
                        note(course, seconds(self.now), None);
                    }
                }
            }
        }
        for vmid in guests {
            self.note_guest(vmid, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_keeps_changes_only_and_the_last_of_a_second() {
        let mut course = Course::new();
        note(&mut course, 5, None);
        assert!(course.is_empty(), "nothing was there before");
        for (moment, state) in [(10, Some(1)), (20, Some(1)), (20, Some(2)), (20, Some(3))] {
            note(&mut course, moment, state);
        }
        note(&mut course, 30, None);
        assert_eq!(course, [(10, Some(1)), (20, Some(3)), (30, None)]);
        let seen = [9, 10, 19, 20, 29, 30].map(|moment| at(&course, moment).copied());
        assert_eq!(seen, [None, Some(1), Some(1), Some(3), Some(3), None]);
    }
}
