//! A group of equal replicas: its quorum, and its replacement one at a time. Pure.

use dixmgr_model::{Replicas, ServiceSpec, Target};
use serde::{Deserialize, Serialize};

use crate::messages::DependencyReady;

/// What is known of the replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    quorum: usize,
    replicas: Vec<Replica>,
    #[serde(default)]
    rolling: Option<Rolling>,
}

/// One replica, as it has told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Whether it is ready.
    pub ready: bool,
    /// How many actions on it have ended.
    pub actions: u64,
}

/// A rolling restart under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rolling {
    /// The replica whose turn it is.
    index: usize,
    /// Its count of actions when it was told to restart; absent before.
    told_at: Option<u64>,
}

/// What follows for a rolling restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roll {
    /// No rolling restart is under way.
    None,
    /// Tell this replica to restart.
    Replace(usize),
    /// This replica is not back yet.
    Await(usize),
    /// Not now: without this replica the quorum would be lost.
    Hold(usize),
    /// All replicas are replaced.
    Finished,
}

impl Group {
    /// A group of which nothing is known yet.
    pub(crate) fn new(replicas: Replicas) -> Self {
        let mut group = Self { quorum: 0, replicas: Vec::new(), rolling: None };
        group.resize(replicas);
        group
    }

    /// Takes another size or quorum. Returns the indices that fell away.
    pub(crate) fn resize(&mut self, replicas: Replicas) -> std::ops::Range<usize> {
        let before = self.replicas.len();
        let count = usize::try_from(replicas.count).unwrap_or(usize::MAX);
        self.quorum = usize::try_from(replicas.quorum).unwrap_or(usize::MAX);
        self.replicas.resize(count, Replica::default());
        count.min(before)..before
    }

    /// How many replicas there are.
    pub(crate) fn len(&self) -> usize {
        self.replicas.len()
    }

    /// How many are ready.
    pub(crate) fn ready_count(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.ready).count()
    }

    /// Whether the quorum stands.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_count() >= self.quorum
    }

    /// Whether one replica can ever be missed.
    pub(crate) fn can_spare_one(&self) -> bool {
        self.replicas.len() > self.quorum
    }

    /// Notes what replica `index` told.
    pub(crate) fn told(&mut self, index: usize, told: &DependencyReady) {
        if let Some(replica) = self.replicas.get_mut(index) {
            *replica = Replica { ready: told.ready, actions: told.actions };
        }
    }

    /// Begins a rolling restart, or says the current step's word once more where one is under way.
    pub(crate) fn roll(&mut self) {
        match &mut self.rolling {
            Some(rolling) => rolling.told_at = None,
            None => self.rolling = Some(Rolling { index: 0, told_at: None }),
        }
    }

    /// Moves a rolling restart on as far as it goes.
    pub(crate) fn advance(&mut self) -> Roll {
        let ready = self.ready_count();
        let Some(rolling) = &mut self.rolling else { return Roll::None };
        if let (Some(replica), Some(told_at)) = (self.replicas.get(rolling.index), rolling.told_at) {
            if replica.actions == told_at || !replica.ready {
                return Roll::Await(rolling.index);
            }
            *rolling = Rolling { index: rolling.index + 1, told_at: None };
        }
        let Some(replica) = self.replicas.get(rolling.index) else {
            self.rolling = None;
            return Roll::Finished;
        };
        if ready - usize::from(replica.ready) < self.quorum {
            return Roll::Hold(rolling.index);
        }
        rolling.told_at = Some(replica.actions);
        Roll::Replace(rolling.index)
    }

    /// The replica whose turn it is.
    pub(crate) fn rolling(&self) -> Option<usize> {
        self.rolling.as_ref().map(|rolling| rolling.index)
    }
}

/// Name of replica `index`.
pub(crate) fn replica_name(spec: &ServiceSpec, index: usize) -> String {
    format!("{}-{index}", spec.name)
}

/// Workflow of replica `index`.
pub(crate) fn replica_id(spec: &ServiceSpec, index: usize) -> String {
    format!("{}.{index}", spec.workflow_id)
}

/// What replica `index` is: the group's specification with `{i}` filled in, reporting to the group.
#[must_use]
pub fn replica_spec(spec: &ServiceSpec, index: usize) -> ServiceSpec {
    let fill = |text: &str| text.replace("{i}", &index.to_string());
    let mut replica = ServiceSpec {
        name: replica_name(spec, index),
        workflow_id: replica_id(spec, index),
        ready_signal: format!("{}:{index}", spec.ready_signal),
        dependents: vec![spec.workflow_id.clone()],
        replicas: None,
        ..spec.clone()
    };
    match &mut replica.target {
        Target::Unit(unit) => *unit = fill(unit),
        Target::Command(command) => {
            command.argv.iter_mut().for_each(|word| *word = fill(word));
            command.directory = command.directory.as_deref().map(fill);
            command.environment.values_mut().for_each(|value| *value = fill(value));
        }
    }
    for check in &mut replica.probes.http {
        check.url = fill(&check.url);
    }
    if let Some(sync) = &mut replica.probes.sync {
        sync.endpoint = fill(&sync.endpoint);
    }
    replica
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(count: u32, quorum: u32) -> Group {
        Group::new(Replicas { count, quorum })
    }

    fn tell(group: &mut Group, index: usize, ready: bool, actions: u64) {
        group.told(index, &DependencyReady { service: String::new(), ready, actions });
    }

    #[test]
    fn it_is_ready_from_its_quorum_on() {
        let mut group = group(3, 2);
        tell(&mut group, 0, true, 0);
        assert!(!group.is_ready());
        tell(&mut group, 2, true, 0);
        assert!(group.is_ready());
        tell(&mut group, 7, true, 0);
        assert_eq!(group.ready_count(), 2, "a stranger does not count");
    }

    #[test]
    fn replicas_are_replaced_one_at_a_time() {
        let mut group = group(2, 1);
        (0..2).for_each(|index| tell(&mut group, index, true, 5));
        assert_eq!(group.advance(), Roll::None);
        group.roll();
        assert_eq!(group.advance(), Roll::Replace(0));
        assert_eq!(group.advance(), Roll::Await(0));
        tell(&mut group, 0, false, 5);
        assert_eq!(group.advance(), Roll::Await(0));
        tell(&mut group, 0, true, 6);
        assert_eq!(group.advance(), Roll::Replace(1));
        tell(&mut group, 1, true, 6);
        assert_eq!(group.advance(), Roll::Finished);
        assert_eq!(group.advance(), Roll::None);
    }

    #[test]
    fn it_holds_while_the_quorum_would_be_lost() {
        let mut group = group(3, 2);
        (0..2).for_each(|index| tell(&mut group, index, true, 0));
        group.roll();
        assert_eq!(group.advance(), Roll::Hold(0));
        tell(&mut group, 2, true, 0);
        assert_eq!(group.advance(), Roll::Replace(0));
    }

    #[test]
    fn a_replica_that_is_down_may_be_replaced() {
        let mut group = group(3, 2);
        (1..3).for_each(|index| tell(&mut group, index, true, 0));
        group.roll();
        assert_eq!(group.advance(), Roll::Replace(0));
    }

    #[test]
    fn shrinking_ends_a_restart_that_had_passed_the_end() {
        let mut group = group(3, 1);
        (0..3).for_each(|index| tell(&mut group, index, true, 0));
        group.roll();
        for index in 0..2 {
            assert_eq!(group.advance(), Roll::Replace(index));
            tell(&mut group, index, true, 1);
        }
        assert_eq!(group.advance(), Roll::Replace(2));
        assert_eq!(group.resize(Replicas { count: 2, quorum: 1 }), 2..3);
        assert_eq!(group.advance(), Roll::Finished);
    }
}
