//! End to end: the real binary against a real systemd, or running processes itself, looked at as an operator would.
//!
//! Effects are counted. Each service of these tests adds a line to a file when it starts, so "restarted exactly once" is a
//! number. Nothing here knows dixmgr's insides: command line, configuration, metrics and log lines are all there is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alert_storm;
mod alerts;
mod api;
mod beyond;
mod breakers;
mod cluster;
mod configure;
mod dead_man;
mod demo;
mod dependencies;
mod described;
mod direct;
mod dotidx;
mod email;
mod engine_file;
mod engine_storm;
mod exec;
mod faults;
mod history;
mod history_postgres;
mod installed;
mod life;
mod live;
mod own_alerts;
mod package;
mod pictures;
mod policy;
mod prometheus;
mod replicas;
mod shell;
mod silences;
mod start;
mod status_page;
mod storm;
mod support;
mod terminal;
mod troubles;
mod watch;
mod wire;
mod wire_acting;
mod wire_nexus;
mod wire_schedules;
mod wire_skipping;
mod wire_visibility;
mod wire_workers;
mod workflow;
