#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| touchstone_fuzz_targets::rooms(input));
