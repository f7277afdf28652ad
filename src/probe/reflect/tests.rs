//! Who is answered and who is not, and what with.

use proptest::prelude::*;

use super::*;

const OURS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);
const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 40_000);
const PORT: u16 = 862;

fn settings() -> Settings {
    Settings { allow: vec!["192.0.2.0/24".parse().unwrap()], ..Settings::default() }
}

fn request(sequence: u32) -> [u8; LENGTH] {
    Request { sequence, timestamp: Timestamp(7 << 32), error: ErrorEstimate(1), session: 5 }.encode()
}

fn asked(bytes: &[u8]) -> Asked<'_> {
    let came = Duration::from_secs(1_700_000_000);
    Asked { from: SENDER, to: OURS, local: OURS, link: 3, ttl: 61, came, bytes }
}

fn answer(reflect: &mut Reflect, asked: &Asked<'_>) -> Result<(Leave, Vec<u8>), Silence> {
    let mut reply = vec![9; 3];
    reflect.answer(Duration::ZERO, asked, &mut reply).map(|leave| (leave, reply))
}

#[test]
fn a_request_comes_back_with_both_times_and_a_count() {
    let mut reflect = Reflect::new(PORT, settings());
    for count in 0..3 {
        let (leave, mut bytes) = answer(&mut reflect, &asked(&request(100 + count))).unwrap();
        assert_eq!(leave, Leave { source: OURS, link: None }, "by the way that the routes say");
        depart(&mut bytes, asked(&[]).came + Duration::from_millis(2));
        let reply = Reply::decode(&bytes).unwrap();
        assert_eq!((reply.sequence, reply.sender_sequence), (count, 100 + count));
        assert_eq!((reply.sender_timestamp, reply.sender_error), (Timestamp(7 << 32), ErrorEstimate(1)));
        assert_eq!((reply.session, reply.sender_ttl), (5, 61));
        let processing = reply.processing().unwrap();
        assert!(processing.abs_diff(Duration::from_millis(2)) < Duration::from_micros(1), "{processing:?}");
    }
    assert_eq!(reflect.counts(), Reflected { answered: 3, ..Reflected::default() });
}

#[test]
fn every_session_is_counted_for_itself() {
    let mut reflect = Reflect::new(PORT, settings());
    let sequence = |reflect: &mut Reflect, asked: &Asked<'_>| {
        Reply::decode(&answer(reflect, asked).unwrap().1).unwrap().sequence
    };
    let bytes = request(1);
    let (one, other_port) = (asked(&bytes), SocketAddrV4::new(*SENDER.ip(), 40_001));
    let here = Ipv4Addr::new(198, 51, 100, 9);
    assert_eq!(sequence(&mut reflect, &one), 0);
    assert_eq!(sequence(&mut reflect, &one), 1);
    assert_eq!(sequence(&mut reflect, &Asked { from: other_port, ..one }), 0);
    assert_eq!(sequence(&mut reflect, &Asked { to: here, local: here, ..one }), 0);
    assert_eq!(sequence(&mut reflect, &one), 2);
}

#[test]
fn what_comes_through_a_tunnel_goes_back_through_it() {
    let tunnels = BTreeSet::from([3]);
    let mut reflect = Reflect::new(PORT, Settings { tunnels, ..settings() });
    assert_eq!(answer(&mut reflect, &asked(&request(1))).unwrap().0.link, Some(3));
    let leave = answer(&mut reflect, &Asked { link: 4, ..asked(&request(1)) }).unwrap().0;
    assert_eq!(leave.link, None);
}

#[test]
fn who_may_not_ask_hears_nothing() {
    let here = BTreeSet::from([OURS]);
    let mut reflect = Reflect::new(8_862, Settings { addresses: Some(here), ..settings() });
    let bytes = request(1);
    let one = asked(&bytes);
    let from = |port| SocketAddrV4::new(*SENDER.ip(), port);
    let elsewhere = Ipv4Addr::new(198, 51, 100, 9);
    let stranger = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 40_000);
    let table = [
        (Asked { from: stranger, ..one }, Silence::Forbidden),
        (Asked { from: from(862), ..one }, Silence::Echoing),
        (Asked { from: from(1_023), ..one }, Silence::Echoing),
        (Asked { from: from(8_862), ..one }, Silence::Echoing),
        (Asked { to: elsewhere, local: elsewhere, ..one }, Silence::Elsewhere),
        (Asked { to: Ipv4Addr::BROADCAST, ..one }, Silence::Elsewhere),
        (Asked { bytes: &bytes[..43], ..one }, Silence::Malformed),
        (Asked { bytes: &[], ..one }, Silence::Malformed),
    ];
    for (asked, why) in &table {
        assert_eq!(answer(&mut reflect, asked).unwrap_err(), *why, "{asked:?}");
    }
    let counts = Reflected { forbidden: 1, echoing: 3, elsewhere: 2, malformed: 2, ..Reflected::default() };
    assert_eq!(reflect.counts(), counts);
    assert!(answer(&mut Reflect::new(PORT, Settings::default()), &one).is_err(), "nobody, unless allowed");
}

#[test]
fn two_reflectors_never_talk_to_each_other() {
    let [mut here, mut there] = [8_862, 9_862].map(|port| Reflect::new(port, settings()));
    let (_, reply) = answer(&mut here, &asked(&request(1))).unwrap();
    let from = SocketAddrV4::new(*SENDER.ip(), 8_862);
    assert_eq!(answer(&mut there, &Asked { from, ..asked(&reply) }).unwrap_err(), Silence::Echoing);
}

#[test]
fn a_source_has_its_limit_and_others_do_not_feel_it() {
    let mut reflect = Reflect::new(PORT, Settings { rate: 10, ..settings() });
    let (bytes, mut reply) = (request(1), Vec::new());
    let flood = (0..1_000_u16).filter(|n| {
        // Another port is the same source.
        let from = SocketAddrV4::new(*SENDER.ip(), 40_000 + n);
        reflect
            .answer(Duration::from_millis((*n).into()), &Asked { from, ..asked(&bytes) }, &mut reply)
            .is_ok()
    });
    assert_eq!(flood.count(), 10 + 9);
    let other = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 40_000);
    assert!(answer(&mut reflect, &Asked { from: other, ..asked(&bytes) }).is_ok());
    reflect.set(settings());
    assert!(answer(&mut reflect, &asked(&bytes)).is_ok(), "a new rate is for all");
}

#[test]
fn the_table_is_bounded_and_the_least_recent_session_begins_anew() {
    let mut reflect = Reflect::new(PORT, Settings { table: 10, ..settings() });
    let bytes = request(1);
    let sequence = |reflect: &mut Reflect, n: u8| {
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, n), 40_000);
        Reply::decode(&answer(reflect, &Asked { from, ..asked(&bytes) }).unwrap().1).unwrap().sequence
    };
    for n in 0..10 {
        assert_eq!(sequence(&mut reflect, n), 0);
    }
    assert_eq!(sequence(&mut reflect, 0), 1, "the most recent now");
    assert_eq!(sequence(&mut reflect, 99), 0);
    assert_eq!((sequence(&mut reflect, 0), sequence(&mut reflect, 1)), (2, 0));
}

#[test]
fn extensions_come_back_marked() {
    let mut reflect = Reflect::new(PORT, settings());
    let padding = [0x80, 1, 0, 2, 7, 7];
    let unknown = [0x00, 200, 0, 1, 9];
    let cut = [0x80, 3, 0, 9, 1, 2];
    let bytes = [&request(1)[..], &padding, &unknown, &cut].concat();
    let (_, reply) = answer(&mut reflect, &asked(&bytes)).unwrap();
    assert_eq!(reply[LENGTH..], [0, 1, 0, 2, 7, 7, 0x80, 200, 0, 1, 9, 0xc0, 3, 0, 9, 1, 2]);
}

proptest! {
    #[test]
    fn an_answer_is_as_long_as_its_request(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reflect = Reflect::new(PORT, settings());
        match answer(&mut reflect, &asked(&bytes)) {
            Ok((_, reply)) => prop_assert_eq!(reply.len(), bytes.len()),
            Err(silence) => prop_assert!(silence == Silence::Malformed || silence == Silence::Echoing),
        }
        prop_assert_eq!(reflect.counts().malformed == 1, bytes.len() < LENGTH);
    }
}
