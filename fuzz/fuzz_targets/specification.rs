//! See `dixmgr_engine::fuzzing::specification`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dixmgr_engine::fuzzing::specification(data));
