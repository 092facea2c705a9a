//! `NodeWorkflow`: keeps one service that needs no other.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

use dixmgr_model::ServiceSpec;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};

use crate::messages::{Announce, DependencyReady, NodeInput, ServiceStatus};
use crate::service::{Cell, End, Inbound, KeepsService, keep};

/// Keeps one service.
#[workflow]
#[derive(Debug)]
pub struct NodeWorkflow {
    cell: Cell,
}

#[workflow_methods]
impl NodeWorkflow {
    /// Takes up the service, afresh or where the last run left it.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: NodeInput) -> Self {
        Self { cell: Cell::new(input) }
    }

    /// Keeps it until [`Self::stop_watching`].
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        match keep(&*ctx).await {
            End::Stopped => Ok(()),
            End::Cancelled => Err(WorkflowTermination::cancelled()),
            End::ContinueAsNew(input) => match ctx.continue_as_new(*input, ContinueAsNewOptions::default())? {},
        }
    }

    /// Restarts it at once, also out of backoff and quarantine, and clears its counters.
    #[signal]
    pub fn restart_now(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.cell.inbox.push_back(Inbound::RestartNow);
    }

    /// Watches it from now on and does nothing else.
    #[signal]
    pub fn pause(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.cell.inbox.push_back(Inbound::Pause);
    }

    /// Ends a pause.
    #[signal]
    pub fn resume(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.cell.inbox.push_back(Inbound::Resume);
    }

    /// Keeps it by another specification.
    #[signal]
    pub fn update_spec(&mut self, _ctx: &mut SyncWorkflowContext<Self>, spec: ServiceSpec) {
        self.cell.inbox.push_back(Inbound::UpdateSpec(Box::new(spec)));
    }

    /// Something that it needs is ready, or no longer.
    #[signal]
    pub fn dependency_ready(&mut self, _ctx: &mut SyncWorkflowContext<Self>, told: DependencyReady) {
        self.cell.inbox.push_back(Inbound::DependencyReady(told));
    }

    /// A dependent wants to hear of its readiness, now and whenever it changes.
    #[signal]
    pub fn announce(&mut self, _ctx: &mut SyncWorkflowContext<Self>, announce: Announce) {
        self.cell.inbox.push_back(Inbound::Announce(announce));
    }

    /// Ends the workflow. The service lives on.
    #[signal]
    pub fn stop_watching(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.cell.inbox.push_back(Inbound::StopWatching);
    }

    /// Where it stands, and why.
    #[query]
    pub fn status(&self, _ctx: &WorkflowContextView) -> ServiceStatus {
        self.cell.status()
    }
}

impl KeepsService for NodeWorkflow {
    fn cell(&self) -> &Cell {
        &self.cell
    }

    fn cell_mut(&mut self) -> &mut Cell {
        &mut self.cell
    }
}
