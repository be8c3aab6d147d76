//! From parameters to what the driver makes of them.

use serde_json::Value;

use super::{
    AccessMode, Choice, DataEngine, DataLayout, DataLocality, RecurringJobSelector,
    ReplicaAutoBalance, VolumeParameters,
};
use crate::error::{Error, ErrorKind, Problem};
use crate::model::{At, Field};
use crate::quantity;
use crate::settings::{Version, distance};

/// Parameters that describe the volume, with the minor release that brought them (0: before 1.8).
const VOLUME: &[(&str, u32)] = &[
    ("numberOfReplicas", 0),
    ("staleReplicaTimeout", 0),
    ("dataLocality", 0),
    ("replicaAutoBalance", 0),
    ("replicaSoftAntiAffinity", 0),
    ("replicaZoneSoftAntiAffinity", 0),
    ("replicaDiskSoftAntiAffinity", 0),
    ("diskSelector", 0),
    ("nodeSelector", 0),
    ("recurringJobSelector", 0),
    ("fromBackup", 0),
    ("backupTargetName", 0),
    ("backupBlockSize", 10),
    ("backingImage", 0),
    ("unmapMarkSnapChainRemoved", 0),
    ("disableRevisionCounter", 0),
    ("freezeFilesystemForSnapshot", 0),
    ("encrypted", 0),
    ("migratable", 0),
    ("share", 0),
    ("exclusive", 11),
    ("dataEngine", 0),
    ("dataSource", 0),
    ("cloneMode", 10),
    ("dataLayout.type", 12),
    ("dataLayout.mode", 12),
    ("dataLayout.dataChunks", 12),
    ("dataLayout.parityChunks", 12),
    ("dataLayout.stripSizeKB", 12),
    ("ublkQueueDepth", 11),
    ("ublkNumberOfQueue", 11),
    ("frontend", 9),
];

/// Parameters that the driver reads elsewhere.
const OTHERS: &[(&str, u32)] = &[
    ("backingImageDataSourceType", 0),
    ("backingImageDataSourceParameters", 0),
    ("backingImageChecksum", 0),
    ("fsType", 0),
    ("mkfsParams", 0),
    ("nfsOptions", 0),
    ("strictTopology", 11),
    ("storageCapacityMode", 11),
    ("shareManagerNodeSelector", 0),
    ("shareManagerTolerations", 0),
];

/// Names that stand in documents or older charts but are not read, and what is read instead.
const MISTAKEN: &[(&str, &str)] = &[
    ("backingImageName", "backingImage"),
    ("freezeFSForSnapshot", "freezeFilesystemForSnapshot"),
];

impl VolumeParameters {
    /// Reads parameters as the CSI driver does. Names that the driver ignores are kept among the others; use
    /// [`check_parameters`](Self::check_parameters) to be told about them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every parameter whose value the driver refuses.
    pub fn from_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            found: Self::default(),
            share: false,
            exclusive: false,
            layout: DataLayout::default(),
            problems: Vec::new(),
        };
        for (name, value) in parameters {
            reader.parameter(name, value);
        }
        reader.finish()
    }

    /// What a release would ignore or later refuse: unknown names, with the likely one, parameters newer than the
    /// release, and values that the manager's webhook refuses although the driver takes them.
    #[must_use]
    pub fn check_parameters<'a>(
        version: Version,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Problem> {
        let given: Vec<(&str, &str)> = parameters.into_iter().collect();
        let mut problems = Vec::new();
        for (name, _) in &given {
            // Names of Secrets belong to the CSI side-cars.
            if name.starts_with("csi.storage.k8s.io/") {
                continue;
            }
            let known = VOLUME.iter().chain(OTHERS).find(|(known, _)| known == name);
            match known {
                Some((_, since)) if version.minor < *since => {
                    let message = format!("Longhorn {version} ignores it");
                    problems.push(
                        Problem::new(*name, message).remedy(format!("it came with 1.{since}")),
                    );
                }
                Some(_) => {}
                None => {
                    let problem = Problem::new(*name, "the driver ignores it");
                    problems.push(match likely(name) {
                        Some(likely) => problem.remedy(format!("did you mean {likely}?")),
                        None => problem,
                    });
                }
            }
        }
        match Self::from_parameters(given) {
            Err(error) => problems.extend(error.problems().iter().cloned()),
            Ok(parameters) => parameters.webhook(&mut problems),
        }
        problems
    }

    fn webhook(&self, problems: &mut Vec<Problem>) {
        let replicas = self.number_of_replicas.unwrap_or(0);
        if replicas > 20 {
            problems.push(Problem::new(
                "numberOfReplicas",
                "a volume has at most 20 replicas",
            ));
        }
        if self.data_locality == Some(DataLocality::StrictLocal) && replicas != 1 {
            let problem = Problem::new("dataLocality", "strict-local needs exactly one replica");
            problems.push(problem.remedy("set numberOfReplicas to 1"));
        }
        if let DataEngine::Other(engine) = &self.data_engine {
            problems.push(
                Problem::new("dataEngine", format!("{engine:?} is no engine")).remedy("v1 or v2"),
            );
        }
        if self
            .backup_block_size
            .is_some_and(|size| size != 2 << 20 && size != 16 << 20)
        {
            problems.push(
                Problem::new("backupBlockSize", "only two sizes are possible")
                    .remedy("2Mi or 16Mi"),
            );
        }
        for (field, tags) in [
            ("diskSelector", &self.disk_selector),
            ("nodeSelector", &self.node_selector),
        ] {
            for tag in tags
                .iter()
                .flatten()
                .filter(|tag| tag.trim() != *tag || tag.is_empty())
            {
                let message = format!("asks for the tag {tag:?}, which no disk or node has");
                problems.push(Problem::new(field, message).remedy("no blanks around commas"));
            }
        }
    }
}

fn likely(name: &str) -> Option<&'static str> {
    if let Some((_, right)) = MISTAKEN.iter().find(|(wrong, _)| *wrong == name) {
        return Some(right);
    }
    let all = VOLUME.iter().chain(OTHERS).map(|(known, _)| *known);
    let ranked = all.map(|known| {
        (
            distance(&name.to_ascii_lowercase(), &known.to_ascii_lowercase()),
            known,
        )
    });
    ranked
        .filter(|(far, _)| *far <= 1 + name.len() / 6)
        .min_by_key(|(far, _)| *far)
        .map(|(_, known)| known)
}

struct Reader {
    found: VolumeParameters,
    share: bool,
    exclusive: bool,
    layout: DataLayout,
    problems: Vec<Problem>,
}

impl Reader {
    fn refuse(&mut self, name: &str, value: &str, wanted: &str) {
        self.problems
            .push(Problem::new(name, format!("{value:?} is not {wanted}")));
    }

    fn integer(&mut self, name: &str, value: &str) -> Option<i64> {
        let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
        let number = value
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        if number.is_none() {
            self.refuse(name, value, "a whole number");
        }
        number
    }

    fn boolean(&mut self, name: &str, value: &str) -> bool {
        let truth = match value {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        };
        if truth.is_none() {
            self.refuse(name, value, "true or false");
        }
        truth.unwrap_or_default()
    }

    fn choice(&mut self, name: &str, value: &str) -> Option<Choice> {
        match Choice::from(value) {
            Choice::Other(_) => {
                self.refuse(name, value, "ignored, enabled or disabled");
                None
            }
            choice => Some(choice),
        }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        let text = || Some(value.to_owned());
        let tags = || Some(value.split(',').map(str::to_owned).collect());
        match name {
            "numberOfReplicas" => match self.integer(name, value) {
                // The driver returns neither a volume nor an error here; the claim hangs.
                Some(n) if n < 0 => self.refuse(name, value, "a number from 1 to 20"),
                Some(n) => self.found.number_of_replicas = u32::try_from(n).ok().filter(|n| *n > 0),
                None => {}
            },
            "staleReplicaTimeout" => {
                let given = self
                    .integer(name, value)
                    .and_then(|n| u32::try_from(n).ok())
                    .filter(|n| *n > 0);
                if let Some(minutes) = given {
                    self.found.stale_replica_timeout = minutes;
                }
            }
            "dataLocality" => match DataLocality::from(value) {
                DataLocality::Other(_) => {
                    self.refuse(name, value, "disabled, best-effort or strict-local")
                }
                locality => self.found.data_locality = Some(locality),
            },
            "replicaAutoBalance" => match ReplicaAutoBalance::from(value) {
                ReplicaAutoBalance::Other(_) => {
                    self.refuse(
                        name,
                        value,
                        "ignored, disabled, least-effort or best-effort",
                    );
                }
                balance => self.found.replica_auto_balance = Some(balance),
            },
            "replicaSoftAntiAffinity" => {
                self.found.replica_soft_anti_affinity = self.choice(name, value)
            }
            "replicaZoneSoftAntiAffinity" => {
                self.found.replica_zone_soft_anti_affinity = self.choice(name, value)
            }
            "replicaDiskSoftAntiAffinity" => {
                self.found.replica_disk_soft_anti_affinity = self.choice(name, value)
            }
            "unmapMarkSnapChainRemoved" => {
                self.found.unmap_mark_snap_chain_removed = self.choice(name, value)
            }
            "freezeFilesystemForSnapshot" => {
                self.found.freeze_filesystem_for_snapshot = self.choice(name, value)
            }
            "diskSelector" => self.found.disk_selector = tags(),
            "nodeSelector" => self.found.node_selector = tags(),
            "recurringJobSelector" => self.jobs(name, value),
            "fromBackup" => self.found.from_backup = text(),
            "backupTargetName" => self.found.backup_target_name = text(),
            "backupBlockSize" => {
                self.found.backup_block_size = quantity::bytes(value);
                if self.found.backup_block_size.is_none() {
                    self.refuse(name, value, "a quantity such as 2Mi");
                }
            }
            "backingImage" => self.found.backing_image = text(),
            "disableRevisionCounter" => {
                self.found.revision_counter_disabled = self.boolean(name, value)
            }
            "encrypted" => self.found.encrypted = self.boolean(name, value),
            "migratable" => self.found.migratable = self.boolean(name, value),
            "share" => self.share = self.boolean(name, value),
            "exclusive" => self.exclusive = self.boolean(name, value),
            "dataEngine" => self.found.data_engine = DataEngine::from(value),
            "dataSource" => self.found.data_source = text(),
            "cloneMode" => self.found.clone_mode = text(),
            "frontend" => self.found.frontend = text(),
            "ublkQueueDepth" => self.found.ublk_queue_depth = self.integer(name, value),
            "ublkNumberOfQueue" => self.found.ublk_number_of_queue = self.integer(name, value),
            "dataLayout.type" => self.layout.layout = text(),
            "dataLayout.mode" => self.layout.mode = text(),
            "dataLayout.dataChunks" => self.layout.data_chunks = self.integer(name, value),
            "dataLayout.parityChunks" => self.layout.parity_chunks = self.integer(name, value),
            "dataLayout.stripSizeKB" => self.layout.strip_size_kb = self.integer(name, value),
            _ => {
                self.found.others.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn jobs(&mut self, name: &str, value: &str) {
        let parsed: Option<Value> = serde_json::from_str(value).ok();
        let mut inner = Vec::new();
        let jobs =
            parsed.and_then(|json| Vec::<RecurringJobSelector>::read(&json, &At::ROOT, &mut inner));
        match jobs {
            Some(jobs) if inner.is_empty() => self.found.recurring_job_selector = Some(jobs),
            _ => self.refuse(name, value, "a JSON list of objects with name and isGroup"),
        }
    }

    fn data_layout(&mut self) {
        let layout = &mut self.layout;
        if *layout == DataLayout::default() {
            return;
        }
        let sharded = layout.layout.as_deref() == Some("sharded");
        match layout.layout.as_deref() {
            None | Some("replicated" | "sharded") => {}
            Some(other) => {
                let message = format!("{other:?} is not replicated or sharded");
                self.problems.push(Problem::new("dataLayout.type", message));
            }
        }
        let mode = if sharded { "erasureCoding" } else { "raid1" };
        if layout.mode.get_or_insert_with(|| mode.to_owned()) != mode {
            self.problems.push(Problem::new(
                "dataLayout.mode",
                format!("this layout is {mode}"),
            ));
        }
        let (data, parity) = (
            layout.data_chunks.unwrap_or(0),
            layout.parity_chunks.unwrap_or(0),
        );
        if sharded && (data < 1 || parity < 1 || data + parity > 32) {
            let message = "at least one chunk of data and of parity, together at most 32";
            self.problems
                .push(Problem::new("dataLayout.dataChunks", message));
        }
        let strip = layout.strip_size_kb;
        if strip.is_some_and(|kb| !(4..=1024).contains(&kb) || kb.count_ones() != 1) {
            self.problems.push(Problem::new(
                "dataLayout.stripSizeKB",
                "a power of two from 4 to 1024 is needed",
            ));
        }
        self.found.data_layout = Some(self.layout.clone());
    }

    fn finish(mut self) -> Result<VolumeParameters, Error> {
        if self.share && self.exclusive {
            self.problems.push(
                Problem::new("exclusive", "share and exclusive exclude one another")
                    .remedy("keep one of them"),
            );
        }
        if self.share {
            self.found.access_mode = AccessMode::ReadWriteMany;
        } else if self.exclusive {
            self.found.access_mode = AccessMode::ReadWriteOncePod;
        }
        // Without share the driver drops the wish silently.
        self.found.migratable &= self.share;
        self.data_layout();
        if self.problems.is_empty() {
            Ok(self.found)
        } else {
            Err(Error::new(
                ErrorKind::Invalid,
                "the storage class parameters",
                self.problems,
            ))
        }
    }
}
