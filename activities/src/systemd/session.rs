//! One connection to the bus, for as long as it lasts: calls, properties, and the streams of signals.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{SelectAll, select_all};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, DynamicType, MatchRule, Message, MessageStream, OwnedVariant, match_rule};

use super::error::CallError;
use super::jobs::Jobs;

/// Bus name of systemd.
const SERVICE: &str = "org.freedesktop.systemd1";
/// Object of its manager.
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Interface of its manager.
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// Interface of units of any kind.
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// Standard interface of properties.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Longest wait for one answer; systemd answers in microseconds unless it hangs. Also for connecting.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Signals that may wait for us. The pump does nothing but note them, so this only bounds a burst.
const SIGNAL_QUEUE: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Address of a bus that is not the system's own.
pub(super) type Address = Option<String>;

/// Calls in flight at the same time. The bus answers more than 128 of one connection with `LimitsExceeded`
/// (`max_replies_per_connection` of dbus-daemon's system configuration).
const CALLS: usize = 100;

/// Oneshots held in systemd's memory. systemd keeps a match rule on the bus for each, of which the bus allows it 512; with
/// one more, it loses its connection.
const MAX_PINS: usize = 128;

/// A live connection.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    calls: Semaphore,
    pins: AtomicUsize,
    /// Counts connections: what was remembered under another number may be stale.
    pub(super) number: u64,
    /// Jobs whose end somebody waits for.
    pub(super) jobs: Jobs,
}

impl Session {
    /// Connects and subscribes. Signals arrive from before this returns, so that nothing is missed.
    ///
    /// # Errors
    /// The bus or systemd does not answer.
    pub(super) async fn open(address: &Address, number: u64) -> Result<(Self, SelectAll<MessageStream>), CallError> {
        match timeout(CALL_TIMEOUT, Self::connect(address, number)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::timeout(CALL_TIMEOUT)),
        }
    }

    async fn connect(address: &Address, number: u64) -> Result<(Self, SelectAll<MessageStream>), CallError> {
        let builder = match address {
            Some(address) => Builder::address(address.as_str()),
            None => Builder::system(),
        };
        let connection = builder.build().await?;
        let mut streams = Vec::new();
        for rule in rules()? {
            streams.push(MessageStream::for_match_rule(rule, &connection, Some(SIGNAL_QUEUE)).await?);
        }
        let session =
            Self { connection, calls: Semaphore::new(CALLS), pins: AtomicUsize::new(0), number, jobs: Jobs::default() };
        session.manager("Subscribe", &()).await?;
        Ok((session, select_all(streams)))
    }

    /// Calls a method of systemd's manager.
    pub(super) async fn manager<B>(&self, method: &'static str, body: &B) -> Result<Message, CallError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.call(MANAGER_PATH, MANAGER, method, body).await
    }

    /// Reads one property.
    pub(super) async fn property<T>(&self, path: &str, interface: &'static str, name: &str) -> Result<T, CallError>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        value(&self.get(path, interface, name).await?)
    }

    /// systemd's answer about one property; [`value`] reads it.
    pub(super) async fn get(&self, path: &str, interface: &'static str, name: &str) -> Result<Message, CallError> {
        self.call(path, PROPERTIES, "Get", &(interface, name)).await
    }

    /// Asks something that costs nothing, so that it is known whether systemd itself answers.
    pub(super) async fn ping(&self) -> Result<(), CallError> {
        self.get(MANAGER_PATH, MANAGER, "Version").await.map(drop)
    }

    /// Asks systemd to keep a oneshot in memory while we are connected.
    ///
    /// A unit that is not running and that nothing refers to is dropped at once, and with it its invocation and result: a
    /// oneshot that has just succeeded would look like one that never ran. Not being let to is no fault: it is then as it
    /// was before, and a oneshot with `RemainAfterExit=yes` does not need it.
    pub(super) async fn pin(&self, unit: &str) {
        match self.pins.fetch_add(1, Ordering::Relaxed) {
            0..MAX_PINS => {
                if let Err(error) = self.manager("RefUnit", &unit).await {
                    tracing::debug!(unit, %error, "systemd does not keep this unit in memory for us");
                }
            }
            MAX_PINS => tracing::warn!(
                unit,
                "more than {MAX_PINS} oneshot services: give them RemainAfterExit=yes, or systemd forgets that they ran"
            ),
            _ => {}
        }
    }

    async fn call<B>(
        &self,
        path: &str,
        interface: &'static str,
        method: &'static str,
        body: &B,
    ) -> Result<Message, CallError>
    where
        B: Serialize + DynamicType + Sync,
    {
        // The semaphore is never closed; without a permit, the call is merely one too many.
        let _permit = self.calls.acquire().await.ok();
        let call = self.connection.call_method(Some(SERVICE), path, Some(interface), method, body);
        match timeout(CALL_TIMEOUT, call).await {
            Ok(reply) => Ok(reply?),
            Err(_) => Err(CallError::timeout(CALL_TIMEOUT)),
        }
    }
}

/// The value in an answer about a property.
pub(super) fn value<T>(reply: &Message) -> Result<T, CallError>
where
    T: TryFrom<OwnedVariant>,
    T::Error: Into<zbus::Error>,
{
    let value: OwnedVariant = reply.body().deserialize()?;
    T::try_from(value).map_err(|error| CallError::from(error.into()))
}

/// What is listened to.
///
/// `UnitNew` and `UnitRemoved` are left out on purpose: asking about a unit that is not loaded makes systemd load it,
/// announce it, and drop it again, and who then looks because of the announcement asks again, for ever. Nothing is missed:
/// a start of such a unit is announced by its job, and every later change by `PropertiesChanged`.
fn rules() -> Result<[MatchRule<'static>; 4], zbus::Error> {
    let manager =
        |member: &'static str| signal().sender(SERVICE).path(MANAGER_PATH).interface(MANAGER).member(member).build();
    Ok([
        signal()
            .sender(SERVICE)
            .path_namespace("/org/freedesktop/systemd1/unit")
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .build()?,
        manager("JobRemoved")?,
        manager("Reloading")?,
        // systemd itself took a new place on the bus: our subscription is gone.
        signal()
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, SERVICE)
            .build()?,
    ])
}

fn signal() -> match_rule::Builder<'static> {
    MatchRule::builder().msg_type(Type::Signal)
}
