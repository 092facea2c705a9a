//! A world with units that do as the script says, behind the definitions of `dixmgr_activities::api`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dixmgr_activities::api::{
    DependencyWait, MaintenanceReport, MaintenanceRequest, NotifyRequest, PlanRequest, WatchReport, WatchRequest,
};
use dixmgr_model::{
    ActionOutcome, ActionReport, ActionRequest, AlertChanges, Health, HealthStatus, KnownAlerts, PlanPage, RaisedAlert,
    ServiceSpec, ServiceState, Silence, Target, UnitPhase, UnitStatus,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::watch;

/// Services on one page of the plan.
const PAGE: usize = 3;

/// One unit.
#[derive(Debug, Clone)]
pub struct Unit {
    pub phase: UnitPhase,
    pub invocation: u32,
    pub health: HealthStatus,
    /// Whether it fails as soon as it is started.
    pub stillborn: bool,
}

/// One thing that was done to a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub unit: String,
    pub replaced: String,
    pub reason: String,
    pub at: std::time::Instant,
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<String, Unit>,
    effects: Vec<Effect>,
    wished: Vec<String>,
    waits: Vec<DependencyWait>,
    plan: (String, Vec<ServiceSpec>),
    dry_run: bool,
    watches: usize,
    /// Alerts that fire, by unit.
    alerts: BTreeMap<String, Vec<RaisedAlert>>,
    /// Attempts to send a message that still fail.
    unsendable: u32,
    notified: Vec<NotifyRequest>,
    maintenance: Vec<Silence>,
}

/// The world; clones are the same one.
#[derive(Debug, Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

impl World {
    pub fn new() -> Self {
        Self { state: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a unit, making it up if it does not exist, and wakes its watchers.
    pub fn change(&self, unit: &str, change: impl FnOnce(&mut Unit)) {
        let mut state = self.state();
        let fresh = Unit { phase: UnitPhase::Inactive, invocation: 0, health: HealthStatus::Healthy, stillborn: false };
        change(state.units.entry(unit.to_owned()).or_insert(fresh));
        drop(state);
        self.changed.send_modify(|version| *version += 1);
    }

    /// A unit that runs.
    pub fn runs(&self, unit: &str) {
        self.change(unit, |unit| {
            unit.phase = UnitPhase::Active;
            unit.invocation += 1;
        });
    }

    /// It dies.
    pub fn dies(&self, unit: &str) {
        self.change(unit, |unit| unit.phase = UnitPhase::Failed);
    }

    /// These alerts of a unit fire, and no others.
    pub fn set_alerts(&self, unit: &str, alerts: Vec<RaisedAlert>) {
        self.state().alerts.insert(unit.to_owned(), alerts);
        self.changed.send_modify(|version| *version += 1);
    }

    /// The maintenance windows are these.
    pub fn set_maintenance(&self, windows: Vec<Silence>) {
        self.state().maintenance = windows;
    }

    /// The next attempts to send a message fail.
    pub fn refuse_messages(&self, attempts: u32) {
        self.state().unsendable = attempts;
    }

    /// Messages that arrived, in order.
    pub fn notified(&self) -> Vec<NotifyRequest> {
        self.state().notified.clone()
    }

    /// What a workflow that knows of `known` is told of the unit's alerts.
    fn alerts(&self, unit: &str, known: &KnownAlerts) -> AlertChanges {
        let raised = self.state().alerts.get(unit).cloned().unwrap_or_default();
        let gone = |print: &&String| !raised.iter().any(|raised| raised.alert.fingerprint == **print);
        let resolved = known.keys().filter(gone).cloned().collect();
        let new = |raised: &RaisedAlert| known.get(&raised.alert.fingerprint) != Some(&raised.alert.severity);
        AlertChanges { raised: raised.into_iter().filter(new).collect(), resolved }
    }

    pub fn set_dry_run(&self) {
        self.state().dry_run = true;
    }

    pub fn set_plan(&self, revision: &str, services: Vec<ServiceSpec>) {
        self.state().plan = (revision.to_owned(), services);
    }

    pub fn unit(&self, unit: &str) -> Option<Unit> {
        self.state().units.get(unit).cloned()
    }

    pub fn is_active(&self, unit: &str) -> bool {
        self.unit(unit).is_some_and(|unit| unit.phase == UnitPhase::Active)
    }

    /// What was done to `unit`, in order.
    pub fn effects(&self, unit: &str) -> Vec<Effect> {
        self.state().effects.iter().filter(|effect| effect.unit == unit).cloned().collect()
    }

    /// Everything that was done, in order.
    pub fn all_effects(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// What a dry run would have done.
    pub fn wished(&self) -> Vec<String> {
        self.state().wished.clone()
    }

    pub fn waits(&self) -> Vec<DependencyWait> {
        self.state().waits.clone()
    }

    /// How many watches were begun.
    pub fn watches(&self) -> usize {
        self.state().watches
    }

    fn look(&self, unit: &str) -> ServiceState {
        let state = self.state();
        let health = Health { status: HealthStatus::Unknown, detail: String::new() };
        let Some(found) = state.units.get(unit) else {
            return ServiceState { unit: status(UnitPhase::Missing, 0), health, sync: None };
        };
        let health = Health { status: found.health, ..health };
        ServiceState { unit: status(found.phase, found.invocation), health, sync: None }
    }

    fn act(&self, request: &ActionRequest) -> ActionReport {
        let unit = unit_name(&request.target, &request.service);
        let mut state = self.state();
        let dry_run = state.dry_run;
        let Some(found) = state.units.get_mut(&unit).filter(|found| found.phase != UnitPhase::Masked) else {
            return report(ActionOutcome::Refused, status(UnitPhase::Missing, 0));
        };
        if status(found.phase, found.invocation).invocation_id != request.replaces {
            return report(ActionOutcome::AlreadyDone, status(found.phase, found.invocation));
        }
        if dry_run {
            let status = status(found.phase, found.invocation);
            state.wished.push(request.reason.clone());
            return report(ActionOutcome::WouldDo, status);
        }
        found.invocation += 1;
        found.phase = if found.stillborn { UnitPhase::Failed } else { UnitPhase::Active };
        let outcome = if found.stillborn { ActionOutcome::Failed } else { ActionOutcome::Done };
        let status = status(found.phase, found.invocation);
        let effect = Effect {
            unit,
            replaced: request.replaces.clone(),
            reason: request.reason.clone(),
            at: std::time::Instant::now(),
        };
        state.effects.push(effect);
        drop(state);
        self.changed.send_modify(|version| *version += 1);
        report(outcome, status)
    }
}

fn report(outcome: ActionOutcome, unit: UnitStatus) -> ActionReport {
    ActionReport { outcome, unit, detail: String::new() }
}

fn status(phase: UnitPhase, invocation: u32) -> UnitStatus {
    let invocation_id = if invocation == 0 { String::new() } else { format!("invocation-{invocation}") };
    UnitStatus { phase, invocation_id, main_pid: invocation, result: String::new() }
}

fn unit_name(target: &Target, service: &str) -> String {
    match target {
        Target::Unit(unit) => unit.clone(),
        Target::Command(_) => service.to_owned(),
    }
}

/// The activities of the scripted world.
#[derive(Debug)]
pub struct Activities {
    pub world: World,
}

#[activities]
impl Activities {
    #[activity(name = "watch_service")]
    pub async fn watch_service(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: WatchRequest,
    ) -> Result<WatchReport, ActivityError> {
        self.world.state().watches += 1;
        let mut changed = self.world.changed.subscribe();
        let unit = request.spec.unit_name().to_owned();
        loop {
            changed.borrow_and_update();
            let state = self.world.look(&unit);
            let alerts = self.world.alerts(&unit, &request.alerts);
            if request.known.as_ref().is_none_or(|known| known.differs(&state)) || !alerts.is_empty() {
                return Ok(WatchReport { state, alerts });
            }
            ctx.record_heartbeat(()).await?;
            tokio::select! {
                _ = changed.changed() => {}
                () = ctx.cancelled() => return Err(ActivityError::cancelled()),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }

    #[activity(name = "start_unit")]
    pub async fn start_unit(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        Ok(self.world.act(&request))
    }

    #[activity(name = "restart_unit")]
    pub async fn restart_unit(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        Ok(self.world.act(&request))
    }

    #[activity(name = "record_dependency_wait")]
    pub async fn record_dependency_wait(
        self: Arc<Self>,
        _ctx: ActivityContext,
        wait: DependencyWait,
    ) -> Result<(), ActivityError> {
        self.world.state().waits.push(wait);
        Ok(())
    }

    #[activity(name = "maintenance_windows")]
    pub async fn maintenance_windows(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: MaintenanceRequest,
    ) -> Result<MaintenanceReport, ActivityError> {
        Ok(MaintenanceReport { silences: self.world.state().maintenance.clone(), known_until: request.to })
    }

    #[activity(name = "notify")]
    pub async fn notify(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: NotifyRequest,
    ) -> Result<String, ActivityError> {
        let mut state = self.world.state();
        if state.unsendable > 0 {
            state.unsendable -= 1;
            return Err(std::io::Error::other("away").into());
        }
        state.notified.push(request);
        Ok("heard".to_owned())
    }

    #[activity(name = "plan_page")]
    pub async fn plan_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: PlanRequest,
    ) -> Result<PlanPage, ActivityError> {
        let state = self.world.state();
        let (revision, services) = &state.plan;
        let end = (request.from + PAGE).min(services.len());
        Ok(PlanPage {
            revision: revision.clone(),
            services: services[request.from.min(end)..end].to_vec(),
            next: (end < services.len()).then_some(end),
        })
    }
}
