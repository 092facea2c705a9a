//! Commands that look: lists, counts, descriptions and histories.

use std::time::Duration;

use serde_json::Value;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest, GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
};

use super::error::WorkflowError;
use super::{PATIENCE, Session, event, execution, table, text, within};
use crate::cli::Target;

/// Workflows asked for at once.
const LIST_PAGE: i32 = 200;
/// Events asked for, and held, at once.
const EVENTS_PAGE: i32 = 200;
/// Longest wait for the next event; servers answer with nothing well before it.
const NEXT_EVENT: Duration = Duration::from_secs(90);

/// Columns of a list, and whether they give way on a narrow terminal.
const COLUMNS: [(&str, bool); 6] =
    [("STATUS", false), ("WORKFLOW ID", true), ("TYPE", true), ("RUN ID", true), ("STARTED", false), ("TOOK", false)];

impl Session {
    pub(super) async fn list(&mut self, query: &str, limit: u16) -> Result<(), WorkflowError> {
        let (mut found, mut token) = (Vec::new(), Vec::new());
        let limit = usize::from(limit);
        loop {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(LIST_PAGE).min(LIST_PAGE);
            let request = ListWorkflowExecutionsRequest {
                namespace: self.namespace.clone(),
                page_size: wanted,
                next_page_token: token,
                query: query.to_owned(),
            };
            let mut service = self.client.connection().workflow_service();
            let page = service.list_workflow_executions(within(PATIENCE, request)).await?.into_inner();
            for info in page.executions.iter().take(limit - found.len()) {
                found.push(self.schema.json(info)?);
            }
            token = page.next_page_token;
            if token.is_empty() || found.len() >= limit {
                break;
            }
        }
        if self.output.is_json() {
            return self.output.value(&Value::Array(found));
        }
        let rows: Vec<_> = found.iter().map(row).collect();
        for line in table::lines(COLUMNS, &rows, self.output.width()) {
            self.output.line(&line)?;
        }
        if !token.is_empty() {
            eprintln!("dixmgr: there may be more than these {limit}; -limit shows more, -query fewer");
        }
        Ok(())
    }

    pub(super) async fn count(&mut self, query: &str) -> Result<(), WorkflowError> {
        let request = CountWorkflowExecutionsRequest { namespace: self.namespace.clone(), query: query.to_owned() };
        let mut service = self.client.connection().workflow_service();
        let counted = service.count_workflow_executions(within(PATIENCE, request)).await?.into_inner();
        let counted_json = self.schema.json(&counted)?;
        if self.output.is_json() {
            return self.output.value(&counted_json);
        }
        self.output.line(&counted.count.to_string())?;
        for group in counted_json.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let values = group.get("groupValues").and_then(Value::as_array).into_iter().flatten();
            let values: Vec<String> = values.map(text::payload).collect();
            let count = group.get("count").and_then(Value::as_str).unwrap_or("0");
            self.output.line(&format!("{}: {count}", values.join(", ")))?;
        }
        Ok(())
    }

    pub(super) async fn describe(&mut self, target: &Target) -> Result<(), WorkflowError> {
        let request =
            DescribeWorkflowExecutionRequest { namespace: self.namespace.clone(), execution: Some(execution(target)) };
        let mut service = self.client.connection().workflow_service();
        let found = service.describe_workflow_execution(within(PATIENCE, request)).await?.into_inner();
        let found = self.schema.json(&found)?;
        if self.output.is_json() {
            return self.output.value(&found);
        }
        for line in description(&found) {
            self.output.line(&line)?;
        }
        Ok(())
    }

    pub(super) async fn show(&mut self, target: &Target, follow: bool) -> Result<(), WorkflowError> {
        if self.output.is_json() {
            self.history(target, follow).await?;
            return self.output.piece("\n]}\n");
        }
        self.describe(target).await?;
        self.output.line("")?;
        self.history(target, follow).await
    }

    /// Writes a history as it comes, page by page. All pages are of the run that the first one belongs to: the token says so.
    async fn history(&mut self, target: &Target, follow: bool) -> Result<(), WorkflowError> {
        let (mut token, mut first) = (Vec::new(), true);
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: self.namespace.clone(),
                execution: Some(execution(target)),
                maximum_page_size: EVENTS_PAGE,
                next_page_token: token,
                wait_new_event: follow,
                ..GetWorkflowExecutionHistoryRequest::default()
            };
            let mut service = self.client.connection().workflow_service();
            let patience = if follow { NEXT_EVENT } else { PATIENCE };
            let page = service.get_workflow_execution_history(within(patience, request)).await?.into_inner();
            for event in page.history.iter().flat_map(|history| &history.events) {
                let event = self.schema.json(event)?;
                if self.output.is_json() {
                    self.output.piece(if first { "{\"events\": [\n" } else { ",\n" })?;
                    self.output.piece(&event.to_string())?;
                } else {
                    self.output.line(&event::line(&event))?;
                }
                first = false;
            }
            self.output.flush()?;
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A line of a list.
fn row(info: &Value) -> [String; 6] {
    let at = |pointer: &str| info.pointer(pointer).unwrap_or(&Value::Null);
    let plain = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
    [
        text::constant(at("/status"), "WORKFLOW_EXECUTION_STATUS_"),
        plain("/execution/workflowId"),
        plain("/type/name"),
        plain("/execution/runId"),
        text::time(at("/startTime")),
        text::between(at("/startTime"), info.get("closeTime")),
    ]
}

/// A description, a line for each thing that is known.
fn description(found: &Value) -> Vec<String> {
    let info = found.get("workflowExecutionInfo").unwrap_or(&Value::Null);
    let [status, id, kind, run, _, took] = row(info);
    let plain = |pointer: &str| info.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let first_run = Some(plain("/firstRunId")).filter(|first| *first != run).unwrap_or_default();
    let entries = [
        ("workflow", id),
        ("run", run),
        ("first run", first_run),
        ("type", kind),
        ("status", status),
        ("task queue", plain("/taskQueue")),
        ("started", plain("/startTime")),
        ("closed", plain("/closeTime")),
        ("took", took),
        ("events", plain("/historyLength")),
        ("parent", plain("/parentExecution/workflowId")),
    ];
    let known = entries.into_iter().filter(|(_, value)| !value.is_empty());
    let mut lines: Vec<String> = known.map(|(name, value)| format!("{name:<11} {value}")).collect();
    let pending = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    lines.extend(
        pending("pendingActivities").iter().map(|activity| format!("{:<11} {}", "activity", waiting(activity))),
    );
    for child in pending("pendingChildren") {
        lines.push(format!("{:<11} {}", "child", child.get("workflowId").and_then(Value::as_str).unwrap_or_default()));
    }
    lines
}

/// An activity that is under way.
fn waiting(activity: &Value) -> String {
    let at = |pointer: &str| activity.pointer(pointer).unwrap_or(&Value::Null);
    let plain = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
    let state = text::constant(at("/state"), "PENDING_ACTIVITY_STATE_");
    let attempt = at("/attempt").as_i64().unwrap_or(1);
    let failed = activity.get("lastFailure").map(|failure| format!(", last failure: {}", text::failure(failure)));
    let id = plain("/activityId");
    format!("{} ({id}) {state}, attempt {attempt}{}", plain("/activityType/name"), failed.unwrap_or_default())
}
