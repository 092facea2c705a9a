//! The loop that keeps one service: it runs the activities and timers that the cell calls for, and feeds back what they say.
//!
//! In flight are at most one watch, one action, one timer, one wave of signals, one record and one word about an alert. While an action runs, a
//! watch that began before it may still run; what that one says is dropped, because the watch that starts after the
//! action compares the world with the action's own report, and so sees whatever happened in between.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_activities::api::{ServiceActivities, WatchReport, WatchRequest};
use dixmgr_model::{ActionReport, ActionRequest, ServiceState};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{ActivityExecutionError, TimerOptions, WorkflowCancellationToken, WorkflowContext};

use super::cell::Orders;
use super::{Cell, Slot};
use crate::alert::order::carry_out;
use crate::messages::NodeInput;
use crate::outbox::{Delivery, send_wave};
use crate::restart::{Action, Event, Reason, Verb, after};
use crate::{log, options};

/// Wait before a watch that failed for good is started once more.
const WATCH_RETRY: Duration = Duration::from_secs(30);

/// A workflow whose state holds a service.
pub(crate) trait KeepsService: Sized + 'static {
    /// The service.
    fn cell(&self) -> &Cell;
    /// The service, to change.
    fn cell_mut(&mut self) -> &mut Cell;
}

/// How a run ends.
pub(crate) enum End {
    /// The service is no longer to be kept.
    Stopped,
    /// The workflow was cancelled.
    Cancelled,
    /// History is long: go on in a new run.
    ContinueAsNew(Box<NodeInput>),
}

/// Keeps the service until the run ends.
pub(crate) async fn keep<W: KeepsService>(ctx: &WorkflowContext<W>) -> End {
    let mut keeper = Keeper::new(ctx);
    keeper.obey(Cell::begin);
    loop {
        keeper.arm();
        if let Some(end) = keeper.end() {
            return end;
        }
        keeper.handle_next().await;
    }
}

type Watched = Result<WatchReport, ActivityExecutionError>;
type Acted = Result<ActionReport, ActivityExecutionError>;

/// What is in flight for one service.
struct Keeper<'a, W> {
    ctx: &'a WorkflowContext<W>,
    watch: Slot<'a, Watched>,
    /// What the running watch compares with.
    watching: Option<ServiceState>,
    /// When a failed watch is started again.
    watch_again: Option<u64>,
    action: Slot<'a, Acted>,
    timer: Slot<'a, ()>,
    timer_at: Option<u64>,
    sending: Slot<'a, Vec<Delivery>>,
    recording: Slot<'a, ()>,
    alerting: Slot<'a, ()>,
    stopped: bool,
    cancelled: bool,
}

impl<'a, W: KeepsService> Keeper<'a, W> {
    fn new(ctx: &'a WorkflowContext<W>) -> Self {
        Self {
            ctx,
            watch: Slot::empty(),
            watching: None,
            watch_again: None,
            action: Slot::empty(),
            timer: Slot::empty(),
            timer_at: None,
            sending: Slot::empty(),
            recording: Slot::empty(),
            alerting: Slot::empty(),
            stopped: false,
            cancelled: false,
        }
    }

    /// Starts whatever the state calls for and is not in flight yet.
    fn arm(&mut self) {
        self.arm_watch();
        self.arm_timer();
        if !self.sending.is_busy() && self.cell(|cell| !cell.outbox.is_empty()) {
            let wave = self.cell_mut(|cell| cell.outbox.take_wave());
            self.sending.fill(WorkflowCancellationToken::new(), send_wave(self.ctx, wave));
        }
        if !self.recording.is_busy()
            && let Some(wait) = self.cell(|cell| cell.waits.front().cloned())
        {
            let token = self.token();
            let options = options::record(token.clone());
            let record = self.ctx.execute_activity(ServiceActivities::record_dependency_wait, wait, options);
            self.recording.fill(token, async { drop(record.await) });
        }
        self.arm_alerting();
    }

    /// Alerts are told of one after the other, so that "firing" comes before "resolved".
    fn arm_alerting(&mut self) {
        if !self.alerting.is_busy()
            && let Some(order) = self.cell_mut(|cell| cell.alerts.next_order())
        {
            self.alerting.fill(WorkflowCancellationToken::new(), carry_out(self.ctx, order));
        }
    }

    /// The invariant at rest: the running watch compares with what was last decided on.
    fn arm_watch(&mut self) {
        if self.action.is_busy() || self.watch_again.is_some() {
            return;
        }
        let (known, alerts) = self.cell(|cell| (cell.machine.last.clone(), cell.alerts.known()));
        let current = match (&self.watching, &known) {
            (Some(watching), Some(known)) => !watching.differs(known),
            (watching, known) => watching.is_none() && known.is_none(),
        };
        if self.watch.is_busy() && current {
            return;
        }
        self.watch.cancel();
        let spec = Arc::new(self.cell(|cell| cell.spec.clone()));
        let request = WatchRequest { spec, known: known.clone(), alerts };
        let token = self.token();
        let options = options::watch(token.clone());
        let watch = self.ctx.execute_activity(ServiceActivities::watch_service, request, options);
        self.watch.fill(token, watch);
        self.watching = known;
    }

    fn arm_timer(&mut self) {
        let due = self.cell(Cell::wake_at);
        let due = [due, self.watch_again].into_iter().flatten().min();
        if due == self.timer_at {
            return;
        }
        self.timer.cancel();
        self.timer_at = due;
        if let Some(due) = due {
            let wait = Duration::from_millis(due.saturating_sub(log::now(self.ctx)).max(1));
            let token = self.token();
            let timer = self.ctx.timer(TimerOptions::builder(wait).cancellation_token(token.clone()).build());
            self.timer.fill(token, async { _ = timer.await });
        }
    }

    /// Whether the run ends here. A new run begins only when nothing that must not be lost is in flight.
    fn end(&self) -> Option<End> {
        let alerted = self.cell(|cell| cell.alerts.is_settled()) && !self.alerting.is_busy();
        if self.stopped && alerted {
            return Some(End::Stopped);
        }
        if self.cancelled {
            return Some(End::Cancelled);
        }
        let limit = self.cell(|cell| cell.history_limit);
        let long =
            self.ctx.continue_as_new_suggested() || limit.is_some_and(|limit| self.ctx.history_length() >= limit);
        let busy = self.action.is_busy() || self.sending.is_busy() || self.recording.is_busy();
        (long && !busy && alerted && self.cell(Cell::is_quiet))
            .then(|| End::ContinueAsNew(Box::new(self.cell(Cell::carry))))
    }

    /// Waits for whatever happens first and handles it. The order of the arms is part of every recorded history.
    async fn handle_next(&mut self) {
        let ctx = self.ctx;
        select! {
            waited = ctx.wait_condition(|workflow: &W| !workflow.cell().inbox.is_empty()) => match waited {
                Ok(()) => self.handle_signals(),
                Err(_) => self.cancelled = true,
            },
            acted = &mut self.action.future => self.handle_action(acted),
            watched = &mut self.watch.future => self.handle_watch(watched),
            () = &mut self.timer.future => self.handle_timer(),
            deliveries = &mut self.sending.future => self.handle_deliveries(&deliveries),
            () = &mut self.recording.future => {
                self.cell_mut(|cell| cell.waits.pop_front());
            }
            () = &mut self.alerting.future => {}
        }
    }

    fn handle_signals(&mut self) {
        while let Some(inbound) = self.cell_mut(|cell| cell.inbox.pop_front()) {
            self.obey(|cell, now, draw| cell.receive(inbound, now, draw));
        }
    }

    fn handle_action(&mut self, acted: Acted) {
        match acted {
            Ok(report) => {
                self.note_outcome(&report);
                self.obey(|cell, now, draw| cell.finished(&report, now, draw));
            }
            Err(ActivityExecutionError::Cancelled(_)) => self.cancelled = true,
            Err(error) => {
                self.note_error("action", &error);
                self.obey(|cell, now, draw| cell.on(Event::Abandoned, now, draw));
            }
        }
    }

    fn handle_watch(&mut self, watched: Watched) {
        match watched {
            Ok(_) if self.action.is_busy() => {}
            Ok(report) => self.obey(|cell, now, draw| cell.seen(report, now, draw)),
            Err(ActivityExecutionError::Cancelled(_)) => self.cancelled = true,
            Err(error) => {
                self.note_error("watch", &error);
                self.watch_again = Some(after(log::now(self.ctx), WATCH_RETRY));
                self.obey(|cell, _, _| cell.note(Reason::WatchFailed));
            }
        }
    }

    fn handle_timer(&mut self) {
        self.timer_at = None;
        let now = log::now(self.ctx);
        self.watch_again = self.watch_again.filter(|&at| at > now);
        self.obey(Cell::wake);
    }

    fn handle_deliveries(&mut self, deliveries: &[Delivery]) {
        for lost in deliveries.iter().filter(|delivery| !delivery.delivered) {
            self.cell_mut(|cell| cell.unsubscribe(&lost.to));
        }
    }

    /// Lets the cell take something in, and carries out what it orders.
    fn obey(&mut self, step: impl FnOnce(&mut Cell, u64, f64) -> Orders) {
        let (now, draw) = (log::now(self.ctx), self.ctx.random::<f64>());
        let orders = self.cell_mut(|cell| step(cell, now, draw));
        for line in &orders.lines {
            let service = self.cell(|cell| cell.spec.name.clone());
            log::decision(self.ctx, &service, line.decision, line.reason.name(), line.reason.sentence());
        }
        self.stopped |= orders.stop;
        if orders.rewatch {
            self.watch.cancel();
            self.watch_again = None;
        }
        if let Some(action) = orders.action {
            self.start_action(action);
        }
    }

    fn start_action(&mut self, action: Action) {
        let token = self.token();
        let (request, options) = self.cell(|cell| {
            let spec = &cell.spec;
            let request = ActionRequest {
                service: spec.name.clone(),
                kind: spec.labels.kind.clone(),
                target: spec.target.clone(),
                replaces: action.replaces,
                reason: cell.status().reason.name().to_owned(),
                timeout: spec.operation_timeout,
            };
            (request, options::action(spec, token.clone()))
        });
        match action.verb {
            Verb::Start => {
                self.action.fill(token, self.ctx.execute_activity(ServiceActivities::start_unit, request, options));
            }
            Verb::Restart => {
                self.action.fill(token, self.ctx.execute_activity(ServiceActivities::restart_unit, request, options));
            }
        }
    }

    fn note_outcome(&self, report: &ActionReport) {
        if !self.ctx.is_replaying() {
            let service = self.cell(|cell| cell.spec.name.clone());
            tracing::debug!(target: "dixmgr::action", %service, outcome = ?report.outcome, phase = %report.unit.phase, detail = %report.detail, "action ended");
        }
    }

    fn note_error(&self, what: &str, error: &ActivityExecutionError) {
        if !self.ctx.is_replaying() {
            let service = self.cell(|cell| cell.spec.name.clone());
            tracing::warn!(target: "dixmgr::action", %service, %error, "the {what} of {service} failed for good: {error}");
        }
    }

    fn token(&self) -> WorkflowCancellationToken {
        self.ctx.cancellation_token().child_token()
    }

    fn cell<R>(&self, read: impl FnOnce(&Cell) -> R) -> R {
        self.ctx.state(|workflow| read(workflow.cell()))
    }

    fn cell_mut<R>(&self, change: impl FnOnce(&mut Cell) -> R) -> R {
        self.ctx.state_mut(|workflow| change(workflow.cell_mut()))
    }
}
