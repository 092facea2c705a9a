//! The daemon: command line, configuration, HTTP surfaces, start-up and drain.
//!
//! The only room that opens the engine and reads the configuration file. It decides nothing about services: that is
//! `workflows`' business, and touching the world is `activities`'.

pub mod breakers;
pub mod cli;
pub mod config;
pub mod configure;
pub mod daemon;
pub mod demo;
pub mod engine;
pub mod error;
pub mod history;
pub mod listen;
pub mod logging;
pub mod settings;
pub mod status;
pub mod top;
pub mod tree;
pub mod workflow;

mod api;
mod backtest;
mod client;
mod control;
mod data_dir;
mod durable;
mod exposition;
mod handover;
mod health;
mod heap;
mod home;
mod http;
mod incidents;
mod live;
mod notify;
mod page;
mod progress;
mod protojson;
mod pulse;
mod reclaim;
mod root;
mod signals;
mod silences;
mod units;
mod worker;
