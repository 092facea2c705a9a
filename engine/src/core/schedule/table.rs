//! All schedules, by id, by their open runs, and by when they are due. In memory; what is stored of them is one row each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;

use crate::{
    history::time::Nanos,
    schedule::{Machine, Record},
    store::{Batch, ScheduleRow},
    timers::Deadlines,
};

/// Names a schedule: namespace and id.
pub(crate) type Id = (String, String);

/// The schedules.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    entries: HashMap<i64, Entry>,
    keys: BTreeMap<Id, i64>,
    /// Which schedule has started the open run of a workflow id.
    runs: HashMap<(String, String), i64>,
    deadlines: Deadlines,
    unsaved: BTreeSet<Id>,
    last_key: i64,
}

#[derive(Debug)]
struct Entry {
    machine: Machine,
    /// Its places among [`Schedules::runs`].
    runs: Vec<(String, String)>,
}

impl Schedules {
    /// Number of all schedules.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The key of a schedule, good for as long as it is in memory.
    pub(crate) fn key(&self, namespace: &str, schedule_id: &str) -> Option<i64> {
        self.keys.get(&(namespace.to_owned(), schedule_id.to_owned())).copied()
    }

    pub(crate) fn get(&self, key: i64) -> Option<&Machine> {
        self.entries.get(&key).map(|entry| &entry.machine)
    }

    pub(crate) fn get_mut(&mut self, key: i64) -> Option<&mut Machine> {
        self.entries.get_mut(&key).map(|entry| &mut entry.machine)
    }

    /// All schedules of a namespace.
    pub(crate) fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Machine> {
        self.of_keys(namespace).filter_map(|key| self.get(key))
    }

    fn of_keys<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = i64> + use<'a> {
        let first = (namespace.to_owned(), String::new());
        let keys = self.keys.range(first..).take_while(move |((other, _), _)| other == namespace);
        keys.map(|(_, key)| *key)
    }

    /// The schedule that has started the open run of a workflow id.
    pub(crate) fn starter(&self, namespace: &str, workflow_id: &str) -> Option<i64> {
        self.runs.get(&(namespace.to_owned(), workflow_id.to_owned())).copied()
    }

    /// Takes a schedule in, and answers its key.
    pub(crate) fn insert(&mut self, machine: Machine) -> i64 {
        self.last_key += 1;
        let key = self.last_key;
        self.keys.insert(id(machine.record()), key);
        self.entries.insert(key, Entry { machine, runs: Vec::new() });
        self.index_runs(key);
        key
    }

    /// Takes a schedule out.
    pub(crate) fn remove(&mut self, key: i64) {
        let Some(entry) = self.entries.remove(&key) else { return };
        self.keys.remove(&id(entry.machine.record()));
        for run in entry.runs {
            self.runs.remove(&run);
        }
        self.deadlines.set(key, 0);
    }

    /// Takes a schedule out for good.
    pub(crate) fn delete(&mut self, key: i64) {
        if let Some(machine) = self.get(key) {
            self.unsaved.insert(id(machine.record()));
        }
        self.remove(key);
    }

    /// Takes all schedules of a namespace out for good.
    pub(crate) fn delete_of(&mut self, namespace: &str) {
        let keys: Vec<i64> = self.of_keys(namespace).collect();
        for key in keys {
            self.delete(key);
        }
    }

    /// Notes what is to be stored of a schedule that has had its turn, and when it has its next.
    pub(crate) fn settle(&mut self, key: i64, now: Nanos) {
        let Some(Entry { machine, .. }) = self.entries.get_mut(&key) else { return };
        self.deadlines.set(key, machine.next_turn(now).map_or(0, |next| next.max(1)));
        if machine.take_changed() {
            self.unsaved.insert(id(machine.record()));
            self.index_runs(key);
        }
    }

    /// Has a schedule wait until then for its next turn.
    pub(crate) fn wait(&mut self, key: i64, until: Nanos) {
        self.deadlines.set(key, until.max(1));
    }

    /// When the next schedule is due.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.next()
    }

    /// Schedules that are due, each of them once, at most so many of them.
    pub(crate) fn take_due(&mut self, now: Nanos, most: usize) -> Vec<i64> {
        std::iter::from_fn(|| self.deadlines.pop_due(now).map(|(_, key)| key)).take(most).collect()
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(crate) fn write(&self, batch: &mut Batch) {
        for id in &self.unsaved {
            match self.keys.get(id).and_then(|key| self.get(*key)) {
                Some(machine) => batch.put_schedules.push(row(machine.record())),
                None => batch.delete_schedules.push(id.clone()),
            }
        }
    }

    /// Forgets what was to be stored, and answers whose it was.
    pub(crate) fn take_unsaved(&mut self) -> BTreeSet<Id> {
        std::mem::take(&mut self.unsaved)
    }

    fn index_runs(&mut self, key: i64) {
        let Some(Entry { machine, runs }) = self.entries.get_mut(&key) else { return };
        for run in runs.drain(..) {
            self.runs.remove(&run);
        }
        let record = machine.record();
        let open = record.info.running_workflows.iter();
        runs.extend(open.map(|run| (record.namespace.clone(), run.workflow_id.clone())));
        self.runs.extend(runs.iter().cloned().map(|run| (run, key)));
    }
}

fn id(record: &Record) -> Id {
    (record.namespace.clone(), record.schedule_id.clone())
}

fn row(record: &Record) -> ScheduleRow {
    let (namespace, schedule_id) = id(record);
    ScheduleRow { namespace, schedule_id, data: record.encode_to_vec() }
}
