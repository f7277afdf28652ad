//! Events as they happen, also those after the daemon was started anew.

use std::time::Duration;

use crate::api::client::{Client, Error, Heard};

/// Between two tries to reach a daemon that has gone.
const RETRY: Duration = Duration::from_secs(1);

/// What comes.
#[derive(Debug)]
pub enum News {
    Heard(Heard),
    /// The daemon has gone, and why one knows; it is waited for.
    Away(String),
    /// It will not be heard of again.
    Failed(Error),
}

/// Tells what happens after event `since`, until `tell` says that it is enough or there is no more to come.
pub fn follow(client: &Client, mut since: Option<u64>, mut tell: impl FnMut(News) -> bool) {
    let mut told_away = false;
    loop {
        let heard = client.events(since).and_then(|events| {
            relay(events, |heard| {
                told_away = false;
                if let Heard::Event(event) = &heard {
                    since = Some(event.seq);
                }
                tell(News::Heard(heard))
            })
        });
        let why = match heard {
            Ok(End::Enough) => return,
            Ok(End::OfStream) => "the daemon ended the stream of events".to_owned(),
            Err(error) if comes_back(&error) => error.to_string(),
            Err(error) => {
                tell(News::Failed(error));
                return;
            }
        };
        if !told_away && !tell(News::Away(why)) {
            return;
        }
        told_away = true;
        std::thread::sleep(RETRY);
    }
}

/// Why a stream is not read any more.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Enough,
    OfStream,
}

fn relay(
    events: impl Iterator<Item = Result<Heard, Error>>,
    mut tell: impl FnMut(Heard) -> bool,
) -> Result<End, Error> {
    for heard in events {
        if !tell(heard?) {
            return Ok(End::Enough);
        }
    }
    Ok(End::OfStream)
}

/// Is this how it looks when a daemon is stopped, started or overrun? Then it is worth waiting.
fn comes_back(error: &Error) -> bool {
    match error {
        Error::NotRunning(_) | Error::Crowded | Error::Broken(_) | Error::Silent => true,
        Error::Refused { status, .. } => *status == 503,
        Error::Denied(_)
        | Error::Connect { .. }
        | Error::Version { .. }
        | Error::Answer(_)
        | Error::Own(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dto::{ErrorView, LostView};

    #[test]
    fn a_stream_is_told_until_it_ends_fails_or_is_enough() {
        let lost = |missed| Ok(Heard::Lost(LostView { after: None, missed }));
        assert_eq!(relay([lost(1), lost(2)].into_iter(), |_| true).unwrap(), End::OfStream);
        assert_eq!(relay([lost(1), lost(2)].into_iter(), |_| false).unwrap(), End::Enough);
        let mut told = 0;
        let broken = relay([lost(1), Err(Error::Silent), lost(2)].into_iter(), |_| {
            told += 1;
            true
        });
        assert!(matches!(broken, Err(Error::Silent)));
        assert_eq!(told, 1);
    }

    #[test]
    fn a_daemon_that_stops_or_starts_is_waited_for_and_nothing_else() {
        let refused = |status| {
            let view = ErrorView { error: String::new(), problems: vec![], text: None };
            Error::Refused { status, view }
        };
        assert!(comes_back(&Error::NotRunning("/s".into())));
        assert!(comes_back(&refused(503)));
        assert!(!comes_back(&refused(403)));
        assert!(!comes_back(&Error::Denied("/s".into())));
        assert!(!comes_back(&Error::Version { theirs: "2".to_owned() }));
    }
}
