//! `--watch`: a table again and again.
//!
//! One thread looks, so that a daemon that takes its time does not keep this program from ending; another
//! follows the events and rings when there is something to see.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;
use terminal_size::{Height, terminal_size};

use super::context::Context;
use super::follow::{self, News};
use super::{Ended, output, stop};
use crate::api::client::Client;
use crate::model::Timestamp;
use crate::reconcile::{self, view};

/// Events come in bursts: all of one are seen in one look.
const SETTLE: Duration = Duration::from_millis(100);

/// What is looked at again and again.
pub struct Watched<T> {
    pub look: Box<dyn Fn() -> anyhow::Result<T> + Send>,
    /// As people read it.
    pub text: fn(&T, Timestamp) -> String,
    /// What the program ends with, after this was the last.
    pub ended: fn(&T) -> Ended,
}

/// What happens while one watches.
enum Seen<T> {
    Value(anyhow::Result<T>),
    Stop,
}

/// Ends when it is told to, with what was seen last. Errors when already the first look fails. With a `client`, its
/// events are a reason to look before the pause is over.
pub fn run<T: Serialize + Send + 'static>(
    context: &Context,
    client: Option<&Client>,
    pause: Duration,
    watched: Watched<T>,
) -> anyhow::Result<Ended> {
    let Watched { look, text, ended } = watched;
    let (tell, seen) = sync_channel(1);
    stop::tell(Seen::Stop, tell.clone())?;
    let (ring, bell) = sync_channel(1);
    if let Some(client) = client {
        follow_events(client, ring.clone())?;
    }
    std::thread::spawn(move || {
        // Held to the end: without events the bell is silent, but there.
        let _ring = ring;
        look_again(look, pause, &bell, &tell);
    });
    let mut last = None;
    for seen in seen {
        match (seen, last) {
            (Seen::Stop, _) => break,
            (Seen::Value(Ok(value)), _) => {
                last = Some(ended(&value));
                draw(context, &value, text)?;
            }
            (Seen::Value(Err(error)), None) => return Err(error),
            // It may come back: a daemon that is started anew does.
            (Seen::Value(Err(error)), Some(_)) => draw_trouble(&error)?,
        }
    }
    Ok(last.unwrap_or(Ended::Whole))
}

fn follow_events(client: &Client, ring: SyncSender<()>) -> anyhow::Result<()> {
    let client = Client::connect(client.socket())?;
    std::thread::spawn(move || {
        follow::follow(&client, None, |news| {
            if let News::Heard(_) | News::Away(_) = news {
                // Full: it has been rung already, and nobody has come yet.
                let _ = ring.try_send(());
            }
            true
        });
    });
    Ok(())
}

/// Looks, and again when the bell rings or the pause is over, as long as somebody wants to see it.
fn look_again<T>(
    look: impl Fn() -> anyhow::Result<T>,
    pause: Duration,
    bell: &Receiver<()>,
    tell: &SyncSender<Seen<T>>,
) {
    while tell.send(Seen::Value(look())).is_ok() {
        if bell.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            std::thread::sleep(SETTLE);
            bell.try_iter().for_each(drop);
        }
    }
}

fn draw<T: Serialize>(context: &Context, value: &T, text: fn(&T, Timestamp) -> String) -> anyhow::Result<()> {
    if context.json {
        return output::json_line(value);
    }
    let now = reconcile::now();
    let text = text(value, now);
    match height() {
        Some(height) => output::text(&screen(&format!("{}\n{text}", view::time(now)), height)),
        None => output::text(&(text + "\n")),
    }
}

fn draw_trouble(error: &anyhow::Error) -> anyhow::Result<()> {
    let text = format!("greyhound: {error:#}\n");
    match height() {
        Some(height) => output::text(&screen(&text, height)),
        None => {
            anstream::eprint!("{text}");
            Ok(())
        }
    }
}

/// Lines of the terminal; `None` when the output is none.
fn height() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal();
    terminal.then(|| terminal_size().map_or(24, |(_, Height(lines))| usize::from(lines)))
}

/// Text over what the terminal showed before, in one piece, so that nothing flickers. What is wider or higher than
/// the terminal is cut: if it scrolled, the next one would not begin at its top.
fn screen(text: &str, height: usize) -> String {
    const HOME: &str = "\x1b[H";
    const REST_OF_LINE: &str = "\x1b[K";
    const REST_OF_SCREEN: &str = "\x1b[J";
    const NO_WRAP: &str = "\x1b[?7l";
    const WRAP: &str = "\x1b[?7h";
    let room = height.saturating_sub(2).max(1);
    let lines: Vec<_> = text.lines().collect();
    let hidden = lines.len().saturating_sub(room);
    let more = (hidden > 0).then(|| format!("... and {hidden} line(s) more"));
    let shown = lines.iter().take(room).copied().chain(more.as_deref());
    let shown: String = shown.map(|line| format!("{line}{REST_OF_LINE}\n")).collect();
    format!("{NO_WRAP}{HOME}{shown}{REST_OF_SCREEN}{WRAP}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_over_the_last_one() {
        assert_eq!(screen("a\nb\n", 24), "\x1b[?7l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?7h");
    }

    #[test]
    fn what_is_too_high_is_cut_and_said_to_be() {
        let text: String = (0..100).map(|line| format!("{line}\n")).collect();
        let screen = screen(&text, 10);
        assert_eq!(screen.lines().count(), 10, "the last one is where the cursor is left");
        assert!(screen.contains("\n7\x1b[K\n... and 92 line(s) more\x1b[K\n"), "{screen:?}");
    }

    #[test]
    fn it_looks_when_rung_for_until_nobody_wants_to_see() {
        let (ring, bell) = sync_channel(1);
        let (tell, seen) = sync_channel(0);
        let looks = || Err::<(), _>(anyhow::anyhow!("a look"));
        let looker = std::thread::spawn(move || look_again(looks, Duration::from_secs(3600), &bell, &tell));
        for _ in 0..2 {
            assert!(matches!(seen.recv_timeout(Duration::from_secs(20)), Ok(Seen::Value(_))));
            ring.try_send(()).unwrap();
        }
        drop(seen);
        looker.join().unwrap();
    }
}
