//! Binding pods to nodes, and saying why none fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::object::{
    Condition, condition, deleting, list, name, namespace, number, set, set_condition, text, texts,
};
use super::super::quantity::milli;
use super::super::selector::{Selector, expressions_hold};
use super::super::world::World;
use super::{Turn, claims, pods};

/// Why a node does not fit; `true` when evicting other pods could help.
type Misfit = (String, bool);

pub(super) fn run(turn: &mut Turn<'_>) {
    let mut waiting = turn.all("pods");
    waiting.retain(|pod| {
        text(pod, "/spec/nodeName").is_empty() && !deleting(pod) && !pods::finished(pod)
    });
    // Oldest first, as the queue of equal priorities is.
    waiting.sort_by_key(|pod| {
        (
            text(pod, "/metadata/creationTimestamp").to_owned(),
            name(pod).to_owned(),
        )
    });
    if waiting.is_empty() {
        return;
    }
    let nodes = turn.all("nodes");
    let mut stage = Cluster::look(turn.world, nodes);
    for pod in waiting {
        match stage.place(turn.world, &pod) {
            Ok(node) => {
                if claims::select_node(turn, &pod, &node) {
                    bind(turn, &pod, &node);
                    stage.add(&node, &pod);
                }
            }
            Err(message) => {
                let now = turn.now;
                let known = condition(&pod, "PodScheduled")
                    .is_some_and(|one| one["message"] == message.as_str());
                turn.update("pods", &pod, |one| {
                    set_condition(
                        one,
                        now,
                        &Condition {
                            kind: "PodScheduled",
                            status: false,
                            reason: "Unschedulable",
                            message: &message,
                        },
                    );
                });
                if !known {
                    turn.event(&pod, "Warning", "FailedScheduling", &message);
                }
            }
        }
    }
}

fn bind(turn: &mut Turn<'_>, pod: &Value, node: &str) {
    let now = turn.now;
    turn.update("pods", pod, |one| {
        set(one, "/spec/nodeName", json!(node));
        set_condition(
            one,
            now,
            &Condition {
                kind: "PodScheduled",
                status: true,
                reason: "",
                message: "",
            },
        );
    });
    let message = format!(
        "Successfully assigned {}/{} to {node}",
        namespace(pod),
        name(pod)
    );
    turn.event(pod, "Normal", "Scheduled", &message);
}

/// True when a toleration tolerates a taint.
pub(super) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let key = text(toleration, "/key");
    let exists = text(toleration, "/operator") == "Exists";
    let effect = text(toleration, "/effect");
    (effect.is_empty() || effect == text(taint, "/effect"))
        && (key == text(taint, "/key") || (key.is_empty() && exists))
        && (exists || text(toleration, "/value") == text(taint, "/value"))
}

/// Requests of a pod in thousandths: the sum of its containers, or its largest init container.
pub(super) fn requests(pod: &Value) -> BTreeMap<String, i128> {
    let amounts = |container: &Value| -> BTreeMap<String, i128> {
        let mut amounts = BTreeMap::new();
        for group in ["limits", "requests"] {
            for (resource, value) in
                super::super::object::entries(container, &format!("/resources/{group}"))
            {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                amounts.insert(resource.clone(), milli(&text).unwrap_or_default());
            }
        }
        amounts
    };
    let mut sum: BTreeMap<String, i128> = BTreeMap::new();
    for container in list(pod, "/spec/containers") {
        for (resource, amount) in amounts(container) {
            *sum.entry(resource).or_default() += amount;
        }
    }
    // Side cars (init containers that restart) run beside the others and count fully.
    for container in list(pod, "/spec/initContainers") {
        let sidecar = container["restartPolicy"] == "Always";
        for (resource, amount) in amounts(container) {
            let total = sum.entry(resource).or_default();
            *total = if sidecar {
                *total + amount
            } else {
                (*total).max(amount)
            };
        }
    }
    sum
}

struct Room {
    node: Arc<Value>,
    used: BTreeMap<String, i128>,
    pods: Vec<Arc<Value>>,
}

/// All nodes with what runs on them.
struct Cluster {
    rooms: Vec<Room>,
}

impl Cluster {
    fn look(world: &World, nodes: Vec<Arc<Value>>) -> Self {
        let mut rooms: Vec<Room> = nodes
            .into_iter()
            .map(|node| Room {
                node,
                used: BTreeMap::new(),
                pods: Vec::new(),
            })
            .collect();
        for pod in world.range("pods/".to_owned()) {
            let home = text(pod, "/spec/nodeName");
            if home.is_empty() || pods::finished(pod) {
                continue;
            }
            if let Some(room) = rooms.iter_mut().find(|room| name(&room.node) == home) {
                for (resource, amount) in requests(pod) {
                    *room.used.entry(resource).or_default() += amount;
                }
                room.pods.push(Arc::clone(pod));
            }
        }
        Self { rooms }
    }

    /// Counts a pod that was just bound.
    fn add(&mut self, node: &str, pod: &Arc<Value>) {
        if let Some(room) = self.rooms.iter_mut().find(|room| name(&room.node) == node) {
            for (resource, amount) in requests(pod) {
                *room.used.entry(resource).or_default() += amount;
            }
            room.pods.push(Arc::clone(pod));
        }
    }

    /// The best node for a pod.
    fn place(&self, world: &World, pod: &Value) -> Result<String, String> {
        let total = self.rooms.len();
        if total == 0 {
            return Err("no nodes available to schedule pods".to_owned());
        }
        if let Some(why) = claims::unbound(world, pod) {
            return Err(format!(
                "0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: \
                 {total} Preemption is not helpful for scheduling."
            ));
        }
        let wanted = requests(pod);
        let mut fitting: Vec<&Room> = Vec::new();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let (mut hopeless, mut full) = (0, 0);
        for room in &self.rooms {
            let misfits = self.misfits(world, pod, &wanted, room);
            if misfits.is_empty() {
                fitting.push(room);
                continue;
            }
            if misfits.iter().all(|(_, helps)| *helps) {
                full += 1
            } else {
                hopeless += 1
            }
            for (why, _) in misfits {
                *reasons.entry(why).or_default() += 1;
            }
        }
        if fitting.is_empty() {
            let mut why: Vec<String> = reasons
                .into_iter()
                .map(|(why, count)| format!("{count} {why}"))
                .collect();
            why.sort();
            let mut help = Vec::new();
            if full > 0 {
                help.push(format!(
                    "{full} No preemption victims found for incoming pod"
                ));
            }
            if hopeless > 0 {
                help.push(format!(
                    "{hopeless} Preemption is not helpful for scheduling"
                ));
            }
            help.sort();
            return Err(format!(
                "0/{total} nodes are available: {}. preemption: 0/{total} nodes are available: {}.",
                why.join(", "),
                help.join(", ")
            ));
        }
        fitting.sort_by_key(|room| (self.unwanted(pod, room), name(&room.node).to_owned()));
        Ok(fitting
            .first()
            .map(|room| name(&room.node).to_owned())
            .unwrap_or_default())
    }

    /// The first group of reasons against a node, in the order of the scheduler's filters.
    fn misfits(
        &self,
        world: &World,
        pod: &Value,
        wanted: &BTreeMap<String, i128>,
        room: &Room,
    ) -> Vec<Misfit> {
        let node = &room.node;
        let labels = texts(node, "/metadata/labels");
        let no = |why: &str| vec![(why.to_owned(), false)];
        let tolerations = list(pod, "/spec/tolerations");
        let repelled = list(node, "/spec/taints").iter().any(|taint| {
            taint["effect"] != "PreferNoSchedule"
                && !tolerations.iter().any(|one| tolerates(one, taint))
        });
        if repelled {
            return no("node(s) had untolerated taint(s)");
        }
        let selector = Selector::of_labels(&texts(pod, "/spec/nodeSelector"));
        if !selector.matches(&labels) || !affine(pod, name(node), &labels) {
            return no("node(s) didn't match Pod's node affinity/selector");
        }
        if self.ports_taken(pod, room) {
            return vec![(
                "node(s) didn't have free ports for the requested pod ports".to_owned(),
                true,
            )];
        }
        let mut lacking: Vec<Misfit> = Vec::new();
        let allowed = number_of(node, "pods") / 1_000;
        if i128::try_from(room.pods.len()).unwrap_or_default() + 1 > allowed {
            lacking.push(("Too many pods".to_owned(), true));
        }
        for (resource, amount) in wanted {
            let used = room.used.get(resource).copied().unwrap_or_default();
            let capacity = number_of(node, resource);
            if *amount > 0 && used + amount > capacity {
                // A request larger than the whole node cannot be helped by evicting others.
                lacking.push((format!("Insufficient {resource}"), *amount <= capacity));
            }
        }
        if !lacking.is_empty() {
            return lacking;
        }
        if !claims::reachable(world, pod, node) {
            return no("node(s) didn't match PersistentVolume's node affinity");
        }
        if !self.spread(pod, room) {
            return vec![(
                "node(s) didn't match pod topology spread constraints".to_owned(),
                true,
            )];
        }
        if !self.keeps_apart(pod, room) {
            return vec![(
                "node(s) didn't match pod anti-affinity rules".to_owned(),
                true,
            )];
        }
        Vec::new()
    }

    fn ports_taken(&self, pod: &Value, room: &Room) -> bool {
        let ports = |pod: &Value| -> Vec<(i64, String)> {
            list(pod, "/spec/containers")
                .iter()
                .flat_map(|one| list(one, "/ports"))
                .filter_map(|one| {
                    let host = number(one, "/hostPort").filter(|one| *one > 0)?;
                    Some((host, text(one, "/protocol").to_owned()))
                })
                .collect()
        };
        let wanted = ports(pod);
        !wanted.is_empty()
            && room
                .pods
                .iter()
                .any(|one| ports(one).iter().any(|port| wanted.contains(port)))
    }

    /// Rooms in the same topology domain as `room`.
    fn domain<'c>(&'c self, room: &'c Room, key: &str) -> impl Iterator<Item = &'c Room> {
        let value = texts(&room.node, "/metadata/labels").get(key).cloned();
        let key = key.to_owned();
        self.rooms.iter().filter(move |other| {
            value.is_some() && texts(&other.node, "/metadata/labels").get(&key) == value.as_ref()
        })
    }

    fn keeps_apart(&self, pod: &Value, room: &Room) -> bool {
        const REQUIRED: &str =
            "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        let collides = |term: &Value, home: &str, other: &Value| {
            let same_home = match list(term, "/namespaces") {
                [] => namespace(other) == home,
                named => named.iter().any(|one| one == namespace(other)),
            };
            same_home
                && Selector::of_object(term.get("labelSelector"))
                    .is_some_and(|selector| selector.selects(other))
        };
        let own = list(pod, REQUIRED).iter().all(|term| {
            self.domain(room, text(term, "/topologyKey"))
                .flat_map(|room| &room.pods)
                .all(|other| !collides(term, namespace(pod), other))
        });
        let theirs = self
            .rooms
            .iter()
            .flat_map(|room| room.pods.iter().map(move |pod| (room, pod)))
            .all(|(home, other)| {
                list(other, REQUIRED).iter().all(|term| {
                    let key = text(term, "/topologyKey");
                    let together = self
                        .domain(room, key)
                        .any(|one| name(&one.node) == name(&home.node));
                    !together || !collides(term, namespace(other), pod)
                })
            });
        own && theirs
    }

    fn spread(&self, pod: &Value, room: &Room) -> bool {
        list(pod, "/spec/topologySpreadConstraints")
            .iter()
            .filter(|one| one["whenUnsatisfiable"] == "DoNotSchedule")
            .all(|constraint| {
                let key = text(constraint, "/topologyKey");
                let Some(selector) = Selector::of_object(constraint.get("labelSelector")) else {
                    return true;
                };
                let count = |room: &Room| {
                    self.domain(room, key)
                        .flat_map(|room| &room.pods)
                        .filter(|one| namespace(one) == namespace(pod) && selector.selects(one))
                        .count()
                };
                let eligible = self.rooms.iter().filter(|room| {
                    let labels = texts(&room.node, "/metadata/labels");
                    labels.contains_key(key)
                        && Selector::of_labels(&texts(pod, "/spec/nodeSelector")).matches(&labels)
                        && affine(pod, name(&room.node), &labels)
                });
                let least = eligible.map(count).min().unwrap_or_default();
                let most = number(constraint, "/maxSkew")
                    .and_then(|one| usize::try_from(one).ok())
                    .unwrap_or(1);
                texts(&room.node, "/metadata/labels").contains_key(key)
                    && count(room) + 1 - least <= most
            })
    }

    /// How little a node is wanted: preferred rules first, then like pods, then use.
    fn unwanted(&self, pod: &Value, room: &Room) -> (i64, usize, i128) {
        const PREFERRED: &str =
            "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
        let mut weight = 0;
        for one in list(pod, PREFERRED) {
            let term = &one["podAffinityTerm"];
            let Some(selector) = Selector::of_object(term.get("labelSelector")) else {
                continue;
            };
            let near = self
                .domain(room, text(term, "/topologyKey"))
                .flat_map(|room| &room.pods)
                .filter(|other| namespace(other) == namespace(pod) && selector.selects(other))
                .count();
            weight += number(one, "/weight").unwrap_or(1) * i64::try_from(near).unwrap_or_default();
        }
        let labels = texts(&room.node, "/metadata/labels");
        for one in list(
            pod,
            "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution",
        ) {
            if expressions_hold(list(one, "/preference/matchExpressions"), &labels) {
                weight -= number(one, "/weight").unwrap_or(1);
            }
        }
        let like = room
            .pods
            .iter()
            .filter(|other| same_owner(other, pod))
            .count();
        let share = |resource: &str| {
            let used = room.used.get(resource).copied().unwrap_or_default();
            used * 1_000 / number_of(&room.node, resource).max(1)
        };
        (weight, like, share("cpu") + share("memory"))
    }
}

fn same_owner(one: &Value, other: &Value) -> bool {
    let owner = |pod: &Value| text(pod, "/metadata/ownerReferences/0/uid").to_owned();
    !owner(one).is_empty() && owner(one) == owner(other)
}

/// Allocatable amount of a resource in thousandths.
fn number_of(node: &Value, resource: &str) -> i128 {
    let place = node
        .pointer("/status/allocatable")
        .and_then(|one| one.get(resource));
    place
        .and_then(Value::as_str)
        .and_then(milli)
        .unwrap_or_default()
}

/// Required node affinity: one of the terms must hold.
pub(super) fn affine(pod: &Value, node: &str, labels: &BTreeMap<String, String>) -> bool {
    const TERMS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = list(pod, TERMS);
    let named = BTreeMap::from([("metadata.name".to_owned(), node.to_owned())]);
    terms.is_empty()
        || terms.iter().any(|term| {
            expressions_hold(list(term, "/matchExpressions"), labels)
                && expressions_hold(list(term, "/matchFields"), &named)
        })
}
