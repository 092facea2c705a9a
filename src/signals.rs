//! The signals that the daemon lives by.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::RunError;

/// SIGTERM and SIGINT, as one wish to stop.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, RunError> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns when somebody wants us to stop, with the signal's name. Safe to drop and call again.
    pub(crate) async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, as the wish to reload. From now on it does not end the process by itself.
pub(crate) fn hangups() -> Result<Signal, RunError> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::Setup { what: "signals", detail: error.to_string() })
}
