//! HTTP of the factory's client: the only file of it that names the HTTP library.

use std::sync::Arc;
use std::time::Duration;

use super::unexpected;
use crate::error::{Error, ErrorKind};

/// Largest answer that is read, in bytes.
const MOST: usize = 16 << 20;

/// Requests and the texts of good answers.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
}

impl Http {
    pub(super) fn new(roots: rustls::RootCertStore, timeout: Duration) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| Error::new(ErrorKind::Tls, "no TLS").with_source(cause))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(timeout)
            .build()
            .map_err(failure)?;
        Ok(Self { client })
    }

    pub(super) async fn get(&self, url: url::Url) -> Result<String, Error> {
        text(self.client.get(url)).await
    }

    pub(super) async fn post_yaml(&self, url: url::Url, body: String) -> Result<String, Error> {
        let kind = reqwest::header::CONTENT_TYPE;
        let request = self.client.post(url).header(kind, "application/yaml");
        text(request.body(body)).await
    }
}

async fn text(request: reqwest::RequestBuilder) -> Result<String, Error> {
    let mut response = request.send().await.map_err(failure)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MOST {
            return Err(unexpected("an answer of at most 16 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(body).map_err(|_| unexpected("text"))?;
    if status.is_success() {
        return Ok(text);
    }
    let kind = match status.as_u16() {
        400 | 422 => ErrorKind::InvalidArgument,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        429 | 502..=504 => ErrorKind::Unavailable,
        _ => ErrorKind::Remote,
    };
    let said: String = text.trim().chars().take(300).collect();
    let message = format!("the factory answered {}: {said}", status.as_u16());
    Err(Error::new(kind, message))
}

fn failure(cause: reqwest::Error) -> Error {
    let kind = if cause.is_timeout() {
        ErrorKind::Timeout
    } else if cause.is_builder() {
        ErrorKind::InvalidArgument
    } else {
        ErrorKind::Unavailable
    };
    // The address is left out: whoever asks knows it, and it may hold credentials.
    Error::new(kind, "the image factory did not answer").with_source(cause.without_url())
}
