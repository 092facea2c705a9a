//! When systemd makes a job, as it announces it on its bus.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use dixmgr_testkit::{SystemdNamespace, monotonic_now};
use futures_util::StreamExt;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream, ObjectPath};

/// Bus name and manager of systemd.
const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Announcements of new jobs, each with the moment at which it got here: the job is there since a little earlier.
pub(crate) struct Jobs {
    announced: Receiver<(Duration, String)>,
}

impl Jobs {
    /// Begins to listen, on a thread of its own that ends with the bus.
    pub(crate) fn listen(systemd: &SystemdNamespace) -> Self {
        let (sender, announced) = channel();
        let (ready, listening) = channel();
        let address = systemd.bus_address();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut signals = subscribe(&address).await.expect("listen to systemd");
                ready.send(()).expect("somebody waits");
                while let Some(Ok(signal)) = signals.next().await {
                    let at = monotonic_now();
                    let body = signal.body();
                    let (_, _, unit): (u32, ObjectPath<'_>, &str) = body.deserialize().expect("JobNew(uos)");
                    if sender.send((at, unit.to_owned())).is_err() {
                        return;
                    }
                }
            });
        });
        listening.recv().expect("the listener is there");
        Self { announced }
    }

    /// When the first job for a unit after `since` was announced, of those that are there by now.
    pub(crate) fn first(&self, unit: &str, since: Duration) -> Option<Duration> {
        let announced: Vec<_> = self.announced.try_iter().collect();
        announced.into_iter().find(|(at, of)| of == unit && *at >= since).map(|(at, _)| at)
    }
}

async fn subscribe(address: &str) -> zbus::Result<MessageStream> {
    let connection = zbus::connection::Builder::address(address).build().await?;
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SERVICE)
        .path(PATH)
        .interface(MANAGER)
        .member("JobNew")
        .build()?;
    let signals = MessageStream::for_match_rule(rule, &connection, None).await?;
    connection.call_method(Some(SERVICE), PATH, Some(MANAGER), "Subscribe", &()).await?;
    Ok(signals)
}
