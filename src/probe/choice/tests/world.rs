//! A tunnel and its candidates in virtual time: probes every second, and one more of all when the tunnel is in
//! doubt; liveness at 300 ms × 3.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::{Answer, Method, Outcome, Sample, Timing};
use crate::probe::choice::{Chooser, Decision, Rules, Sight};
use crate::probe::liveness::{Liveness, Pace};
use crate::probe::rank::{Entry, Ranking};
use crate::probe::score::{FRESH, Health};
use crate::probe::window::{Limits, Window};

/// All times of the world are milliseconds.
pub type Ms = u64;
const STEP: Ms = 50;
const ROUND: Ms = 1000;
/// An answer that takes longer is lost.
const TIMEOUT: Ms = 1000;

/// What a candidate is like at a time: its round trip in microseconds if it is alive, and whether GRE passes.
pub type Weather = Box<dyn Fn(Ms) -> (Option<u64>, bool)>;

/// A move that was made.
#[derive(Clone, Debug)]
pub struct Move {
    pub at: Ms,
    pub to: usize,
    pub decision: Decision,
}

pub struct World {
    weather: Vec<Weather>,
    windows: Vec<Window>,
    liveness: Liveness,
    pub chooser: Chooser,
    /// What comes to its end when: of a candidate, or of the tunnel.
    pending: BTreeMap<(Ms, u32), (Option<usize>, Sample)>,
    sequence: u32,
    /// When each candidate is asked next: rounds are jittered, so that nothing keeps step with them.
    asked: Vec<Ms>,
    now: Ms,
}

/// A reproducible number from 0 to 1.
pub fn noise(seed: u64, now: Ms) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(now);
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x = (x ^ (x >> 30)).wrapping_mul(factor);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

pub fn address(candidate: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, candidate as u8)
}

impl World {
    /// The tunnel begins at candidate 0.
    pub fn new(spread: u32, weather: Vec<Weather>) -> Self {
        Self {
            windows: weather.iter().map(|_| Window::new(Limits::default())).collect(),
            asked: vec![0; weather.len()],
            weather,
            liveness: Liveness::new(Pace::usual(Method::Stamp), Duration::ZERO),
            chooser: Chooser::new(Rules::default(), spread, address(0), Duration::ZERO),
            pending: BTreeMap::new(),
            sequence: 0,
            now: 0,
        }
    }

    /// Lives until then; all moves that were made.
    pub fn run(&mut self, until: Ms) -> Vec<Move> {
        let mut moves = Vec::new();
        while self.now < until {
            self.send();
            if self.receive() {
                moves.extend(self.decide());
            }
            self.now += STEP;
        }
        moves
    }

    fn send(&mut self) {
        let now = self.now;
        let doubt = self.liveness.in_doubt(Duration::from_millis(now)) && now.is_multiple_of(300);
        for candidate in 0..self.weather.len() {
            let due = now >= self.asked[candidate];
            if due {
                let steps = (8.0 * noise(candidate as u64, now)) as Ms;
                self.asked[candidate] = now + ROUND - 4 * STEP + steps * STEP;
            }
            if due || doubt {
                let rtt = self.weather[candidate](now).0;
                self.probe(Some(candidate), rtt);
            }
        }
        if now.is_multiple_of(300) {
            let current = self.current();
            let (rtt, gre) = self.weather[current](now);
            self.probe(None, rtt.filter(|_| gre));
        }
    }

    fn probe(&mut self, candidate: Option<usize>, rtt: Option<u64>) {
        let rtt = rtt.filter(|rtt| *rtt < TIMEOUT * 1000);
        let answer =
            |rtt| Answer { rtt: Duration::from_micros(rtt), timing: Timing::Kernel, reflected: None };
        let outcome = rtt.map_or(Outcome::Lost, |rtt| Outcome::Answered(answer(rtt)));
        self.sequence += 1;
        let sample = Sample { sent: Duration::from_millis(self.now), sequence: self.sequence, outcome };
        let end = self.now + rtt.map_or(TIMEOUT, |rtt| rtt / 1000 + 1);
        self.pending.insert((end, self.sequence), (candidate, sample));
    }

    /// Is there news to decide on?
    fn receive(&mut self) -> bool {
        let now = Duration::from_millis(self.now);
        let mut news = self.chooser.next().is_some_and(|next| next <= now);
        while let Some(first) = self.pending.first_entry().filter(|first| first.key().0 <= self.now) {
            let (candidate, sample) = first.remove();
            match candidate {
                Some(candidate) => {
                    self.windows[candidate].take(sample);
                    news = true;
                }
                None => news |= self.liveness.take(&sample).is_some(),
            }
        }
        news | self.liveness.tick(now).is_some()
    }

    fn decide(&mut self) -> Option<Move> {
        let now = Duration::from_millis(self.now);
        let entry = |(declared, window): (usize, &Window)| Entry {
            device: format!("d{declared}"),
            interface: "ge0".to_owned(),
            address: address(declared),
            declared,
            health: Health::new(now, FRESH, &[(Method::Icmp, window.summary(now))]),
        };
        let ranking = Ranking::new(self.windows.iter().enumerate().map(entry).collect());
        let upstream = ranking.entries().iter().filter_map(|entry| entry.health.answered_at).max();
        let sight = Sight { ranking: &ranking, liveness: self.liveness.state(), upstream };
        let decision = self.chooser.decide(now, sight);
        let to = decision.to()?;
        self.chooser.moved(now, to);
        self.liveness.moved(now);
        Some(Move { at: self.now, to: to.octets()[3].into(), decision })
    }

    fn current(&self) -> usize {
        self.chooser.current().octets()[3].into()
    }
}
