//! What is gathered, and how each part is had.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::cli::context::{Context, read};
use crate::command::{self, Bounds};
use crate::config::Config;
use crate::store::State;
use crate::store::events::KEPT;

/// A host with ten thousand tunnels is listed in some seconds, and in a few megabytes.
const BOUNDS: Bounds = Bounds { patience: Duration::from_secs(30), largest: 32 << 20 };
/// The lines of the journal that are taken.
const JOURNAL: &str = "5000";
/// Settings of the kernel that decide what becomes of GRE, each alone or of every link.
const SETTINGS: [&str; 12] = [
    "ip_forward",
    "ip_no_pmtu_disc",
    "icmp_echo_ignore_all",
    "igmp_max_memberships",
    "tcp_mtu_probing",
    "conf/*/rp_filter",
    "conf/*/forwarding",
    "conf/*/mc_forwarding",
    "conf/*/accept_local",
    "conf/*/arp_ignore",
    "conf/*/arp_announce",
    "conf/*/src_valid_mark",
];

/// One file of the archive.
pub struct Part {
    pub name: &'static str,
    /// How it is had, in words.
    pub by: String,
    how: How,
}

enum How {
    Run(Vec<OsString>),
    Read(PathBuf),
    Look(Box<dyn Fn() -> anyhow::Result<String>>),
}

/// What came of it. `note`: why it is not whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Got {
    pub text: String,
    pub note: Option<String>,
}

/// All parts, in the order in which one reads them.
pub fn all(context: &Context) -> Vec<Part> {
    let config = match read(context.file()) {
        Ok(Ok(config)) => *config,
        Ok(Err(_)) | Err(_) => Config::default(),
    };
    let state = config.daemon.state_dir;
    let look = |name, by: &str, how: Box<dyn Fn() -> anyhow::Result<String>>| Part {
        name,
        by: by.to_owned(),
        how: How::Look(how),
    };
    let file = |name, path: PathBuf| Part { name, by: path.display().to_string(), how: How::Read(path) };
    vec![
        file("greyhound.toml", context.file().to_owned()),
        own(context, "version.txt", "--version"),
        own(context, "check.json", "check -j"),
        // A verb's line is all that it takes for its answer to be in the archive.
        own(context, "status.json", "status -j"),
        own(context, "plan.json", "plan -j"),
        own(context, "latency.json", "latency -j"),
        own(context, "leases.json", "lease list -j"),
        own(context, "pools.json", "pool list -j"),
        own(context, "devices.json", "device list -j"),
        own(context, "sessions.json", "session list -j"),
        own(context, "inventory-check.json", "inventory check -j"),
        own(context, "store-check.json", "store check -j"),
        own(context, "doctor.json", "doctor -j"),
        own(context, "metrics.txt", "metrics"),
        look("events.jsonl", "the events that the store keeps", Box::new(move || events(&state))),
        run("kernel.txt", "uname -a"),
        file("os-release.txt", "/etc/os-release".into()),
        run("ip-link.json", "ip -j -p -d link show"),
        run("ip-link-statistics.txt", "ip -s link show"),
        run("ip-address.json", "ip -j -p -d address show"),
        run("ip-route.json", "ip -j -p -d -4 route show table all"),
        run("ip-rule.json", "ip -j -p -d -4 rule show"),
        run("nft.txt", "nft list table ip greyhound"),
        look("settings.txt", "/proc/sys/net/ipv4", Box::new(|| Ok(settings()))),
        run("unit.txt", "systemctl status --no-pager --full greyhound.service"),
        run("journal.txt", &format!("journalctl --no-pager --unit greyhound.service --lines {JOURNAL}")),
    ]
}

/// A verb of this very program, with the declaration and the socket that were named.
fn own(context: &Context, name: &'static str, verb: &str) -> Part {
    let program = std::env::current_exe().unwrap_or_else(|_| "greyhound".into());
    let mut words = vec![program.into_os_string()];
    for (option, value) in [("--config", &context.config), ("--socket", &context.socket)] {
        words.extend(value.iter().flat_map(|value| [option.into(), value.as_os_str().to_owned()]));
    }
    words.extend(verb.split(' ').map(OsString::from));
    Part { name, by: format!("greyhound {verb}"), how: How::Run(words) }
}

fn run(name: &'static str, line: &str) -> Part {
    Part { name, by: line.to_owned(), how: How::Run(line.split(' ').map(OsString::from).collect()) }
}

impl Part {
    /// Gets it, or why it cannot be had.
    pub fn get(&self) -> Got {
        let got = match &self.how {
            How::Run(words) => return output(words),
            How::Read(path) => fs::read(path).map(|bytes| lossy(&bytes)).map_err(anyhow::Error::from),
            How::Look(look) => look(),
        };
        match got {
            Ok(text) => Got { text, note: None },
            Err(error) => Got { text: String::new(), note: Some(format!("{error:#}")) },
        }
    }
}

fn output(words: &[OsString]) -> Got {
    let [program, rest @ ..] = words else { return Got::default() };
    match command::run(Command::new(program).args(rest), "", BOUNDS) {
        Err(error) => Got { text: String::new(), note: Some(error.to_string()) },
        Ok(ended) => {
            let failed = (!ended.status.success()).then(|| {
                // Of more lines than one it is a list of what is wrong.
                let complaint =
                    ended.stderr.trim().chars().take(2_000).collect::<String>().replace('\n', "\n    ");
                format!("it ended with {}: {complaint}", ended.status)
            });
            let cut = ended.cut.then(|| format!("only its first {} bytes are here", BOUNDS.largest));
            Got { text: lossy(&ended.stdout), note: failed.or(cut) }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A JSON object a line.
fn events(directory: &std::path::Path) -> anyhow::Result<String> {
    let state = State::open_copy(directory)?;
    let since = state.last_event()?.saturating_sub(KEPT);
    let events = state.events(since, KEPT)?.into_iter().map(|(seq, event)| {
        let tunnel = event.tunnel.map(|tunnel| tunnel.to_string());
        let (at_ms, kind, text) = (event.at_ms, event.kind.name(), event.text);
        serde_json::json!({ "seq": seq, "at_ms": at_ms, "kind": kind, "tunnel": tunnel, "text": text })
            .to_string()
    });
    Ok(events.map(|line| line + "\n").collect())
}

fn settings() -> String {
    let root = PathBuf::from("/proc/sys/net/ipv4");
    let mut links: Vec<_> = fs::read_dir(root.join("conf"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    links.sort();
    let mut text = String::new();
    for setting in SETTINGS {
        let names = match setting.split_once('*') {
            Some((before, after)) => {
                links.iter().map(|link| format!("{before}{}{after}", link.to_string_lossy())).collect()
            }
            None => vec![setting.to_owned()],
        };
        for name in names {
            if let Ok(value) = fs::read_to_string(root.join(&name)) {
                let _ = writeln!(text, "{name} = {}", value.trim());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Got {
        run("x", line).get()
    }

    #[test]
    fn what_cannot_be_had_says_why_and_what_there_is_of_it_is_kept() {
        assert_eq!(of("echo word"), Got { text: "word\n".to_owned(), note: None });
        let absent = of("no-such-program-here").note.unwrap();
        assert!(absent.starts_with("no-such-program-here cannot be run: "), "{absent}");
        let missing = of("ls / /no-such-file");
        assert!(missing.text.contains("proc") && missing.note.unwrap().contains("no-such-file"));
    }

    #[test]
    fn no_two_parts_have_one_name() {
        let context = Context { config: Some("/no/such.toml".into()), socket: None, json: false };
        let names: Vec<_> = all(&context).iter().map(|part| part.name).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn settings_are_those_of_every_link() {
        let text = settings();
        assert!(text.contains("conf/all/rp_filter = ") && text.contains("conf/lo/rp_filter = "), "{text}");
    }
}
