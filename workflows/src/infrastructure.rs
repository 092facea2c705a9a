//! `InfrastructureWorkflow`: starts a workflow for every service of the plan, in the plan's order, and follows its changes.
#![allow(clippy::needless_pass_by_value, reason = "signal handlers own their input")]
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

mod book;

use std::time::Duration;

use dixmgr_activities::api::{PlanRequest, ServiceActivities};
use dixmgr_model::PlanPage;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};

pub use book::{Book, Known};

use crate::children::{Ensured, Kind, WAVE, ensure};
use crate::outbox::{Message, Outbox, send_wave};
use crate::{log, options};
use book::Wanted;

/// Wait before a page that could not be read for good is asked for once more.
const PAGE_RETRY: Duration = Duration::from_secs(30);
/// How often, and how far apart, a workflow of another type is waited for to end before its successor starts.
const SUCCESSION_TRIES: u32 = 60;
const SUCCESSION_WAIT: Duration = Duration::from_millis(500);

/// Input of [`InfrastructureWorkflow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InfrastructureInput {
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<Book>,
    /// Events after which the workflow continues as new even if the server does not suggest it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_limit: Option<u32>,
}

/// Answer of the query `services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfrastructureStatus {
    /// Revision of the plan that is applied; empty before the first.
    pub revision: String,
    /// Whether all of it is applied and nothing newer is known.
    pub settled: bool,
    /// The services.
    pub services: Vec<ServiceEntry>,
}

/// One service that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// Its name.
    pub name: String,
    /// Workflow that keeps it.
    pub workflow_id: String,
    /// Type of that workflow.
    pub kind: Kind,
}

/// The root: starts and stops the workflows of services as the plan says.
#[workflow]
#[derive(Debug)]
pub struct InfrastructureWorkflow {
    book: Book,
    history_limit: Option<u32>,
}

#[workflow_methods]
impl InfrastructureWorkflow {
    /// Begins with nothing, or where the last run left off.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: InfrastructureInput) -> Self {
        Self { book: input.carry.unwrap_or_default(), history_limit: input.history_limit }
    }

    /// Applies the plan and stays.
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        loop {
            continue_if_long(ctx)?;
            if let Some(from) = ctx.state_mut(|this| this.book.next_page()) {
                read_page(ctx, from).await?;
            } else {
                ctx.wait_condition(|this| this.book.has_work()).await?;
            }
        }
    }

    /// The daemon's plan is `revision` now; one that is applied already changes nothing.
    #[signal]
    pub fn plan_changed(&mut self, _ctx: &mut SyncWorkflowContext<Self>, revision: String) {
        self.book.plan_changed(&revision);
    }

    /// The services that are kept.
    #[query]
    pub fn services(&self, _ctx: &WorkflowContextView) -> InfrastructureStatus {
        let services = self.book.services().iter().map(|(workflow_id, known)| ServiceEntry {
            name: known.name.clone(),
            workflow_id: workflow_id.clone(),
            kind: known.kind,
        });
        InfrastructureStatus {
            revision: self.book.revision().to_owned(),
            settled: !self.book.has_work(),
            services: services.collect(),
        }
    }
}

type Context = WorkflowContext<InfrastructureWorkflow>;

/// Between two pages nothing is in flight, so a plan of any length is read in runs of bounded history.
fn continue_if_long(ctx: &Context) -> WorkflowResult<()> {
    let (book, history_limit) = ctx.state(|this| (this.book.clone(), this.history_limit));
    let long = history_limit.is_some_and(|limit| ctx.history_length() >= limit);
    if long || ctx.continue_as_new_suggested() {
        let input = InfrastructureInput { carry: Some(book), history_limit };
        match ctx.continue_as_new(input, ContinueAsNewOptions::default())? {}
    }
    Ok(())
}

async fn read_page(ctx: &Context, from: usize) -> WorkflowResult<()> {
    match ctx.execute_activity(ServiceActivities::plan_page, PlanRequest { from }, options::plan_page()).await {
        Ok(page) => apply(ctx, page).await,
        Err(ActivityExecutionError::Cancelled(_)) => return Err(WorkflowTermination::cancelled()),
        Err(error) => {
            log::decision(ctx, "plan", "wait", "plan_unreadable", &format!("cannot be read: {error}"));
            ctx.timer(PAGE_RETRY).await;
        }
    }
    Ok(())
}

/// Applies one page: what is new starts in the page's order, what changed is told, what is gone is let go.
async fn apply(ctx: &Context, page: PlanPage) {
    let Some(wanted) = ctx.state_mut(|this| this.book.take(&page)) else { return };
    let mut outbox = Outbox::default();
    let (mut started, mut changed) = (0_usize, 0_usize);
    for wave in wanted.chunks(WAVE) {
        let ensured = join_all(wave.iter().map(|wanted| ensure_kind(ctx, wanted))).await;
        for (wanted, ensured) in wave.iter().zip(ensured) {
            match ensured {
                Ensured::Started => started += 1,
                Ensured::Existing if wanted.changed => {
                    changed += 1;
                    outbox.push(&wanted.spec.workflow_id, Message::UpdateSpec(Box::new(wanted.spec.clone())));
                }
                Ensured::Existing => {}
                Ensured::Failed => ctx.state_mut(|this| this.book.doubt(&wanted.spec.workflow_id)),
            }
        }
    }
    let gone = ctx.state_mut(|this| this.book.turn(&page));
    for workflow_id in &gone {
        outbox.push(workflow_id, Message::StopWatching);
    }
    let detail = format!("revision {}: {started} started, {changed} changed, {} let go", page.revision, gone.len());
    log::decision(ctx, "plan", "apply", "plan_read", &detail);
    send_all(ctx, outbox).await;
}

async fn send_all(ctx: &Context, mut outbox: Outbox) {
    while !outbox.is_empty() {
        for delivery in send_wave(ctx, outbox.take_wave()).await {
            if !delivery.delivered {
                ctx.state_mut(|this| this.book.doubt(&delivery.to));
            }
        }
    }
}

/// A workflow of a type that cannot keep the service any more has to end before its successor starts.
async fn ensure_kind(ctx: &Context, wanted: &Wanted) -> Ensured {
    if !wanted.other_kind {
        return ensure(ctx, wanted.spec.clone()).await;
    }
    let mut outbox = Outbox::default();
    outbox.push(&wanted.spec.workflow_id, Message::StopWatching);
    send_wave(ctx, outbox.take_wave()).await;
    for _ in 0..SUCCESSION_TRIES {
        match ensure(ctx, wanted.spec.clone()).await {
            Ensured::Existing => _ = ctx.timer(SUCCESSION_WAIT).await,
            other => return other,
        }
    }
    Ensured::Failed
}
