//! Where the workflows are: what the flags and the configuration say, and how it is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dixmgr_activities::secret;
use dixmgr_engine::{Engine, EngineMetrics};
use secrecy::ExposeSecret as _;
use temporalio_client::errors::ClientConnectError;
use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, RetryOptions, TlsOptions,
};
use url::Url;

use super::error::WorkflowError;
use crate::cli::PlaceArgs;
use crate::config::{self, Synchronous};
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::home::{EXEC_DATABASE, Identity, open_engine};
use crate::listen;
use crate::settings::NAMESPACE;
use crate::worker::chain;

/// Where `dixmgr engine` listens unless told otherwise.
const USUAL: &str = "127.0.0.1:7233";
/// Longest time until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the workflows are, with all that reaching them takes.
pub(super) struct Place {
    at: At,
    namespace: String,
    tls: Option<TlsOptions>,
    api_key: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Address(String),
    File(PathBuf),
}

/// An engine that was opened for this command, and its directory, which nobody else may have meanwhile.
pub(super) struct OwnEngine {
    engine: Engine,
    _data: DataDir,
}

impl OwnEngine {
    /// Closes it: what it acknowledged is on disk already.
    pub(super) async fn close(self) {
        self.engine.shutdown().await;
    }
}

impl Place {
    /// What the flags mean.
    pub(super) fn resolve(args: &PlaceArgs) -> Result<Self, WorkflowError> {
        let given = [args.address.is_some(), args.conf.is_some(), args.data_dir.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let text = "-address, -conf and -data-dir exclude each other: each says where the workflows are";
            return Err(WorkflowError::Wrong(text.to_owned()));
        }
        let mut place =
            Self { at: At::Address(USUAL.to_owned()), namespace: NAMESPACE.to_owned(), tls: None, api_key: None };
        let (mut key, mut tls) = (None, false);
        if let Some(conf) = &args.conf {
            (key, tls) = place.configured(conf)?;
        }
        if let Some(address) = &args.address {
            place.at = At::Address(address.clone());
        }
        if let Some(directory) = &args.data_dir {
            place.at = At::File(directory.clone());
        }
        place.namespace = args.namespace.clone().unwrap_or(place.namespace);
        place.tls = tls_options(args, tls)?;
        let key = args.api_key.clone().or(key).map(|reference| secret::resolve(&reference)).transpose();
        let key = key.map_err(RunError::Secret)?;
        place.api_key = key.map(|key| key.expose_secret().to_owned());
        Ok(place)
    }

    /// Takes over what the daemon's configuration says; answers its API key's reference, and whether it wants TLS.
    fn configured(&mut self, conf: &Path) -> Result<(Option<String>, bool), WorkflowError> {
        let settings = config::load_for_command(conf)?.settings;
        self.namespace = settings.temporal_namespace.unwrap_or_else(|| NAMESPACE.to_owned());
        if let Some(host) = settings.temporal_host.filter(|host| !host.is_empty()) {
            self.at = At::Address(host);
            return Ok((None, false));
        }
        let Some(listen) = settings.engine_listen else {
            return Err(WorkflowError::Failed(format!(
                "the engine of {} does not listen: add `[engine] listen = \"{USUAL}\"` to it and restart dixmgr; or stop \
                 dixmgr and name its data directory with -data-dir",
                conf.display()
            )));
        };
        self.at = At::Address(reachable(listen.listen).to_string());
        Ok((listen.api_key, listen.tls.is_some()))
    }

    /// The namespace that is asked about.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client, and the engine that it talks to when that is one of our own.
    pub(super) async fn connect(&self) -> Result<(Client, Option<OwnEngine>), WorkflowError> {
        let home = match &self.at {
            At::File(directory) => Some(open(directory)?),
            At::Address(_) => None,
        };
        let options = self.options(home.as_ref())?;
        let connected = Connection::connect(options).await.map_err(|error| self.unreachable(&error))?;
        let client = Client::new(connected, ClientOptions::new(self.namespace.as_str()).build())
            .map_err(|error| WorkflowError::Failed(error.to_string()))?;
        Ok((client, home))
    }

    fn options(&self, home: Option<&OwnEngine>) -> Result<ConnectionOptions, WorkflowError> {
        let target = match &self.at {
            At::File(_) => "http://embedded.invalid".to_owned(),
            At::Address(address) if address.contains("://") => address.clone(),
            At::Address(address) if self.tls.is_some() => format!("https://{address}"),
            At::Address(address) => format!("http://{address}"),
        };
        let target = Url::parse(&target).map_err(|error| {
            WorkflowError::Wrong(format!("the address {target:?} is not valid: {error}; write it like \"{USUAL}\""))
        })?;
        let headers = self.api_key.as_ref().map(|key| [("authorization".to_owned(), format!("Bearer {key}"))].into());
        Ok(ConnectionOptions::new(target)
            .identity(Identity::own().to_string())
            .maybe_service_override(home.map(|home| home.engine.grpc_service()))
            .dns_load_balancing(None)
            .connect_timeout(CONNECT_TIMEOUT)
            .retry_options(RetryOptions::no_retries())
            .maybe_tls_options(self.tls.clone())
            .maybe_headers(headers)
            .build())
    }

    fn unreachable(&self, error: &ClientConnectError) -> WorkflowError {
        let detail = match error {
            ClientConnectError::TonicTransportError(error) => chain(error),
            ClientConnectError::SystemInfoCallError(status) => format!("{:?}: {}", status.code(), status.message()),
            error => error.to_string(),
        };
        let what = match &self.at {
            At::Address(address) => format!("{address} is not reached"),
            At::File(directory) => format!("the engine in {} is not reached", directory.display()),
        };
        let hint =
            "does it run and listen there? -address, -conf and -data-dir say where to look, -tls and -api-key how";
        WorkflowError::Failed(format!("{what}: {detail}; {hint}"))
    }
}

/// Opens the engine's file, if there is one: a command that looks makes none.
fn open(directory: &Path) -> Result<OwnEngine, WorkflowError> {
    let database = directory.join(EXEC_DATABASE);
    if !database.is_file() {
        let text =
            format!("there is no {EXEC_DATABASE} in {}; name the data directory of a dixmgr", directory.display());
        return Err(WorkflowError::Failed(text));
    }
    let data = DataDir::open(Some(directory)).map_err(|error| match error {
        RunError::Locked { directory, holder } => WorkflowError::Failed(format!(
            "the data directory {} is in use by process {holder}; ask that dixmgr itself: -address, if its engine listens \
             (`[engine] listen = \"{USUAL}\"`)",
            directory.display()
        )),
        error => error.into(),
    })?;
    let engine = open_engine(database, Synchronous::Full, EngineMetrics::default())?;
    Ok(OwnEngine { engine, _data: data })
}

fn tls_options(args: &PlaceArgs, wanted: bool) -> Result<Option<TlsOptions>, WorkflowError> {
    let implied = args.tls_ca.is_some() || args.tls_server_name.is_some() || args.tls_certificate.is_some();
    if !(wanted || implied || args.tls) {
        return Ok(None);
    }
    let own = args.tls_certificate.as_deref().zip(args.tls_key.as_deref());
    let own = own.map(|(certificate, key)| -> Result<_, RunError> {
        let (certificate, key) = (listen::read(certificate)?, listen::private_key(key)?);
        let key = key.expose_secret().as_bytes().to_vec();
        Ok(ClientTlsOptions::builder().client_cert(certificate).client_private_key(key).build())
    });
    Ok(Some(
        TlsOptions::builder()
            .maybe_server_root_ca_cert(args.tls_ca.as_deref().map(listen::read).transpose()?)
            .maybe_domain(args.tls_server_name.clone())
            .maybe_client_tls_options(own.transpose()?)
            .build(),
    ))
}

/// An engine that listens on all addresses is reached at this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn configured(text: &str) -> Result<Place, WorkflowError> {
        let directory = tempfile::tempdir().unwrap();
        let conf = directory.path().join("dixmgr.toml");
        std::fs::write(&conf, format!("[[service]]\nname = \"a\"\nunit = \"a.service\"\n{text}")).unwrap();
        Place::resolve(&PlaceArgs { conf: Some(conf), ..PlaceArgs::default() })
    }

    #[test]
    fn the_configuration_says_where_to_look() {
        let place = configured("[engine]\nlisten = \"0.0.0.0:7300\"\n").unwrap();
        assert_eq!((place.at, place.namespace.as_str()), (At::Address("127.0.0.1:7300".to_owned()), "dotidx"));
        let place = configured("[temporal]\nhostport = \"cluster:7233\"\nnamespace = \"n\"\n").unwrap();
        assert_eq!((place.at, place.namespace.as_str()), (At::Address("cluster:7233".to_owned()), "n"));
        let silent = configured("").err().unwrap().to_string();
        assert!(silent.contains("does not listen: add `[engine] listen"), "{silent}");
    }

    #[test]
    fn one_place_is_enough() {
        let args = PlaceArgs { address: Some("a:1".to_owned()), data_dir: Some("d".into()), ..PlaceArgs::default() };
        assert!(matches!(Place::resolve(&args), Err(WorkflowError::Wrong(_))));
        let empty = tempfile::tempdir().unwrap();
        let error = open(empty.path()).err().unwrap().to_string();
        assert!(error.contains("there is no engine.db in"), "{error}");
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "looking leaves nothing behind");
    }
}
