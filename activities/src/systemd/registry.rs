//! What is remembered of tracked units, so that an unchanged one costs no further call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dixmgr_model::UnitStatus;

use super::phase::Row;

/// How old a reading may be to be acted on without another: a decision takes a few milliseconds.
const JUST_NOW: Duration = Duration::from_millis(100);

/// Tracked units by the name they are asked for.
#[derive(Debug, Default)]
pub(super) struct Registry {
    units: HashMap<String, Remembered>,
    /// Names under which a unit is tracked that are not its own (`Alias=`), by its own name.
    aliases: HashMap<String, Vec<String>>,
}

/// One tracked unit.
#[derive(Debug, Default)]
struct Remembered {
    /// Signals about it so far.
    signals: u64,
    known: Option<Known>,
    /// Its control group, for the run that it belongs to.
    control_group: Option<(String, String)>,
}

/// What was read of a unit, and when.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: Row,
    pub(super) status: UnitStatus,
    /// Signals about it ([`Registry::signals`]) before it was read.
    pub(super) signals: u64,
    /// When.
    pub(super) at: Instant,
    /// Connection it was read over.
    pub(super) session: u64,
    /// That connection holds it in systemd's memory.
    pub(super) pinned: bool,
}

/// How a unit stands to what is remembered of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Unchanged: this is its status.
    Fresh(UnitStatus),
    /// It has to be read.
    Stale {
        /// Whether this connection holds it in systemd's memory, or need not.
        pinned: bool,
    },
}

impl Registry {
    /// Begins to track a unit. Whether that is new.
    pub(super) fn track(&mut self, unit: &str) -> bool {
        if self.units.contains_key(unit) {
            return false;
        }
        self.units.insert(unit.to_owned(), Remembered::default());
        true
    }

    /// Names of all tracked units.
    pub(super) fn names(&self) -> Vec<String> {
        self.units.keys().cloned().collect()
    }

    /// Notes a signal about a unit, and answers the tracked names of it.
    pub(super) fn signal(&mut self, unit: &str) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(remembered) = self.units.get_mut(unit) {
            remembered.signals += 1;
            names.push(unit.to_owned());
        }
        for alias in self.aliases.get(unit).into_iter().flatten() {
            if let Some(remembered) = self.units.get_mut(alias) {
                remembered.signals += 1;
                names.push(alias.clone());
            }
        }
        names
    }

    /// Signals about a unit so far; to be asked before it is read.
    pub(super) fn signals(&self, unit: &str) -> u64 {
        self.units.get(unit).map_or(0, |remembered| remembered.signals)
    }

    /// Whether a unit is known to be no longer as it is remembered, or was never read over this connection.
    pub(super) fn has_moved(&self, unit: &str, session: u64) -> bool {
        let known = self.units.get(unit).and_then(|remembered| Some((remembered, remembered.known.as_ref()?)));
        known.is_none_or(|(remembered, known)| known.session != session || known.signals != remembered.signals)
    }

    /// What was read of a unit, if that was just now, nothing was heard of it since, and no job of it is queued.
    pub(super) fn just_read(&self, unit: &str, session: u64) -> Option<UnitStatus> {
        let known = self.units.get(unit)?.known.as_ref()?;
        let holds = !self.has_moved(unit, session) && known.row.job == 0 && known.at.elapsed() < JUST_NOW;
        holds.then(|| known.status.clone())
    }

    /// Whether what is remembered still holds, given its row now.
    pub(super) fn recall(&self, unit: &str, session: u64, row: &RowRef<'_>) -> Memory {
        let Some(remembered) = self.units.get(unit) else { return Memory::Stale { pinned: true } };
        match &remembered.known {
            Some(known) if !self.has_moved(unit, session) && row.equals(&known.row) => {
                Memory::Fresh(known.status.clone())
            }
            known => {
                let pinned = known.as_ref().is_some_and(|known| known.session == session && known.pinned);
                Memory::Stale { pinned }
            }
        }
    }

    /// Remembers what was read of a unit, whose own name is `own_name`.
    pub(super) fn remember(&mut self, unit: &str, own_name: &str, known: Known) {
        let Some(remembered) = self.units.get_mut(unit) else { return };
        if unit != own_name {
            let names = self.aliases.entry(own_name.to_owned()).or_default();
            if !names.iter().any(|name| name == unit) {
                names.push(unit.to_owned());
            }
        }
        if remembered.control_group.as_ref().is_some_and(|(run, _)| *run != known.status.invocation_id) {
            remembered.control_group = None;
        }
        remembered.known = Some(known);
    }

    /// The unit's control group, if its present run's is known.
    pub(super) fn control_group(&self, unit: &str) -> Option<String> {
        self.units.get(unit)?.control_group.as_ref().map(|(_, path)| path.clone())
    }

    /// Remembers the unit's control group until its next run.
    pub(super) fn set_control_group(&mut self, unit: &str, path: &str) {
        if let Some(remembered) = self.units.get_mut(unit)
            && let Some(known) = &remembered.known
        {
            remembered.control_group = Some((known.status.invocation_id.clone(), path.to_owned()));
        }
    }
}

/// A row as it stands in systemd's answer, not yet copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowRef<'a> {
    /// The unit's own name, which differs from the one asked for when that is an alias.
    pub(super) name: &'a str,
    pub(super) load: &'a str,
    pub(super) active: &'a str,
    pub(super) sub: &'a str,
    pub(super) job: u32,
    pub(super) job_type: &'a str,
}

impl RowRef<'_> {
    /// Whether it says the same as `row`.
    pub(super) fn equals(&self, row: &Row) -> bool {
        (self.load, self.active, self.sub, self.job) == (&*row.load, &*row.active, &*row.sub, row.job)
    }

    /// A copy.
    pub(super) fn to_row(self) -> Row {
        Row { load: self.load.to_owned(), active: self.active.to_owned(), sub: self.sub.to_owned(), job: self.job }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use dixmgr_model::UnitPhase;

    use super::*;

    fn row() -> RowRef<'static> {
        RowRef { name: "a.service", load: "loaded", active: "active", sub: "running", job: 0, job_type: "" }
    }

    fn known(signals: u64, status: UnitStatus) -> Known {
        Known { row: row().to_row(), status, signals, at: Instant::now(), session: 1, pinned: true }
    }

    fn status() -> UnitStatus {
        UnitStatus { phase: UnitPhase::Active, invocation_id: "1".into(), ..UnitStatus::unknown() }
    }

    #[test]
    fn a_unit_is_fresh_until_something_happens() {
        let mut registry = Registry::default();
        assert!(registry.track("a.service"));
        assert!(!registry.track("a.service"));
        assert_eq!(registry.recall("a.service", 1, &row()), Memory::Stale { pinned: false });
        registry.remember("a.service", "a.service", known(0, status()));
        assert_eq!(registry.recall("a.service", 1, &row()), Memory::Fresh(status()));
        // Another row, another connection, a signal: each makes it stale.
        assert_eq!(registry.recall("a.service", 1, &RowRef { job: 5, ..row() }), Memory::Stale { pinned: true });
        assert_eq!(registry.recall("a.service", 2, &row()), Memory::Stale { pinned: false });
        assert_eq!(registry.signal("a.service"), ["a.service"]);
        assert_eq!(registry.recall("a.service", 1, &row()), Memory::Stale { pinned: true });
    }

    #[test]
    fn what_was_just_read_holds_until_something_is_heard() {
        let mut registry = Registry::default();
        registry.track("a.service");
        assert_eq!(registry.just_read("a.service", 1), None);
        registry.remember("a.service", "a.service", known(0, status()));
        assert_eq!(registry.just_read("a.service", 1), Some(status()));
        assert_eq!(registry.just_read("a.service", 2), None, "another connection");
        let old = Instant::now().checked_sub(JUST_NOW).unwrap();
        registry.remember("a.service", "a.service", Known { at: old, ..known(0, status()) });
        assert_eq!(registry.just_read("a.service", 1), None, "too long ago");
        let queued = Known { row: RowRef { job: 5, ..row() }.to_row(), ..known(0, status()) };
        registry.remember("a.service", "a.service", queued);
        assert_eq!(registry.just_read("a.service", 1), None, "a job is queued");
        registry.remember("a.service", "a.service", known(0, status()));
        registry.signal("a.service");
        assert_eq!(registry.just_read("a.service", 1), None, "a signal has come");
    }

    #[test]
    fn a_signal_that_comes_while_it_is_read_is_not_lost() {
        let mut registry = Registry::default();
        registry.track("a.service");
        let before = registry.signals("a.service");
        registry.signal("a.service");
        registry.remember("a.service", "a.service", known(before, status()));
        assert_eq!(registry.recall("a.service", 1, &row()), Memory::Stale { pinned: true });
    }

    #[test]
    fn a_signal_reaches_those_who_track_an_alias() {
        let mut registry = Registry::default();
        registry.track("alias.service");
        assert!(registry.signal("a.service").is_empty());
        registry.remember("alias.service", "a.service", known(0, status()));
        assert_eq!(registry.signal("a.service"), ["alias.service"]);
        assert!(registry.signal("stranger.service").is_empty());
    }

    #[test]
    fn a_control_group_is_remembered_for_one_run() {
        let mut registry = Registry::default();
        registry.track("a.service");
        registry.remember("a.service", "a.service", known(0, status()));
        registry.set_control_group("a.service", "/system.slice/a.service");
        assert_eq!(registry.control_group("a.service").as_deref(), Some("/system.slice/a.service"));
        let next = UnitStatus { invocation_id: "2".into(), ..status() };
        registry.remember("a.service", "a.service", known(0, next));
        assert_eq!(registry.control_group("a.service"), None);
    }
}
