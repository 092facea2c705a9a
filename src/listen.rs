//! How the embedded engine is reached from outside: what operators write, and what the engine wants.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dixmgr_activities::secret;
use dixmgr_engine::wire::{TlsOptions, WireOptions};
use secrecy::SecretString;

use crate::error::RunError;

/// Where and how the engine listens, as it was written. Secrets are references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// Certificate and its key; without them, connections are in the clear.
    pub tls: Option<TlsFiles>,
    /// Reference to the key that clients must send.
    pub api_key: Option<String>,
}

/// Files in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// Private key: a file, or a reference to a secret.
    pub key: String,
    /// Authority of the clients' certificates.
    pub client_ca: Option<PathBuf>,
}

impl ListenSettings {
    /// Reads the files and the secrets.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn options(&self) -> Result<WireOptions, RunError> {
        let tls = self.tls.as_ref().map(TlsFiles::read).transpose()?;
        let api_key = self.api_key.as_deref().map(secret::resolve).transpose().map_err(RunError::Secret)?;
        Ok(WireOptions { listen: self.listen, tls, api_key })
    }
}

impl TlsFiles {
    fn read(&self) -> Result<TlsOptions, RunError> {
        Ok(TlsOptions {
            certificate: read(&self.certificate)?,
            key: private_key(&self.key)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }
}

/// A private key: a file's, or what a reference leads to.
pub(crate) fn private_key(key: &str) -> Result<SecretString, RunError> {
    let reference = if secret::is_reference(key) { key.to_owned() } else { format!("file:{key}") };
    secret::resolve(&reference).map_err(RunError::Secret)
}

/// A file as it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    std::fs::read(path).map_err(|detail| RunError::File { path: path.to_owned(), detail })
}
