//! The decisions: workflows that keep services running, written against the Temporal SDK.
//!
//! Deterministic. Nothing here reads a clock, draws randomness of its own, spawns or does I/O: time is
//! `workflow_time`, randomness is the SDK's, and the world is touched only through the activities that
//! `dixmgr_activities::api` names. `clippy.toml` in this crate bans the rest, with reasons.
//!
//! - [`restart`]: when a service is restarted, and when dixmgr stops trying. Pure.

pub mod restart;
