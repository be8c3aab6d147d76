//! The Talos image of an environment: its extensions decide its id, the id its addresses.

use proxmox_client::Download;
use talos_client::Schematic;

use crate::failure::Failure;
use crate::spec::Spec;

/// One image, for the first boot and for the installation.
#[derive(Debug, Clone)]
pub struct Image {
    extensions: Vec<String>,
    file_name: String,
    url: String,
    installer: String,
}

impl Image {
    /// The image that the spec describes.
    ///
    /// # Errors
    ///
    /// Extensions that cannot be part of an image.
    pub fn of(spec: &Spec) -> Result<Self, Failure> {
        let id = spec
            .image
            .extensions
            .iter()
            .fold(Schematic::default(), Schematic::extension)
            .id();
        let version = spec.versions.talos.to_string();
        let factory = spec.image.factory.trim_end_matches('/');
        let host = factory.split_once("://").map_or(factory, |(_, host)| host);
        let short = id.get(..12).unwrap_or(&id);
        Ok(Self {
            extensions: spec.image.extensions.clone(),
            // Machines have static addresses before they have a configuration: nocloud reads them from Proxmox VE.
            url: format!("{factory}/image/{id}/{version}/nocloud-amd64.iso"),
            file_name: format!("talos-{version}-{short}.iso"),
            installer: format!("{host}/nocloud-installer/{id}:{version}"),
        })
    }

    /// The installer, with its version.
    pub fn installer(&self) -> &str {
        &self.installer
    }

    /// The volume that the image is in a storage.
    pub fn volume(&self, storage: &str) -> String {
        format!("{storage}:iso/{}", self.file_name)
    }

    /// The name of the file.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The download by the host itself.
    pub fn download(&self) -> Download {
        Download::new(&self.url, "iso", &self.file_name)
    }

    /// The extensions as a running node names them: without the publisher.
    pub fn extension_names(&self) -> impl Iterator<Item = &str> {
        self.extensions
            .iter()
            .map(|name| name.split_once('/').map_or(name.as_str(), |(_, name)| name))
    }
}
