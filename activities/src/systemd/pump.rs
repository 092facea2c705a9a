//! Keeps the connection: opens it, hears its signals, opens it again when it is lost.
//!
//! The pump only notes what it hears. It never calls systemd while it listens: a call waits for an answer that is read
//! behind the very signals that would then not be taken off the queue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use tokio::time::{Instant, sleep};
use zbus::names::MemberName;
use zbus::{Message, MessageStream, ObjectPath};

use super::error::CallError;
use super::name;
use super::session::Session;
use super::{Connection, Shared};

/// Waits between two attempts to connect: from the first to the longest, doubling.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A connection that lasted this long was a good one: the next attempt is made at once.
const LASTING: Duration = Duration::from_secs(10);

/// Runs until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut wait = BACKOFF.0;
    let mut complained = false;
    for number in 1.. {
        match Session::open(&shared.address, number).await {
            Ok((session, signals)) => {
                tracing::info!(connection = number, "connected to systemd");
                let opened = Instant::now();
                let session = Arc::new(session);
                shared.connection.send_replace(Connection::Up(Arc::clone(&session)));
                shared.announce_all();
                let why = listen(&shared, &session, signals).await;
                shared.connection.send_replace(Connection::Down(why.to_owned()));
                session.jobs.close();
                tracing::warn!(connection = number, why, "lost systemd; connecting again");
                complained = false;
                if opened.elapsed() >= LASTING {
                    wait = BACKOFF.0;
                }
            }
            Err(error) => {
                shared.connection.send_replace(Connection::Down(error.to_string()));
                if !complained {
                    tracing::warn!(%error, "cannot reach systemd; trying again until it answers: {error}");
                    complained = true;
                }
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

/// Notes signals until the connection ends, and says why it did.
async fn listen(shared: &Shared, session: &Session, mut signals: SelectAll<MessageStream>) -> &'static str {
    while let Some(signal) = signals.next().await {
        let Ok(signal) = signal else { return "the bus closed the connection" };
        match note(shared, session, &signal) {
            Ok(true) => {}
            Ok(false) => return "systemd left the bus",
            // A signal that cannot be read is not about anything we know how to read.
            Err(error) => tracing::debug!(%error, "left a signal aside"),
        }
    }
    "the bus closed the connection"
}

/// Notes one signal. Whether the connection still serves.
fn note(shared: &Shared, session: &Session, signal: &Message) -> Result<bool, CallError> {
    let header = signal.header();
    match header.member().map(MemberName::as_str) {
        Some("PropertiesChanged") => {
            if let Some(unit) = header.path().and_then(|path| name::from_object_path(path.as_str())) {
                tracing::trace!(unit, "signalled");
                shared.announce(&unit);
            }
        }
        Some("JobRemoved") => {
            let body = signal.body();
            let (id, _, unit, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize()?;
            session.jobs.ended(id, result);
            shared.announce(unit);
        }
        Some("Reloading") => {
            let begins: bool = signal.body().deserialize()?;
            if !begins {
                shared.announce_all();
            }
        }
        Some("NameOwnerChanged") => return Ok(false),
        _ => {}
    }
    Ok(true)
}
