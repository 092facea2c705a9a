//! What the hub does when another configuration is in force: looks are judged by its rules from now on, and services that it does not
//! name are let go of as soon as their workflows have.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Id, State};

/// Time between two looks whether the workflow of a service that left the plan has ended its watch.
const LET_GO: Duration = Duration::from_millis(250);

impl State {
    /// Goes by the configuration that is in force now.
    pub(super) fn reconfigure(&mut self) {
        let (policy, now) = (Arc::clone(&self.options.in_force.borrow().alerts), self.clock.now());
        let planned = self.planned();
        let mut leaving = (std::collections::BTreeSet::new(), None);
        for (id, entry) in &mut self.entries {
            entry.judge_by(&policy, now);
            entry.report();
            if !planned.contains(&entry.spec.name) {
                leaving.0.insert(*id);
                leaving.1 = Some(Instant::now());
            }
        }
        self.leaving = leaving;
    }

    /// Forgets those that left the plan and that nobody watches any more.
    pub(super) fn let_go(&mut self, now: Instant) {
        if self.leaving.1.is_none_or(|at| at > now) {
            return;
        }
        let (watched, free): (Vec<Id>, Vec<Id>) =
            self.leaving.0.iter().partition(|id| self.entries.get(id).is_some_and(|entry| entry.is_watched()));
        for id in free {
            self.drop_service(id);
        }
        let again = (!watched.is_empty()).then(|| now + LET_GO);
        self.leaving = (watched.into_iter().collect(), again);
    }

    /// Names of all services and replicas of the plan.
    pub(super) fn planned(&self) -> HashSet<String> {
        self.options.in_force.borrow().plan.names().collect()
    }

    /// Forgets a service, and takes its series off the page.
    pub(super) fn drop_service(&mut self, id: Id) {
        if let Some(entry) = self.entries.get(&id) {
            self.options.metrics.forget_service(&entry.spec.name);
            self.remove(id);
        }
    }
}
