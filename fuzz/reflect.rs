//! A reflector that anybody asks anything: an answer is as long as its request, and no answer is answered.

#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use greyhound::probe::Settings;
use greyhound::probe::reflect::{Asked, Reflect, depart};
use libfuzzer_sys::fuzz_target;

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const NOW: Duration = Duration::from_secs(1_700_000_000);

fuzz_target!(|bytes: &[u8]| {
    let allow = vec![THERE.into()];
    let mut reflect = Reflect::new(862, Settings { allow, ..Settings::default() });
    let from = SocketAddrV4::new(THERE, 40_000);
    let asked = Asked { from, to: HERE, local: HERE, link: 1, ttl: 64, came: NOW, bytes };
    let mut reply = Vec::new();
    if reflect.answer(Duration::ZERO, &asked, &mut reply).is_ok() {
        depart(&mut reply, NOW);
        assert_eq!(reply.len(), bytes.len(), "nothing is gained by asking in another's name");
        let answered = reflect.answer(Duration::ZERO, &Asked { bytes: &reply, ..asked }, &mut Vec::new());
        // A request that names no time is one that its reply does not, too.
        assert!(answered.is_err() || bytes[4..12] == [0; 8], "an answer was answered");
    }
});
