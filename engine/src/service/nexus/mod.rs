//! Nexus: endpoints as operators keep them, and tasks as workers poll and answer them.

mod endpoint;
mod endpoint_check;
