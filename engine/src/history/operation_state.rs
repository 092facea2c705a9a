//! What is remembered of a Nexus operation besides its events, in the form in which it is stored; and when which of it is due.
//!
//! | request | waits for | becomes |
//! |---|---|---|
//! | due | a handler's answer, which may take [`REQUEST_TIMEOUT`] | ended, or backing off when it may be tried again |
//! | backing off | its time | due |
//! | ended, or not begun | nothing | |

use temporalio_common::protos::temporal::api::{
    enums::v1::{NexusOperationCancellationState, TimeoutType},
    failure::v1::Failure,
    history::v1::NexusOperationScheduledEventAttributes,
};

use super::time::{Nanos, deadline, from_duration};

/// How long a handler may take to answer a request (`component.nexusoperations.request.timeout` is ten seconds, of which a server's
/// own ways take one).
const REQUEST_TIMEOUT: Nanos = 9_000_000_000;
/// Time that has to be left for a request (`nexusoperation.limit.request.timeout.min`).
const MIN_REQUEST_TIMEOUT: Nanos = 1_500_000_000;
/// The wait after the first failed request, which doubles, and the longest (`component.nexusoperations.retryPolicy`).
const FIRST_BACKOFF: Nanos = 1_000_000_000;
const MAX_BACKOFF: Nanos = 3_600_000_000_000;

/// A request to a handler, which is made until it is answered.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct NexusRequest {
    /// Attempts that have ended.
    #[prost(int32, tag = "1")]
    pub attempts: i32,
    /// When the attempt under way became due, or will become due while it backs off; 0 for none.
    #[prost(int64, tag = "2")]
    pub time: i64,
    /// Whether it waits for that time.
    #[prost(bool, tag = "3")]
    pub backing_off: bool,
    /// When the last attempt ended, 0 for never.
    #[prost(int64, tag = "4")]
    pub last_attempt_complete_time: i64,
    /// Why the last attempt failed.
    #[prost(message, optional, tag = "5")]
    pub last_failure: Option<Failure>,
}

/// A Nexus operation that has not ended.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PendingOperation {
    /// Scheduled event's attributes without input.
    #[prost(message, optional, tag = "1")]
    pub scheduled: Option<NexusOperationScheduledEventAttributes>,
    /// Its scheduled event.
    #[prost(int64, tag = "2")]
    pub scheduled_event_id: i64,
    /// When that was.
    #[prost(int64, tag = "3")]
    pub scheduled_time: i64,
    /// The request to start it.
    #[prost(message, optional, tag = "4")]
    pub start: Option<NexusRequest>,
    /// The handler's name for it, once it is started.
    #[prost(string, tag = "5")]
    pub token: String,
    /// When it was started, 0 before.
    #[prost(int64, tag = "6")]
    pub started_time: i64,
    /// Its cancellation, once that is asked for.
    #[prost(message, optional, tag = "7")]
    pub cancellation: Option<NexusCancellation>,
}

/// The cancellation of a Nexus operation.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct NexusCancellation {
    /// Event by which it was asked for.
    #[prost(int64, tag = "1")]
    pub requested_event_id: i64,
    /// When the handler was to be told; 0 while the operation is not started.
    #[prost(int64, tag = "2")]
    pub requested_time: i64,
    /// The request to the handler, from then on.
    #[prost(message, optional, tag = "3")]
    pub request: Option<NexusRequest>,
    /// How that ended, as `NexusOperationCancellationState`; unspecified before.
    #[prost(int32, tag = "4")]
    pub outcome: i32,
}

/// Names one attempt of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    /// Scheduled event of the operation.
    pub scheduled_event_id: i64,
    /// Whether it is the request to cancel it, and not the one to start it.
    pub cancel: bool,
    /// The attempt, from 1.
    pub attempt: i32,
}

impl NexusRequest {
    /// A request that is due.
    pub(super) fn begun(now: Nanos) -> Self {
        Self { time: now, ..Self::default() }
    }

    fn is_under_way(&self) -> bool {
        self.time != 0 && !self.backing_off
    }

    /// The attempt has ended, and is to be followed by another.
    pub(super) fn back_off(&mut self, now: Nanos, failure: Failure) {
        self.end(now, Some(failure));
        let doublings = u32::try_from(self.attempts - 1).unwrap_or(0).min(16);
        self.time = now.saturating_add(FIRST_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF));
        self.backing_off = true;
    }

    /// The attempt was the last.
    pub(super) fn end(&mut self, now: Nanos, failure: Option<Failure>) {
        self.attempts += 1;
        self.last_attempt_complete_time = now;
        self.last_failure = failure;
        self.time = 0;
        self.backing_off = false;
    }

    /// When something falls due: the end of a backoff, or of the time that a handler has. 0 for never.
    fn deadline(&self, limit: Nanos) -> Nanos {
        match self.time {
            0 => 0,
            time if self.backing_off => time,
            time => earlier(time.saturating_add(REQUEST_TIMEOUT), limit),
        }
    }
}

impl NexusCancellation {
    /// How far it has come, as clients are told.
    pub(crate) fn state(&self) -> NexusOperationCancellationState {
        match &self.request {
            Some(request) if request.backing_off => NexusOperationCancellationState::BackingOff,
            Some(request) if request.time != 0 => NexusOperationCancellationState::Scheduled,
            _ => NexusOperationCancellationState::try_from(self.outcome).unwrap_or_default(),
        }
    }
}

impl PendingOperation {
    /// The scheduled event's attributes, without input.
    pub(crate) fn attributes(&self) -> NexusOperationScheduledEventAttributes {
        self.scheduled.clone().unwrap_or_default()
    }

    /// Whether the handler has answered that the end comes later.
    pub(crate) fn is_started(&self) -> bool {
        self.started_time != 0
    }

    fn limit(&self, of: impl FnOnce(&NexusOperationScheduledEventAttributes) -> Nanos, from: Nanos) -> Nanos {
        if from == 0 { 0 } else { deadline(from, self.scheduled.as_ref().map_or(0, of)) }
    }

    /// When its timeouts run out, each with its kind; 0 for never.
    fn limits(&self) -> [(Nanos, TimeoutType); 3] {
        let to_start = if self.is_started() { 0 } else { self.scheduled_time };
        [
            (
                self.limit(|a| from_duration(a.schedule_to_start_timeout.as_ref()), to_start),
                TimeoutType::ScheduleToStart,
            ),
            (self.close_limit(), TimeoutType::ScheduleToClose),
            (
                self.limit(|a| from_duration(a.start_to_close_timeout.as_ref()), self.started_time),
                TimeoutType::StartToClose,
            ),
        ]
    }

    fn close_limit(&self) -> Nanos {
        self.limit(|a| from_duration(a.schedule_to_close_timeout.as_ref()), self.scheduled_time)
    }

    /// The timeout that leaves the request to start it too little time, and when that is; 0 for none.
    fn start_limit(&self) -> (Nanos, TimeoutType) {
        let [to_start, to_close, _] = self.limits();
        if to_start.0 == 0 { to_close } else { to_start }
    }

    /// The timeout that ends it at `now`, if one does. A request that would be made too late is not made, and ends it at once.
    pub(super) fn due_timeout(&self, now: Nanos) -> Option<TimeoutType> {
        if let Some((_, kind)) = self.limits().into_iter().find(|(limit, _)| *limit != 0 && *limit <= now) {
            return Some(kind);
        }
        self.is_short_of_time().then(|| self.start_limit().1)
    }

    /// Whether too little time is left for the request to start it.
    fn is_short_of_time(&self) -> bool {
        let (limit, _) = self.start_limit();
        let under_way = self.start.as_ref().filter(|request| request.is_under_way());
        limit != 0 && under_way.is_some_and(|request| limit.saturating_sub(request.time) < MIN_REQUEST_TIMEOUT)
    }

    /// The attempt of a request that waits for a handler's answer, and until when it may.
    pub(crate) fn call(&self) -> Option<(CallId, Nanos)> {
        let id = |cancel, request: &NexusRequest| CallId {
            scheduled_event_id: self.scheduled_event_id,
            cancel,
            attempt: request.attempts + 1,
        };
        if let Some(request) = self.start.as_ref().filter(|request| request.is_under_way()) {
            let limit = self.start_limit().0;
            return (!self.is_short_of_time()).then(|| (id(false, request), request.deadline(limit)));
        }
        let request = self.cancellation.as_ref()?.request.as_ref().filter(|request| request.is_under_way())?;
        Some((id(true, request), request.deadline(self.close_limit())))
    }

    /// The request that an attempt is of.
    pub(super) fn request_mut(&mut self, cancel: bool) -> Option<&mut NexusRequest> {
        if cancel { self.cancellation.as_mut()?.request.as_mut() } else { self.start.as_mut() }
    }

    /// The next time at which something falls due by itself, 0 for never.
    pub(super) fn next_deadline(&self) -> Nanos {
        if self.is_short_of_time() {
            return self.start.as_ref().map_or(0, |request| request.time);
        }
        let start = self.start.as_ref().map_or(0, |request| request.deadline(self.start_limit().0));
        let cancel = self.cancellation.as_ref().and_then(|cancellation| cancellation.request.as_ref());
        let cancel = cancel.map_or(0, |request| request.deadline(self.close_limit()));
        self.limits().into_iter().map(|(limit, _)| limit).chain([start, cancel]).fold(0, earlier)
    }

    /// What waits for the end of its backoff goes on; answers whether anything does.
    pub(super) fn end_backoff(&mut self, now: Nanos) -> bool {
        let mut any = false;
        for cancel in [false, true] {
            if let Some(request) = self.request_mut(cancel).filter(|r| r.backing_off && r.time <= now) {
                request.backing_off = false;
                any = true;
            }
        }
        any
    }

    /// Its requests begin anew: whoever had them is gone. Answers whether there are any.
    pub(super) fn begin_anew(&mut self, now: Nanos) -> bool {
        let mut any = false;
        for cancel in [false, true] {
            if let Some(request) = self.request_mut(cancel).filter(|request| request.is_under_way()) {
                request.time = now;
                any = true;
            }
        }
        any
    }
}

/// The earlier of two times, 0 standing for "never".
fn earlier(a: Nanos, b: Nanos) -> Nanos {
    super::time::shorter(a, b)
}
