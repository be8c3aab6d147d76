//! cargo-fuzz target: see `restic_wrapper::fuzzing::policy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restic_wrapper::fuzzing::policy(data));
