//! Schedules: when they come due, and what they do then. Pure: time and state go in, the next state and orders to start, cancel
//! or terminate workflows come out. Knows no store, no task queue and no clock.
//!
//! From the ground up: `ranges` (one field of a calendar as text), `text` (whole calendars and cron strings), `canonical` (the
//! one form in which every specification is kept), `calendar` and `jitter`, [`Times`] (when), `overlap` (what happens to a start
//! while another run is open), [`Record`] (what is stored) and [`Machine`] (what follows from time and requests).
//!
//! The rules are those of the Temporal server's scheduler workflow (`service/worker/scheduler`), the exceptions of clock changes
//! among them.

mod calendar;
mod canonical;
mod jitter;
mod machine;
mod overlap;
mod ranges;
mod record;
mod start;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod turn;
mod view;

pub(crate) use canonical::{SpecError, canonical};
pub(crate) use machine::{Change, Closed, Machine};
pub(crate) use record::Record;
pub(crate) use start::StartOrder;
pub(crate) use times::Times;
pub(crate) use turn::Order;

/// Years that a calendar can name, and past the last of which nothing comes due.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2100;
