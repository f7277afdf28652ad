//! A host: one network namespace, deleted when nobody holds it any more.

use super::command::{Output, Process, run};
use super::world::greyhound;
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Of each listing in a report: enough to see, short enough to read.
const LINES: usize = 30;

/// Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host(Arc<Namespace>);

#[derive(Debug)]
struct Namespace {
    name: String,
    namespace: String,
    folder: PathBuf,
    logs: AtomicU32,
}

/// The same start on every machine, whatever its own settings. No duplicate address detection: its end would be a
/// change that nobody made.
const CALM: [(&str, &str); 5] = [
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
];

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.namespace]).output();
    }
}

impl Host {
    /// Makes the namespaces of these (name, namespace) with their loopbacks up.
    pub fn make(names: &[(&str, String)], folder: &Path) -> Result<Vec<Self>> {
        // A guard before its namespace: what fails half-way leaves nothing behind.
        let guard = |(name, namespace): &(&str, String)| Namespace {
            name: (*name).to_owned(),
            namespace: namespace.clone(),
            folder: folder.to_owned(),
            logs: AtomicU32::new(0),
        };
        let hosts: Vec<_> = names.iter().map(guard).map(Arc::new).map(Self).collect();
        let batch: String = names.iter().map(|(_, namespace)| format!("netns add {namespace}\n")).collect();
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]);
        run(command, &batch)?.success()?;
        for host in &hosts {
            for (name, value) in CALM {
                host.sysctl(name, value)?;
            }
            host.ip("link set lo up")?;
        }
        Ok(hosts)
    }

    /// The namespace that the machine's own processes are in, the first one's. It stays.
    pub fn machine(namespace: String, folder: &Path) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "attach", &namespace, "1"]);
        run(command, "")?.success()?;
        let (name, logs) = ("machine".to_owned(), AtomicU32::new(0));
        Ok(Self(Arc::new(Namespace { name, namespace, folder: folder.to_owned(), logs })))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name that `ip netns` knows it by.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// Runs a closure on a thread of this host: sockets and commands made in it belong to the host.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                work()
            });
            thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// Makes the calling thread, for the rest of its life, one of this host.
    pub fn enter(&self) -> Result<()> {
        let path = Path::new("/run/netns").join(&self.0.namespace);
        let file = File::open(&path).with_context(|| format!("namespace of {}", self.0.name))?;
        setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {}", self.0.name))
    }

    /// Runs a command to its end; any status but 0 is an error that names command, status and what it said.
    pub fn exec(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        self.try_exec(words)?.success().with_context(|| format!("on {}", self.0.name))
    }

    /// Runs a command to its end, whatever that is.
    pub fn try_exec(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        self.feed(words, "")
    }

    fn feed(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> Result<Output> {
        let command = command(words)?;
        self.within(move || run(command, input))
    }

    /// `ip` with these words, which are split at white space.
    pub fn ip(&self, words: &str) -> Result<Output> {
        self.exec(std::iter::once("ip").chain(words.split_whitespace()))
    }

    /// Many lines of `ip` in one process. It ends at the first that fails.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        let output = self.feed(["ip", "-batch", "-"], lines)?;
        output.success().with_context(|| format!("on {}: a line of\n{lines}", self.0.name))?;
        Ok(())
    }

    /// What `ip -j` with these words prints.
    pub fn json(&self, words: &str) -> Result<serde_json::Value> {
        let output = self.exec(["ip", "-j"].into_iter().chain(words.split_whitespace()))?;
        let text = if output.stdout.trim().is_empty() { "[]" } else { &output.stdout };
        serde_json::from_str(text).with_context(|| format!("`{}` printed: {}", output.command, output.stdout))
    }

    /// What each line of an `ip -j -d` batch prints, in one process. The family is `-4` or `-6`.
    pub fn json_batch(&self, family: &str, lines: &[&str]) -> Result<Vec<serde_json::Value>> {
        let output = self.feed(["ip", family, "-j", "-d", "-batch", "-"], &lines.join("\n"))?.success()?;
        let listings = serde_json::Deserializer::from_str(&output.stdout).into_iter();
        let listings: Vec<_> = listings.collect::<Result<_, _>>().context("what `ip -j -batch` printed")?;
        ensure!(listings.len() == lines.len(), "{} listings for {lines:?}", listings.len());
        Ok(listings)
    }

    /// What each line of an `ip -4 -j -d` batch prints, in one process; nothing for a line that fails.
    pub fn json_each(&self, lines: &str) -> Result<Vec<serde_json::Value>> {
        let output = self.feed(["ip", "-4", "-j", "-d", "-force", "-batch", "-"], lines)?;
        let listings = serde_json::Deserializer::from_str(&output.stdout).into_iter();
        listings.collect::<Result<_, _>>().with_context(|| format!("`ip -j` printed: {}", output.stdout))
    }

    /// greyhound with these words, to its end, whatever that is.
    pub fn greyhound(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.try_exec(
            std::iter::once(greyhound().as_os_str()).chain(words.iter().map(|word| word.as_os_str())),
        )
    }

    /// A file for what another process says.
    pub fn next_log(&self) -> PathBuf {
        let number = self.0.logs.fetch_add(1, Ordering::Relaxed);
        self.0.folder.join(format!("{}-{number}.log", self.0.name))
    }

    /// Starts a command, which is killed when the guard is dropped.
    pub fn spawn(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Process> {
        let command = command(words)?;
        let log = self.next_log();
        self.within(move || Process::start(command, &log))
    }

    /// Sets a sysctl of the network namespace, named with dots.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        // A dot inside an interface's name is written as a slash, as sysctl(8) has it.
        let swap = |character| match character {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        let path = Path::new("/proc/sys").join(name.chars().map(swap).collect::<String>());
        self.within(|| std::fs::write(&path, value).with_context(|| format!("{name} = {value}")))
    }

    /// Addresses, routes and rules, for a failed scenario's report.
    pub fn describe(&self) -> String {
        let mut text = format!("\n== {} ({})\n", self.0.name, self.0.namespace);
        for words in ["-br link", "-br address", "route show table all", "rule"] {
            match self.ip(words) {
                Ok(output) => text.extend(output.stdout.lines().take(LINES).map(|line| format!("{line}\n"))),
                Err(error) => drop(writeln!(text, "{error:#}")),
            }
        }
        text
    }
}

fn command(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command> {
    let mut words = words.into_iter();
    let Some(program) = words.next() else { bail!("a command of no words") };
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}
