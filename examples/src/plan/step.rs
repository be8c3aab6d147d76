//! One step of a plan.

use std::fmt;

use serde::Serialize;

/// The stable name of a step: the kind of thing and its name, `vm/cp-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The step that is about `name` among the things of one kind.
    pub fn new(kind: &str, name: &str) -> Self {
        Self(format!("{kind}/{name}"))
    }

    /// The kind of thing that the step is about; also the name of its stage.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a step does to the thing that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Change {
    /// It does not exist yet.
    Create,
    /// It exists and differs.
    Update,
    /// It exists and goes away.
    Delete,
}

impl Change {
    /// The sign in the margin of a plan.
    pub fn symbol(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Delete => '-',
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The field.
    pub field: String,
    /// What it is now.
    pub from: String,
    /// What it shall be.
    pub to: String,
}

impl Difference {
    /// The field that goes from one value to another, or nothing when they are the same.
    pub fn between(field: &str, from: impl fmt::Display, to: impl fmt::Display) -> Option<Self> {
        let (from, to) = (from.to_string(), to.to_string());
        (from != to).then(|| Self {
            field: field.to_owned(),
            from,
            to,
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.field, self.from, self.to)
    }
}

/// A set of objects that goes into the cluster from outside, before Argo CD takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectSet {
    /// The custom resource definitions of the Gateway API; Cilium's operator looks for them when it starts.
    GatewayApi,
    /// The network: no node becomes Ready before it.
    Cilium,
    /// Secrets that nothing in Git may hold.
    SecretZero,
    /// The deployment tool that takes over.
    ArgoCd,
    /// The root Application.
    Root,
}

impl ObjectSet {
    /// All sets in the order in which they go in.
    pub const ALL: [Self; 5] = [
        Self::GatewayApi,
        Self::Cilium,
        Self::SecretZero,
        Self::ArgoCd,
        Self::Root,
    ];

    /// The name of the set in steps and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::GatewayApi => "gateway-api",
            Self::Cilium => "cilium",
            Self::SecretZero => "secret-zero",
            Self::ArgoCd => "argo-cd",
            Self::Root => "root",
        }
    }
}

/// What a step does, for the stage that does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Writes the file of secrets, with what it lacks.
    WriteSecrets,
    /// Fetches the Talos image to a host.
    #[non_exhaustive]
    DownloadImage {
        /// The Proxmox VE node.
        host: String,
    },
    /// Creates a virtual machine.
    #[non_exhaustive]
    CreateMachine {
        /// The node of the cluster.
        node: String,
    },
    /// Changes the hardware of a virtual machine.
    #[non_exhaustive]
    UpdateMachine {
        /// The node of the cluster.
        node: String,
    },
    /// Starts a virtual machine.
    #[non_exhaustive]
    StartMachine {
        /// The node of the cluster.
        node: String,
    },
    /// Removes a virtual machine with its disks.
    #[non_exhaustive]
    DeleteMachine {
        /// The Proxmox VE node.
        host: String,
        /// The number of the virtual machine.
        vmid: u32,
    },
    /// Gives a Talos node its machine configuration and waits until it runs with it.
    #[non_exhaustive]
    Configure {
        /// The node of the cluster.
        node: String,
    },
    /// Starts the first member of etcd, once in the life of a cluster.
    BootstrapEtcd,
    /// Applies a set of objects and waits until they serve.
    #[non_exhaustive]
    ApplyObjects {
        /// The set.
        set: ObjectSet,
    },
    /// Waits until every node is Ready.
    AwaitNodes,
    /// Waits until Argo CD has brought every component to serve.
    AwaitPlatform,
    /// Writes the WireGuard files.
    WriteTunnel,
    /// Makes the repository and the first backup.
    BackUp,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The stable name.
    pub id: StepId,
    /// What it does to the thing that it is about.
    pub change: Change,
    /// The thing in words.
    pub title: String,
    /// The fields that differ, for an update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The steps that must be done before.
    pub needs: Vec<StepId>,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// A step without needs.
    pub fn new(id: StepId, change: Change, title: impl Into<String>, action: Action) -> Self {
        Self {
            id,
            change,
            title: title.into(),
            differences: Vec::new(),
            needs: Vec::new(),
            action,
        }
    }

    /// Adds a step that must be done before; one that is not part of the plan counts as done.
    #[must_use]
    pub fn after(mut self, needs: impl IntoIterator<Item = StepId>) -> Self {
        self.needs.extend(needs);
        self
    }

    /// Says which fields differ.
    #[must_use]
    pub fn because(mut self, differences: Vec<Difference>) -> Self {
        self.differences = differences;
        self
    }
}
