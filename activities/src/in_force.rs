//! What a daemon goes by: the services that it keeps, and what it does about alerts. It is replaced as a whole while the daemon runs, so that
//! nobody ever sees the services of one configuration and the rules of another.

use std::sync::Arc;

use dixmgr_model::{AlertPolicy, Plan};

use crate::notify::Notifier;
use crate::notify::dead_man::DeadMan;

/// One configuration, as activities and pages read it.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The services.
    pub plan: Arc<Plan>,
    /// The rules that looks are judged by, and how alerts are told.
    pub alerts: Arc<AlertPolicy>,
    /// Where messages about alerts go.
    pub notifier: Arc<Notifier>,
    /// Where it is said, and how often, that all is well.
    pub dead_man: Option<DeadMan>,
}
