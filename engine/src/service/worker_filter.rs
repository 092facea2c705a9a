//! The filter of worker listings: the list filter's language over what workers say of themselves.

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::worker::v1::WorkerHeartbeat;
use tonic::Status;

use super::worker::status_name;
use crate::{
    clock::Timestamp,
    history::time::from_timestamp,
    store::{SearchValue, VisibilityHit, VisibilityRow},
    visibility::{Comparison, Expr, PREDEFINED, Query, Schema, SearchType, SystemField, Test, Value},
};

/// What a filter may name that is text, beside [`TASK_QUEUE`]. `Status` is another name of `WorkerStatus`.
const TEXTS: [&str; 9] = [
    "WorkerInstanceKey",
    "WorkerIdentity",
    "HostName",
    "DeploymentName",
    "BuildId",
    "SdkName",
    "SdkVersion",
    "WorkerStatus",
    "Status",
];
const HEARTBEAT_TIME: &str = "HeartbeatTime";
/// Those that the language knows anyhow.
const SHARED: [SystemField; 2] = [SystemField::TaskQueue, SystemField::StartTime];

/// A checked filter. The default one matches every worker.
pub(super) struct Filter(Query);

impl Filter {
    /// Understands `text`; blank text means every worker.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`: the text is no filter, or names what workers do not have.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let mut fields: BTreeMap<_, _> = TEXTS.map(|name| (name.to_owned(), SearchType::Keyword)).into();
        fields.insert(HEARTBEAT_TIME.to_owned(), SearchType::Datetime);
        let mut query = Query::parse(text, &Schema::new(fields))
            .map_err(|error| Status::invalid_argument(format!("malformed query: {error}")))?;
        let foreign = SystemField::ALL.into_iter().filter(|field| !SHARED.contains(field)).map(SystemField::name);
        let named = foreign.chain(PREDEFINED.map(|(name, _)| name)).find(|name| query.mentions(name));
        if let Some(name) = named {
            return Err(Status::invalid_argument(format!(
                "unknown or unsupported worker heartbeat search field: {name}"
            )));
        }
        if query.group_by.is_some() {
            return Err(Status::invalid_argument("operation is not supported: 'group by' clause"));
        }
        query.filter = query.filter.map(absent_is_empty);
        Ok(Self(query))
    }

    /// Whether the filter holds for a worker.
    pub(super) fn matches(&self, worker: &WorkerHeartbeat) -> bool {
        self.0.matches(&hit(worker))
    }
}

/// To a worker's texts, absent and empty are one: `IS NULL` asks for the empty text.
fn absent_is_empty(expr: Expr) -> Expr {
    match expr {
        Expr::All(members) => Expr::All(members.into_iter().map(absent_is_empty).collect()),
        Expr::Any(members) => Expr::Any(members.into_iter().map(absent_is_empty).collect()),
        Expr::Not(inner) => Expr::Not(Box::new(absent_is_empty(*inner))),
        Expr::Condition(mut condition) => {
            let name = condition.field.name();
            let text = TEXTS.contains(&name) || name == SystemField::TaskQueue.name();
            if let Test::Null { negated } = condition.test
                && text
            {
                let comparison = if negated { Comparison::NotEqual } else { Comparison::Equal };
                condition.test = Test::Compare(comparison, Value::Text(String::new()));
            }
            Expr::Condition(condition)
        }
    }
}

/// A worker as filters see it.
fn hit(worker: &WorkerHeartbeat) -> VisibilityHit {
    let version = worker.deployment_version.clone().unwrap_or_default();
    let host = worker.host_info.as_ref().map(|host| host.host_name.clone()).unwrap_or_default();
    let status = status_name(worker.status()).to_owned();
    let texts = [
        worker.worker_instance_key.clone(),
        worker.worker_identity.clone(),
        host,
        version.deployment_name,
        version.build_id,
        worker.sdk_name.clone(),
        worker.sdk_version.clone(),
        status.clone(),
        status,
    ];
    let named = TEXTS.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), SearchValue::Keyword(text)));
    let mut search_attributes: BTreeMap<_, _> = named.collect();
    if worker.heartbeat_time.is_some() {
        let time = Timestamp(from_timestamp(worker.heartbeat_time.as_ref()));
        search_attributes.insert(HEARTBEAT_TIME.to_owned(), SearchValue::Datetime(time));
    }
    let row = VisibilityRow {
        task_queue: worker.task_queue.clone(),
        start_time: Timestamp(from_timestamp(worker.start_time.as_ref())),
        search_attributes,
        ..VisibilityRow::default()
    };
    VisibilityHit { workflow_id: String::new(), run_id: String::new(), row }
}
