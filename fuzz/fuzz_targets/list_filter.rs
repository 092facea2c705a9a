//! See `dixmgr_engine::fuzzing::list_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dixmgr_engine::fuzzing::list_filter(data));
