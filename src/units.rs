//! The unit manager that the settings ask for.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_activities::direct::{DirectManager, DirectOptions};
use dixmgr_activities::manager::UnitManager;
use dixmgr_activities::systemd::{SystemdManager, SystemdOptions};

use crate::config::ManagerKind;
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::settings::Settings;

/// Where direct mode keeps output and PID files on a machine that lets us.
const LOG_DIR: &str = "/var/log/dixmgr";
const PID_DIR: &str = "/run/dixmgr";

/// Time from SIGTERM to SIGKILL when a process is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for processes that end with dixmgr; its drain is short.
const DRAIN: Duration = Duration::from_millis(400);

/// Who runs the services.
pub(crate) enum Units {
    /// systemd.
    Systemd(Arc<SystemdManager>),
    /// dixmgr itself.
    Direct(Arc<DirectManager>),
}

impl Units {
    /// Sets the manager up. systemd is connected to in the background; direct mode adopts what still lives.
    pub(crate) fn open(settings: &Settings, data: &DataDir) -> Result<Self, RunError> {
        if settings.manager == ManagerKind::Systemd {
            return Ok(Self::Systemd(Arc::new(SystemdManager::start(SystemdOptions::default()))));
        }
        let log_dir = data.process_dir(settings.process_log_dir.as_deref(), LOG_DIR, "log", "-process-log-dir")?;
        let pid_dir = data.process_dir(settings.process_pid_dir.as_deref(), PID_DIR, "run", "-process-pid-dir")?;
        let options = DirectOptions { log_dir, pid_dir, stop_timeout: STOP_TIMEOUT };
        let manager = DirectManager::new(options).map_err(|error| RunError::Manager(error.to_string()))?;
        Ok(Self::Direct(Arc::new(manager)))
    }

    /// As the activities see it.
    pub(crate) fn manager(&self) -> Arc<dyn UnitManager> {
        match self {
            Self::Systemd(manager) => Arc::clone(manager) as Arc<dyn UnitManager>,
            Self::Direct(manager) => Arc::clone(manager) as Arc<dyn UnitManager>,
        }
    }

    /// Ends the processes that are to die with dixmgr; all others live on.
    pub(crate) async fn drain(&self) {
        if let Self::Direct(manager) = self {
            manager.shutdown(DRAIN).await;
        }
    }
}
