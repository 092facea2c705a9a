//! `AlertWorkflow`: one alert of one service, from its first report until everyone who heard "firing" heard "resolved".
//!
//! Its id follows from the alert's fingerprint, so that there is one for each trouble. Who is told what, and when, is decided
//! in [`dixmgr_alerting::incident`]; here stand its activities, timers and signals. [`order`] is how services' workflows reach it.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

pub(crate) mod order;

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use dixmgr_activities::api::{NotifyRequest, ServiceActivities};
use dixmgr_alerting::incident::{Incident, Note, Silence};
use dixmgr_model::RaisedAlert;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::service::Slot;
use crate::{log, options};

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

    /// Stays until the alert is over and told to be over.
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

    /// The alert, who was told, and all that happened. Absent until the first step.
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

/// What is in flight: one message for each receiver, and a timer.
struct Courier<'a> {
    ctx: &'a Context,
    sending: Vec<Slot<'a, Result<String, String>>>,
    timer: Slot<'a, ()>,
    timer_at: Option<u64>,
}

/// Accompanies the alert until the run ends.
async fn accompany(ctx: &Context) -> End {
    let now = log::now(ctx);
    ctx.state_mut(|this| {
        let AlertInput { raised, causes, .. } = this.input.clone();
        this.incident.get_or_insert_with(|| Incident::new(raised, causes, now));
    });
    let mut courier = Courier { ctx, sending: Vec::new(), timer: Slot::empty(), timer_at: None };
    loop {
        courier.take_signals();
        courier.send_due();
        if let Some(end) = courier.end() {
            return end;
        }
        courier.arm_timer();
        if !courier.handle_next().await {
            return End::Cancelled;
        }
    }
}

impl Courier<'_> {
    fn take_signals(&self) {
        let now = log::now(self.ctx);
        while let Some(inbound) = self.ctx.state_mut(|this| this.inbox.pop_front()) {
            self.ctx.state_mut(|this| this.handle(inbound, now));
        }
    }

    fn send_due(&mut self) {
        let now = log::now(self.ctx);
        let due = self.incident_mut(|incident| incident.take_due(now));
        let receivers = self.incident_mut(|incident| incident.receivers());
        self.sending.resize_with(receivers.max(self.sending.len()), Slot::empty);
        for due in due {
            let decision = if due.message.ends_at.is_some() { "tell_resolved" } else { "tell_firing" };
            let detail = format!("is told over {}: {}", due.channel, due.message.title());
            log::decision(self.ctx, &due.message.alert.service, decision, due.message.alert.kind.name(), &detail);
            let request = NotifyRequest { channel: due.channel, message: due.message };
            let token = self.ctx.cancellation_token().child_token();
            let sent = self.ctx.execute_activity(ServiceActivities::notify, request, options::notify(token.clone()));
            self.sending[due.receiver].fill(token, sent.map(outcome));
        }
    }

    fn end(&self) -> Option<End> {
        let now = log::now(self.ctx);
        if self.incident_mut(|incident| incident.is_done(now)) {
            return Some(End::Done);
        }
        let quiet = self.incident_mut(|incident| !incident.is_sending());
        (quiet && self.ctx.continue_as_new_suggested()).then(|| {
            let mut input = self.ctx.state(|this| this.input.clone());
            input.carried = self.ctx.state(|this| this.incident.clone()).map(Box::new);
            End::ContinueAsNew(Box::new(input))
        })
    }

    fn arm_timer(&mut self) {
        let now = log::now(self.ctx);
        let due = self.incident_mut(|incident| incident.wake_at(now));
        if due == self.timer_at {
            return;
        }
        self.timer.cancel();
        self.timer_at = due;
        if let Some(due) = due {
            let token = self.ctx.cancellation_token().child_token();
            let wait = Duration::from_millis(due.saturating_sub(now).max(1));
            let timer = self.ctx.timer(TimerOptions::builder(wait).cancellation_token(token.clone()).build());
            self.timer.fill(token, async { _ = timer.await });
        }
    }

    /// Waits for whatever happens first. The order of the arms is part of every recorded history. False when cancelled.
    async fn handle_next(&mut self) -> bool {
        let ctx = self.ctx;
        let sending = &mut self.sending;
        let mut delivered = poll_fn(|cx| {
            for (receiver, slot) in sending.iter_mut().enumerate() {
                if let Poll::Ready(outcome) = slot.future.poll_unpin(cx) {
                    return Poll::Ready((receiver, outcome));
                }
            }
            Poll::Pending
        })
        .fuse();
        select! {
            waited = ctx.wait_condition(|this: &AlertWorkflow| !this.inbox.is_empty()) => return waited.is_ok(),
            (receiver, outcome) = &mut delivered => {
                let now = log::now(ctx);
                ctx.state_mut(|this| if let Some(incident) = &mut this.incident {
                    incident.delivered(receiver, &outcome, now);
                });
            },
            () = &mut self.timer.future => self.timer_at = None,
        }
        true
    }

    /// The incident, which is there from the run's first step on.
    fn incident_mut<R: Default>(&self, change: impl FnOnce(&mut Incident) -> R) -> R {
        self.ctx.state_mut(|this| this.incident.as_mut().map(change).unwrap_or_default())
    }
}

fn outcome(sent: Result<String, ActivityExecutionError>) -> Result<String, String> {
    sent.map_err(|error| error.to_string())
}
