//! Writes into the inventory on a thread of its own: what is owed, again and again until it is done, and what somebody
//! asks for, once. The loop never waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::inbox::{News, Outbox};
use super::publisher::sentence;
use super::session_view;
use crate::api::{Answer, Failure};
use crate::inventory::{Error, Sqlite, change};
use crate::model::{SessionKey, SessionState};
use crate::reconcile::now;
use crate::registry::booking::{self, Booking};
use crate::registry::duties::{self, Duty};
use crate::registry::{Decision, Refused, Registry, sessions};

/// Orders that wait at once; one more is told to come again.
const LENGTH: usize = 64;
/// Waits before what could not be done is tried again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Between two writings of what somebody else may write otherwise: at first, at most.
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// Whoever waits for an answer.
pub type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// What it is told to do.
#[derive(Debug)]
enum Order {
    /// All that is owed from now on.
    Owed(Vec<Duty>),
    Begin(Box<Booking>, Reply),
    End(SessionKey, Reply),
}

/// The end that gives orders. The thread ends when this is dropped, and what it is at is done.
#[derive(Debug)]
pub struct Clerk {
    orders: SyncSender<Order>,
    /// What it was told last that is owed.
    owed: Vec<Duty>,
}

impl Clerk {
    /// Starts the thread. What it has done reaches the loop by `outbox`, as of this place.
    pub fn start(path: PathBuf, place: u64, outbox: Outbox) -> std::io::Result<Self> {
        let (orders, heard) = sync_channel(LENGTH);
        let desk = Desk::new(path, place, outbox);
        thread::Builder::new().name("clerk".to_owned()).spawn(move || desk.run(&heard))?;
        Ok(Self { orders, owed: Vec::new() })
    }

    /// All that is owed from now on. Waits for nothing; false: there was no room, and it is to be said again.
    pub fn owe(&mut self, owed: &[Duty]) -> bool {
        if self.owed == owed {
            return true;
        }
        let told = self.orders.try_send(Order::Owed(owed.to_vec())).is_ok();
        if told {
            self.owed = owed.to_vec();
        }
        told
    }

    /// Begins a session, and answers.
    pub fn begin(&self, booking: Booking, reply: Reply) {
        self.order(Order::Begin(Box::new(booking), reply));
    }

    /// Ends a session, and answers.
    pub fn end(&self, key: SessionKey, reply: Reply) {
        self.order(Order::End(key, reply));
    }

    fn order(&self, order: Order) {
        if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) =
            self.orders.try_send(order)
        {
            let reply = match order {
                Order::Begin(_, reply) | Order::End(_, reply) => reply,
                Order::Owed(_) => return,
            };
            // Who does not wait any more need not hear it.
            let _ = reply.send(Err(Failure::Busy("the inventory is busy: try again".to_owned())));
        }
    }
}

/// The thread's own.
struct Desk {
    path: PathBuf,
    place: u64,
    outbox: Outbox,
    backend: Option<Sqlite>,
    /// What is to be done next, in order.
    owed: VecDeque<Duty>,
    /// What could not be done, or not yet, and when it is tried again.
    left: Vec<Duty>,
    again: Instant,
    wait: Duration,
    /// What somebody else may write otherwise: when it was written last, and how long it is not written again.
    paced: BTreeMap<String, (Instant, Duration)>,
}

impl Desk {
    fn new(path: PathBuf, place: u64, outbox: Outbox) -> Self {
        Self {
            path,
            place,
            outbox,
            backend: None,
            owed: VecDeque::new(),
            left: Vec::new(),
            again: Instant::now(),
            wait: Duration::ZERO,
            paced: BTreeMap::new(),
        }
    }

    /// Between any two duties what was ordered meanwhile is heard: who waits is served first, and of what is owed the
    /// latest word counts.
    fn run(mut self, heard: &Receiver<Order>) {
        loop {
            while let Ok(order) = heard.try_recv() {
                self.obey(order);
            }
            if !self.owed.is_empty() {
                self.work();
                continue;
            }
            let order = if self.left.is_empty() {
                heard.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                heard.recv_timeout(self.again.saturating_duration_since(Instant::now()))
            };
            match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => self.owed = std::mem::take(&mut self.left).into(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Owed(owed) => {
                self.left.clear();
                (self.owed, self.wait) = (owed.into(), Duration::ZERO);
            }
            Order::Begin(booking, reply) => self.begin(&booking, reply),
            Order::End(key, reply) => self.end(&key, reply),
        }
    }

    /// Does the next that is owed, several at once where that can be. What cannot be done now is left.
    fn work(&mut self) {
        let is_ready = |duty: &Duty| matches!(duty, Duty::EdgeReady(_) | Duty::HostReady(_));
        let ready = self.owed.iter().take(duties::TOGETHER).take_while(|duty| is_ready(duty)).count();
        let batch: Vec<Duty> = self.owed.drain(..ready.max(1)).collect();
        let done = match &batch[..] {
            [duty] if !is_ready(duty) => {
                if !self.may(duty) {
                    return self.leave(batch);
                }
                let said = self.change(|registry| duties::decide(registry, duty, now()));
                said.map(|said| said.into_iter().for_each(|said| self.tell(News::Done(said))))
            }
            ready => self.change(|registry| Ok(duties::decide_all(registry, ready, now()))),
        };
        if let Err(error) = done {
            let why = sentence(error);
            batch.iter().for_each(|duty| self.tell(News::Owed { what: what(duty), why: why.clone() }));
            self.leave(batch);
        }
    }

    fn leave(&mut self, duties: Vec<Duty>) {
        if self.left.is_empty() {
            self.wait = (self.wait * 2).clamp(RETRY.0, RETRY.1);
            self.again = Instant::now() + self.wait;
        }
        self.left.extend(duties);
    }

    /// Another daemon of the same name writes these otherwise, and a route may flap: each is written at most so often.
    fn may(&mut self, duty: &Duty) -> bool {
        let key = match duty {
            Duty::Register(device) => format!("device {}", device.code),
            Duty::Follow(key, _) => format!("session {key}"),
            Duty::Offer { .. } | Duty::EdgeReady(_) | Duty::HostReady(_) | Duty::ConfirmGone(_) => {
                return true;
            }
        };
        let now = Instant::now();
        self.paced.retain(|_, (at, pause)| now < *at + *pause * 4);
        match self.paced.get_mut(&key) {
            Some((at, pause)) if now < *at + *pause => false,
            Some((at, pause)) => {
                (*at, *pause) = (now, (*pause * 2).min(PACE.1));
                true
            }
            None => {
                self.paced.insert(key, (now, PACE.0));
                true
            }
        }
    }

    fn begin(&mut self, booking: &Booking, reply: Reply) {
        // Not for somebody who has gone: he would not know of it.
        if reply.is_closed() {
            return self.tell(News::Unbooked(booking.underlay.bound));
        }
        let answer = match self.change(|registry| booking::book(registry, booking, now())) {
            Ok(Ok(session)) => {
                self.tell(News::Asked(format!(
                    "session {} is leased: {} {} on {}",
                    session.key(),
                    session.kind,
                    session.termination,
                    session.device
                )));
                Ok(Answer::Session(Box::new(session_view::bare(&session))))
            }
            Ok(Err(rejected)) => {
                let reasons = rejected.iter().map(ToString::to_string).collect();
                let sentence = "no termination can be had".to_owned();
                Err(Failure::Nothing { sentence, reasons })
            }
            Err(error) => Err(failure(error)),
        };
        if answer.is_err() {
            self.tell(News::Unbooked(booking.underlay.bound));
        }
        let _ = reply.send(answer);
    }

    fn end(&mut self, key: &SessionKey, reply: Reply) {
        if reply.is_closed() {
            return;
        }
        let answer = match self.change(|registry| {
            let before = registry.session(key)?.state;
            let Decision { transaction, value } = sessions::end(registry, key, now())?;
            Ok(Decision { transaction, value: (before, value) })
        }) {
            Ok((before, session)) => {
                if before != SessionState::Ending {
                    self.tell(News::Asked(format!("session {key} ends")));
                }
                Ok(Answer::Session(Box::new(session_view::bare(&session))))
            }
            Err(error) => Err(failure(error)),
        };
        let _ = reply.send(answer);
    }

    fn change<T>(
        &mut self,
        decide: impl FnMut(&Registry) -> Result<Decision<T>, Refused>,
    ) -> Result<T, Error> {
        let backend = match self.backend.take() {
            Some(backend) if backend.is_there() => backend,
            Some(_) | None => Sqlite::reopen(&self.path)?,
        };
        let done = change::change(&backend, decide);
        // After trouble with the file it is opened anew.
        if matches!(done, Ok(_) | Err(Error::Refused(_) | Error::Contended { .. })) {
            self.backend = Some(backend);
        }
        done
    }

    fn tell(&self, news: News) {
        self.outbox.tell(self.place, news);
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(refused) => Failure::Nothing { sentence: sentence(refused), reasons: Vec::new() },
        other => Failure::Busy(format!("the inventory cannot be changed now: {}", sentence(other))),
    }
}

fn what(duty: &Duty) -> String {
    match duty {
        Duty::Register(device) => format!("device {} is not registered", device.code),
        Duty::Offer { device, count, .. } => {
            format!("device {} does not offer {count} terminations", device.code)
        }
        Duty::EdgeReady(session) | Duty::HostReady(session) => {
            format!("session {} is not confirmed", session.key())
        }
        Duty::ConfirmGone(session) => {
            format!("the addresses of session {} are not free yet", session.key())
        }
        Duty::Follow(key, underlay) => format!("session {key} does not follow to {}", underlay.bound),
    }
}
