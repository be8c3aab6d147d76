//! Where talosconfigs are, in the order in which `talosctl` looks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::TalosConfig;
use crate::error::{Error, ErrorKind};

/// Where pods that may use the Talos API find theirs.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/talos.dev/config";

/// A place of a talosconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigPath {
    /// The file.
    pub path: PathBuf,
    /// It is not written: it belongs to the pod that the program runs in.
    pub read_only: bool,
}

impl TalosConfig {
    /// The places to look at, first to last: `TALOSCONFIG`, then `config` in `TALOS_HOME` (when that is absolute) or in
    /// `~/.talos`, then the service account of a pod, which is only read. Reads the environment.
    pub fn default_paths_from_env() -> Vec<ConfigPath> {
        let var = std::env::var_os;
        paths(var("TALOSCONFIG"), var("TALOS_HOME"), std::env::home_dir())
    }

    /// Reads the first file that exists of [`default_paths_from_env`](Self::default_paths_from_env), and says which one it
    /// was. Where none exists the result is empty and the place is the first that may be written; nothing is written here.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidTalosConfig`].
    pub fn read_default_path_from_env() -> Result<(Self, ConfigPath), Error> {
        first(Self::default_paths_from_env())
    }

    /// Writes to a place for the owner only (0600, missing directories 0700), atomically.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], also for a place that is only read.
    pub fn write_to(&self, place: &ConfigPath) -> Result<(), Error> {
        if place.read_only {
            let message = format!("{} is not written by clients", place.path.display());
            return Err(Error::new(ErrorKind::Io, message)
                .with_hint("name a file of your own, or set TALOSCONFIG"));
        }
        self.write_file(&place.path)
    }
}

fn paths(
    talosconfig: Option<OsString>,
    talos_home: Option<OsString>,
    home: Option<PathBuf>,
) -> Vec<ConfigPath> {
    let own = |path: PathBuf| ConfigPath {
        path,
        read_only: false,
    };
    let talos_home = talos_home
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let directory = talos_home.or_else(|| Some(home?.join(".talos")));
    let service_account = ConfigPath {
        path: PathBuf::from(SERVICE_ACCOUNT),
        read_only: true,
    };
    let named = talosconfig.map(PathBuf::from).map(own);
    let usual = directory.map(|directory| own(directory.join("config")));
    named
        .into_iter()
        .chain(usual)
        .chain([service_account])
        .collect()
}

fn first(paths: Vec<ConfigPath>) -> Result<(TalosConfig, ConfigPath), Error> {
    let exists = |place: &&ConfigPath| Path::exists(&place.path);
    if let Some(place) = paths.iter().find(exists) {
        return Ok((TalosConfig::read_file(&place.path)?, place.clone()));
    }
    let place = paths.into_iter().find(|place| !place.read_only);
    let place = place.ok_or_else(|| {
        let message = "no place for a talosconfig is known";
        Error::new(ErrorKind::Io, message).with_hint("set TALOSCONFIG or HOME")
    })?;
    Ok((TalosConfig::default(), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(
        talosconfig: Option<&str>,
        talos_home: Option<&str>,
        home: Option<&str>,
    ) -> Vec<String> {
        let found = paths(
            talosconfig.map(OsString::from),
            talos_home.map(OsString::from),
            home.map(PathBuf::from),
        );
        let shown = found.iter().map(|place| place.path.display().to_string());
        shown.collect()
    }

    #[test]
    fn the_order_is_variable_then_home_then_service_account() {
        let pod = SERVICE_ACCOUNT;
        assert_eq!(
            order(None, None, Some("/home/u")),
            ["/home/u/.talos/config", pod]
        );
        assert_eq!(
            order(Some("a"), None, Some("/home/u")),
            ["a", "/home/u/.talos/config", pod]
        );
        assert_eq!(order(None, Some("/t"), Some("/home/u")), ["/t/config", pod]);
        assert_eq!(
            order(None, Some("t"), Some("/home/u")),
            ["/home/u/.talos/config", pod]
        );
        assert_eq!(order(None, None, None), [pod]);
    }

    #[test]
    fn the_first_file_that_exists_is_read_and_a_missing_one_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let places = |names: &[&str]| -> Vec<ConfigPath> {
            let place = |name: &&str| ConfigPath {
                path: file(name),
                read_only: name.starts_with("pod"),
            };
            names.iter().map(place).collect()
        };
        let (config, place) = first(places(&["one", "two", "pod"])).unwrap();
        assert_eq!((config, place.path), (TalosConfig::default(), file("one")));
        assert!(!file("one").exists());
        std::fs::write(file("pod"), "context: p\n").unwrap();
        let (config, place) = first(places(&["one", "two", "pod"])).unwrap();
        assert_eq!((config.current_name(), place.read_only), ("p", true));
        assert_eq!(config.write_to(&place).unwrap_err().kind(), ErrorKind::Io);
        let two = &places(&["two"])[0];
        TalosConfig::default().write_to(two).unwrap();
        assert_eq!(
            std::fs::read_to_string(file("two")).unwrap(),
            "context: \"\"\ncontexts: {}\n"
        );
        assert_eq!(
            first(places(&["one", "two", "pod"])).unwrap().1.path,
            file("two")
        );
        assert!(first(places(&["pod-2"])).is_err());
    }
}
