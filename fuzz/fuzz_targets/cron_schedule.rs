//! See `dixmgr_engine::fuzzing::cron_schedule`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dixmgr_engine::fuzzing::cron_schedule(data));
