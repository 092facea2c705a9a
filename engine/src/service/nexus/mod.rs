//! Nexus: endpoints as operators keep them, and tasks as workers poll and answer them.

mod answer;
pub(super) mod callback;
mod command;
pub(super) mod describe;
mod endpoint;
mod endpoint_check;
pub(crate) mod link;
mod task;

pub(super) use command::targets;
