//! Requests and replies of STAMP.

#![no_main]

use greyhound::probe::stamp::{Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Request::sent(bytes);
    if let Some(request) = Request::decode(bytes) {
        assert_eq!(Request::decode(&request.encode()), Some(request), "what was read is what is written");
    }
    if let Some(reply) = Reply::decode(bytes) {
        let _ = reply.processing();
        assert_eq!(Reply::decode(&reply.encode()), Some(reply), "what was read is what is written");
    }
});
