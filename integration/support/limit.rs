//! A scenario that does not end: it is named, with what every process waits for, and the run ends with it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Several times what the longest scenario takes on the slowest machine so far.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Of the kernel's log: its last words.
const LINES: usize = 60;

/// The time that a scenario has begins; dropped, it is over.
pub struct Limit(#[allow(dead_code, reason = "its end is heard")] Sender<()>);

impl Limit {
    #[allow(clippy::disallowed_methods, reason = "main waits for the very scenario that does not end")]
    pub fn begin(name: String) -> Self {
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name} did not end within {LIMIT:?}; the run ends.\n{}", waiting());
                exit(1);
            }
        });
        Self(sender)
    }
}

/// Each thread of this namespace of processes that is no kernel's: its state, and where in the kernel it waits.
fn waiting() -> String {
    let mut text = String::new();
    for process in entries(Path::new("/proc")).filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        let folder = Path::new("/proc").join(&process);
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        let command = read("cmdline").replace('\0', " ");
        if command.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{process} {}", command.chars().take(120).collect::<String>());
        for thread in entries(&folder.join("task")) {
            let of = |file: &str| read(&format!("task/{thread}/{file}"));
            let state = of("status").lines().find_map(|line| line.strip_prefix("State:").map(str::to_owned));
            let stack = of("stack")
                .split_whitespace()
                .filter(|word| word.contains('+'))
                .collect::<Vec<_>>()
                .join(" ");
            let _ = writeln!(text, "    {thread}{} {stack}", state.unwrap_or_default());
        }
    }
    if let Ok(log) = Command::new("dmesg").output() {
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        let lines: Vec<_> = log.lines().collect();
        text += &lines[lines.len().saturating_sub(LINES)..].join("\n");
    }
    text
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
