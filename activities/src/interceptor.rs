//! Counts every activity attempt: how it ended, how long it took, what went wrong.

use std::time::Instant;

use futures_util::FutureExt;
use temporalio_sdk::activities::ActivityError;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, ExecuteActivityResult, Next,
};

use crate::error::Failure;
use crate::metrics::{ActivityStatus, ErrorType, Metrics};

/// Records all activities of a worker in the metrics.
#[derive(Debug, Clone)]
pub struct CountingInterceptor {
    metrics: Metrics,
}

impl CountingInterceptor {
    /// Records into `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl ActivityInboundInterceptor for CountingInterceptor {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        async move {
            let metrics = self.metrics.activity(&input.activity_info().activity_type);
            let started = Instant::now();
            let result = next.run(input).await;
            let (status, error) = judge(&result);
            metrics.record(status, started.elapsed());
            if let Some(error) = error {
                metrics.error(error);
            }
            result
        }
        .boxed()
    }
}

fn judge(result: &ExecuteActivityResult) -> (ActivityStatus, Option<ErrorType>) {
    match result {
        Ok(_) => (ActivityStatus::Completed, None),
        Err(ActivityError::Cancelled { .. }) => (ActivityStatus::Canceled, None),
        Err(ActivityError::Application(failure)) => {
            let known = Failure::ALL.into_iter().find(|kind| failure.type_name() == Some(kind.name()));
            // The SDK turns a panic into a failure without type, in these words.
            let panicked = known.is_none() && failure.to_string().starts_with("Activity function panicked");
            let error = match known {
                Some(kind) => kind.error_type(),
                None if panicked => ErrorType::Panic,
                None => ErrorType::Unclassified,
            };
            (ActivityStatus::Failed, Some(error))
        }
        // The enum may grow; an end that is not known is no success.
        Err(_) => (ActivityStatus::Failed, Some(ErrorType::Unclassified)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn every_end_is_told_apart() {
        let table = [
            (error::bad_input("x"), ActivityStatus::Failed, Some(ErrorType::BadInput)),
            (error::retryable(Failure::ManagerUnreachable, "x"), ActivityStatus::Failed, Some(ErrorType::Unreachable)),
            (ActivityError::cancelled(), ActivityStatus::Canceled, None),
            (
                ActivityError::from(std::io::Error::other("Activity function panicked: oh")),
                ActivityStatus::Failed,
                Some(ErrorType::Panic),
            ),
            (ActivityError::from(std::io::Error::other("x")), ActivityStatus::Failed, Some(ErrorType::Unclassified)),
        ];
        for (end, status, error) in table {
            let words = format!("{end:?}");
            assert_eq!(judge(&Err(end)), (status, error), "{words}");
        }
        assert_eq!(judge(&Ok(Box::new(()))), (ActivityStatus::Completed, None));
    }
}
