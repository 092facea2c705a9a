//! The decision: a table of where things stand and what happened.

use dixmgr_model::{ActionOutcome, RestartPolicy, ServiceState, UnitPhase};

use super::state::after;
use super::verdict::remedy;
use super::{Acting, Action, Decision, Event, Phase, Reason, RestartState, Verb, Verdict, backoff, verdict};

/// Decides what follows from `event`, and remembers it in `state`.
///
/// `now` is in milliseconds since the Unix epoch; `draw`, in `[0, 1)`, places a wait within its jitter.
pub fn decide(policy: &RestartPolicy, state: &mut RestartState, event: Event, now: u64, draw: f64) -> Decision {
    let stable = has_become_stable(policy, state, now);
    if stable {
        state.clear();
    }
    let mut decision = Step { policy, state: &mut *state, now, draw }.take(event);
    if stable && decision.action.is_none() && state.is_ready() {
        decision.reason = Reason::Stable;
    }
    state.ready_since = if state.is_ready() { state.ready_since.or(Some(now)) } else { None };
    decision
}

fn has_become_stable(policy: &RestartPolicy, state: &RestartState, now: u64) -> bool {
    state.remembers() && state.ready_since.is_some_and(|since| after(since, policy.stable_after) <= now)
}

/// One decision under way.
struct Step<'a> {
    policy: &'a RestartPolicy,
    state: &'a mut RestartState,
    now: u64,
    draw: f64,
}

impl Step<'_> {
    /// Phase × event.
    fn take(mut self, event: Event) -> Decision {
        match (self.state.phase.clone(), event) {
            // While an action is in flight its own report is what counts; nothing else starts another.
            (Phase::Acting(_), Event::Seen(_) | Event::Woke | Event::PolicyChanged) => wait(Reason::ActionInFlight),
            (Phase::Acting(acting), Event::Finished { outcome, after }) => self.finished(&acting, outcome, after),
            (Phase::Acting(acting), Event::Abandoned) => self.abandoned(&acting),
            (Phase::Acting(_), Event::RestartNow) => {
                self.state.clear();
                wait(Reason::ActionInFlight)
            }
            (_, Event::Finished { .. } | Event::Abandoned) => wait(Reason::NothingInFlight),

            (_, Event::Seen(seen)) => {
                self.state.last = Some(seen);
                self.judge()
            }

            (Phase::BackingOff { until }, Event::Woke) if until <= self.now => self.due(Reason::BackoffElapsed),
            (Phase::Quarantined { until }, Event::Woke) if until <= self.now => self.due(Reason::QuarantineRetry),
            (_, Event::Woke) => self.stay(),

            (_, Event::Dependencies { ready }) => self.dependencies(ready),
            (_, Event::RestartNow) => self.restart_now(),
            (Phase::Acting(_), Event::Pause) => {
                self.state.paused = true;
                wait(Reason::Paused)
            }
            (_, Event::Pause) => {
                self.state.paused = true;
                self.rest(Reason::Paused)
            }
            (Phase::Acting(_), Event::Resume) => {
                self.state.paused = false;
                wait(Reason::ActionInFlight)
            }
            (_, Event::Resume) => {
                self.state.paused = false;
                self.judge().or(Reason::Resumed)
            }
            (_, Event::PolicyChanged) => self.judge().or(Reason::SpecUpdated),
        }
    }

    /// What the service's state demands × where the decision stands.
    fn judge(&mut self) -> Decision {
        let Some(last) = self.state.last.clone() else { return wait(Reason::NotObserved) };
        match (verdict(self.policy, &last), self.state.phase.clone()) {
            (Verdict::Blind, _) => wait(Reason::Unobservable),
            (Verdict::Hopeless(reason), _) => {
                self.state.operator_asked = false;
                self.rest(reason)
            }
            _ if self.state.operator_asked && !self.state.paused => self.act(&last, Reason::OperatorRestart, false),
            (
                Verdict::Fine(_),
                Phase::BackingOff { .. } | Phase::AwaitingDependencies { .. } | Phase::Quarantined { .. },
            ) => self.rest(Reason::RecoveredByItself),
            (Verdict::Fine(reason) | Verdict::Busy(reason), _) => self.rest(reason),
            (Verdict::Dead(_), Phase::BackingOff { .. }) => wait(Reason::BackingOff),
            (Verdict::Dead(_), Phase::Quarantined { .. }) => wait(Reason::Quarantined),
            (Verdict::Dead(_), Phase::AwaitingDependencies { backed_off: true }) => self.due(Reason::BackoffElapsed),
            (Verdict::Dead(reason), _) => self.attempt(&last, reason),
        }
    }

    /// It has just been found dead: the gates, in order.
    fn attempt(&mut self, last: &ServiceState, reason: Reason) -> Decision {
        let first_start = !self.state.started && remedy(last).verb == Verb::Start;
        if self.state.paused {
            self.rest(Reason::Paused)
        } else if !self.state.dependencies_ready {
            self.state.phase = Phase::AwaitingDependencies { backed_off: false };
            wait(Reason::WaitingForDependency)
        } else if self.state.quarantined {
            self.quarantine(Reason::Quarantined)
        } else if self.state.at_limit(self.policy, self.now) {
            self.quarantine(Reason::RestartLimit)
        } else if first_start {
            self.act(last, Reason::FirstStart, false)
        } else if self.state.streak == 0 {
            self.act(last, reason, true)
        } else {
            let until = after(self.now, backoff(self.policy, self.state.streak, self.draw));
            self.state.phase = Phase::BackingOff { until };
            wait(Reason::BackingOff)
        }
    }

    /// Its wait is over: look again before acting.
    fn due(&mut self, reason: Reason) -> Decision {
        let Some(last) = self.state.last.clone() else { return self.rest(Reason::NotObserved) };
        match verdict(self.policy, &last) {
            Verdict::Blind => self.rest(Reason::Unobservable),
            Verdict::Fine(reason) | Verdict::Busy(reason) | Verdict::Hopeless(reason) => self.rest(reason),
            Verdict::Dead(_) if !self.state.dependencies_ready => {
                self.state.phase = Phase::AwaitingDependencies { backed_off: true };
                wait(Reason::WaitingForDependency)
            }
            Verdict::Dead(_) if !self.state.quarantined && self.state.at_limit(self.policy, self.now) => {
                self.quarantine(Reason::RestartLimit)
            }
            Verdict::Dead(_) => self.act(&last, reason, true),
        }
    }

    /// The action came back.
    fn finished(&mut self, acting: &Acting, outcome: ActionOutcome, after: ServiceState) -> Decision {
        // A manager that says "already done" of an invocation that is still there has done nothing.
        let idle = outcome == ActionOutcome::AlreadyDone && after.unit.invocation_id == acting.replaces;
        let (counted, done) = match outcome {
            _ if idle => (true, Reason::AlreadyReplaced),
            ActionOutcome::Done if acting.verb == Verb::Start => (acting.counted, Reason::Started),
            ActionOutcome::Done => (acting.counted, Reason::Restarted),
            ActionOutcome::Failed => (true, Reason::Restarted),
            ActionOutcome::AlreadyDone => (false, Reason::AlreadyReplaced),
            ActionOutcome::Refused => (false, Reason::Refused),
            ActionOutcome::WouldDo => (true, Reason::WouldAct),
        };
        self.state.last = Some(after);
        self.conclude(acting, counted);
        if outcome == ActionOutcome::Refused { wait(Reason::Refused) } else { self.judge().or(done) }
    }

    fn abandoned(&mut self, acting: &Acting) -> Decision {
        self.conclude(acting, true);
        self.judge()
    }

    fn conclude(&mut self, acting: &Acting, counted: bool) {
        self.state.phase = Phase::Observing;
        self.state.actions = self.state.actions.saturating_add(1);
        self.state.started |= acting.verb == Verb::Start;
        if counted {
            self.state.count(self.policy, self.now);
        }
    }

    fn dependencies(&mut self, ready: bool) -> Decision {
        let was = std::mem::replace(&mut self.state.dependencies_ready, ready);
        match (&self.state.phase, ready) {
            (Phase::AwaitingDependencies { .. }, true) => self.judge(),
            _ if was == ready => self.stay(),
            (_, true) => wait(Reason::DependenciesReady),
            (_, false) if self.runs() => wait(Reason::DependencyLost),
            (_, false) => self.stay(),
        }
    }

    /// Whether the unit was up when it was last seen.
    fn runs(&self) -> bool {
        self.state.last.as_ref().is_some_and(|last| last.unit.phase == UnitPhase::Active)
    }

    /// An operator's word clears the counters and lifts quarantine and backoff; a paused service stays paused.
    fn restart_now(&mut self) -> Decision {
        if self.state.paused {
            return wait(Reason::Paused);
        }
        self.state.clear();
        self.state.phase = Phase::Observing;
        self.state.operator_asked = true;
        self.judge()
    }

    fn act(&mut self, last: &ServiceState, reason: Reason, counted: bool) -> Decision {
        let Action { verb, replaces } = remedy(last);
        self.state.operator_asked = false;
        self.state.phase = Phase::Acting(Acting { verb, replaces: replaces.clone(), counted });
        Decision { action: Some(Action { verb, replaces }), reason }
    }

    fn quarantine(&mut self, reason: Reason) -> Decision {
        self.state.quarantined = true;
        self.state.phase = Phase::Quarantined { until: after(self.now, self.policy.quarantine_retry) };
        wait(reason)
    }

    fn rest(&mut self, reason: Reason) -> Decision {
        self.state.phase = Phase::Observing;
        wait(reason)
    }

    /// Nothing new: the reason why nothing is done.
    fn stay(&self) -> Decision {
        wait(match (&self.state.phase, &self.state.last) {
            (Phase::Acting(_), _) => Reason::ActionInFlight,
            (Phase::BackingOff { .. }, _) => Reason::BackingOff,
            (Phase::Quarantined { .. }, _) => Reason::Quarantined,
            (Phase::AwaitingDependencies { .. }, _) => Reason::WaitingForDependency,
            (Phase::Observing, _) if self.state.paused => Reason::Paused,
            (Phase::Observing, None) => Reason::NotObserved,
            (Phase::Observing, Some(last)) => match verdict(self.policy, last) {
                Verdict::Fine(reason) | Verdict::Busy(reason) | Verdict::Hopeless(reason) | Verdict::Dead(reason) => {
                    reason
                }
                Verdict::Blind => Reason::Unobservable,
            },
        })
    }
}

impl Decision {
    /// The same decision under a better name, where nothing more is to be done and the service is well.
    fn or(mut self, better: Reason) -> Self {
        let settled = matches!(self.reason, Reason::Ready | Reason::Running | Reason::Syncing | Reason::Completed);
        if self.action.is_none() && settled {
            self.reason = better;
        }
        self
    }
}

fn wait(reason: Reason) -> Decision {
    Decision { action: None, reason }
}
