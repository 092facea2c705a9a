//! Units that live by a script on a virtual clock, behind the definitions of `dixmgr_activities::api`.
//!
//! Nothing here waits on real time: an activity that waits is asleep until the clock stands at its instant or its unit
//! changes, and the world knows who is asleep, so that time moves on only when everybody is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dixmgr_activities::api::{NotifyRequest, WatchReport, WatchRequest};
use dixmgr_alerting::message::Message;
use dixmgr_engine::RunningActivity;
use dixmgr_engine::clock::{Clock, Timestamp, VirtualClock};
use dixmgr_model::{
    ActionOutcome, ActionReport, ActionRequest, Health, HealthStatus, ServiceState, Target, UnitPhase, UnitStatus,
};
use temporalio_client::tonic::IntoRequest;
use temporalio_common::protos::temporal::api::workflowservice::v1::RecordActivityTaskHeartbeatRequest;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::oneshot;

/// Watches heartbeat on multiples of this, well within their heartbeat timeout of five minutes.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(240);
/// How long a start or a restart takes.
pub(crate) const OPERATION: Duration = Duration::from_secs(3);

/// What the script does to a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// It dies.
    Dies,
    /// Something else starts it, as a new invocation.
    ComesBack,
    /// Its unit file goes away.
    Vanishes,
    /// The file is there again; the unit does not run.
    Appears,
    /// From now on it dies this long after each start.
    Flaps(Duration),
    /// It no longer does.
    IsMended,
}

/// One thing that was done to a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) unit: String,
    pub(crate) replaced: u32,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

#[derive(Debug)]
struct Unit {
    phase: UnitPhase,
    invocation: u32,
    lives: Option<Duration>,
}

#[derive(Debug)]
struct Sleeper {
    until: Timestamp,
    /// Woken earlier by a change of this unit.
    unit: Option<String>,
    activity: RunningActivity,
    wake: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<String, Unit>,
    script: BTreeMap<Timestamp, Vec<(String, Happening)>>,
    sleepers: Vec<Sleeper>,
    effects: Vec<Effect>,
    /// Until then no message arrives.
    receiver_away_until: Option<Timestamp>,
    /// Messages that arrived, and when.
    heard: Vec<(Timestamp, Message)>,
    /// Messages that were tried.
    attempts: u32,
}

/// The world; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct World {
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
}

impl World {
    pub(crate) fn new(clock: VirtualClock) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A unit that runs.
    pub(crate) fn add(&self, unit: &str) {
        let running = Unit { phase: UnitPhase::Active, invocation: 1, lives: None };
        self.state().units.insert(unit.to_owned(), running);
    }

    /// Writes a line of the script.
    pub(crate) fn plan(&self, at: Timestamp, unit: &str, happening: Happening) {
        self.state().plan(at, unit, happening);
    }

    /// What was done to `unit`, in order.
    pub(crate) fn effects(&self, unit: &str) -> Vec<Effect> {
        self.state().effects.iter().filter(|effect| effect.unit == unit).cloned().collect()
    }

    /// Nobody takes messages until then.
    pub(crate) fn receiver_is_away_until(&self, at: Timestamp) {
        self.state().receiver_away_until = Some(at);
    }

    /// Messages that arrived, and how many were tried.
    pub(crate) fn heard(&self) -> (Vec<(Timestamp, Message)>, u32) {
        let state = self.state();
        (state.heard.clone(), state.attempts)
    }

    fn hear(&self, message: Message) -> Result<String, ActivityError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.attempts += 1;
        if state.receiver_away_until.is_some_and(|until| now < until) {
            return Err(std::io::Error::other("away").into());
        }
        state.heard.push((now, message));
        Ok("heard".to_owned())
    }

    /// When the next thing happens here.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let state = self.state();
        let script = state.script.keys().next().copied();
        script.into_iter().chain(state.sleepers.iter().map(|sleeper| sleeper.until)).min()
    }

    /// Activities that wait for time to pass.
    pub(crate) fn asleep(&self) -> BTreeSet<RunningActivity> {
        self.state().sleepers.iter().map(|sleeper| sleeper.activity.clone()).collect()
    }

    /// Lets everything happen that is due, and wakes who has slept long enough.
    pub(crate) fn catch_up(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        while let Some(due) = state.script.first_entry().filter(|entry| *entry.key() <= now) {
            for (unit, happening) in due.remove() {
                state.happen(&unit, happening, now);
            }
        }
        state.wake(|sleeper| sleeper.until <= now);
    }

    /// The unit, if it differs from what is known; otherwise the caller is asleep from here on.
    fn look(
        &self,
        unit: &str,
        known: Option<&ServiceState>,
        activity: &RunningActivity,
    ) -> Result<ServiceState, oneshot::Receiver<()>> {
        let mut state = self.state();
        let seen = state.look(unit);
        if known.is_none_or(|known| known.differs(&seen)) {
            return Ok(seen);
        }
        let grid = i64::try_from(HEARTBEAT.as_nanos()).unwrap_or(i64::MAX);
        let until = Timestamp((self.clock.now().as_nanos() / grid + 1) * grid);
        Err(state.sleep(until, Some(unit), activity))
    }

    fn doze(&self, time: Duration, activity: &RunningActivity) -> oneshot::Receiver<()> {
        self.state().sleep(self.clock.now().saturating_add(time), None, activity)
    }

    fn act(&self, request: &ActionRequest) -> ActionReport {
        let (now, name) = (self.clock.now(), unit_name(&request.target, &request.service));
        let mut state = self.state();
        let Some(unit) = state.units.get_mut(&name).filter(|unit| unit.phase != UnitPhase::Missing) else {
            return report(ActionOutcome::Refused, status(UnitPhase::Missing, 0));
        };
        if status(unit.phase, unit.invocation).invocation_id != request.replaces {
            return report(ActionOutcome::AlreadyDone, status(unit.phase, unit.invocation));
        }
        let replaced = unit.invocation;
        unit.invocation += 1;
        unit.phase = UnitPhase::Active;
        let (after, lives) = (status(unit.phase, unit.invocation), unit.lives);
        if let Some(lives) = lives {
            state.plan(now.saturating_add(lives), &name, Happening::Dies);
        }
        state.wake(|sleeper| sleeper.unit.as_deref() == Some(name.as_str()));
        state.effects.push(Effect { unit: name, replaced, reason: request.reason.clone(), at: now });
        report(ActionOutcome::Done, after)
    }
}

impl State {
    fn plan(&mut self, at: Timestamp, unit: &str, happening: Happening) {
        self.script.entry(at).or_default().push((unit.to_owned(), happening));
    }

    fn happen(&mut self, name: &str, happening: Happening, now: Timestamp) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let mut next = None;
        match happening {
            Happening::Dies => unit.phase = UnitPhase::Failed,
            Happening::Vanishes => unit.phase = UnitPhase::Missing,
            Happening::Appears => unit.phase = UnitPhase::Inactive,
            Happening::ComesBack => {
                unit.phase = UnitPhase::Active;
                unit.invocation += 1;
            }
            Happening::Flaps(lives) => {
                unit.lives = Some(lives);
                next = Some((now.saturating_add(lives), Happening::Dies));
            }
            Happening::IsMended => unit.lives = None,
        }
        if let Some((at, happening)) = next {
            self.plan(at, name, happening);
        }
        self.wake(|sleeper| sleeper.unit.as_deref() == Some(name));
    }

    fn look(&self, unit: &str) -> ServiceState {
        let unit = self.units.get(unit).map_or(status(UnitPhase::Missing, 0), |unit| match unit.phase {
            UnitPhase::Missing => status(UnitPhase::Missing, 0),
            phase => status(phase, unit.invocation),
        });
        let health = Health { status: HealthStatus::Healthy, detail: String::new() };
        ServiceState { unit, health, sync: None }
    }

    fn sleep(&mut self, until: Timestamp, unit: Option<&str>, activity: &RunningActivity) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        self.sleepers.push(Sleeper { until, unit: unit.map(str::to_owned), activity: activity.clone(), wake });
        woken
    }

    fn wake(&mut self, whom: impl Fn(&Sleeper) -> bool) {
        let (due, rest): (Vec<_>, Vec<_>) = self.sleepers.drain(..).partition(whom);
        self.sleepers = rest;
        for sleeper in due {
            let _ = sleeper.wake.send(());
        }
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

fn this(ctx: &ActivityContext) -> RunningActivity {
    let info = ctx.info();
    RunningActivity { run_id: info.workflow_run_id.clone().unwrap_or_default(), activity_id: info.activity_id.clone() }
}

/// Tells the engine that the watch is alive. Goes past the SDK, which would space heartbeats by real time.
///
/// # Errors
/// The watch is no longer wanted.
async fn heartbeat(ctx: &ActivityContext) -> Result<(), ActivityError> {
    let request =
        RecordActivityTaskHeartbeatRequest { task_token: ctx.info().task_token.clone(), ..Default::default() };
    let mut service = ctx.client().connection().workflow_service();
    match service.record_activity_task_heartbeat(request.into_request()).await {
        Ok(answer) if !answer.get_ref().cancel_requested => Ok(()),
        _ => Err(ActivityError::cancelled()),
    }
}

/// The activities of the scripted world.
#[derive(Debug)]
pub(crate) struct Activities {
    pub(crate) world: World,
}

#[activities]
impl Activities {
    #[activity(name = "watch_service")]
    pub(crate) async fn watch_service(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: WatchRequest,
    ) -> Result<WatchReport, ActivityError> {
        loop {
            match self.world.look(request.spec.unit_name(), request.known.as_ref(), &this(&ctx)) {
                Ok(state) => return Ok(WatchReport { state, alerts: Default::default() }),
                Err(woken) => drop(woken.await),
            }
            heartbeat(&ctx).await?;
        }
    }

    #[activity(name = "start_unit")]
    pub(crate) async fn start_unit(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        let _ = self.world.doze(OPERATION, &this(&ctx)).await;
        Ok(self.world.act(&request))
    }

    #[activity(name = "restart_unit")]
    pub(crate) async fn restart_unit(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: ActionRequest,
    ) -> Result<ActionReport, ActivityError> {
        let _ = self.world.doze(OPERATION, &this(&ctx)).await;
        Ok(self.world.act(&request))
    }
    #[activity(name = "notify")]
    pub(crate) async fn notify(
        self: Arc<Self>,
        _ctx: ActivityContext,
        request: NotifyRequest,
    ) -> Result<String, ActivityError> {
        self.world.hear(request.message)
    }
}
