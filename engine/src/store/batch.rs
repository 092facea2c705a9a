//! Everything that one transaction writes. The core thread collects the effects of many requests here, so that they
//! share one `fsync`.

use super::types::{
    ActivityRow, BatchJobRow, DeploymentRow, EndpointRow, ExecutionKey, ExecutionRow, NamespaceRow, PendingKind,
    ScheduleRow, TaskQueueRow,
};

/// Writes that become durable together or not at all.
///
/// They are applied in the order of the fields, whatever the order in which they were pushed; within a field, in the
/// order of the vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Namespaces to insert or replace, by name.
    pub put_namespaces: Vec<NamespaceRow>,
    /// Runs to insert or replace. For a change of mutable state alone, `update_state` is much cheaper.
    pub put_executions: Vec<ExecutionRow>,
    /// New mutable state of runs that exist.
    pub update_state: Vec<(ExecutionKey, Vec<u8>)>,
    /// Pending rows to insert or replace, by run, kind and id.
    pub put_pending: Vec<(ExecutionKey, PendingKind, i64, Vec<u8>)>,
    /// Pending rows to delete; one that does not exist is no error.
    pub delete_pending: Vec<(ExecutionKey, PendingKind, i64)>,
    /// Events to append: the run, first and last event id, encoded events. Writing a first event id twice is an error.
    pub append_history: Vec<(ExecutionKey, i64, i64, Vec<u8>)>,
    /// Namespace, workflow id, and the run that an empty run id shall mean from now on.
    pub set_current: Vec<(String, String, ExecutionKey)>,
    /// Runs whose pending rows all go, because they closed. Each must have a close time, put in this batch or earlier.
    pub close_executions: Vec<ExecutionKey>,
    /// Runs to forget: state, history and visibility.
    pub delete_executions: Vec<ExecutionKey>,
    /// Namespaces to forget, by name. Their runs are not touched.
    pub delete_namespaces: Vec<String>,
    /// Schedules to insert or replace, by namespace and id.
    pub put_schedules: Vec<ScheduleRow>,
    /// Schedules to forget: namespace and id. One that does not exist is no error.
    pub delete_schedules: Vec<(String, String)>,
    /// Batch operations to insert or replace, by namespace and id.
    pub put_batch_jobs: Vec<BatchJobRow>,
    /// Batch operations to forget: namespace and id. One that does not exist is no error.
    pub delete_batch_jobs: Vec<(String, String)>,
    /// Settings of task queues to insert, replace or forget.
    pub put_task_queues: Vec<TaskQueueRow>,
    /// Nexus endpoints to insert, replace or forget.
    pub put_endpoints: Vec<EndpointRow>,
    /// Worker deployments to insert or replace, by namespace and name.
    pub put_deployments: Vec<DeploymentRow>,
    /// Activities that stand alone, to insert or replace, by key.
    pub put_activities: Vec<ActivityRow>,
    /// Inputs of activities that are new, by key.
    pub put_activity_inputs: Vec<(i64, Vec<u8>)>,
    /// Activities to forget, by key.
    pub delete_activities: Vec<i64>,
    /// Namespaces whose activities are all to be forgotten.
    pub delete_activities_of: Vec<String>,
    /// Worker deployments to forget: namespace and name. One that does not exist is no error.
    pub delete_deployments: Vec<(String, String)>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Self {
            put_namespaces,
            put_executions,
            update_state,
            put_pending,
            delete_pending,
            append_history,
            set_current,
            close_executions,
            delete_executions,
            delete_namespaces,
            put_schedules,
            delete_schedules,
            put_batch_jobs,
            delete_batch_jobs,
            put_deployments,
            put_task_queues,
            put_endpoints,
            delete_deployments,
            put_activities,
            put_activity_inputs,
            delete_activities,
            delete_activities_of,
        } = self;
        put_namespaces.is_empty()
            && put_executions.is_empty()
            && update_state.is_empty()
            && put_pending.is_empty()
            && delete_pending.is_empty()
            && append_history.is_empty()
            && set_current.is_empty()
            && close_executions.is_empty()
            && delete_executions.is_empty()
            && delete_namespaces.is_empty()
            && put_schedules.is_empty()
            && delete_schedules.is_empty()
            && put_batch_jobs.is_empty()
            && delete_batch_jobs.is_empty()
            && put_deployments.is_empty()
            && put_task_queues.is_empty()
            && put_endpoints.is_empty()
            && delete_deployments.is_empty()
            && put_activities.is_empty()
            && put_activity_inputs.is_empty()
            && delete_activities.is_empty()
            && delete_activities_of.is_empty()
    }
}
