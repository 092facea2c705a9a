//! A few units in one round trip.
//!
//! All questions go out at once: rows, properties, rows again. systemd answers in the order in which it was asked, and
//! that its answers came in that order is checked; so a row that is the same before and after frames properties that belong
//! to it. Units of which this cannot be said are handed back, to be read at leisure.

use dixmgr_model::UnitStatus;
use futures_util::future::join_all;
use futures_util::join;
use zbus::message::Sequence;

use super::Shared;
use super::error::CallError;
use super::phase::Run;
use super::reading::{Essentials, Reading};
use super::registry::Memory;
use super::session::Session;
use super::status::{each_row, list};

/// Most units that are read at a glance: some thirty calls in flight, with the hundred that a connection may have.
pub(super) const MAX_GLANCE: usize = 8;

impl Shared {
    /// Reads the units at `indexes`, no more than [`MAX_GLANCE`] and all of them valid names. Those that moved meanwhile, or
    /// that need more, are the second part of the answer.
    pub(super) async fn glance(
        &self,
        session: &Session,
        units: &[String],
        indexes: &[usize],
    ) -> Result<(Vec<(Reading, UnitStatus)>, Vec<Reading>), CallError> {
        if indexes.is_empty() {
            return Ok(Default::default());
        }
        let mut signals = self.signals(units, indexes).into_iter().zip(indexes);
        let essentials = join_all(indexes.iter().map(|index| Essentials::ask(session, &units[*index])));
        let (before, essentials, after) =
            join!(list(session, units, indexes), essentials, list(session, units, indexes));
        let (before, after) = (before?, after?);
        let mut readings = Vec::with_capacity(indexes.len());
        each_row(&before, indexes.len(), |row| {
            let Some((signals, index)) = signals.next() else { return };
            let memory = self.registry().recall(&units[*index], session.number, &row);
            let pinned = memory != Memory::Stale { pinned: false };
            readings.push(Reading::new(*index, signals, row, pinned));
        })?;
        let frame = (before.recv_position(), after.recv_position());
        let (mut settled, mut unsettled) = (Vec::new(), Vec::new());
        let mut read = readings.into_iter().zip(essentials);
        let mut failed = None;
        each_row(&after, indexes.len(), |row| match read.next() {
            Some((reading, Ok(essentials))) => {
                let whole = row.equals(&reading.row) && is_framed(&essentials, frame);
                if whole && reading.row.is_loaded() && !reading.row.needs_run() {
                    let status = essentials.status(&reading.row, Run::default());
                    settled.push((reading, status));
                } else {
                    unsettled.push(reading);
                }
            }
            Some((_, Err(error))) => failed = Some(error),
            None => {}
        })?;
        self.remember(session, units, &settled);
        failed.map_or(Ok((settled, unsettled)), Err)
    }
}

/// Whether the properties were answered between the two rows.
fn is_framed(essentials: &Essentials, (before, after): (Sequence, Sequence)) -> bool {
    essentials.answered.is_some_and(|(first, last)| before < first && last < after)
}
