//! The signals that the daemon lives by.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::RunError;

/// SIGTERM and SIGINT, as one wish to stop; SIGHUP is taken so that it does not kill.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on these signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, RunError> {
        let listen =
            |kind| signal(kind).map_err(|error| RunError::Setup { what: "signals", detail: error.to_string() });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Returns when somebody wants us to stop, with the signal's name. Safe to drop and call again.
    pub(crate) async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: reloading is not available in this version; the configuration stays as it is");
                }
            }
        }
    }
}
