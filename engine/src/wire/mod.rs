//! The engine on the network: gRPC over HTTP/2, for SDKs of any language and Temporal's own command line.
//!
//! [`connections`] accepts, [`frontend`] finds out who asks for what, [`codec`] passes messages through, [`reflection`]
//! describes the services. What a method does is no business of this room: [`crate::service`] answers.
//!
//! What a client can cost is bounded: connections, requests at a time on each, bytes of a request, time for one. A client
//! that is gone is noticed by pings.

mod codec;
mod connections;
mod frontend;
mod reflection;

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

pub use self::reflection::DESCRIPTORS;

use self::connections::connections;
use self::frontend::Frontend;
use crate::Engine;

/// Connections at a time. Each SDK worker or client has one.
const MAX_CONNECTIONS: usize = 1_024;
/// Requests at a time on one connection, the long polls of workers among them.
const MAX_REQUESTS_PER_CONNECTION: u32 = 256;
/// Bytes that may be on their way to us, unread, on one connection, and for one request.
const CONNECTION_WINDOW: u32 = 4 << 20;
const REQUEST_WINDOW: u32 = 1 << 20;
/// Longest time for one request: above the longest long poll.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);
/// How often a silent client is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// How the engine listens.
#[derive(Debug)]
pub struct WireOptions {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Encryption; without it, only a loopback address may be listened on.
    pub tls: Option<TlsOptions>,
    /// Clients send it as `authorization: Bearer KEY`.
    pub api_key: Option<SecretString>,
}

impl WireOptions {
    /// In the clear and open to every program of this machine, which is for loopback addresses only.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, tls: None, api_key: None }
    }

    /// Refuses what would let anyone on the network in.
    fn check(&self) -> Result<(), WireError> {
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        let known_clients = self.api_key.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        match (&self.tls, known_clients) {
            (None, _) => Err(WireError::Open { listen: self.listen, lacking: "TLS (a certificate and its key)" }),
            (Some(_), false) => Err(WireError::Open {
                listen: self.listen,
                lacking: "an API key or the certificate authority of its clients",
            }),
            (Some(_), true) => Ok(()),
        }
    }
}

/// The engine's identity, and whose clients it trusts; all in PEM form.
#[derive(Debug)]
pub struct TlsOptions {
    /// Certificate, with those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: SecretString,
    /// Authority that has signed the clients' certificates; with it, a client without one is refused.
    pub client_ca: Option<Vec<u8>>,
}

/// Why the engine does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Anyone on the network could use it.
    #[error("{listen} can be reached from other machines, so it needs {lacking}; or listen on 127.0.0.1")]
    Open {
        /// The address.
        listen: SocketAddr,
        /// What is missing.
        lacking: &'static str,
    },
    /// The address is taken, or not ours.
    #[error("cannot listen on {listen}: {source}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("the certificate, its key or the clients' authority cannot be used: {0}")]
    Tls(#[from] tonic::transport::Error),
}

/// A listening engine. Ends its connections when dropped; [`Listener::close`] lets requests under way come to an end.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Engine {
    /// Begins to listen.
    ///
    /// # Errors
    /// The options would let anyone in, the address is taken, or the certificate cannot be used.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn listen(&self, options: WireOptions) -> Result<Listener, WireError> {
        options.check()?;
        let mut server = Server::builder()
            .max_concurrent_streams(MAX_REQUESTS_PER_CONNECTION)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(REQUEST_WINDOW)
            .timeout(REQUEST_TIMEOUT)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT));
        if let Some(tls) = &options.tls {
            server = server.tls_config(tls.config())?;
        }
        let bind = |source| WireError::Bind { listen: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let frontend = Frontend::new(self.remote_service(), options.api_key);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = server.serve_with_incoming_shutdown(frontend, connections(listener, MAX_CONNECTIONS), async {
            // Dropped or told: the same.
            let _ = stopped.await;
        });
        Ok(Listener { address, stop: Some(stop), server: tokio::spawn(server) })
    }
}

impl TlsOptions {
    fn config(&self) -> ServerTlsConfig {
        let identity = Identity::from_pem(&self.certificate, self.key.expose_secret());
        let config = ServerTlsConfig::new().identity(identity);
        match &self.client_ca {
            Some(authority) => config.client_ca_root(Certificate::from_pem(authority)),
            None => config,
        }
    }
}

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, and gives requests under way `patience` to come to an end.
    pub async fn close(mut self, patience: Duration) {
        drop(self.stop.take());
        let _ = tokio::time::timeout(patience, &mut self.server).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nobody_is_let_in_from_the_network_unasked() {
        let tls = |client_ca: Option<&str>| {
            Some(TlsOptions {
                certificate: Vec::new(),
                key: SecretString::default(),
                client_ca: client_ca.map(|text| text.as_bytes().to_vec()),
            })
        };
        let key = || Some(SecretString::from("key"));
        let table = [
            ("127.0.0.1:7233", None, None, true),
            ("[::1]:7233", None, None, true),
            ("0.0.0.0:7233", None, None, false),
            ("0.0.0.0:7233", None, key(), false),
            ("[::]:7233", tls(None), None, false),
            ("192.0.2.1:7233", tls(None), key(), true),
            ("192.0.2.1:7233", tls(Some("ca")), None, true),
        ];
        for (listen, tls, api_key, allowed) in table {
            let options = WireOptions { listen: listen.parse().unwrap(), tls, api_key };
            assert_eq!(options.check().is_ok(), allowed, "{options:?}");
        }
    }
}
