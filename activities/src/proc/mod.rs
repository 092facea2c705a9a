//! `/proc` and the control group file system: which processes a service has, and what they use.
//!
//! Reading is cheap on purpose (two small files for each process, no shell, no allocation for each): thousands of
//! processes are read in one go. Nothing here decides or keeps a clock; time is an argument.

pub mod cgroup;
pub mod sample;
pub mod usage;

mod parse;
