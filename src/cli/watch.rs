//! `greyhound status --watch`: the table again and again.
//!
//! One thread looks, so that a daemon that takes its time does not keep this program from ending; another
//! follows the events and rings when there is something to see.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use terminal_size::{Height, terminal_size};

use super::context::Context;
use super::follow::{self, News};
use super::source::Source;
use super::{Ended, output, status, stop};
use crate::api::client::Client;
use crate::api::dto::StatusView;
use crate::reconcile::{self, view};

/// Events come in bursts: all of one are seen in one look.
const SETTLE: Duration = Duration::from_millis(100);

/// What happens while one watches.
enum Seen {
    Status(anyhow::Result<StatusView>),
    Stop,
}

/// Ends when it is told to, with what the last table said. Errors when already the first look fails.
pub fn run(context: &Context, source: Source, pause: Duration) -> anyhow::Result<Ended> {
    let (tell, seen) = sync_channel(1);
    stop::tell(Seen::Stop, tell.clone())?;
    let (ring, bell) = sync_channel(1);
    if let Source::Daemon(client) = &source {
        follow_events(client, ring.clone())?;
    }
    let context_there = context.clone();
    std::thread::spawn(move || {
        // Held to the end: without events the bell is silent, but there.
        let _ring = ring;
        look_again(|| look(&context_there, &source), pause, &bell, &tell);
    });
    draw_all(context, &seen)
}

fn draw_all(context: &Context, seen: &Receiver<Seen>) -> anyhow::Result<Ended> {
    let mut last = None;
    for seen in seen {
        match (seen, last) {
            (Seen::Stop, _) => break,
            (Seen::Status(Ok(status)), _) => {
                last = Some(status::ended(&status.tunnels));
                draw(context, &status)?;
            }
            (Seen::Status(Err(error)), None) => return Err(error),
            // It may come back: a daemon that is started anew does.
            (Seen::Status(Err(error)), Some(_)) => draw_trouble(&error)?,
        }
    }
    Ok(last.unwrap_or(Ended::Whole))
}

fn look(context: &Context, source: &Source) -> anyhow::Result<StatusView> {
    match source {
        Source::Daemon(client) => Ok(client.status()?),
        Source::Here(config) => status::here(context, config),
        Source::BadDeclaration => unreachable!("shown before there was anything to watch"),
    }
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
fn look_again(
    look: impl Fn() -> anyhow::Result<StatusView>,
    pause: Duration,
    bell: &Receiver<()>,
    tell: &SyncSender<Seen>,
) {
    while tell.send(Seen::Status(look())).is_ok() {
        if bell.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            std::thread::sleep(SETTLE);
            bell.try_iter().for_each(drop);
        }
    }
}

fn draw(context: &Context, status: &StatusView) -> anyhow::Result<()> {
    if context.json {
        return output::json_line(status);
    }
    let now = reconcile::now();
    let text = status::text(status, now);
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
        let looks = || Err(anyhow::anyhow!("a look"));
        let looker = std::thread::spawn(move || look_again(looks, Duration::from_secs(3600), &bell, &tell));
        for _ in 0..2 {
            assert!(matches!(seen.recv_timeout(Duration::from_secs(20)), Ok(Seen::Status(_))));
            ring.try_send(()).unwrap();
        }
        drop(seen);
        looker.join().unwrap();
    }
}
