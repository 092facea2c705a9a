//! Listing and counting schedules. They are few and in memory, so the filter is evaluated over all of them.

use std::cmp::Reverse;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::SearchAttributes,
    schedule::v1::ScheduleListEntry,
    workflowservice::v1::{CountSchedulesRequest, CountSchedulesResponse, ListSchedulesRequest, ListSchedulesResponse},
};
use tonic::Status;

use super::{
    Service, page_size,
    search_attributes::{self, registered},
    visibility::MAX_PAGE,
};
use crate::{
    core::Core,
    history::time::{Nanos, from_timestamp},
    schedule::{Machine, Record},
    store::{SearchValue, VisibilityHit, VisibilityRow},
    visibility::{DIVISION, GroupBy, PREDEFINED, Query, Schema, SearchType, SystemField},
};

/// The names by which a filter knows the id of a schedule.
const ID_FIELDS: [&str; 2] = ["ScheduleId", "TemporalScheduleId"];
/// The one predefined search attribute that a schedule has.
const PAUSED: &str = "TemporalSchedulePaused";

/// Where a page ends. The schedules that were created last come first.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct PageToken {
    #[prost(int64, tag = "1")]
    created: i64,
    #[prost(string, tag = "2")]
    schedule_id: String,
}

impl Service {
    pub(super) async fn list_schedules(&self, request: ListSchedulesRequest) -> Result<ListSchedulesResponse, Status> {
        let size = page_size(request.maximum_page_size, MAX_PAGE);
        let after = page_token(&request.next_page_token)?;
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let query = parse(core, &request.namespace, &request.query)?;
                    Ok(page(core, &request.namespace, &query, after.as_ref(), size))
                });
            })
            .await
    }

    pub(super) async fn count_schedules(
        &self,
        request: CountSchedulesRequest,
    ) -> Result<CountSchedulesResponse, Status> {
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let query = parse(core, &request.namespace, &request.query)?;
                    let found = core.schedules.of(&request.namespace).filter(|machine| query.matches(&hit(machine)));
                    let count = i64::try_from(found.count()).unwrap_or(i64::MAX);
                    Ok(CountSchedulesResponse { count, ..Default::default() })
                });
            })
            .await
    }
}

/// A schedule's search attributes, without those that only the server sets.
pub(super) fn own_search_attributes(record: &Record) -> Option<SearchAttributes> {
    let mut attributes = record.search_attributes.clone()?;
    attributes.indexed_fields.retain(|name, _| !PREDEFINED.iter().any(|(predefined, _)| predefined == name));
    Some(attributes).filter(|attributes| !attributes.indexed_fields.is_empty())
}

fn page(core: &Core, namespace: &str, query: &Query, after: Option<&PageToken>, size: usize) -> ListSchedulesResponse {
    let matching = core.schedules.of(namespace).filter(|machine| query.matches(&hit(machine)));
    let mut found: Vec<_> = matching.map(|machine| (position(machine.record()), machine)).collect();
    found.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    if let Some(after) = after {
        found.retain(|(position, _)| order(position) > order(after));
    }
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more).map(|(position, _)| position.encode_to_vec());
    let now = core.now();
    let schedules = found.into_iter().map(|(_, machine)| entry(machine, now)).collect();
    ListSchedulesResponse { schedules, next_page_token: last.unwrap_or_default() }
}

fn position(record: &Record) -> PageToken {
    PageToken { created: from_timestamp(record.info.create_time.as_ref()), schedule_id: record.schedule_id.clone() }
}

fn order(position: &PageToken) -> (Reverse<i64>, &str) {
    (Reverse(position.created), &position.schedule_id)
}

fn page_token(bytes: &[u8]) -> Result<Option<PageToken>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    PageToken::decode(bytes).map(Some).map_err(|_| Status::invalid_argument("Invalid NextPageToken."))
}

fn entry(machine: &Machine, now: Nanos) -> ScheduleListEntry {
    let record = machine.record();
    ScheduleListEntry {
        schedule_id: record.schedule_id.clone(),
        memo: Some(record.memo.clone().unwrap_or_default()),
        search_attributes: own_search_attributes(record),
        info: Some(machine.list_info(now)),
    }
}

/// Reads a filter, which may name the schedule's id, whether it is paused, and the search attributes of its namespace.
fn parse(core: &Core, namespace: &str, text: &str) -> Result<Query, Status> {
    core.require_namespace(namespace)?;
    let mut attributes = core.namespaces.get(namespace).map(registered).unwrap_or_default();
    attributes.extend(ID_FIELDS.map(|name| (name.to_owned(), SearchType::Keyword)));
    let query =
        Query::parse(text, &Schema::new(attributes)).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let predefined = PREDEFINED.iter().map(|(name, _)| *name).filter(|name| *name != PAUSED);
    let reserved = SystemField::ALL.into_iter().map(SystemField::name).chain(predefined);
    let grouped = query.group_by.map(|group| match group {
        GroupBy::Status => SystemField::ExecutionStatus.name(),
        GroupBy::Division => DIVISION,
    });
    let sorted = |name: &&str| query.mentions(name) || query.order_by.iter().any(|order| order.field.name() == *name);
    match grouped.or_else(|| reserved.into_iter().find(sorted)) {
        Some(field) => {
            let message = format!("invalid query filter for schedules: cannot filter on {field:?}");
            Err(Status::invalid_argument(message))
        }
        None => Ok(query),
    }
}

/// A schedule as filters see it.
fn hit(machine: &Machine) -> VisibilityHit {
    let record = machine.record();
    let mut attributes = search_attributes::values(own_search_attributes(record).as_ref());
    for name in ID_FIELDS {
        attributes.insert(name.to_owned(), SearchValue::Keyword(record.schedule_id.clone()));
    }
    attributes.insert(PAUSED.to_owned(), SearchValue::Bool(record.state.paused));
    let row = VisibilityRow { search_attributes: attributes, ..VisibilityRow::default() };
    VisibilityHit { workflow_id: String::new(), run_id: String::new(), row }
}
