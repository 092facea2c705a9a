//! See `dixmgr_engine::fuzzing::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dixmgr_engine::fuzzing::requests(data));
