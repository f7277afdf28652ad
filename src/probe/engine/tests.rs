//! The engine on the loopback of this machine, where it may have a raw socket.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;

use super::*;
use crate::model::{Method, Outcome, Timing};
use crate::probe::Pace;

fn target(address: Ipv4Addr, source: Option<Ipv4Addr>) -> Target {
    Target { address, source, link: None }
}

fn ask(method: Method, port: u16) -> Ask {
    let pace = Pace { interval: Duration::from_millis(50), timeout: Duration::from_millis(200) };
    Ask { port, ..Ask::of(&[method], pace) }
}

/// The reports of these targets, until there are so many.
fn reports(targets: impl Into<BTreeMap<Target, Ask>>, count: usize) -> (Vec<Report>, Census) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let engine = Engine::start(Options::default(), move |reports| {
        let _ = tell.lock().unwrap().send(reports);
    });
    let engine = engine.unwrap();
    engine.ask(targets.into()).unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(told.recv_timeout(Duration::from_secs(10)).unwrap());
    }
    (all, engine.census().unwrap())
}

#[test]
#[ignore = "takes CAP_NET_RAW"]
fn a_target_that_answers_is_measured_and_one_that_cannot_is_refused() {
    let there = target(Ipv4Addr::LOCALHOST, None);
    let wrong = target(Ipv4Addr::LOCALHOST, Some(Ipv4Addr::new(203, 0, 113, 77)));
    let deaf = UdpSocket::bind("127.0.0.2:0").unwrap();
    let closed = deaf.local_addr().unwrap().port();
    drop(deaf);
    let silent = target(Ipv4Addr::new(127, 0, 0, 2), None);
    let targets = [
        (there.clone(), ask(Method::Icmp, 862)),
        (wrong.clone(), ask(Method::Icmp, 862)),
        (silent.clone(), ask(Method::Stamp, closed)),
    ];
    let (reports, census) = reports(targets, 30);
    for report in reports {
        let outcome = report.sample.outcome;
        if report.target == there {
            let Outcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
            assert!(answer.rtt < Duration::from_millis(100), "{answer:?}");
        } else if report.target == wrong {
            assert_eq!(
                outcome,
                Outcome::Refused("this host: no route from 203.0.113.77, or no such source".to_owned())
            );
        } else {
            assert_eq!(outcome, Outcome::Refused("port unreachable, says 127.0.0.2".to_owned()));
        }
    }
    assert_eq!(census, Census::default());
}

#[test]
#[ignore = "takes CAP_NET_RAW"]
fn the_kernel_stamps_both_ways() {
    let (reports, _) = reports([(target(Ipv4Addr::LOCALHOST, None), ask(Method::Icmp, 862))], 20);
    let by_kernel = reports.iter().filter(|report| {
        matches!(&report.sample.outcome, Outcome::Answered(answer) if answer.timing == Timing::Kernel)
    });
    assert!(by_kernel.count() >= 15, "{reports:?}");
}

#[test]
#[ignore = "takes CAP_NET_RAW"]
fn an_engine_ends_when_it_is_dropped() {
    let engine = Engine::start(Options::default(), |_| {}).unwrap();
    assert_eq!(engine.census().unwrap(), Census::default());
    drop(engine);
}
