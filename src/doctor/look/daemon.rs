//! The daemon, asked over its socket. Shell.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};

use super::super::facts::{Daemon, Runs, Seen, Turns};
use super::{Deadline, machine, sentence};
use crate::api::VERSION;
use crate::api::client::{Client, Error};

/// A loop that turns answers within milliseconds; a turn over thousands of tunnels takes seconds.
const ANSWER: Duration = Duration::from_secs(4);

/// Asks who listens there.
pub fn ask(socket: &Path, deadline: Deadline) -> Seen<Daemon> {
    let path = socket.to_owned();
    let asked = deadline.within(ANSWER, move || Ok(version(&path)));
    match asked {
        Ok(known) => known.map(|known| match known {
            Daemon::Runs(runs) => Daemon::Runs(Runs { turns: turns(socket, deadline), ..runs }),
            other => other,
        }),
        // It listens, and says nothing.
        Err(_) => {
            Ok(Daemon::Silent { socket: socket.to_owned(), pid: pid(socket).ok(), seconds: ANSWER.as_secs() })
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
fn turns(socket: &Path, deadline: Deadline) -> Seen<Turns> {
    let socket = socket.to_owned();
    let asked = deadline.within(ANSWER, move || {
        Ok(Client::connect(&socket).and_then(|client| client.latency()).map(drop).map_err(sentence))
    });
    match asked {
        Ok(answer) => answer.map(|()| Turns::Answers),
        Err(_) => Ok(Turns::Silent { seconds: ANSWER.as_secs() }),
    }
}

/// Who listens, as the kernel says (unix(7)).
fn pid(socket: &Path) -> Seen<i32> {
    let stream = UnixStream::connect(socket).map_err(sentence)?;
    let who = getsockopt(&stream, sockopt::PeerCredentials).map_err(sentence)?;
    // 0: of another pid namespace.
    (who.pid() > 0).then_some(who.pid()).ok_or_else(|| "the daemon is in another pid namespace".to_owned())
}
