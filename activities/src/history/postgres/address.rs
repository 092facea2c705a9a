//! A connection string: where the server is, and whether the way there is encrypted. A certificate is always verified.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::database::Fault;
use super::super::place::PostgresError;
use crate::secret;

/// Longest silence of the server's machine before a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(30);

/// Where the server is.
#[derive(Debug)]
pub(in super::super) struct Address {
    config: Config,
    /// Absent when the way is not encrypted.
    tls: Option<Roots>,
}

/// Whose certificates are believed.
#[derive(Debug, PartialEq, Eq)]
enum Roots {
    /// Those that this machine believes.
    System,
    /// Those of a PEM file.
    File(String),
}

impl Address {
    /// The address that a reference, or a connection string, stands for now.
    pub(super) fn resolve(text: &str) -> Result<Self, Fault> {
        let address = secret::resolve(text)?;
        Ok(Self::parse(address.expose_secret())?)
    }

    pub(in super::super) fn parse(text: &str) -> Result<Self, PostgresError> {
        let wrong = PostgresError::Address;
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(wrong("it does not begin with postgres://"));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut root, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root = Some(value.to_owned()),
                _ => rest.push(pair),
            }
        }
        let config = format!("{place}?{}", rest.join("&")).parse::<Config>();
        let mut config = config.map_err(|_| wrong("it cannot be understood"))?;
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host"));
        }
        let encrypted = match mode {
            None => !config.get_hosts().iter().all(is_here),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(wrong("sslmode is disable, require, verify-ca or verify-full")),
        };
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        config.application_name("dixmgr").tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        Ok(Self { config, tls: encrypted.then(|| root.map_or(Roots::System, Roots::File)) })
    }

    pub(in super::super) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// A connection; what drives it is a task of the runtime.
    pub(super) async fn connect(&self) -> Result<Client, Fault> {
        let Some(roots) = &self.tls else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(connection);
            return Ok(client);
        };
        let (client, connection) = self.config.connect(MakeRustlsConnect::new(roots.config()?)).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Roots {
    fn config(&self) -> Result<ClientConfig, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| failed(&error))?;
        let builder = match self {
            Self::System => builder.with_platform_verifier().map_err(|error| failed(&error))?,
            Self::File(path) => {
                let unread = |error: &dyn std::fmt::Display| Fault::Tls(format!("sslrootcert {path}: {error}"));
                let mut store = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))? {
                    let certificate = certificate.map_err(|error| unread(&error))?;
                    store.add(certificate).map_err(|error| unread(&error))?;
                }
                builder.with_root_certificates(store)
            }
        };
        Ok(builder.with_no_client_auth())
    }
}

/// Whether a host is this machine: what goes there is not seen on the way.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn other_machines_are_reached_encrypted_unless_it_is_said_otherwise() {
        let tls = |text: &str| Address::parse(text).unwrap().tls;
        for plain in [
            "postgres://u@localhost/h",
            "postgres://u@127.0.0.1:5433/h",
            "postgresql://u@[::1]/h",
            "postgres:///h?host=/run/postgresql&port=5433",
            "postgres://u@db.example/h?sslmode=disable",
        ] {
            assert_eq!(tls(plain), None, "{plain}");
        }
        assert_eq!(tls("postgres://u:p@db.example/h?connect_timeout=3"), Some(Roots::System));
        assert_eq!(tls("postgres://u@localhost/h?sslmode=require"), Some(Roots::System));
        let own = tls("postgres://u@db.example/h?sslmode=verify-full&sslrootcert=/etc/db.pem");
        assert_eq!(own, Some(Roots::File("/etc/db.pem".to_owned())));
    }

    #[test]
    fn ways_that_encrypt_only_perhaps_are_refused() {
        for mode in ["prefer", "allow", "yes"] {
            let error = Address::parse(&format!("postgres://u@db.example/h?sslmode={mode}")).unwrap_err();
            assert!(error.to_string().contains("sslmode is disable"), "{error}");
        }
    }
}
