//! A random sample of files that has small and large, new and old ones, chosen in one pass with bounded memory.

use crate::snapshot::Node;
use crate::timestamp::Timestamp;

/// A small, fast and reproducible generator (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// A file that may be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) modified: Option<Timestamp>,
}

const SIZES: usize = 5;
const AGES: usize = 4;

/// Files by class of size (empty, to 16 KiB, to 1 MiB, to 64 MiB, above) and of age (a day, a month, a year, older), a few
/// of each class, every file of a class with the same chance.
#[derive(Debug)]
pub(super) struct Sampler {
    random: Random,
    wanted: usize,
    largest: u64,
    now: Timestamp,
    classes: Vec<Vec<Candidate>>,
    seen: Vec<u64>,
}

impl Sampler {
    pub(super) fn new(seed: u64, wanted: usize, largest: u64, now: Timestamp) -> Self {
        let classes = SIZES * AGES;
        Self {
            random: Random::new(seed),
            wanted,
            largest,
            now,
            classes: vec![Vec::new(); classes],
            seen: vec![0; classes],
        }
    }

    pub(super) fn offer(&mut self, node: &Node<'_>) {
        let size = node.size.unwrap_or(0);
        if !node.is_file() || size > self.largest {
            return;
        }
        let modified = node.mtime();
        let class = size_class(size) * AGES + self.age_class(modified);
        self.seen[class] += 1;
        let candidate = || Candidate {
            path: node.path.to_string(),
            size,
            modified,
        };
        let kept = &mut self.classes[class];
        if kept.len() < self.wanted {
            kept.push(candidate());
            return;
        }
        // Reservoir: the n-th file takes a place with chance wanted/n.
        let place = self.random.below(self.seen[class]);
        if let Some(slot) = usize::try_from(place).ok().and_then(|at| kept.get_mut(at)) {
            *slot = candidate();
        }
    }

    fn age_class(&self, modified: Option<Timestamp>) -> usize {
        const DAY: u64 = 86_400;
        match modified.map(|time| self.now.since(time).as_secs()) {
            Some(age) if age < DAY => 0,
            Some(age) if age < 30 * DAY => 1,
            Some(age) if age < 365 * DAY => 2,
            _ => 3,
        }
    }

    /// The sample: the classes take turns until there are enough files or bytes. Sorted by path.
    pub(super) fn draw(mut self, bytes: u64) -> Vec<Candidate> {
        let mut sample: Vec<Candidate> = Vec::new();
        let mut total = 0_u64;
        while sample.len() < self.wanted {
            let mut found = false;
            for class in &mut self.classes {
                if sample.len() >= self.wanted || class.is_empty() {
                    continue;
                }
                let at = usize::try_from(self.random.below(class.len() as u64)).unwrap_or(0);
                let candidate = class.swap_remove(at);
                found = true;
                if total.saturating_add(candidate.size) <= bytes {
                    total += candidate.size;
                    sample.push(candidate);
                }
            }
            if !found {
                break;
            }
        }
        sample.sort_by(|a, b| a.path.cmp(&b.path));
        sample
    }
}

fn size_class(size: u64) -> usize {
    match size {
        0 => 0,
        1..=16_384 => 1,
        16_385..=1_048_576 => 2,
        1_048_577..=67_108_864 => 3,
        _ => 4,
    }
}
