//! `AlertWorkflow`: one alert of one service, from its first report to its end.
//!
//! Its id follows from the alert's fingerprint, so that there is one for each trouble. It keeps what happened
//! ([`dixmgr_alerting::incident`]) and says each change to the group in which the alert is told
//! ([`AlertGroupWorkflow`](crate::AlertGroupWorkflow)). [`order`] is how services' workflows reach it.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

pub(crate) mod order;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use dixmgr_alerting::incident::{GroupReport, Incident, Note, Silence};
use dixmgr_model::RaisedAlert;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, TimerResult, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};

use crate::alert_group::report;
use crate::log;
use crate::service::Slot;

/// Time between two tries to reach a group.
const PAUSE: Duration = Duration::from_secs(1);

/// Signals that wait to be handled; more are dropped, since those that matter are repeated.
const MAX_INBOX: usize = 1_000;

/// Input of [`AlertWorkflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertInput {
    /// The alert.
    pub raised: RaisedAlert,
    /// Services whose trouble is its cause.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub causes: BTreeSet<String>,
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<Incident>>,
}

/// Signal `silence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceRequest {
    /// For how long from now on; nothing ends a silence.
    #[serde(with = "dixmgr_model::duration")]
    pub duration: Duration,
    /// Whose it is.
    #[serde(default)]
    pub note: Note,
}

/// What came in by signal, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
enum Inbound {
    Raise(Box<AlertInput>),
    Resolve,
    Causes(BTreeSet<String>),
    Acknowledge(Note),
    Silence(SilenceRequest),
}

/// One alert.
#[workflow]
#[derive(Debug)]
pub struct AlertWorkflow {
    input: AlertInput,
    incident: Option<Incident>,
    inbox: VecDeque<Inbound>,
}

#[workflow_methods]
impl AlertWorkflow {
    /// Takes the alert up, afresh or where the last run left it.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, mut input: AlertInput) -> Self {
        let incident = input.carried.take().map(|incident| *incident);
        Self { input, incident, inbox: VecDeque::new() }
    }

    /// Stays until the alert is over for so long that coming back it would be a new one.
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        match accompany(&*ctx).await {
            End::Done => Ok(()),
            End::Cancelled => Err(WorkflowTermination::cancelled()),
            End::ContinueAsNew(input) => match ctx.continue_as_new(*input, ContinueAsNewOptions::default())? {},
        }
    }

    /// The alert was reported once more: it fires again, or is of another severity.
    #[signal]
    pub fn raise(&mut self, _ctx: &mut SyncWorkflowContext<Self>, input: AlertInput) {
        self.receive(Inbound::Raise(Box::new(input)));
    }

    /// It is over.
    #[signal]
    pub fn resolve(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.receive(Inbound::Resolve);
    }

    /// The services whose trouble is its cause are these now.
    #[signal]
    pub fn causes(&mut self, _ctx: &mut SyncWorkflowContext<Self>, causes: BTreeSet<String>) {
        self.receive(Inbound::Causes(causes));
    }

    /// Somebody takes care of it.
    #[signal]
    pub fn acknowledge(&mut self, _ctx: &mut SyncWorkflowContext<Self>, note: Note) {
        self.receive(Inbound::Acknowledge(note));
    }

    /// Nobody is to be told for a while that it fires.
    #[signal]
    pub fn silence(&mut self, _ctx: &mut SyncWorkflowContext<Self>, request: SilenceRequest) {
        self.receive(Inbound::Silence(request));
    }

    /// The alert, and all that happened to it. Absent until the first step.
    #[query]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Option<Incident> {
        self.incident.clone()
    }

    fn receive(&mut self, inbound: Inbound) {
        if self.inbox.len() < MAX_INBOX {
            self.inbox.push_back(inbound);
        }
    }

    /// Handles what came in.
    fn handle(&mut self, inbound: Inbound, now: u64) {
        let Some(incident) = &mut self.incident else { return };
        match inbound {
            Inbound::Raise(input) => incident.raise(input.raised, input.causes, now),
            Inbound::Resolve => incident.resolve(now),
            Inbound::Causes(causes) => incident.set_causes(causes, now),
            Inbound::Acknowledge(note) => incident.acknowledge(note, now),
            Inbound::Silence(SilenceRequest { duration, note }) => {
                let until = now.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
                incident.silence(Silence { until, note }, now);
            }
        }
    }
}

/// How a run ends.
enum End {
    Done,
    Cancelled,
    ContinueAsNew(Box<AlertInput>),
}

type Context = WorkflowContext<AlertWorkflow>;

/// Accompanies the alert until the run ends.
async fn accompany(ctx: &Context) -> End {
    let now = log::now(ctx);
    ctx.state_mut(|this| {
        let AlertInput { raised, causes, .. } = this.input.clone();
        this.incident.get_or_insert_with(|| Incident::new(raised, causes, now));
    });
    let mut timer = Slot::empty();
    loop {
        take_signals(ctx);
        if !report_all(ctx).await {
            if matches!(ctx.timer(PAUSE).await, TimerResult::Cancelled) {
                return End::Cancelled;
            }
            continue;
        }
        if !ctx.state(|this| this.inbox.is_empty()) {
            continue;
        }
        if let Some(end) = end(ctx) {
            return end;
        }
        arm(ctx, &mut timer);
        select! {
            waited = ctx.wait_condition(|this: &AlertWorkflow| !this.inbox.is_empty()) => if waited.is_err() {
                return End::Cancelled;
            },
            () = &mut timer.future => {}
        }
    }
}

fn take_signals(ctx: &Context) {
    let now = log::now(ctx);
    incident(ctx, |incident| incident.expire(now));
    while let Some(inbound) = ctx.state_mut(|this| this.inbox.pop_front()) {
        ctx.state_mut(|this| this.handle(inbound, now));
    }
}

/// Says to its groups how the alert is, one after the other. False when one has to hear it and cannot yet.
async fn report_all(ctx: &Context) -> bool {
    let reports: Vec<GroupReport> = incident(ctx, Incident::take_reports);
    for one in reports {
        if !report(ctx, one).await {
            incident(ctx, Incident::report_again);
            return false;
        }
    }
    true
}

fn end(ctx: &Context) -> Option<End> {
    let now = log::now(ctx);
    if incident(ctx, |incident| incident.is_done(now)) {
        return Some(End::Done);
    }
    ctx.continue_as_new_suggested().then(|| {
        let mut input = ctx.state(|this| this.input.clone());
        input.carried = ctx.state(|this| this.incident.clone()).map(Box::new);
        End::ContinueAsNew(Box::new(input))
    })
}

/// Wakes the run when something changes by itself.
fn arm<'a>(ctx: &'a Context, timer: &mut Slot<'a, ()>) {
    timer.cancel();
    if let Some(at) = incident(ctx, |incident| incident.wake_at()) {
        let token = ctx.cancellation_token().child_token();
        let wait = Duration::from_millis(at.saturating_sub(log::now(ctx)).max(1));
        let waiting = ctx.timer(TimerOptions::builder(wait).cancellation_token(token.clone()).build());
        timer.fill(token, async { _ = waiting.await });
    }
}

/// The incident, which is there from the run's first step on.
fn incident<R: Default>(ctx: &Context, change: impl FnOnce(&mut Incident) -> R) -> R {
    ctx.state_mut(|this| this.incident.as_mut().map(change).unwrap_or_default())
}
