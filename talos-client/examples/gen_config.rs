//! Machine configurations from a secrets bundle, as `talosctl gen config` makes them.
//!
//! ```text
//! gen_config CLUSTER ENDPOINT --with-secrets secrets.yaml [--kubernetes-version 1.36.1] [--talos-version v1.13]
//!            [--install-disk /dev/sda] [--install-image IMAGE] [--config-patch @FILE]... [--output-dir DIR]
//! ```
//!
//! Writes `controlplane.yaml` and `worker.yaml`, readable by the owner only as they hold secrets.

use std::error::Error;
use std::path::{Path, PathBuf};

use talos_client::{Generator, MachineConfig, MachineType, Patch, SecretsBundle};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut plain, mut patches) = (Vec::new(), Vec::new());
    let (mut secrets, mut kubernetes, mut talos) = (None, "1.36.1".to_owned(), "v1.13".to_owned());
    let (mut disk, mut image, mut output) = ("/dev/sda".to_owned(), None, PathBuf::from("."));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--with-secrets" => secrets = Some(value()?),
            "--kubernetes-version" => kubernetes = value()?,
            "--talos-version" => talos = value()?,
            "--install-disk" => disk = value()?,
            "--install-image" => image = Some(value()?),
            "--config-patch" => patches.push(value()?),
            "--output-dir" => output = PathBuf::from(value()?),
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}").into()),
            _ => plain.push(arg),
        }
    }
    let [cluster, endpoint] = plain.as_slice() else {
        return Err(
            "a cluster name and an endpoint are needed, such as: homelab https://10.0.0.10:6443"
                .into(),
        );
    };
    let secrets = SecretsBundle::read_file(Path::new(&secrets.ok_or("--with-secrets is needed")?))?;
    let mut generator = Generator::new(cluster, endpoint, kubernetes, secrets)?
        .contract(talos.parse()?)
        .install_disk(disk);
    if let Some(image) = image {
        generator = generator.install_image(image);
    }
    for (machine, name) in [
        (MachineType::ControlPlane, "controlplane.yaml"),
        (MachineType::Worker, "worker.yaml"),
    ] {
        let mut config: MachineConfig = generator.generate(machine)?;
        for patch in &patches {
            let text = match patch.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)?,
                None => patch.clone(),
            };
            config = config.patched(&Patch::load(&text)?)?;
        }
        config.write_file(&output.join(name))?;
    }
    Ok(())
}
