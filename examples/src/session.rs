//! One environment at work: its spec, the systems it is built on, its secrets, and the verbs in terms of them.

use secrecy::{ExposeSecret, SecretString};
use talos_client::SecretsBundle;

use crate::apply::{self, Actor, Applied, Interrupt, Limits, Stopped};
use crate::component::Catalogue;
use crate::failure::Failure;
use crate::observe::{self, Observation};
use crate::pace::Pace;
use crate::plan::{Action, ObjectSet, Plan, Step, decide};
use crate::progress::{Events, Outcome, Reporter};
use crate::secrets::{SecretStore, Secrets};
use crate::spec::Spec;
use crate::spec::node::Node;
use crate::stage::kubernetes::{Cluster, Objects};
use crate::stage::talos::Image;
use crate::stage::{bootstrap, kubernetes, proxmox, restic, secrets, talos, tunnel};
use crate::target::Target;
use crate::verify::{self, Report};

/// How often a system that does not answer is asked before a look is given up: a wrong address shall not take long.
const LOOKS: u32 = 3;

/// One environment at work.
#[derive(Debug)]
pub struct Session {
    spec: Spec,
    catalogue: Catalogue,
    target: Target,
    secrets: SecretStore,
    image: Image,
    proxmox: proxmox_client::Client,
    cluster: tokio::sync::OnceCell<Cluster>,
    events: Events,
    limits: Limits,
}

impl Session {
    /// Prepares the work; nothing is asked and nothing changed yet.
    ///
    /// # Errors
    ///
    /// Credentials that are missing, or an image that cannot be named.
    pub fn open(
        spec: Spec,
        target: Target,
        events: Events,
        at_once: usize,
    ) -> Result<Self, Failure> {
        let secrets = target.secrets(&spec);
        let proxmox = target.proxmox()?;
        let image = Image::of(&spec)?;
        let catalogue = Catalogue::of(&spec);
        let limits = Limits::default().at_once(at_once);
        Ok(Self {
            spec,
            catalogue,
            target,
            secrets,
            image,
            proxmox,
            cluster: tokio::sync::OnceCell::new(),
            events,
            limits,
        })
    }

    /// The same environment with secrets that lie elsewhere.
    #[must_use]
    pub fn with_secrets(self, secrets: SecretStore) -> Self {
        Self { secrets, ..self }
    }

    /// The description of the cluster.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What runs on the cluster.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The systems that are worked on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where events go.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Where the secrets lie.
    pub fn secret_store(&self) -> &SecretStore {
        &self.secrets
    }

    /// The Talos image of the environment.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The Proxmox VE API.
    pub fn proxmox(&self) -> &proxmox_client::Client {
        &self.proxmox
    }

    /// How fast time passes there.
    pub fn pace(&self) -> Pace {
        self.target.pace()
    }

    /// The systems in words.
    pub fn describe(&self) -> String {
        self.target.describe()
    }

    /// Whether the systems are simulated.
    pub fn is_lab(&self) -> bool {
        self.target.is_lab()
    }

    /// Keeps the lab, where it is to be kept.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn keep(&self) -> Result<(), Failure> {
        self.target.keep()
    }

    /// Looks at the world.
    ///
    /// # Errors
    ///
    /// A system that must answer and does not, or refuses.
    pub async fn observe(&self) -> Result<Observation, Failure> {
        apply::persistently("look", LOOKS, &self.events, self.pace(), || {
            observe::observe(self)
        })
        .await
    }

    /// Looks at the world and decides what has to be done.
    ///
    /// # Errors
    ///
    /// What cannot be observed, or must not be changed; all of it at once.
    pub async fn plan(&self) -> Result<Plan, Vec<Failure>> {
        let seen = self.observe().await.map_err(|failure| vec![failure])?;
        decide(&self.spec, &seen)
    }

    /// Takes the steps of a plan.
    ///
    /// # Errors
    ///
    /// What failed and what was not begun.
    pub async fn apply(&self, plan: &Plan, interrupt: &Interrupt) -> Result<Applied, Stopped> {
        apply::apply(
            plan,
            self,
            &self.events,
            self.pace(),
            self.limits,
            interrupt,
        )
        .await
    }

    /// Proves that the cluster serves.
    ///
    /// # Errors
    ///
    /// A system that must answer and does not.
    pub async fn verify(&self) -> Result<Report, Vec<Failure>> {
        apply::persistently("verify", LOOKS, &self.events, self.pace(), || {
            verify::verify(self)
        })
        .await
        .map_err(|failure| vec![failure])
    }

    /// The node of a step.
    fn node(&self, name: &str) -> Result<&Node, Failure> {
        self.spec
            .node(name)
            .ok_or_else(|| Failure::permanent(name, "is not a node of cluster.yaml"))
    }

    /// The secrets, if they were made.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn secrets(&self) -> Result<Option<Secrets>, Failure> {
        self.secrets.load()
    }

    fn needed_secrets(&self) -> Result<Secrets, Failure> {
        self.secrets()?.ok_or_else(|| {
            Failure::permanent(self.secrets.describe(), "holds no secrets yet")
                .hint("run `up`: it makes them before anything else")
        })
    }

    /// The Talos bundle, if it was made.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a bundle that is not one.
    pub fn bundle(&self) -> Result<Option<SecretsBundle>, Failure> {
        let text = self.secrets()?.and_then(|secrets| secrets.talos);
        text.map(|text| talos::bundle(&text)).transpose()
    }

    pub(crate) fn needed_bundle(&self) -> Result<SecretsBundle, Failure> {
        let text: Option<SecretString> = self.needed_secrets()?.talos;
        let text = text.ok_or_else(|| {
            Failure::permanent(self.secrets.describe(), "holds no Talos secrets bundle")
        })?;
        debug_assert!(!text.expose_secret().is_empty());
        talos::bundle(&text)
    }

    /// The Kubernetes API, through a kubeconfig that a control plane gives.
    ///
    /// # Errors
    ///
    /// No control plane that answers.
    pub async fn kubernetes(&self) -> Result<&Cluster, Failure> {
        self.cluster
            .get_or_try_init(|| async {
                let bundle = self.needed_bundle()?;
                let kubeconfig = talos::kubeconfig(&self.target, &self.spec, &bundle).await?;
                let client = self.target.kubernetes(kubeconfig.as_str()).await?;
                Ok(Cluster::new(client))
            })
            .await
    }

    /// The objects that go in from outside.
    ///
    /// # Errors
    ///
    /// A bootstrap file that is missing or is not the one that was pinned.
    pub fn objects(&self) -> Result<Objects, Failure> {
        let secrets = self.secrets()?.unwrap_or_default();
        ObjectSet::ALL
            .into_iter()
            .map(|set| {
                let objects =
                    bootstrap::objects(&self.spec, &self.catalogue, &self.target, &secrets, set)?;
                Ok((set, objects))
            })
            .collect()
    }

    fn write_secrets(&self) -> Result<Outcome, Failure> {
        self.secrets.complete(secrets::make(self)?)?;
        Ok(Outcome::Changed)
    }

    async fn act(&self, action: &Action, reporter: &Reporter) -> Result<Outcome, Failure> {
        let (spec, pace) = (&self.spec, self.pace());
        match action {
            Action::WriteSecrets => self.write_secrets(),
            Action::DownloadImage { host } => {
                proxmox::ensure_image(&self.proxmox, spec, host, &self.image, reporter).await
            }
            Action::CreateMachine { node } | Action::UpdateMachine { node } => {
                let node = self.node(node)?;
                proxmox::ensure_machine(&self.proxmox, spec, node, &self.image, pace, reporter)
                    .await
            }
            Action::StartMachine { node } => {
                proxmox::ensure_started(&self.proxmox, self.node(node)?, reporter).await
            }
            Action::DeleteMachine { host, vmid } => {
                let cluster = spec.name.as_str();
                proxmox::ensure_removed(&self.proxmox, cluster, host, *vmid, reporter).await
            }
            Action::Configure { node } => {
                let bundle = self.needed_bundle()?;
                let work = talos::Work::new(&self.target, spec, &bundle, &self.image);
                work.ensure_configured(self.node(node)?, reporter).await
            }
            Action::BootstrapEtcd => {
                let bundle = self.needed_bundle()?;
                let work = talos::Work::new(&self.target, spec, &bundle, &self.image);
                work.ensure_bootstrapped(reporter).await
            }
            Action::ApplyObjects { set } => {
                talos::await_api(self, reporter).await?;
                let secrets = self.needed_secrets()?;
                let objects =
                    bootstrap::objects(spec, &self.catalogue, &self.target, &secrets, *set)?;
                let cluster = self.kubernetes().await?;
                kubernetes::ensure_objects(cluster, *set, &objects, pace, reporter).await
            }
            Action::AwaitNodes => {
                let cluster = self.kubernetes().await?;
                kubernetes::await_nodes(cluster, spec, pace, reporter).await
            }
            Action::AwaitPlatform => {
                let cluster = self.kubernetes().await?;
                let applications = bootstrap::applications(spec, &self.catalogue)?;
                kubernetes::await_platform(cluster, applications, pace, reporter).await
            }
            Action::WriteTunnel => tunnel::write(self),
            Action::BackUp => restic::ensure_backup(self, reporter).await,
        }
    }
}

impl Actor for Session {
    async fn take(&self, step: &Step, reporter: &Reporter) -> Result<Outcome, Failure> {
        let outcome = self.act(&step.action, reporter).await?;
        // A program that is killed later finds the lab as it was after the last finished step.
        self.keep()?;
        Ok(outcome)
    }
}
