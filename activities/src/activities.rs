//! The activities themselves: the contract of [`crate::api`] and the one-shot forms that operators call by name.
#![allow(missing_docs, reason = "the activities macro expands every method to an undocumented constant")]
#![allow(clippy::missing_errors_doc, reason = "how activities fail is documented once, in `crate::error`")]
#![allow(clippy::unused_async, reason = "the SDK runs activities that are not async on threads of their own")]

use std::sync::Arc;
use std::time::Duration;

use dixmgr_alerting::silence::maintenance;
use dixmgr_alerting::sync::SyncReading;
use dixmgr_model::{
    ActionOutcome, ActionReport, ActionRequest, AlertChanges, HttpCheck, Labels, Mode, Plan, PlanPage, ServiceSpec,
    SyncCheck, Target, UnitStatus,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::watch;

use crate::api::{
    DeadManRequest, DependencyWait, MaintenanceReport, MaintenanceRequest, NotifyRequest, PlanRequest, WatchOwnRequest,
    WatchReport, WatchRequest, definitions,
};
use crate::breakers::CircuitBreakers;
use crate::disk::Disk;
use crate::error::{self, Failure};
use crate::history::event::{bounded, outcome as outcome_name};
use crate::history::{Act, History};
use crate::http::{CheckResult, HttpChecker, HttpError};
use crate::in_force::InForce;
use crate::log;
use crate::manager::{Action, ManagerError, TrackedUnit, UnitManager, Verb};
use crate::metrics::Metrics;
use crate::notify::dead_man::check as check_looks;
use crate::own::{OwnWatch, Sources};
use crate::resources::{ResourceReport, resources};
use crate::sync::{SyncChecker, SyncError};
use crate::watch::activity::watch_service;
use crate::watch::board::Board;
use crate::watch::{Hub, HubOptions};

/// Most services in one page of the plan: well below what a history event may hold.
const PAGE: usize = 200;

/// Longest time for a start, stop or restart that an operator asks for by name.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(90);

/// What the activities need.
pub struct ActivitiesOptions {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Who runs the services.
    pub manager: Arc<dyn UnitManager>,
    /// Where everything is counted.
    pub metrics: Metrics,
    /// The configuration, as it is now.
    pub in_force: watch::Receiver<Arc<InForce>>,
    /// Carries out HTTP checks.
    pub http: HttpChecker,
    /// What is left alone for a while. The unit manager above may be guarded by them too.
    pub breakers: CircuitBreakers,
    /// Where others read how services are.
    pub board: Board,
    /// Where how they were, and what was done, is kept; absent when it is switched off.
    pub history: Option<History>,
    /// Where its data is, and how full that was.
    pub disk: Disk,
    /// How long the engine took for a commit lately, or a cluster for an answer.
    pub engine: watch::Receiver<Option<Duration>>,
}

/// The activities of one daemon, to be registered with its worker.
pub struct Activities {
    options: ActivitiesOptions,
    sync: SyncChecker,
    hub: Hub,
    own: OwnWatch,
}

impl Activities {
    /// Names of all activities: their series exist before the first of them has run.
    pub const NAMES: [&str; 18] = [
        "watch_service",
        "start_unit",
        "restart_unit",
        "stop_unit",
        "record_dependency_wait",
        "plan_page",
        "dead_man_ping",
        "watch_own",
        "maintenance_windows",
        "notify",
        "CheckSystemdServiceActivity",
        "CheckResourceUsageActivity",
        "CheckHTTPEndpointActivity",
        "CheckHTTPEndpointSimpleActivity",
        "CheckNodeSyncActivity",
        "StartSystemdServiceActivity",
        "StopSystemdServiceActivity",
        "RestartSystemdServiceActivity",
    ];

    /// The activities, with their hub.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn new(options: ActivitiesOptions) -> Self {
        let sync = SyncChecker::new(&options.http);
        let hub = Hub::start(HubOptions {
            manager: Arc::clone(&options.manager),
            metrics: options.metrics.clone(),
            http: options.http.clone(),
            sync: sync.clone(),
            breakers: options.breakers.clone(),
            in_force: options.in_force.clone(),
            board: options.board.clone(),
            history: options.history.clone(),
        });
        let sources = Sources {
            in_force: options.in_force.clone(),
            board: options.board.clone(),
            metrics: options.metrics.clone(),
            disk: options.disk.clone(),
            engine: options.engine.clone(),
        };
        let own = OwnWatch::new(sources);
        Self { options, sync, hub, own }
    }

    /// The configuration, as it is now.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.options.in_force.borrow())
    }

    /// Carries an action out, for the `attempt`th time; in watch mode, says that it would have been.
    async fn act(&self, attempt: u32, verb: Verb, request: ActionRequest) -> Result<ActionReport, ActivityError> {
        let manager = &self.options.manager;
        let unit = unit_name(&request);
        let ActionRequest { service, kind, target, replaces, reason, timeout } = request;
        if unit.is_empty() {
            return Err(error::bad_input("an action names no unit"));
        }
        let report = match self.options.mode {
            Mode::Watch => {
                let unit = one_status(manager.as_ref(), &unit).await.map_err(error::manager)?;
                ActionReport { outcome: ActionOutcome::WouldDo, unit, detail: String::new() }
            }
            Mode::Exec => {
                let unit = TrackedUnit { unit: unit.clone(), target };
                let action = Action { unit, verb, replaces: replaces.clone(), timeout };
                manager.act(&action).await.map_err(|error| {
                    log::attempt(attempt, verb, &service, &reason, &error);
                    error::manager(error)
                })?
            }
        };
        self.count(verb, &service, &kind, &replaces, report.outcome);
        log::carried_out(verb, &service, &unit, &reason, &report);
        if let Some(history) = &self.options.history {
            let (outcome, detail) = (outcome_name(report.outcome), bounded(&report.detail));
            // What finds no room is counted there.
            let _ = history.acted(&service, Act { verb: log::word(verb), reason, outcome, detail });
        }
        Ok(report)
    }

    /// A restart is a restart, and so is a start of something that had run before.
    fn count(&self, verb: Verb, service: &str, kind: &str, replaces: &str, outcome: ActionOutcome) {
        let carried_out = matches!(outcome, ActionOutcome::Done | ActionOutcome::Failed);
        let restart = verb == Verb::Restart || (verb == Verb::Start && !replaces.is_empty());
        if !carried_out || !restart {
            return;
        }
        let planned = self.in_force().plan.services.iter().find(|spec| spec.name == service).cloned();
        if let Some(spec) = planned {
            self.options.metrics.service(&spec).add_restart();
        } else {
            tracing::debug!(service, kind, "a restart of a service that is not in the plan");
        }
    }

    async fn check_http(&self, check: &HttpCheck) -> Result<CheckResult, ActivityError> {
        match self.options.http.examine(check).await {
            (_, Err(HttpError::BadCheck(bad))) => Err(error::bad_input(bad)),
            (result, _) => Ok(result),
        }
    }

    /// An action that an operator asks for by the unit's name.
    async fn operate(&self, attempt: u32, verb: Verb, unit: String) -> Result<ActionReport, ActivityError> {
        let status = one_status(self.options.manager.as_ref(), &unit).await.map_err(error::manager)?;
        let planned = self.in_force().plan.services.iter().find(|spec| spec.unit_name() == unit).cloned();
        let (service, labels, target) = match planned {
            Some(ServiceSpec { name, labels, target, .. }) => (name, labels, target),
            None => (unit.clone(), Labels::default(), Target::Unit(unit)),
        };
        let request = ActionRequest {
            service,
            kind: labels.kind,
            target,
            replaces: status.invocation_id,
            reason: "operator".to_owned(),
            timeout: OPERATOR_TIMEOUT,
        };
        self.act(attempt, verb, request).await
    }
}

#[activities]
impl Activities {
    /// Watches a service until there is something to decide.
    #[activity(definition = definitions::WatchService)]
    pub async fn watch_service(
        self: Arc<Self>,
        context: ActivityContext,
        request: WatchRequest,
    ) -> Result<WatchReport, ActivityError> {
        watch_service(&self.hub, &context, request).await
    }

    /// Starts a unit.
    #[activity(definition = definitions::StartUnit)]
    pub async fn start_unit(
        self: Arc<Self>,
        context: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        self.act(context.info().attempt, Verb::Start, request).await
    }

    /// Restarts a unit.
    #[activity(definition = definitions::RestartUnit)]
    pub async fn restart_unit(
        self: Arc<Self>,
        context: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        self.act(context.info().attempt, Verb::Restart, request).await
    }

    /// Stops a unit.
    #[activity(definition = definitions::StopUnit)]
    pub async fn stop_unit(
        self: Arc<Self>,
        context: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        self.act(context.info().attempt, Verb::Stop, request).await
    }

    /// Counts a dependency wait.
    #[activity(definition = definitions::RecordDependencyWait)]
    pub async fn record_dependency_wait(
        self: Arc<Self>,
        _context: ActivityContext,
        wait: DependencyWait,
    ) -> Result<(), ActivityError> {
        let DependencyWait { service, dependency, waited, timed_out } = wait;
        if !self.options.metrics.dependency_wait(&service, &dependency, waited, timed_out) {
            tracing::debug!(service, dependency, "a wait of a service, or for one, that is not in the plan");
        }
        Ok(())
    }

    /// Sends a message about alerts.
    #[activity(definition = definitions::Notify)]
    pub async fn notify(
        self: Arc<Self>,
        context: ActivityContext,
        request: NotifyRequest,
    ) -> Result<String, ActivityError> {
        let NotifyRequest { channel, message } = request;
        self.in_force().notifier.send(&channel, &message).await.map_err(|failure| {
            log::unsent(context.info().attempt, &channel, &message.group, &failure);
            error::notify(failure)
        })
    }

    /// Says that all is well.
    #[activity(definition = definitions::DeadManPing)]
    pub async fn dead_man_ping(
        self: Arc<Self>,
        _context: ActivityContext,
        request: DeadManRequest,
    ) -> Result<String, ActivityError> {
        let in_force = self.in_force();
        let Some(dead_man) = &in_force.dead_man else {
            return Err(error::bad_input("no dead-man URL is configured any more"));
        };
        check_looks(&self.options.board, &in_force.plan, request.interval).map_err(error::notify)?;
        in_force.notifier.ping(&dead_man.url).await.map_err(error::notify)
    }

    /// Looks at dixmgr itself.
    #[activity(definition = definitions::WatchOwn)]
    pub async fn watch_own(
        self: Arc<Self>,
        context: ActivityContext,
        request: WatchOwnRequest,
    ) -> Result<AlertChanges, ActivityError> {
        self.own.watch(&context, request).await
    }

    /// Maintenance windows.
    #[activity(definition = definitions::MaintenanceWindows)]
    pub async fn maintenance_windows(
        self: Arc<Self>,
        _context: ActivityContext,
        request: MaintenanceRequest,
    ) -> Result<MaintenanceReport, ActivityError> {
        let MaintenanceRequest { from, to } = request;
        let (silences, known_until) = maintenance::silences(&self.in_force().alerts.maintenance, from, to);
        Ok(MaintenanceReport { silences, known_until })
    }

    /// A page of the plan.
    #[activity(definition = definitions::PlanPage)]
    pub async fn plan_page(
        self: Arc<Self>,
        _context: ActivityContext,
        request: PlanRequest,
    ) -> Result<PlanPage, ActivityError> {
        page(&self.in_force().plan, request.from)
    }

    /// One look at a unit.
    #[activity(name = "CheckSystemdServiceActivity")]
    pub async fn check_systemd_service(
        self: Arc<Self>,
        _context: ActivityContext,
        unit: String,
    ) -> Result<UnitStatus, ActivityError> {
        one_status(self.options.manager.as_ref(), &unit).await.map_err(error::manager)
    }

    /// One look at what a unit's processes use.
    #[activity(name = "CheckResourceUsageActivity")]
    pub async fn check_resource_usage(
        self: Arc<Self>,
        _context: ActivityContext,
        unit: String,
    ) -> Result<ResourceReport, ActivityError> {
        resources(self.options.manager.as_ref(), &unit).await.map_err(error::manager)
    }

    /// One HTTP check.
    #[activity(name = "CheckHTTPEndpointActivity")]
    pub async fn check_http_endpoint(
        self: Arc<Self>,
        _context: ActivityContext,
        check: HttpCheck,
    ) -> Result<CheckResult, ActivityError> {
        self.check_http(&check).await
    }

    /// One HTTP check of a URL: any 2xx within 10 s is healthy.
    #[activity(name = "CheckHTTPEndpointSimpleActivity")]
    pub async fn check_http_endpoint_simple(
        self: Arc<Self>,
        _context: ActivityContext,
        url: String,
    ) -> Result<CheckResult, ActivityError> {
        let check = serde_json::from_value(serde_json::json!({ "url": url })).map_err(error::bad_input)?;
        self.check_http(&check).await
    }

    /// One look at a node's synchronisation.
    #[activity(name = "CheckNodeSyncActivity")]
    pub async fn check_node_sync(
        self: Arc<Self>,
        _context: ActivityContext,
        check: SyncCheck,
    ) -> Result<SyncReading, ActivityError> {
        self.sync.check(&check).await.map_err(|failure| match failure {
            SyncError::BadEndpoint(bad) => error::bad_input(bad),
            other => error::retryable(Failure::Rpc, other),
        })
    }

    /// Starts a unit by its name.
    #[activity(name = "StartSystemdServiceActivity")]
    pub async fn start_systemd_service(
        self: Arc<Self>,
        context: ActivityContext,
        unit: String,
    ) -> Result<ActionReport, ActivityError> {
        self.operate(context.info().attempt, Verb::Start, unit).await
    }

    /// Stops a unit by its name.
    #[activity(name = "StopSystemdServiceActivity")]
    pub async fn stop_systemd_service(
        self: Arc<Self>,
        context: ActivityContext,
        unit: String,
    ) -> Result<ActionReport, ActivityError> {
        self.operate(context.info().attempt, Verb::Stop, unit).await
    }

    /// Restarts a unit by its name.
    #[activity(name = "RestartSystemdServiceActivity")]
    pub async fn restart_systemd_service(
        self: Arc<Self>,
        context: ActivityContext,
        unit: String,
    ) -> Result<ActionReport, ActivityError> {
        self.operate(context.info().attempt, Verb::Restart, unit).await
    }
}

impl std::fmt::Debug for Activities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activities").field("mode", &self.options.mode).finish_non_exhaustive()
    }
}

/// How the unit manager knows the target of a request.
fn unit_name(request: &ActionRequest) -> String {
    match &request.target {
        Target::Unit(unit) => unit.clone(),
        Target::Command(_) => request.service.clone(),
    }
}

async fn one_status(manager: &dyn UnitManager, unit: &str) -> Result<UnitStatus, ManagerError> {
    let mut statuses = manager.statuses(&[unit.to_owned()]).await?;
    Ok(statuses.pop().unwrap_or_else(UnitStatus::unknown))
}

fn page(plan: &Plan, from: usize) -> Result<PlanPage, ActivityError> {
    if from > plan.services.len() {
        let text = format!("the plan has {} services; page {from} is beyond its end", plan.services.len());
        return Err(error::bad_input(text));
    }
    let to = (from + PAGE).min(plan.services.len());
    Ok(PlanPage {
        revision: plan.revision.clone(),
        services: plan.services[from..to].to_vec(),
        next: (to < plan.services.len()).then_some(to),
    })
}

#[cfg(test)]
#[path = "activities_tests.rs"]
mod tests;
