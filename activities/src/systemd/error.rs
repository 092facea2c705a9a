//! What a failed D-Bus call means to its caller.

use std::time::Duration;

use zbus::fdo;

use crate::manager::ManagerError;

/// The name under which this manager appears in errors.
pub(super) const SYSTEMD: &str = "systemd";

/// Why a call gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The bus or systemd is away, or does not let us: nothing is known about the unit.
    #[error(transparent)]
    Manager(ManagerError),
    /// systemd answered with an error about the unit or job.
    #[error("{message} ({name})")]
    Systemd {
        /// D-Bus error name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// systemd's own words.
        message: String,
    },
}

impl CallError {
    /// Whether systemd answered with the error `org.freedesktop.systemd1.<name>`.
    pub(super) fn is(&self, short: &str) -> bool {
        match self {
            Self::Systemd { name, .. } => name.strip_prefix("org.freedesktop.systemd1.") == Some(short),
            Self::Manager(_) => false,
        }
    }

    /// The call took longer than it may.
    pub(super) fn timeout(within: Duration) -> Self {
        Self::Manager(ManagerError::Timeout { manager: SYSTEMD, within })
    }
}

/// systemd cannot be reached.
pub(super) fn unreachable(detail: impl Into<String>) -> ManagerError {
    ManagerError::Unreachable { manager: SYSTEMD, detail: detail.into() }
}

impl From<CallError> for ManagerError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Manager(error) => error,
            other @ CallError::Systemd { .. } => unreachable(other.to_string()),
        }
    }
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Self::Systemd { name: name.to_string(), message: message.unwrap_or_default() }
            }
            zbus::Error::FDO(error) => from_standard(*error),
            other => Self::Manager(unreachable(format!("{other}; dixmgr connects again by itself"))),
        }
    }
}

/// The standard errors of D-Bus: those of the bus about systemd, and those of systemd about the call.
fn from_standard(error: fdo::Error) -> CallError {
    match error {
        fdo::Error::AccessDenied(message) | fdo::Error::InteractiveAuthorizationRequired(message) => {
            CallError::Manager(unreachable(format!(
                "{message}; run dixmgr as root, or give its user a polkit rule for org.freedesktop.systemd1.manage-units"
            )))
        }
        fdo::Error::UnknownObject(message) => {
            CallError::Systemd { name: "org.freedesktop.DBus.Error.UnknownObject".into(), message }
        }
        fdo::Error::InvalidArgs(message) => {
            CallError::Systemd { name: "org.freedesktop.DBus.Error.InvalidArgs".into(), message }
        }
        other => CallError::Manager(unreachable(other.to_string())),
    }
}
