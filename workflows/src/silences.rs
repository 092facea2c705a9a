//! `SilencesWorkflow`: the one place of a daemon's silences. It takes them by signal, makes those of maintenance windows, and
//! tells whoever subscribed which ones are in force or will be, once on subscribing and whenever they change.
//!
//! What becomes of a silence is decided in [`dixmgr_alerting::silence::book`]; here stand its signals, its timer, its activity and
//! the waves in which subscribers are told.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

mod tell;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use dixmgr_activities::api::{MaintenanceReport, MaintenanceRequest, ServiceActivities};
use dixmgr_alerting::silence::book::SilenceBook;
use dixmgr_model::Silence;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::service::Slot;
use crate::{log, options};
use tell::{Told, tell_wave};

/// How far ahead maintenance windows are known, in milliseconds.
const HORIZON: u64 = 48 * 3_600_000;
/// Least time until they are asked for again, in milliseconds.
const REFRESH: u64 = 60_000;
/// Signals that wait to be handled; more are dropped.
const MAX_INBOX: usize = 1_000;
/// Most workflows that are told; there is one for each group of alerts.
const MAX_SUBSCRIBERS: usize = 5_000;

/// Input of [`SilencesWorkflow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SilencesInput {
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedSilences>,
    /// Events after which the workflow continues as new even if the server does not suggest it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_limit: Option<u32>,
}

/// What one run hands to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CarriedSilences {
    /// The silences.
    pub book: SilenceBook,
    /// Workflow ids of those who are told.
    #[serde(default)]
    pub subscribers: BTreeSet<String>,
    /// When maintenance windows are to be asked for; 0 for at once.
    #[serde(default)]
    pub refresh_at: u64,
}

/// What came in by signal, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
enum Inbound {
    Put(Box<Silence>),
    Expire(String),
    Subscribe(String),
    Unsubscribe(String),
    Refresh,
}

/// All silences of one daemon.
#[workflow]
#[derive(Debug)]
pub struct SilencesWorkflow {
    known: CarriedSilences,
    history_limit: Option<u32>,
    inbox: VecDeque<Inbound>,
    /// Subscribers that do not know how it is now.
    untold: BTreeSet<String>,
    /// Those among them that could not be told, and are tried again a while later.
    later: BTreeSet<String>,
}

#[workflow_methods]
impl SilencesWorkflow {
    /// Begins with nothing, or where the last run left off.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: SilencesInput) -> Self {
        let known = input.carried.unwrap_or_default();
        let history_limit = input.history_limit;
        Self { known, history_limit, inbox: VecDeque::new(), untold: BTreeSet::new(), later: BTreeSet::new() }
    }

    /// Stays.
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        match keep(&*ctx).await {
            None => Err(WorkflowTermination::cancelled()),
            Some(input) => match ctx.continue_as_new(input, ContinueAsNewOptions::default())? {},
        }
    }

    /// A silence is there from now on, or is another one. One that cannot be taken is not: whoever asks for one checks it before.
    #[signal]
    pub fn put(&mut self, _ctx: &mut SyncWorkflowContext<Self>, silence: Silence) {
        self.receive(Inbound::Put(Box::new(silence)));
    }

    /// The silence of this id is over.
    #[signal]
    pub fn expire(&mut self, _ctx: &mut SyncWorkflowContext<Self>, id: String) {
        self.receive(Inbound::Expire(id));
    }

    /// The workflow of this id wants to be told, by signal `silences`.
    #[signal]
    pub fn subscribe(&mut self, _ctx: &mut SyncWorkflowContext<Self>, workflow_id: String) {
        self.receive(Inbound::Subscribe(workflow_id));
    }

    /// It does not any more.
    #[signal]
    pub fn unsubscribe(&mut self, _ctx: &mut SyncWorkflowContext<Self>, workflow_id: String) {
        self.receive(Inbound::Unsubscribe(workflow_id));
    }

    /// The daemon's configuration may have other maintenance windows.
    #[signal]
    pub fn refresh(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.receive(Inbound::Refresh);
    }

    /// All silences that are kept, those among them that have been over for less than five days.
    #[query]
    pub fn list(&self, _ctx: &WorkflowContextView) -> Vec<Silence> {
        self.known.book.list()
    }

    /// Who is told.
    #[query]
    pub fn subscribers(&self, _ctx: &WorkflowContextView) -> BTreeSet<String> {
        self.known.subscribers.clone()
    }

    fn receive(&mut self, inbound: Inbound) {
        if self.inbox.len() < MAX_INBOX {
            self.inbox.push_back(inbound);
        }
    }

    /// Handles what came in; answers with what could not be done.
    fn handle(&mut self, inbound: Inbound, now: u64) -> Result<(), String> {
        match inbound {
            Inbound::Put(silence) => {
                let taken = self.known.book.put(*silence, now);
                self.tell_all();
                taken.map_err(|error| error.to_string())
            }
            Inbound::Expire(id) => {
                if self.known.book.expire(&id, now) {
                    self.tell_all();
                }
                Ok(())
            }
            Inbound::Subscribe(id) => self.admit(id),
            Inbound::Unsubscribe(id) => {
                self.known.subscribers.remove(&id);
                self.untold.remove(&id);
                self.later.remove(&id);
                Ok(())
            }
            Inbound::Refresh => {
                self.known.refresh_at = 0;
                Ok(())
            }
        }
    }

    fn admit(&mut self, id: String) -> Result<(), String> {
        if self.known.subscribers.len() >= MAX_SUBSCRIBERS && !self.known.subscribers.contains(&id) {
            return Err(format!("{id} cannot be told of silences: {MAX_SUBSCRIBERS} are told already"));
        }
        self.known.subscribers.insert(id.clone());
        self.untold.insert(id);
        Ok(())
    }

    fn tell_all(&mut self) {
        self.untold.clone_from(&self.known.subscribers);
    }

    /// Takes in what the activity says about maintenance windows.
    fn take_windows(&mut self, report: MaintenanceReport, now: u64) -> Result<(), String> {
        self.known.refresh_at = now + (report.known_until.saturating_sub(now) / 2).max(REFRESH);
        self.untold.append(&mut self.later);
        let before = self.known.book.current(now);
        let taken = self.known.book.set_maintenance(report.silences, now);
        if self.known.book.current(now) != before {
            self.tell_all();
        }
        taken.map_err(|error| format!("not all maintenance windows are silences: {error}"))
    }

    /// Those of a wave were told, or do not run any more.
    fn told(&mut self, wave: Vec<Told>, now: u64) {
        for Told { to, outcome } in wave {
            match outcome {
                tell::Outcome::Heard => {}
                tell::Outcome::Gone => {
                    self.known.subscribers.remove(&to);
                }
                tell::Outcome::Again => {
                    self.later.insert(to);
                    self.known.refresh_at = self.known.refresh_at.min(now + REFRESH);
                }
            }
        }
    }
}

type Context = WorkflowContext<SilencesWorkflow>;

/// What is in flight: one question about windows, one wave, one timer.
struct Keeper<'a> {
    ctx: &'a Context,
    asking: Slot<'a, Result<MaintenanceReport, ActivityExecutionError>>,
    telling: Slot<'a, Vec<Told>>,
    timer: Slot<'a, ()>,
    timer_at: Option<u64>,
}

/// Keeps the silences until the run ends; `None` when it was cancelled.
async fn keep(ctx: &Context) -> Option<SilencesInput> {
    let (asking, telling, timer) = (Slot::empty(), Slot::empty(), Slot::empty());
    let mut keeper = Keeper { ctx, asking, telling, timer, timer_at: None };
    loop {
        keeper.take_signals();
        if let Some(input) = keeper.next_run() {
            return Some(input);
        }
        keeper.ask();
        keeper.tell();
        keeper.arm_timer();
        if !keeper.handle_next().await {
            return None;
        }
    }
}

impl Keeper<'_> {
    fn take_signals(&self) {
        let now = log::now(self.ctx);
        while let Some(inbound) = self.ctx.state_mut(|this| this.inbox.pop_front()) {
            self.report(self.ctx.state_mut(|this| this.handle(inbound, now)));
        }
    }

    /// Between two waves, with no question open, a new run takes over when history is long.
    fn next_run(&self) -> Option<SilencesInput> {
        let limit = self.ctx.state(|this| this.history_limit);
        let long = limit.is_some_and(|limit| self.ctx.history_length() >= limit);
        let untold = self.ctx.state(|this| !this.untold.is_empty() || !this.later.is_empty());
        let busy = self.asking.is_busy() || self.telling.is_busy() || untold;
        if busy || !(long || self.ctx.continue_as_new_suggested()) {
            return None;
        }
        let now = log::now(self.ctx);
        self.ctx.state_mut(|this| this.known.book.prune(now));
        Some(SilencesInput { carried: Some(self.ctx.state(|this| this.known.clone())), history_limit: limit })
    }

    fn ask(&mut self) {
        let now = log::now(self.ctx);
        if self.asking.is_busy() || self.ctx.state(|this| this.known.refresh_at) > now {
            return;
        }
        // What comes in while it is asked is asked for once more.
        self.ctx.state_mut(|this| this.known.refresh_at = u64::MAX);
        let request = MaintenanceRequest { from: now, to: now + HORIZON };
        let token = self.ctx.cancellation_token().child_token();
        let options = options::maintenance(token.clone());
        let asked = self.ctx.execute_activity(ServiceActivities::maintenance_windows, request, options);
        self.asking.fill(token, asked);
    }

    fn tell(&mut self) {
        if self.telling.is_busy() || self.ctx.state(|this| this.untold.is_empty()) {
            return;
        }
        let now = log::now(self.ctx);
        let silences = self.ctx.state(|this| this.known.book.current(now));
        let most = tell::wave(&silences);
        let wave = self.ctx.state_mut(|this| {
            let wave: Vec<String> = this.untold.iter().take(most).cloned().collect();
            this.untold.retain(|to| !wave.contains(to));
            wave
        });
        let token = self.ctx.cancellation_token().child_token();
        self.telling.fill(token, tell_wave(self.ctx, wave, silences));
    }

    fn arm_timer(&mut self) {
        let due = self.ctx.state(|this| Some(this.known.refresh_at).filter(|at| *at != u64::MAX));
        if due == self.timer_at {
            return;
        }
        self.timer.cancel();
        self.timer_at = due;
        if let Some(due) = due {
            let token = self.ctx.cancellation_token().child_token();
            let wait = Duration::from_millis(due.saturating_sub(log::now(self.ctx)).max(1));
            let timer = self.ctx.timer(TimerOptions::builder(wait).cancellation_token(token.clone()).build());
            self.timer.fill(token, async { _ = timer.await });
        }
    }

    /// Waits for whatever happens first. The order of the arms is part of every recorded history. False when cancelled.
    async fn handle_next(&mut self) -> bool {
        let ctx = self.ctx;
        select! {
            waited = ctx.wait_condition(|this: &SilencesWorkflow| !this.inbox.is_empty()) => return waited.is_ok(),
            asked = &mut self.asking.future => self.answered(asked),
            told = &mut self.telling.future => {
                let now = log::now(ctx);
                ctx.state_mut(|this| this.told(told, now));
            }
            () = &mut self.timer.future => self.timer_at = None,
        }
        true
    }

    fn answered(&self, asked: Result<MaintenanceReport, ActivityExecutionError>) {
        let now = log::now(self.ctx);
        self.report(self.ctx.state_mut(|this| match asked {
            Ok(report) => {
                let again = this.known.refresh_at == 0;
                let taken = this.take_windows(report, now);
                this.known.refresh_at = if again { 0 } else { this.known.refresh_at };
                taken
            }
            Err(error) => {
                this.known.refresh_at = now + REFRESH;
                Err(format!("maintenance windows are not known: {error}"))
            }
        }));
    }

    /// Says what could not be done.
    fn report(&self, outcome: Result<(), String>) {
        if let Err(error) = outcome
            && !self.ctx.is_replaying()
        {
            tracing::warn!(target: "dixmgr::silence", %error, "silences: {error}");
        }
    }
}
