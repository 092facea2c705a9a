//! What a service needs: which of it is ready, and how long the rest has kept it waiting. Pure.

use std::time::Duration;

use dixmgr_activities::api::DependencyWait;
use dixmgr_model::Dependency;
use serde::{Deserialize, Serialize};

use crate::restart::after;

/// All that one service needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    needs: Vec<Need>,
}

/// One thing that is needed. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The other service.
    pub service: String,
    /// Its workflow.
    pub workflow_id: String,
    /// Whether it is ready, as far as it has told.
    pub ready: bool,
    /// Since when it keeps this service waiting.
    pub waiting_since: Option<u64>,
    /// Whether this wait was reported as too long.
    pub timed_out: bool,
}

impl Needs {
    /// Takes over a new list: what stays keeps its state, what is new is waited for from `now` on.
    /// Returns the workflows of what is new.
    pub fn set(&mut self, wanted: &[Dependency], now: u64) -> Vec<String> {
        let old = std::mem::take(&mut self.needs);
        let mut new = Vec::new();
        for dependency in wanted {
            let known = old.iter().find(|need| need.workflow_id == dependency.workflow_id);
            self.needs.push(known.cloned().unwrap_or_else(|| {
                new.push(dependency.workflow_id.clone());
                Need {
                    service: dependency.service.clone(),
                    workflow_id: dependency.workflow_id.clone(),
                    ready: false,
                    waiting_since: Some(now),
                    timed_out: false,
                }
            }));
        }
        new
    }

    /// Whether everything is ready.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        self.needs.iter().all(|need| need.ready)
    }

    /// Names of what is not ready.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().filter(|need| !need.ready).map(|need| need.service.as_str())
    }

    /// Notes what another service told. Returns the wait that this ended, to be recorded.
    pub fn told(&mut self, waiter: &str, service: &str, ready: bool, now: u64) -> Option<DependencyWait> {
        let need = self.needs.iter_mut().find(|need| need.service == service)?;
        need.ready = ready;
        let since = need.waiting_since.filter(|_| ready)?;
        need.waiting_since = None;
        need.timed_out = false;
        Some(DependencyWait {
            service: waiter.to_owned(),
            dependency: service.to_owned(),
            waited: Duration::from_millis(now.saturating_sub(since)),
            timed_out: false,
        })
    }

    /// The service has begun to wait for whatever is not ready.
    pub fn begin_wait(&mut self, now: u64) {
        for need in self.needs.iter_mut().filter(|need| !need.ready) {
            need.waiting_since.get_or_insert(now);
        }
    }

    /// Waits that have just become too long, each reported once.
    pub fn overdue(&mut self, waiter: &str, timeout: Duration, now: u64) -> Vec<DependencyWait> {
        let mut overdue = Vec::new();
        for need in self.needs.iter_mut().filter(|need| !need.timed_out) {
            let Some(since) = need.waiting_since.filter(|&since| after(since, timeout) <= now) else { continue };
            need.timed_out = true;
            overdue.push(DependencyWait {
                service: waiter.to_owned(),
                dependency: need.service.clone(),
                waited: Duration::from_millis(now.saturating_sub(since)),
                timed_out: true,
            });
        }
        overdue
    }

    /// When the next wait becomes too long.
    #[must_use]
    pub fn wake_at(&self, timeout: Duration) -> Option<u64> {
        let pending = self.needs.iter().filter(|need| !need.timed_out);
        pending.filter_map(|need| need.waiting_since).map(|since| after(since, timeout)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    fn needs(names: &[&str]) -> Vec<Dependency> {
        names.iter().map(|name| Dependency { service: (*name).into(), workflow_id: format!("wf.{name}") }).collect()
    }

    #[test]
    fn a_wait_is_measured_from_the_start_to_readiness() {
        let mut waiting = Needs::default();
        assert_eq!(waiting.set(&needs(&["db", "bus"]), 1_000), ["wf.db", "wf.bus"]);
        let wait = waiting.told("web", "db", true, 4_000);
        assert_eq!(wait.map(|wait| (wait.dependency, wait.waited)), Some(("db".into(), Duration::from_secs(3))));
        assert_eq!(waiting.told("web", "db", true, 5_000), None, "it was told already");
        assert!(!waiting.all_ready());
        assert_eq!(waiting.missing().collect::<Vec<_>>(), ["bus"]);
    }

    #[test]
    fn a_lost_dependency_counts_only_once_it_keeps_the_service_waiting() {
        let mut waiting = Needs::default();
        waiting.set(&needs(&["db"]), 0);
        waiting.told("web", "db", true, 0);
        assert_eq!(waiting.told("web", "db", false, 1_000), None);
        assert_eq!(waiting.wake_at(TIMEOUT), None);
        waiting.begin_wait(10_000);
        assert_eq!(waiting.wake_at(TIMEOUT), Some(70_000));
        assert_eq!(waiting.told("web", "db", true, 12_000).map(|wait| wait.waited), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_timeout_is_reported_once_and_the_wait_goes_on() {
        let mut waiting = Needs::default();
        waiting.set(&needs(&["db"]), 0);
        assert!(waiting.overdue("web", TIMEOUT, 59_999).is_empty());
        let overdue = waiting.overdue("web", TIMEOUT, 60_000);
        assert!(overdue.len() == 1 && overdue[0].timed_out);
        assert!(waiting.overdue("web", TIMEOUT, 90_000).is_empty());
        assert_eq!(waiting.wake_at(TIMEOUT), None);
        assert_eq!(waiting.told("web", "db", true, 99_000).map(|wait| wait.waited), Some(Duration::from_secs(99)));
    }

    #[test]
    fn a_new_list_keeps_what_is_known() {
        let mut waiting = Needs::default();
        waiting.set(&needs(&["db"]), 0);
        waiting.told("web", "db", true, 0);
        assert_eq!(waiting.set(&needs(&["db", "bus"]), 5), ["wf.bus"]);
        assert_eq!(waiting.missing().collect::<Vec<_>>(), ["bus"]);
        assert!(waiting.set(&needs(&["db"]), 6).is_empty());
        assert!(waiting.all_ready());
    }

    #[test]
    fn a_stranger_is_ignored() {
        let mut waiting = Needs::default();
        assert_eq!(waiting.told("web", "db", true, 0), None);
        assert!(waiting.all_ready());
    }
}
