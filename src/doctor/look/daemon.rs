//! The daemon, asked over its socket. Shell.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};

use super::super::facts::{Daemon, Runs, Seen, Turns};
use super::{Deadline, machine, sentence};
use crate::api::VERSION;
use crate::api::client::{Client, Error};

/// A loop that turns answers within milliseconds; a turn over thousands of tunnels takes seconds.
const ANSWER: Duration = Duration::from_secs(4);

/// From a first question that was not answered to the second. A turn that takes longer is no ordinary one.
const APART: Duration = Duration::from_secs(10);

/// For the second question: with the wait before it all ends within the doctor's 15 s.
const AGAIN: Duration = Duration::from_secs(3);

/// What came of the first question.
pub struct First {
    pub daemon: Seen<Daemon>,
    socket: PathBuf,
    at: Instant,
}

/// Asks who listens there.
pub fn ask(socket: &Path, deadline: Deadline) -> First {
    let at = Instant::now();
    First { daemon: question(socket, ANSWER, deadline), socket: socket.to_owned(), at }
}

impl First {
    /// Who has not answered is asked once more, later: he may have been busy.
    pub fn settled(self, deadline: Deadline) -> Seen<Daemon> {
        let Self { daemon, socket, at } = self;
        if !is_silent(&daemon) {
            return daemon;
        }
        let wait = APART.saturating_sub(at.elapsed());
        if deadline.left() < wait + AGAIN {
            let why = format!("it has not answered within {} s: it is busy, or stuck", ANSWER.as_secs());
            return busy(daemon, format!("{why}; asking again takes a --timeout of {} s", NEEDED.as_secs()));
        }
        std::thread::sleep(wait);
        let second = question(&socket, AGAIN, deadline);
        let seconds = at.elapsed().as_secs();
        match second {
            Ok(Daemon::Silent { socket, pid, .. }) => Ok(Daemon::Silent { socket, pid, seconds }),
            Ok(Daemon::Runs(Runs { turns: Ok(Turns::Silent { .. }), version, pid, capabilities })) => {
                let turns = Ok(Turns::Silent { seconds });
                Ok(Daemon::Runs(Runs { version, pid, capabilities, turns }))
            }
            other => busy(other, format!("it is busy: it took more than {} s to answer", ANSWER.as_secs())),
        }
    }
}

/// All of both questions.
const NEEDED: Duration = APART.saturating_add(AGAIN);

fn is_silent(daemon: &Seen<Daemon>) -> bool {
    match daemon {
        Ok(Daemon::Silent { .. }) => true,
        Ok(Daemon::Runs(runs)) => matches!(runs.turns, Ok(Turns::Silent { .. })),
        Ok(Daemon::Absent { .. } | Daemon::Other { .. }) | Err(_) => false,
    }
}

/// Nothing is known of its loop; of the rest only what it said.
fn busy(daemon: Seen<Daemon>, why: String) -> Seen<Daemon> {
    match daemon? {
        Daemon::Silent { .. } => Err(why),
        Daemon::Runs(runs) => Ok(Daemon::Runs(Runs { turns: Err(why), ..runs })),
        other => Ok(other),
    }
}

fn question(socket: &Path, patience: Duration, deadline: Deadline) -> Seen<Daemon> {
    let path = socket.to_owned();
    let asked = deadline.within(patience, move || Ok(version(&path)));
    match asked {
        Ok(known) => known.map(|known| match known {
            Daemon::Runs(runs) => Daemon::Runs(Runs { turns: turns(socket, patience, deadline), ..runs }),
            other => other,
        }),
        // It listens, and says nothing.
        Err(_) => {
            let (socket, pid) = (socket.to_owned(), pid(socket).ok());
            Ok(Daemon::Silent { socket, pid, seconds: patience.as_secs() })
        }
    }
}

fn version(socket: &Path) -> Seen<Daemon> {
    match Client::connect(socket).and_then(|client| client.version()) {
        Ok(view) => {
            let pid = pid(socket);
            let capabilities = pid.clone().and_then(|pid| machine::capabilities(&pid.to_string()));
            Ok(Daemon::Runs(Runs { version: view.version, pid, capabilities, turns: Ok(Turns::Answers) }))
        }
        Err(Error::NotRunning(socket)) => Ok(Daemon::Absent { socket }),
        Err(Error::Version { theirs }) => Ok(Daemon::Other { theirs, ours: VERSION }),
        Err(error) => Err(sentence(error)),
    }
}

/// What was measured is asked of the loop itself; all else is answered from its last snapshot.
fn turns(socket: &Path, patience: Duration, deadline: Deadline) -> Seen<Turns> {
    let socket = socket.to_owned();
    let asked = deadline.within(patience, move || {
        Ok(Client::connect(&socket).and_then(|client| client.latency()).map(drop).map_err(sentence))
    });
    match asked {
        Ok(answer) => answer.map(|()| Turns::Answers),
        Err(_) => Ok(Turns::Silent { seconds: patience.as_secs() }),
    }
}

/// Who listens, as the kernel says (unix(7)).
fn pid(socket: &Path) -> Seen<i32> {
    let stream = UnixStream::connect(socket).map_err(sentence)?;
    let who = getsockopt(&stream, sockopt::PeerCredentials).map_err(sentence)?;
    // 0: of another pid namespace.
    (who.pid() > 0).then_some(who.pid()).ok_or_else(|| "the daemon is in another pid namespace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(turns: Seen<Turns>) -> Seen<Daemon> {
        Ok(Daemon::Runs(Runs {
            version: "0.1.0".to_owned(),
            pid: Ok(7),
            capabilities: Err(String::new()),
            turns,
        }))
    }

    fn silent() -> Seen<Daemon> {
        Ok(Daemon::Silent { socket: "/s".into(), pid: None, seconds: 4 })
    }

    #[test]
    fn without_time_for_a_second_question_nothing_is_known() {
        let settled = |daemon| {
            let first = First { daemon, socket: "/s".into(), at: Instant::now() };
            first.settled(Deadline::after(Duration::from_secs(5)))
        };
        let why = settled(silent()).unwrap_err();
        assert!(why.ends_with("it is busy, or stuck; asking again takes a --timeout of 13 s"), "{why}");
        let Ok(Daemon::Runs(loops)) = settled(runs(Ok(Turns::Silent { seconds: 4 }))) else { panic!() };
        assert_eq!(loops.turns, Err(why));
        let Ok(Daemon::Runs(well)) = settled(runs(Ok(Turns::Answers))) else { panic!() };
        assert_eq!(well.turns, Ok(Turns::Answers));
    }

    #[test]
    fn both_questions_fit_into_the_doctors_own_time() {
        assert!(NEEDED < Duration::from_secs(15) && ANSWER < APART);
    }
}
