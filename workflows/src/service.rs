//! One service kept: what [`crate::NodeWorkflow`] and [`crate::DependentWorkflow`] have in common.
//!
//! `cell` is what is known and decided, free of Temporal; `keep` is the loop that runs the activities and timers which
//! the cell calls for.

mod alerts;
mod cell;
mod keep;
mod needs;
mod slot;

pub(crate) use cell::{Cell, Inbound};
pub(crate) use keep::{End, KeepsService, keep};
pub(crate) use slot::Slot;

pub use alerts::ServiceAlerts;
pub use cell::Carried;
pub use needs::{Need, Needs};
