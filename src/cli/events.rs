//! `greyhound events`: what has happened, and what happens.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::Context;
use super::follow::{self, News};
use super::{Ended, output, stop};
use crate::api::MOST_EVENTS;
use crate::api::client::{Client, Heard};
use crate::api::dto::{EventView, LostView};

/// So many past events stand before those to come, unless it is said from where on.
const BEFORE: usize = 10;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What came after event N, or in the last DURATION (90s, 10m, 2h30m; `10m-ago` is the same).
    #[arg(long, value_name = "N|DURATION", value_parser = since)]
    since: Option<Since>,

    /// Go on with each event as it happens, over restarts of the daemon too. Without --since, after the last 10.
    #[arg(short, long)]
    follow: bool,
}

/// Where one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Event(u64),
    Ago(Duration),
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    let past = past(&client, args)?;
    // What is older than one wants to see says all the same where to go on.
    let last = past.last().map(|event| event.seq).or(match args.since {
        Some(Since::Event(number)) => Some(number),
        _ => None,
    });
    let from = oldest(args.since);
    for event in past.iter().filter(|event| event.at_ms >= from) {
        show(context, event)?;
    }
    if args.follow { go_on(context, client, last.unwrap_or(0)) } else { Ok(Ended::Whole) }
}

fn past(client: &Client, args: &Args) -> anyhow::Result<Vec<EventView>> {
    Ok(match args.since {
        Some(Since::Event(number)) => client.history(Some(number), MOST_EVENTS)?,
        None if args.follow => client.history(None, BEFORE)?,
        Some(Since::Ago(_)) | None => client.history(None, MOST_EVENTS)?,
    })
}

/// The time, in milliseconds since 1970, before which nothing is shown.
fn oldest(since: Option<Since>) -> u64 {
    let Some(Since::Ago(ago)) = since else { return 0 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
}

/// What there is to show or to do while one follows.
enum Turn {
    News(News),
    Stop,
}

/// Ends when it is told to, or when the daemon cannot be followed any more.
fn go_on(context: &Context, client: Client, last: u64) -> anyhow::Result<Ended> {
    let (tell, turns) = sync_channel(64);
    stop::tell(Turn::Stop, tell.clone())?;
    std::thread::spawn(move || {
        follow::follow(&client, Some(last), |news| tell.send(Turn::News(news)).is_ok());
    });
    for turn in turns {
        match turn {
            Turn::Stop => break,
            Turn::News(News::Heard(Heard::Event(event))) => show(context, &event)?,
            Turn::News(News::Heard(Heard::Lost(lost))) => show_lost(context, lost)?,
            Turn::News(News::Away(why)) => anstream::eprintln!("greyhound: {why}; waiting for it"),
            Turn::News(News::Failed(error)) => return Err(error.into()),
        }
    }
    Ok(Ended::Whole)
}

fn show(context: &Context, event: &EventView) -> anyhow::Result<()> {
    if context.json { output::json_line(event) } else { output::text(&line(event)) }
}

fn show_lost(context: &Context, lost: LostView) -> anyhow::Result<()> {
    if context.json { output::json_line(&lost) } else { output::text(&hole(lost)) }
}

fn line(event: &EventView) -> String {
    let EventView { seq: _, at_ms, kind, tunnel, text } = event;
    let time = time(*at_ms);
    let tunnel = tunnel.as_deref().unwrap_or("-");
    format!("{time}  {tunnel:<12}  {kind:<7}  {}\n", output::one_line(text))
}

fn hole(lost: LostView) -> String {
    let LostView { after, missed } = lost;
    let place = after.map(|after| format!(" after event {after}")).unwrap_or_default();
    format!("... {missed} event(s){place} are not shown: they came too fast, or are no longer kept\n")
}

fn time(at_ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at_ms)).to_string()
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(number) = text.parse() {
        return Ok(Since::Event(number));
    }
    let span = text.strip_suffix("ago").unwrap_or(text).trim_end_matches(['-', ' ']);
    let ago = humantime::parse_duration(span);
    ago.map(Since::Ago)
        .map_err(|_| "write the number of an event, or a duration such as 90s, 10m, 2h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_begins_at_an_event_or_some_time_ago() {
        assert_eq!(since("0"), Ok(Since::Event(0)));
        assert_eq!(since("1234"), Ok(Since::Event(1234)));
        let ten_minutes = Ok(Since::Ago(Duration::from_secs(600)));
        for text in ["10m", "10m-ago", "10m ago", "600s", "9m60s"] {
            assert_eq!(since(text), ten_minutes, "{text}");
        }
        for text in ["", "ago", "-5", "yesterday", "1.5.2"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_is_a_line_of_time_tunnel_kind_and_sentence() {
        let event = |tunnel: Option<&str>, text: &str| EventView {
            seq: 1,
            at_ms: 1_000,
            kind: "repair".to_owned(),
            tunnel: tunnel.map(str::to_owned),
            text: text.to_owned(),
        };
        let told = line(&event(Some("ams"), "the link was\ndeleted"));
        assert_eq!(told, "1970-01-01T00:00:01.000Z  ams           repair   the link was deleted\n");
        assert!(line(&event(None, "x")).contains("Z  -             repair   x"));
    }

    #[test]
    fn holes_are_told() {
        let text = hole(LostView { after: Some(7), missed: 3 });
        assert!(text.starts_with("... 3 event(s) after event 7 are not shown"), "{text}");
        assert!(hole(LostView { after: None, missed: 3 }).starts_with("... 3 event(s) are not shown"));
    }
}
