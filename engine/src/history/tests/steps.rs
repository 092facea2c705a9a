//! What can happen to an execution, and how often each of it does.

use proptest::prelude::*;

use crate::history::{ActivityReset, ActivityUnpause};

/// One thing that happens. A number picks among what is there (modulo how many there are).
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A signal, whose request id is the number: a repeated number is a repeated request.
    Signal(u8),
    /// The same, of a signal with start: it does not wait for a start delay to end.
    SignalEarly(u8),
    RequestCancel,
    Terminate,
    StartTask,
    Complete(Vec<Deed>),
    FailTask,
    ClearSticky,
    /// The process ends and comes back.
    Abandon,
    StartActivity(u8),
    Heartbeat(u8),
    CompleteActivity(u8),
    FailActivity(u8, Failing),
    CancelActivity(u8),
    ChildStarts(u8),
    ChildCannotStart(u8),
    ChildCloses(u8, Closing),
    SignalArrives(u8, bool),
    CancelArrives(u8, bool),
    /// An update, whose id is the number: a repeated number is a repeated request.
    Update(u8),
    /// A handler answers a request of an operation.
    Answer(u8, Answering),
    /// An operation that was started ends.
    OperationEnds(u8, Closing),
    /// The workflow is paused, or goes on.
    Pause,
    Unpause,
    /// Other options; the number is the priority.
    Options(u8),
    /// An activity is paused, by the request of that number.
    PauseActivity(u8, u8),
    UnpauseActivity(u8, ActivityUnpause),
    /// An activity is reset, with its first options where that is said.
    ResetActivity(u8, ActivityReset, bool),
    /// An activity gets other timeouts.
    ActivityOptions(u8, Limits),
    /// Seconds go by, and what is due happens.
    Pass(u16),
}

/// How the run begins; 0 for what it does without.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beginning {
    /// Attempts that its retry policy allows.
    pub(super) attempts: u8,
    /// Seconds between the runs of its schedule.
    pub(super) every: u8,
    /// Seconds until its first task.
    pub(super) delay: u8,
    /// Seconds that a run may take.
    pub(super) run_timeout: u8,
}

pub(super) fn beginning() -> impl Strategy<Value = Beginning> {
    let often_none = |range: std::ops::Range<u8>| prop_oneof![2 => Just(0_u8), 1 => range];
    (often_none(1..4), often_none(1..40), often_none(1..30), often_none(20..90))
        .prop_map(|(attempts, every, delay, run_timeout)| Beginning { attempts, every, delay, run_timeout })
}

/// A command of a workflow task.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Activity {
        limits: Limits,
        attempts: u8,
    },
    CancelActivity(u8),
    Operation(Limits),
    CancelOperation(u8),
    Timer(u16),
    CancelTimer(u8),
    Child(u8),
    Marker,
    SignalOther,
    CancelOther,
    Memo(u8),
    /// Accepts an update that was sent; with `true`, completes it at once.
    AcceptUpdate(u8, bool),
    RejectUpdate(u8),
    CompleteUpdate(u8),
    Attribute(u8),
    Complete,
    Fail,
    Cancel,
    ContinueAsNew,
    /// Refused as a whole: the task fails.
    Nonsense,
}

/// Timeouts of an activity in seconds, 0 for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) schedule_to_close: u8,
    pub(super) schedule_to_start: u8,
    pub(super) start_to_close: u8,
    pub(super) heartbeat: u8,
}

/// What a handler answers; to a cancellation, that it is taken or not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answering {
    Started,
    Completed,
    Failed,
    Retryable,
    ForGood,
}

/// How an attempt fails.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failing {
    Retryable,
    ForGood,
}

/// How a child closes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Closing {
    Completed,
    Failed,
    Canceled,
    TimedOut,
    Terminated,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let which = any::<u8>();
    prop_oneof![
        6 => (0_u8..40).prop_map(Step::Signal),
        1 => (0_u8..40).prop_map(Step::SignalEarly),
        1 => Just(Step::RequestCancel),
        1 => prop::bool::weighted(0.15).prop_map(|real| if real { Step::Terminate } else { Step::ClearSticky }),
        14 => Just(Step::StartTask),
        14 => prop::collection::vec(deed(), 0..5).prop_map(Step::Complete),
        3 => Just(Step::FailTask),
        1 => Just(Step::Abandon),
        7 => which.prop_map(Step::StartActivity),
        3 => which.prop_map(Step::Heartbeat),
        4 => which.prop_map(Step::CompleteActivity),
        4 => (which, prop_oneof![3 => Just(Failing::Retryable), 1 => Just(Failing::ForGood)])
            .prop_map(|(which, how)| Step::FailActivity(which, how)),
        2 => which.prop_map(Step::CancelActivity),
        4 => which.prop_map(Step::ChildStarts),
        1 => which.prop_map(Step::ChildCannotStart),
        3 => (which, closing()).prop_map(|(which, how)| Step::ChildCloses(which, how)),
        2 => (which, any::<bool>()).prop_map(|(which, ok)| Step::SignalArrives(which, ok)),
        2 => (which, any::<bool>()).prop_map(|(which, ok)| Step::CancelArrives(which, ok)),
        6 => (0_u8..30).prop_map(Step::Update),
        6 => (which, answering()).prop_map(|(which, how)| Step::Answer(which, how)),
        3 => (which, closing()).prop_map(|(which, how)| Step::OperationEnds(which, how)),
        3 => control(),
        6 => (0_u16..30).prop_map(Step::Pass),
    ]
}

/// What operators do.
fn control() -> impl Strategy<Value = Step> {
    let (which, flag) = (any::<u8>(), any::<bool>());
    prop_oneof![
        2 => Just(Step::Pause),
        5 => Just(Step::Unpause),
        1 => (0_u8..4).prop_map(Step::Options),
        4 => (which, 0_u8..4).prop_map(|(which, request)| Step::PauseActivity(which, request)),
        4 => (which, flag, flag).prop_map(|(which, reset_attempts, reset_heartbeat)| {
            Step::UnpauseActivity(which, ActivityUnpause { reset_attempts, reset_heartbeat })
        }),
        3 => (which, flag, flag, flag).prop_map(|(which, reset_heartbeat, keep_paused, restore)| {
            Step::ResetActivity(which, ActivityReset { reset_heartbeat, keep_paused }, restore)
        }),
        2 => (which, limits()).prop_map(|(which, limits)| Step::ActivityOptions(which, limits)),
    ]
}

fn answering() -> impl Strategy<Value = Answering> {
    prop_oneof![
        4 => Just(Answering::Started),
        1 => Just(Answering::Completed),
        1 => Just(Answering::Failed),
        3 => Just(Answering::Retryable),
        1 => Just(Answering::ForGood),
    ]
}

fn closing() -> impl Strategy<Value = Closing> {
    prop_oneof![
        Just(Closing::Completed),
        Just(Closing::Failed),
        Just(Closing::Canceled),
        Just(Closing::TimedOut),
        Just(Closing::Terminated),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = any::<u8>();
    prop_oneof![
        8 => (limits(), 0_u8..4).prop_map(|(limits, attempts)| Deed::Activity { limits, attempts }),
        3 => which.prop_map(Deed::CancelActivity),
        5 => limits().prop_map(Deed::Operation),
        3 => which.prop_map(Deed::CancelOperation),
        5 => (1_u16..60).prop_map(Deed::Timer),
        3 => which.prop_map(Deed::CancelTimer),
        4 => which.prop_map(Deed::Child),
        2 => Just(Deed::Marker),
        2 => Just(Deed::SignalOther),
        2 => Just(Deed::CancelOther),
        2 => which.prop_map(Deed::Memo),
        2 => which.prop_map(Deed::Attribute),
        6 => (which, any::<bool>()).prop_map(|(which, at_once)| Deed::AcceptUpdate(which, at_once)),
        6 => which.prop_map(Deed::RejectUpdate),
        3 => which.prop_map(Deed::CompleteUpdate),
        1 => prop_oneof![Just(Deed::Complete), Just(Deed::Fail), Just(Deed::Cancel), Just(Deed::ContinueAsNew)],
        1 => Just(Deed::Nonsense),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (0_u8..60, 0_u8..30, 1_u8..30, 0_u8..20).prop_map(
        |(schedule_to_close, schedule_to_start, start_to_close, heartbeat)| Limits {
            schedule_to_close,
            schedule_to_start,
            start_to_close,
            heartbeat,
        },
    )
}
