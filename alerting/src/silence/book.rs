//! The silences of a daemon: taken, changed, ended, kept for a while and forgotten. Pure; time is an argument, in milliseconds
//! since the epoch.

use std::collections::BTreeMap;

use dixmgr_model::{Silence, SilenceState};
use serde::{Deserialize, Serialize};

use super::{SilenceError, check};

/// Most silences that are kept, those that are over among them.
pub const MAX_SILENCES: usize = 1_000;
/// Most bytes of their texts: they have to fit into one signal.
const MAX_BYTES: usize = 512 * 1024;
/// How long one that is over is kept, as Alertmanager does (`--data.retention`).
const RETENTION: u64 = 5 * 24 * 3_600_000;

/// All silences, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceBook {
    silences: BTreeMap<String, Silence>,
}

/// What becomes of a silence that somebody wants, beside those that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The silence, with the id under which it is to be taken.
    pub silence: Silence,
    /// One that it takes the place of.
    pub expires: Option<String>,
}

impl SilenceBook {
    /// Takes a silence, or another form of one.
    ///
    /// # Errors
    /// It is none, or there is no room.
    pub fn put(&mut self, silence: Silence, now: u64) -> Result<(), SilenceError> {
        check(&silence, now)?;
        self.prune(now);
        let old = self.silences.get(&silence.id);
        let others = self.silences.len() - usize::from(old.is_some());
        let bytes = self.bytes() - old.map_or(0, Silence::size) + silence.size();
        if others >= MAX_SILENCES || bytes > MAX_BYTES {
            self.make_room(silence.size(), now)?;
        }
        self.silences.insert(silence.id.clone(), Silence { updated_at: now, ..silence });
        Ok(())
    }

    /// Ends a silence. Whether there was one that was not over.
    pub fn expire(&mut self, id: &str, now: u64) -> bool {
        let found = self.silences.get_mut(id).filter(|own| own.state(now) != SilenceState::Expired);
        let Some(silence) = found else { return false };
        end(silence, now);
        true
    }

    /// The windows of maintenance are these from now on. One that somebody has ended stays ended.
    ///
    /// # Errors
    /// There was no room for some.
    pub fn set_maintenance(&mut self, windows: Vec<Silence>, now: u64) -> Result<(), SilenceError> {
        let ids: Vec<String> = windows.iter().map(|window| window.id.clone()).collect();
        self.silences
            .retain(|id, own| !own.is_maintenance() || ids.contains(id) || own.state(now) != SilenceState::Pending);
        let gone = self.silences.values_mut().filter(|own| own.is_maintenance() && !ids.contains(&own.id));
        gone.filter(|own| own.state(now) == SilenceState::Active).for_each(|own| end(own, now));
        let mut outcome = Ok(());
        for window in windows {
            let settled = |own: &Silence| {
                own.state(now) == SilenceState::Expired
                    || *own == Silence { updated_at: own.updated_at, ..window.clone() }
            };
            if !self.silences.get(&window.id).is_some_and(settled) && window.ends_at > now {
                outcome = outcome.and(self.put(window, now));
            }
        }
        outcome
    }

    /// The silences that are in force or will be.
    #[must_use]
    pub fn current(&self, now: u64) -> Vec<Silence> {
        self.silences.values().filter(|own| own.state(now) != SilenceState::Expired).cloned().collect()
    }

    /// All that are kept.
    #[must_use]
    pub fn list(&self) -> Vec<Silence> {
        self.silences.values().cloned().collect()
    }

    /// Forgets those that have been over for long.
    pub fn prune(&mut self, now: u64) {
        self.silences.retain(|_, own| own.ends_at.saturating_add(RETENTION) > now);
    }

    /// Forgets what is over, the oldest first, until there is room for one of this size.
    fn make_room(&mut self, size: usize, now: u64) -> Result<(), SilenceError> {
        let over = self.silences.values().filter(|own| own.state(now) == SilenceState::Expired);
        let mut over: Vec<_> = over.map(|own| (own.ends_at, own.id.clone())).collect();
        over.sort();
        for (_, id) in over {
            self.silences.remove(&id);
            if self.silences.len() < MAX_SILENCES && self.bytes() + size <= MAX_BYTES {
                return Ok(());
            }
        }
        Err(SilenceError::Full)
    }

    fn bytes(&self) -> usize {
        self.silences.values().map(Silence::size).sum()
    }
}

impl FromIterator<Silence> for SilenceBook {
    /// Silences that were taken before.
    fn from_iter<I: IntoIterator<Item = Silence>>(list: I) -> Self {
        Self { silences: list.into_iter().map(|silence| (silence.id.clone(), silence)).collect() }
    }
}

/// Ends it at `now`; one that has not begun never does.
fn end(silence: &mut Silence, now: u64) {
    silence.starts_at = silence.starts_at.min(now);
    silence.ends_at = now;
    silence.updated_at = now;
}

/// Where a silence goes that somebody wants to take the place of `old`, by Alertmanager's rules (`silence.Silences.Set`): what is
/// still the same silence is changed, anything else is a new one, `new_id`, and the old one ends.
#[must_use]
pub fn place(old: Option<&Silence>, mut wanted: Silence, new_id: String, now: u64) -> Placed {
    if let Some(old) = old.filter(|old| is_same(old, &wanted, now)) {
        wanted.id.clone_from(&old.id);
        return Placed { silence: wanted, expires: None };
    }
    let expires = old.filter(|old| old.state(now) != SilenceState::Expired).map(|old| old.id.clone());
    wanted.id = new_id;
    wanted.starts_at = wanted.starts_at.max(now);
    Placed { silence: wanted, expires }
}

/// What has begun keeps its beginning; what is over is not taken up again. Seconds are as exact as the beginning is.
fn is_same(old: &Silence, wanted: &Silence, now: u64) -> bool {
    let times = match old.state(now) {
        SilenceState::Active => old.starts_at / 1_000 == wanted.starts_at / 1_000 && wanted.ends_at >= now,
        SilenceState::Pending => wanted.starts_at >= now,
        SilenceState::Expired => false,
    };
    times && old.matchers == wanted.matchers
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
