//! What systemd is told of us: ready, stopping, a line of status, and that we are alive. Silent anywhere else.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon keeps services from now on.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon is on its way out.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// What it is busy with.
pub(crate) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// Tells systemd's watchdog that we live, for as long as the runtime still gets round to it. Ends at once where no
/// watchdog was asked for.
pub(crate) async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}
