//! The direct process manager with real processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod running;
mod survival;
mod world;
