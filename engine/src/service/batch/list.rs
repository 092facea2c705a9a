//! The batches of a namespace, those under way first, and then those that ended last.

use std::cmp::Reverse;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    batch::v1::BatchOperationInfo,
    workflowservice::v1::{ListBatchOperationsRequest, ListBatchOperationsResponse},
};
use tonic::Status;

use crate::{
    core::{BatchJob, Core},
    history::time::timestamp,
    service::{page_size, visibility::MAX_PAGE},
};

/// Where a page ends. A batch that ends meanwhile may be seen twice, and none is left out.
#[derive(Clone, PartialEq, ::prost::Message)]
struct PageToken {
    /// When the last batch of the page ended, the greatest number while it was under way.
    #[prost(int64, tag = "1")]
    close_time: i64,
    /// When it began.
    #[prost(int64, tag = "2")]
    start_time: i64,
    /// Its job id.
    #[prost(string, tag = "3")]
    job_id: String,
}

impl PageToken {
    fn of(job: &BatchJob) -> Self {
        let close_time = if job.is_running() { i64::MAX } else { job.close_time };
        Self { close_time, start_time: job.start_time, job_id: job.request().job_id }
    }

    fn order(&self) -> Reverse<(i64, i64, &str)> {
        Reverse((self.close_time, self.start_time, &self.job_id))
    }
}

/// One page.
///
/// # Errors
/// `INVALID_ARGUMENT`: the token is not one of ours.
pub(super) fn list(core: &Core, request: &ListBatchOperationsRequest) -> Result<ListBatchOperationsResponse, Status> {
    let after = match request.next_page_token.as_slice() {
        [] => None,
        bytes => Some(PageToken::decode(bytes).map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?),
    };
    let jobs = core.batch_jobs.of(&request.namespace).map(|job| (PageToken::of(job), job));
    let mut jobs: Vec<_> =
        jobs.filter(|(at, _)| after.as_ref().is_none_or(|after| at.order() > after.order())).collect();
    jobs.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let size = page_size(request.page_size, MAX_PAGE);
    let next = jobs.get(size).and_then(|_| jobs.get(size - 1)).map(|(at, _)| at.encode_to_vec());
    jobs.truncate(size);
    Ok(ListBatchOperationsResponse {
        operation_info: jobs.into_iter().map(|(_, job)| info(job)).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

fn info(job: &BatchJob) -> BatchOperationInfo {
    let request = job.request();
    BatchOperationInfo {
        state: job.state,
        start_time: timestamp(job.start_time),
        close_time: timestamp(job.close_time),
        operation_type: super::kind(&request).into(),
        job_id: request.job_id,
    }
}
