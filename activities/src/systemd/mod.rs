//! systemd as the manager of units, over D-Bus.
//!
//! One connection, opened again whenever it is lost; after that, every tracked unit is announced as changed, since nobody
//! knows what was missed. Layers: [`session`] talks to the bus, [`pump`] keeps it and hears its signals, [`registry`]
//! remembers, [`status`] (many units), [`glance`] (few, and soon) and [`reading`] read states, [`decide`] and [`act`] carry out actions. Knows nothing of services or policies.

mod act;
mod decide;
mod error;
mod glance;
mod jobs;
mod name;
mod phase;
mod pump;
mod reading;
mod registry;
mod session;
mod status;
mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dixmgr_model::{ActionReport, UnitStatus};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::error::{CallError, SYSTEMD, unreachable};
use self::registry::Registry;
use self::session::{Address, Session};
use self::turns::Turns;
use crate::manager::{Action, ManagerError, TrackedUnit, UnitManager};
use crate::proc::cgroup::{CgroupError, CgroupTree};

/// Announcements that a slow listener may have outstanding; one that lags further is told so and looks at everything.
const CHANGES_QUEUE: usize = 2048;

/// How long a call waits for the first connection of all. Later ones fail at once while the bus is away.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// Where systemd is found.
#[derive(Debug, Clone, Default)]
pub struct SystemdOptions {
    /// Address of the bus; when absent, `DBUS_SYSTEM_BUS_ADDRESS` or else the system's own.
    pub address: Option<String>,
}

/// systemd. Ends its connection when dropped.
#[derive(Debug)]
pub struct SystemdManager {
    shared: Arc<Shared>,
    pump: JoinHandle<()>,
}

/// What the calls and the pump have in common.
#[derive(Debug)]
struct Shared {
    address: Address,
    connection: watch::Sender<Connection>,
    changes: broadcast::Sender<String>,
    registry: Mutex<Registry>,
    turns: Turns,
    cgroups: Option<CgroupTree>,
}

/// How the connection stands.
#[derive(Debug, Clone)]
enum Connection {
    /// No attempt has ended yet.
    Opening,
    /// It serves.
    Up(Arc<Session>),
    /// It was lost, or cannot be had, for this reason.
    Down(String),
}

impl SystemdManager {
    /// Begins to connect, in the background; returns at once.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(options: SystemdOptions) -> Self {
        let cgroups = CgroupTree::discover();
        if let Err(error) = &cgroups {
            tracing::info!(%error, "processes of units are asked from systemd instead: {error}");
        }
        let shared = Arc::new(Shared {
            address: options.address,
            connection: watch::Sender::new(Connection::Opening),
            changes: broadcast::Sender::new(CHANGES_QUEUE),
            registry: Mutex::default(),
            turns: Turns::default(),
            cgroups: cgroups.ok(),
        });
        let pump = tokio::spawn(pump::run(Arc::clone(&shared)));
        Self { shared, pump }
    }
}

impl Drop for SystemdManager {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

#[async_trait]
impl UnitManager for SystemdManager {
    async fn track(&self, target: &TrackedUnit) -> Result<(), ManagerError> {
        self.shared.registry().track(&target.unit);
        Ok(())
    }

    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError> {
        let session = self.shared.session().await?;
        if units.is_empty() {
            // Somebody wants to know whether systemd is there. That the bus is says nothing of a systemd that stands still.
            session.ping().await?;
        }
        Ok(self.shared.statuses(&session, units).await?)
    }

    fn changes(&self) -> broadcast::Receiver<String> {
        self.shared.changes.subscribe()
    }

    async fn processes(&self, unit: &str) -> Result<Vec<u32>, ManagerError> {
        Ok(self.shared.processes(unit).await?)
    }

    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        self.shared.act(action).await
    }
}

impl Shared {
    /// The live connection. Waits for the first of all, for a moment.
    async fn session(&self) -> Result<Arc<Session>, ManagerError> {
        let mut connection = self.connection.subscribe();
        let settled = connection.wait_for(|connection| !matches!(connection, Connection::Opening));
        match timeout(FIRST_CONNECTION, settled).await {
            Ok(Ok(connection)) => match &*connection {
                Connection::Up(session) => Ok(Arc::clone(session)),
                Connection::Down(why) => Err(unreachable(why.clone())),
                Connection::Opening => Err(unreachable("not connected yet")),
            },
            Ok(Err(_)) => Err(unreachable("dixmgr is ending")),
            Err(_) => Err(ManagerError::Timeout { manager: SYSTEMD, within: FIRST_CONNECTION }),
        }
    }

    /// Every process of the unit's control group and those below it.
    async fn processes(&self, unit: &str) -> Result<Vec<u32>, CallError> {
        let (true, Some(interface)) = (name::is_valid(unit), name::kind_interface(unit)) else { return Ok(Vec::new()) };
        let session = self.session().await.map_err(CallError::Manager)?;
        let known = self.registry().control_group(unit);
        let group = match known {
            Some(group) => group,
            None => match session.property::<String>(&name::object_path(unit), interface, "ControlGroup").await {
                Ok(group) => group,
                Err(CallError::Systemd { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
        };
        if group.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(cgroups) = &self.cgroups {
            match cgroups.processes(&group) {
                Ok(processes) => {
                    self.registry().set_control_group(unit, &group);
                    return Ok(processes);
                }
                Err(CgroupError::TooLarge(_)) => tracing::warn!(unit, "its control group is too large to be walked"),
                Err(error) => tracing::debug!(unit, %error, "asking systemd for its processes"),
            }
        }
        let reply = match session.manager("GetUnitProcesses", &unit).await {
            Ok(reply) => reply,
            Err(CallError::Systemd { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let body = reply.body();
        let processes: Vec<(&str, u32, &str)> = body.deserialize()?;
        Ok(processes.into_iter().map(|(_, pid, _)| pid).collect())
    }

    /// Tells listeners that a unit has changed, if anyone tracks it.
    fn announce(&self, unit: &str) {
        let names = self.registry().signal(unit);
        for name in names {
            // Nobody listening is fine.
            let _ = self.changes.send(name);
        }
    }

    /// Tells listeners that any unit may have changed.
    fn announce_all(&self) {
        let names = self.registry().names();
        for name in names {
            let _ = self.changes.send(name);
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
