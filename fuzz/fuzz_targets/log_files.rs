#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nacre_fuzz::files::log_files(data));
