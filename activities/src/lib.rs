//! The only room that touches the world: systemd, processes, `/proc`, HTTP, JSON-RPC, metrics.
//!
//! Workflows know this room through [`api`] alone: names, inputs and outputs. What stands behind them may use clocks and
//! sockets; it may not decide anything that a workflow should (when to restart, when to give up).

pub mod activities;
pub mod api;
pub mod breakers;
pub mod direct;
pub mod disk;
pub mod error;
pub mod history;
pub mod http;
pub mod in_force;
pub mod interceptor;
mod log;
pub mod manager;
pub mod metrics;
pub mod notify;
mod own;
pub mod proc;
pub mod resources;
pub mod secret;
pub mod sync;
pub mod systemd;
pub mod watch;
