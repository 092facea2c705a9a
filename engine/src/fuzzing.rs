//! What a fuzzer feeds, with bytes from anywhere: the parsers, and requests as clients send them. Whatever the bytes, there is an
//! answer or an error, in bounded time, and no panic. The targets are in `fuzz/`; the tests below feed the same functions with
//! what is known to reach far.

use std::{cell::RefCell, sync::Arc, time::Duration};

use prost::Message as _;
use temporalio_client::callback_based::GrpcRequest;
use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    schedule::v1::{CalendarSpec, ScheduleSpec},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        ListWorkflowExecutionsRequest, PollWorkflowTaskQueueRequest, SignalWithStartWorkflowExecutionRequest,
        SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    },
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    clock::{Timestamp, VirtualClock},
    core::Core,
    cron,
    metrics::EngineMetrics,
    schedule::{Times, canonical},
    service::{Caller, OPERATOR_SERVICE, OPERATOR_SUPPORTED, SUPPORTED, Service, WORKFLOW_SERVICE},
    store::{Store, StoreOptions},
    visibility::{PREDEFINED, Query, Schema},
};

/// Longest wait for an answer; polls wait for tasks.
const PATIENCE: Duration = Duration::from_millis(2);
/// Inputs that one engine sees, so that it does not grow without end.
const INPUTS: usize = 2_000;
/// Requests of one input.
const REQUESTS: usize = 16;
const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);
const NAMESPACE: &str = "default";

/// A list filter: read, and where it can be read, bound to SQL and run.
pub fn list_filter(data: &[u8]) {
    thread_local! {
        static STORE: (Store, Schema) = (
            Store::open_in_memory(&StoreOptions::default()).expect("memory"),
            Schema::new(PREDEFINED.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()),
        );
    }
    let text = String::from_utf8_lossy(data);
    STORE.with(|(store, schema)| {
        let Ok(query) = Query::parse(&text, schema) else { return };
        let page = store.list(NAMESPACE, &query, 10, &[]);
        assert!(page.is_ok(), "{text:?}: {page:?}");
        let count = store.count(NAMESPACE, &query);
        assert!(count.is_ok(), "{text:?}: {count:?}");
    });
}

/// A workflow's cron schedule: eight bytes of time, then its text.
pub fn cron_schedule(data: &[u8]) {
    let Some((time, text)) = data.split_first_chunk::<8>() else { return };
    let (now, text) = (i64::from_le_bytes(*time), String::from_utf8_lossy(text));
    if cron::check(&text, now).is_ok() {
        let due = cron::backoff(&text, now, now);
        assert!(due.is_none_or(|wait| wait >= 0), "{text:?} at {now}: {due:?}");
    }
}

/// A schedule's specification: eight bytes of time, then the message, or the texts of a calendar line by line.
pub fn specification(data: &[u8]) {
    let Some((time, rest)) = data.split_first_chunk::<8>() else { return };
    let now = i64::from_le_bytes(*time);
    let message = ScheduleSpec::decode(rest).ok();
    for spec in message.into_iter().chain([from_lines(&String::from_utf8_lossy(rest))]) {
        let Ok(spec) = canonical(spec) else { continue };
        let again = canonical(spec.clone());
        assert_eq!(again.as_ref().ok(), Some(&spec), "a canonical form is its own: {again:?}");
        if let Ok(times) = Times::new(&spec, String::new()) {
            let due: Vec<_> = times.after(now).take(4).collect();
            assert!(due.windows(2).all(|pair| pair[0].nominal < pair[1].nominal), "{spec:?} from {now}: {due:?}");
        }
    }
}

fn from_lines(text: &str) -> ScheduleSpec {
    let mut lines = text.lines().map(str::to_owned);
    let mut next = || lines.next().unwrap_or_default();
    let calendar = CalendarSpec {
        second: next(),
        minute: next(),
        hour: next(),
        day_of_month: next(),
        month: next(),
        year: next(),
        day_of_week: next(),
        comment: next(),
    };
    let timezone_name = next();
    ScheduleSpec { calendar: vec![calendar], cron_string: lines.take(8).collect(), timezone_name, ..Default::default() }
}

/// Requests, one after the other: a byte that chooses the method, a byte that says how many follow, and these, which are
/// merged into a request that makes sense.
pub fn requests(data: &[u8]) {
    thread_local! {
        static ENGINE: RefCell<Option<Fed>> = const { RefCell::new(None) };
    }
    ENGINE.with_borrow_mut(|engine| {
        let fed = engine.get_or_insert_with(Fed::new);
        fed.feed(data);
        if fed.inputs >= INPUTS {
            *engine = None;
        }
    });
}

/// An engine that is fed.
struct Fed {
    runtime: Runtime,
    service: Service,
    clock: VirtualClock,
    inputs: usize,
}

impl Fed {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clock = VirtualClock::new(EPOCH);
        let open = || Store::open_in_memory(&StoreOptions::default());
        let core = Core::spawn(open, Arc::new(clock.clone()), EngineMetrics::default()).expect("an engine");
        let service = Service::new(core, Caller { in_process: false }, EngineMetrics::default());
        Self { runtime, service, clock, inputs: 0 }
    }

    fn feed(&mut self, mut data: &[u8]) {
        self.inputs += 1;
        for _ in 0..REQUESTS {
            let [method, length, rest @ ..] = data else { break };
            let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            self.ask(*method, body);
            data = rest;
        }
        self.clock.advance(Duration::from_mins(1));
        // It still works.
        let answer = self.answer(&request(WORKFLOW_SERVICE, "ListNamespaces", Vec::new()), PATIENCE * 500);
        assert!(answer.as_ref().is_some_and(Result::is_ok), "{answer:?}");
    }

    fn ask(&self, method: u8, body: &[u8]) {
        let method = usize::from(method) % (SUPPORTED.len() + OPERATOR_SUPPORTED.len());
        let Some(method) = SUPPORTED.get(method) else {
            let method = OPERATOR_SUPPORTED[method - SUPPORTED.len()];
            return drop(self.answer(&request(OPERATOR_SERVICE, method, body.to_vec()), PATIENCE));
        };
        let proto = [sensible(method), body.to_vec()].concat();
        drop(self.answer(&request(WORKFLOW_SERVICE, method, proto), PATIENCE));
    }

    fn answer(&self, request: &GrpcRequest, patience: Duration) -> Option<Result<Vec<u8>, tonic::Status>> {
        self.runtime.block_on(async { tokio::time::timeout(patience, self.service.handle(request)).await.ok() })
    }
}

fn request(service: &str, method: &str, proto: Vec<u8>) -> GrpcRequest {
    let (service, rpc) = (service.to_owned(), method.to_owned());
    GrpcRequest { service, rpc, headers: http::HeaderMap::new(), proto: proto.into() }
}

/// A request of that method that is likely to be taken.
fn sensible(method: &str) -> Vec<u8> {
    let namespace = NAMESPACE.to_owned();
    let (workflow_id, run_id) = ("w".to_owned(), String::new());
    let execution = Some(WorkflowExecution { workflow_id: workflow_id.clone(), run_id });
    let task_queue = Some(TaskQueue { name: "q".to_owned(), ..TaskQueue::default() });
    let workflow_type = Some(WorkflowType { name: "T".to_owned() });
    match method {
        "StartWorkflowExecution" => {
            StartWorkflowExecutionRequest { namespace, workflow_id, workflow_type, task_queue, ..Default::default() }
                .encode_to_vec()
        }
        "SignalWithStartWorkflowExecution" => SignalWithStartWorkflowExecutionRequest {
            namespace,
            workflow_id,
            workflow_type,
            task_queue,
            signal_name: "s".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "PollWorkflowTaskQueue" | "PollActivityTaskQueue" => {
            PollWorkflowTaskQueueRequest { namespace, task_queue, ..Default::default() }.encode_to_vec()
        }
        "SignalWorkflowExecution" => SignalWorkflowExecutionRequest {
            namespace,
            workflow_execution: execution,
            signal_name: "s".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        // The first field of all others is the namespace, of many the second is the execution.
        _ => [
            ListWorkflowExecutionsRequest { namespace, ..Default::default() }.encode_to_vec(),
            SignalWorkflowExecutionRequest { workflow_execution: execution, ..Default::default() }.encode_to_vec(),
        ]
        .concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `input` with some bytes changed, left out and put in, in many ways; always the same ones.
    fn around(input: &[u8], mut feed: impl FnMut(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = move |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % (limit.max(1) as u64)).unwrap_or(0)
        };
        feed(input);
        for _ in 0..200 {
            let mut bytes = input.to_vec();
            for _ in 0..=draw(4) {
                let at = draw(bytes.len());
                match draw(3) {
                    0 => bytes.insert(at, u8::try_from(draw(256)).unwrap_or(0)),
                    1 if !bytes.is_empty() => drop(bytes.remove(at)),
                    _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << draw(8)),
                }
            }
            feed(&bytes);
        }
    }

    #[test]
    fn filters_around_good_ones_do_no_harm() {
        for filter in [
            "WorkflowId = 'a' AND (StartTime BETWEEN '2026-01-01T00:00:00Z' AND '2026-02-01T00:00:00Z') ORDER BY CloseTime DESC",
            "ExecutionStatus IN ('Running', 'Failed') OR NOT WorkflowType STARTS_WITH 'x' GROUP BY ExecutionStatus",
            "CustomKeywordField IS NOT NULL AND CustomIntField >= -7 AND CustomDoubleField != 1e3",
        ] {
            around(filter.as_bytes(), list_filter);
        }
    }

    #[test]
    fn schedules_around_good_ones_do_no_harm() {
        let at = |text: &str| [&1_700_000_000_000_000_000_i64.to_le_bytes(), text.as_bytes()].concat();
        for text in ["*/5 1-9/2 * JAN,MAR mon-fri", "@every 1h30m", "CRON_TZ=Europe/Berlin 0 2 29 2 *", "@daily"] {
            around(&at(text), cron_schedule);
        }
        let lines =
            "0\n*/5\n1-9/2\n*\nJanuary,March\n2026-2030\nMONDAY-5\nwhy\nEurope/Berlin\n0 12 * * MON\n@every 1h/7m";
        around(&at(lines), specification);
        let spec = from_lines(lines).encode_to_vec();
        around(&[1_700_000_000_000_000_000_i64.to_le_bytes().as_slice(), &spec].concat(), specification);
    }

    #[test]
    fn requests_around_good_ones_are_answered() {
        let every: Vec<u8> =
            (0..=u8::MAX).take(SUPPORTED.len() + OPERATOR_SUPPORTED.len()).flat_map(|method| [method, 0]).collect();
        for part in every.chunks(2 * REQUESTS) {
            requests(part);
        }
        let start = u8::try_from(SUPPORTED.iter().position(|name| *name == "StartWorkflowExecution").unwrap_or(0));
        let start = start.unwrap_or_default();
        // A start with a cron schedule in field 17, then one as it is.
        around(&[start, 6, 0x8a, 0x01, 3, b'@', b'x', b'y', start, 0], requests);
    }
}
