//! Real components for tests: each value stands for something that runs, and dropping it ends it.
//!
//! It may not know anything of dixmgr's insides: it starts the binary, reads what everyone can read, and that is all.
//! It panics where a library would return an error, because a test that cannot set up its world has failed.
#![allow(clippy::expect_used, reason = "a test that cannot set up its world has failed")]

mod browser;
pub mod component;
pub mod daemon;
mod engine;
mod guard;
pub mod history;
pub mod http;
pub mod metrics;
pub mod namespace;
pub mod port;
mod postgres;
mod prometheus;
pub mod random;
pub mod smtp;
pub mod systemd;
pub mod temporal;
pub mod terminal;
pub mod units;
pub mod usage;
pub mod wait;

pub use browser::{Browser, Looks};
pub use component::{Component, node_program, package_directory, python_program, require, typescript};
pub use daemon::Daemon;
pub use engine::EngineServer;
pub use http::{HttpFixture, Reply, get as http_get, post as http_post};
pub use metrics::Metrics;
pub use namespace::{Namespace, ProcessNamespace};
pub use port::free_port;
pub use postgres::PostgresServer;
pub use prometheus::Prometheus;
pub use random::Random;
pub use smtp::SmtpServer;
pub use systemd::SystemdNamespace;
pub use temporal::{TemporalServer, temporal_command};
pub use terminal::PseudoTerminal;
pub use units::{CountedUnit, counted_command, counted_process};
pub use wait::{eventually, eventually_async, monotonic_now, wait_until};
