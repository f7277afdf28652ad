//! Writes into the inventory on a thread of its own: what is owed, again and again until it is done, and what somebody
//! asks for, once. The loop never waits for it.

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
        let desk = Desk { path, place, outbox, backend: None, owed: Vec::new(), wait: Duration::ZERO };
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
    /// What is not done yet.
    owed: Vec<Duty>,
    wait: Duration,
}

impl Desk {
    fn run(mut self, heard: &Receiver<Order>) {
        let mut next = Instant::now();
        loop {
            let order = if self.owed.is_empty() {
                heard.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                heard.recv_timeout(next.saturating_duration_since(Instant::now()))
            };
            match order {
                Ok(Order::Owed(owed)) => (self.owed, self.wait) = (owed, Duration::ZERO),
                Ok(Order::Begin(booking, reply)) => {
                    self.begin(&booking, reply);
                    continue;
                }
                Ok(Order::End(key, reply)) => {
                    self.end(&key, reply);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.work();
            self.wait = (self.wait * 2).clamp(RETRY.0, RETRY.1);
            next = Instant::now() + self.wait;
        }
    }

    /// Does what is owed. What cannot be done now stays.
    fn work(&mut self) {
        let mut left = Vec::new();
        for duty in std::mem::take(&mut self.owed) {
            match self.change(|registry| duties::decide(registry, &duty, now())) {
                Ok(said) => said.into_iter().for_each(|said| self.tell(News::Done(said))),
                Err(error) => {
                    let why = sentence(error);
                    self.tell(News::Owed { what: what(&duty), why });
                    left.push(duty);
                }
            }
        }
        self.owed = left;
    }

    fn begin(&mut self, booking: &Booking, reply: Reply) {
        // Not for somebody who has gone: he would not know of it.
        if reply.is_closed() {
            return;
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
        Duty::ConfirmGone(key) => format!("the addresses of session {key} are not free yet"),
        Duty::Follow(key, underlay) => format!("session {key} does not follow to {}", underlay.bound),
    }
}
