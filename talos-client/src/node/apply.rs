//! Applying a configuration.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Node, envelope};
use crate::api::machine::{
    ApplyConfiguration, ApplyConfigurationRequest, ApplyConfigurationResponse, MachineService,
    apply_configuration_request::Mode,
};
use crate::config::MachineConfig;
use crate::error::{Error, ErrorKind};

envelope!(ApplyConfigurationResponse => ApplyConfiguration);

/// When a new configuration takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ApplyMode {
    /// At once; up to Talos 1.13 with a reboot when the change needs one.
    #[default]
    Auto,
    /// At once without a reboot; refused when one is needed.
    NoReboot,
    /// With a reboot; Talos 1.14 refuses this once the node is configured.
    Reboot,
    /// With the next reboot.
    Staged,
    /// At once, taken back when the given time is over and nothing else was applied.
    Try,
}

/// What a node did with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The mode that the node chose.
    pub mode: ApplyMode,
    /// What the node says about it; for a dry run the difference.
    pub details: String,
    /// Things that work but should be changed.
    pub warnings: Vec<String>,
}

/// The request that [`Node::apply_configuration`] makes; await it to send it.
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct Apply {
    node: Node,
    text: Zeroizing<String>,
    mode: ApplyMode,
    dry_run: bool,
    try_timeout: Option<Duration>,
}

impl Node {
    /// Sends a configuration. In maintenance mode the node installs itself and reboots.
    ///
    /// When the connection breaks after the request was sent ([`ErrorKind::Unavailable`]), the node may have taken the
    /// configuration: a new network does that.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the node refuses the text, [`ErrorKind::FailedPrecondition`] when it is busy with
    /// another change, [`ErrorKind::Unimplemented`] for a mode that it no longer has.
    pub fn apply_configuration(&self, config: &MachineConfig) -> Apply {
        Apply {
            node: self.clone(),
            text: config.to_yaml(),
            mode: ApplyMode::Auto,
            dry_run: false,
            try_timeout: None,
        }
    }
}

impl Apply {
    /// When it takes effect; [`ApplyMode::Auto`] when not set.
    pub fn mode(mut self, mode: ApplyMode) -> Self {
        self.mode = mode;
        self
    }

    /// Only say what would happen.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// How long [`ApplyMode::Try`] lasts; the node's default is one minute.
    pub fn try_timeout(mut self, timeout: Duration) -> Self {
        self.try_timeout = Some(timeout);
        self
    }
}

impl IntoFuture for Apply {
    type Output = Result<Applied, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mode = match self.mode {
                ApplyMode::Auto => Mode::Auto,
                ApplyMode::NoReboot => Mode::NoReboot,
                ApplyMode::Reboot => Mode::Reboot,
                ApplyMode::Staged => Mode::Staged,
                ApplyMode::Try => Mode::Try,
            };
            let try_mode_timeout = match self.try_timeout {
                Some(timeout) => {
                    Some(prost_types::Duration::try_from(timeout).map_err(|error| {
                        Error::new(ErrorKind::InvalidArgument, "the time to try is too long")
                            .with_source(error)
                    })?)
                }
                None => None,
            };
            let request = ApplyConfigurationRequest {
                data: self.text.as_bytes().to_vec(),
                mode: mode.into(),
                dry_run: self.dry_run,
                try_mode_timeout,
            };
            let answer = self
                .node
                .single(MachineService::APPLY_CONFIGURATION, request)
                .await?;
            let mode = match answer.mode() {
                Mode::Reboot => ApplyMode::Reboot,
                Mode::Auto => ApplyMode::Auto,
                Mode::NoReboot => ApplyMode::NoReboot,
                Mode::Staged => ApplyMode::Staged,
                Mode::Try => ApplyMode::Try,
            };
            Ok(Applied {
                mode,
                details: answer.mode_details,
                warnings: answer.warnings,
            })
        })
    }
}
