//! Which of several possible disks the manager takes: the one that leaves usable storage most even.

use std::collections::BTreeMap;

use super::Replica;
use super::candidates::Candidate;

/// The best disks; more than one when they are equally good.
pub(super) fn best(candidates: &[Candidate<'_>], size: u64) -> Vec<Replica> {
    if let [only] = candidates {
        return vec![Replica::new(&only.node.name, &only.disk.id)];
    }
    let mut nodes: BTreeMap<&str, u64> = BTreeMap::new();
    for candidate in candidates {
        let sum = nodes.entry(&candidate.node.name).or_default();
        *sum = sum.saturating_add(candidate.disk.usable());
    }
    let node_sums: Vec<(&str, u64)> = nodes.into_iter().collect();
    let disk_sums: Vec<(&str, u64)> = candidates
        .iter()
        .map(|c| (c.disk.id.as_str(), c.disk.usable()))
        .collect();
    let mut found: Vec<Replica> = Vec::new();
    let best_nodes = most_even(&node_sums, size, |_| true);
    for node in &best_nodes {
        let on_node = |disk: &str| {
            candidates
                .iter()
                .any(|c| c.disk.id == disk && c.node.name == *node)
        };
        for disk in most_even(&disk_sums, size, on_node) {
            found.push(Replica::new(*node, disk));
        }
    }
    if found.is_empty() {
        found = candidates
            .iter()
            .map(|c| Replica::new(&c.node.name, &c.disk.id))
            .collect();
    }
    found.sort_by(|a, b| (&a.node, &a.disk).cmp(&(&b.node, &b.disk)));
    found
}

/// Names for which placing the replica gives the least spread, (largest − smallest) / mean, over all.
fn most_even<'a>(
    sums: &[(&'a str, u64)],
    size: u64,
    eligible: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    let mut best: Option<f64> = None;
    let mut names = Vec::new();
    for (at, (name, usable)) in sums.iter().enumerate() {
        if *usable < size || !eligible(name) {
            continue;
        }
        let after = sums
            .iter()
            .enumerate()
            .map(|(n, (_, sum))| if n == at { sum - size } else { *sum });
        // Where nothing usable is left anywhere the manager's division gives no number, and no place wins by it.
        let Some(score) = spread(after) else { continue };
        match best {
            Some(least) if score > least => {}
            Some(least) if score == least => names.push(*name),
            _ => {
                best = Some(score);
                names = vec![*name];
            }
        }
    }
    names
}

#[allow(clippy::cast_precision_loss)]
fn spread(values: impl Iterator<Item = u64>) -> Option<f64> {
    let (mut least, mut most, mut sum, mut count) = (u64::MAX, 0_u64, 0.0_f64, 0.0_f64);
    for value in values {
        least = least.min(value);
        most = most.max(value);
        sum += value as f64;
        count += 1.0;
    }
    if sum == 0.0 {
        return None;
    }
    Some((most - least) as f64 / (sum / count))
}
