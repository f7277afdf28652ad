//! What a raw socket received, and what the error queue gives back of a request.

#![no_main]

use greyhound::probe::icmp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = icmp::parse(bytes);
    if let Some(echo) = icmp::sent(bytes) {
        assert_eq!(icmp::sent(&icmp::request(&echo)), Some(echo), "what was read is what is written");
    }
});
