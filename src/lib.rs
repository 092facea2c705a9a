//! The daemon: command line, configuration, HTTP surfaces, start-up and drain.
//!
//! The only room that opens the engine and reads the configuration file. It decides nothing about services: that is
//! `workflows`' business, and touching the world is `activities`'.

pub mod cli;
pub mod config;
