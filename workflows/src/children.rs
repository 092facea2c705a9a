//! Workflows of services as children of another: started under their own ids, or found running already.

use dixmgr_model::ServiceSpec;
use serde::{Deserialize, Serialize};
use temporalio_sdk::{ChildWorkflowStartError, StartChildWorkflowExecutionFailedCause as Cause, WorkflowContext};

use crate::cluster::{ClusterInput, ClusterWorkflow};
use crate::dependent::DependentWorkflow;
use crate::messages::NodeInput;
use crate::node::NodeWorkflow;
use crate::options;

/// Children started at once: bounds one workflow task and what the server holds pending.
pub(crate) const WAVE: usize = 100;

/// The type of workflow that keeps a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`NodeWorkflow`].
    Node,
    /// [`DependentWorkflow`].
    Dependent,
    /// [`ClusterWorkflow`].
    Cluster,
}

impl Kind {
    /// The type that a specification calls for.
    #[must_use]
    pub fn of(spec: &ServiceSpec) -> Self {
        match (&spec.replicas, spec.needs.is_empty()) {
            (Some(_), _) => Self::Cluster,
            (None, false) => Self::Dependent,
            (None, true) => Self::Node,
        }
    }

    /// Whether a workflow of type `self` can go on with a specification that calls for `other`.
    pub(crate) fn can_become(self, other: Self) -> bool {
        (self == Self::Cluster) == (other == Self::Cluster)
    }
}

/// What became of the wish that a service's workflow run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ensured {
    /// It was started, with this specification.
    Started,
    /// It runs already, with whatever specification it has.
    Existing,
    /// It could not be started.
    Failed,
}

/// Starts the workflow of a service unless it runs already.
pub(crate) async fn ensure<W: 'static>(ctx: &WorkflowContext<W>, spec: ServiceSpec) -> Ensured {
    let options = options::child(&spec.workflow_id);
    let name = spec.name.clone();
    let started = match Kind::of(&spec) {
        Kind::Node => ctx.start_child_workflow(NodeWorkflow::run, NodeInput::new(spec), options).await.map(drop),
        Kind::Dependent => {
            ctx.start_child_workflow(DependentWorkflow::run, NodeInput::new(spec), options).await.map(drop)
        }
        Kind::Cluster => {
            ctx.start_child_workflow(ClusterWorkflow::run, ClusterInput::new(spec), options).await.map(drop)
        }
    };
    match started {
        Ok(()) => Ensured::Started,
        Err(ChildWorkflowStartError::StartFailed { cause: Cause::WorkflowAlreadyExists, .. }) => Ensured::Existing,
        Err(error) => {
            if !ctx.is_replaying() {
                tracing::warn!(target: "dixmgr::plan", service = %name, %error, "the workflow of {name} could not be started: {error}");
            }
            Ensured::Failed
        }
    }
}
