//! `AlertGroupWorkflow`: alerts that are told together, from the first that fires until everyone who heard of one heard of its
//! end. Each message is a durable activity of its own.
//!
//! Who is told what, and when, is decided in [`dixmgr_alerting::group`]; here stand its activities, timers and signals.
//! [`report`] is how alerts' workflows reach it. What is on its way when the run continues as new is sent again by the next
//! one, by the same key: a receiver may be away for days, and a run cannot wait for it.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

mod report;
mod silences;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use dixmgr_activities::api::{NotifyRequest, ServiceActivities};
use dixmgr_alerting::group::{Due, Group};
use dixmgr_alerting::incident::GroupReport;
use dixmgr_model::{AlertStatus, Silence};
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

pub(crate) use report::report;

use crate::service::Slot;
use crate::{log, options};

/// Alerts whose reports wait to be handled, the latest of each; a group does not hold more.
const MAX_INBOX: usize = 4_000;

/// Input of [`AlertGroupWorkflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupInput {
    /// The first alert; absent when an earlier run knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<GroupReport>,
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<Group>>,
}

/// Alerts that are told together.
#[workflow]
#[derive(Debug)]
pub struct AlertGroupWorkflow {
    /// Absent until the first step.
    group: Option<Group>,
    /// Reports that came in by signal, the latest of each alert.
    inbox: BTreeMap<String, GroupReport>,
    silences: Option<Vec<Silence>>,
}

#[workflow_methods]
impl AlertGroupWorkflow {
    /// Takes the group up, afresh or where the last run left it.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: GroupInput) -> Self {
        let first = input.report.map(|first| (first.report.alert.fingerprint.clone(), first));
        Self { group: input.carried.map(|group| *group), inbox: first.into_iter().collect(), silences: None }
    }

    /// Stays until all alerts are over and told to be over.
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

    /// How an alert is.
    #[signal]
    pub fn report(&mut self, _ctx: &mut SyncWorkflowContext<Self>, report: GroupReport) {
        let print = report.report.alert.fingerprint.clone();
        if self.inbox.len() < MAX_INBOX || self.inbox.contains_key(&print) {
            self.inbox.insert(print, report);
        }
    }

    /// The silences that there are or will be.
    #[signal]
    pub fn silences(&mut self, _ctx: &mut SyncWorkflowContext<Self>, silences: Vec<Silence>) {
        self.silences = Some(silences);
    }

    /// The alerts, who was told of them, and what became of the messages. Absent until the first step.
    #[query]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Option<Group> {
        self.group.clone()
    }

    fn has_mail(&self) -> bool {
        !self.inbox.is_empty() || self.silences.is_some()
    }

    /// Handles what came in.
    fn take_mail(&mut self, now: u64) {
        for (_, GroupReport { group, delivery, report }) in std::mem::take(&mut self.inbox) {
            let own = self.group.get_or_insert_with(|| Group::new(group, delivery.clone(), now));
            own.report(report, delivery, now);
        }
        if let (Some(group), Some(silences)) = (&mut self.group, self.silences.take()) {
            group.set_silences(silences.into());
        }
    }
}

/// How a run ends.
enum End {
    Done,
    Cancelled,
    ContinueAsNew(Box<GroupInput>),
}

type Context = WorkflowContext<AlertGroupWorkflow>;

/// What is in flight: one message for each receiver, and a timer.
struct Courier<'a> {
    ctx: &'a Context,
    sending: Vec<Slot<'a, Result<String, String>>>,
    timer: Slot<'a, ()>,
    timer_at: Option<u64>,
}

/// Accompanies the group until the run ends.
async fn accompany(ctx: &Context) -> End {
    let first_run = ctx.state(|this| this.group.is_none());
    let now = log::now(ctx);
    ctx.state_mut(|this| this.take_mail(now));
    silences::subscribe(ctx, first_run).await;
    let mut courier = Courier { ctx, sending: Vec::new(), timer: Slot::empty(), timer_at: None };
    for due in courier.group_mut(|group| group.unanswered()) {
        courier.send(due);
    }
    loop {
        let now = log::now(ctx);
        ctx.state_mut(|this| this.take_mail(now));
        for due in courier.group_mut(|group| group.take_due(now)) {
            courier.tell(due);
        }
        match courier.end() {
            Some(End::Done) => {
                silences::unsubscribe(ctx).await;
                if !ctx.state(AlertGroupWorkflow::has_mail) {
                    return End::Done;
                }
                silences::subscribe(ctx, false).await;
                continue;
            }
            Some(end) => return end,
            None => courier.arm_timer(),
        }
        if !courier.handle_next().await {
            return End::Cancelled;
        }
    }
}

impl Courier<'_> {
    /// Sends a message, and says so.
    fn tell(&mut self, due: Due) {
        let firing = due.message.status == AlertStatus::Firing;
        let decision = if firing { "tell_firing" } else { "tell_resolved" };
        let (service, reason) = due
            .message
            .alerts
            .first()
            .map_or(("alerts", "none"), |first| (first.alert.service.as_str(), first.alert.kind.name()));
        let detail = format!("is told over {}: {}", due.channel, due.message.title());
        log::decision(self.ctx, service, decision, reason, &detail);
        self.send(due);
    }

    fn send(&mut self, due: Due) {
        let receivers = self.group_mut(|group| group.receivers());
        self.sending.resize_with(receivers.max(self.sending.len()), Slot::empty);
        let request = NotifyRequest { channel: due.channel, message: due.message };
        let token = self.ctx.cancellation_token().child_token();
        let sent = self.ctx.execute_activity(ServiceActivities::notify, request, options::notify(token.clone()));
        self.sending[due.receiver].fill(token, sent.map(outcome));
    }

    fn end(&mut self) -> Option<End> {
        let now = log::now(self.ctx);
        let mail = self.ctx.state(AlertGroupWorkflow::has_mail);
        if mail {
            return None;
        }
        if self.group_mut(|group| group.is_done(now)) {
            return Some(End::Done);
        }
        self.ctx.continue_as_new_suggested().then(|| self.next_run())
    }

    /// What is on its way is cancelled here and sent again by the next run.
    fn next_run(&mut self) -> End {
        self.sending.iter_mut().for_each(Slot::cancel);
        let carried = self.ctx.state(|this| this.group.clone()).map(Box::new);
        End::ContinueAsNew(Box::new(GroupInput { report: None, carried }))
    }

    fn arm_timer(&mut self) {
        let now = log::now(self.ctx);
        let due = self.group_mut(|group| group.wake_at(now));
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
            waited = ctx.wait_condition(AlertGroupWorkflow::has_mail) => return waited.is_ok(),
            (receiver, outcome) = &mut delivered => {
                let now = log::now(ctx);
                ctx.state_mut(|this| if let Some(group) = &mut this.group {
                    group.delivered(receiver, &outcome, now);
                });
            },
            () = &mut self.timer.future => self.timer_at = None,
        }
        true
    }

    /// The group, which is there from the run's first mail on.
    fn group_mut<R: Default>(&self, change: impl FnOnce(&mut Group) -> R) -> R {
        self.ctx.state_mut(|this| this.group.as_mut().map(change).unwrap_or_default())
    }
}

fn outcome(sent: Result<String, ActivityExecutionError>) -> Result<String, String> {
    sent.map_err(|error| error.to_string())
}
