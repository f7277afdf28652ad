//! No half-alive daemon: a thread that hangs starves the watchdog, nobody who asks holds up the loop, and the service
//! manager hears each step.

use super::daemon_kit::{SOON, holds_soon, kept, last, told, watched};
use super::repairs::{declaration, host_with_underlay};
use super::tunnels::FRA;
use crate::support::daemon::{Manager, WATCHDOG};
use crate::support::greyhound::unicast;
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Result, World, bail, ensure, eventually};
use crate::witness::look;
use anyhow::Context as _;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(who_hangs_starves_the_watchdog_and_the_tunnels_stay).needs(&[DUMMY]),
    scenario!(who_asks_without_end_holds_up_no_repair_and_no_end).needs(&[DUMMY]).exclusive(),
    scenario!(the_service_manager_hears_each_step_and_the_log_is_json).needs(&[DUMMY]),
];

/// One thread of a process, stopped until dropped; the others run on.
struct Stopped(Pid);

impl Stopped {
    fn thread(process: Pid, name: &str) -> Result<Self> {
        let tasks = PathBuf::from(format!("/proc/{process}/task"));
        let named =
            |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let tasks = std::fs::read_dir(tasks)?.map(|task| Ok(task?.path())).collect::<Result<Vec<_>>>()?;
        let task = tasks.iter().find(|task| named(task)).with_context(|| format!("no thread {name}"))?;
        let number = task.file_name().and_then(|name| name.to_str()).context("the thread's number")?;
        let thread = Pid::from_raw(number.parse()?);
        ptrace::seize(thread, Options::empty())?;
        ptrace::interrupt(thread)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        Ok(Self(thread))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

fn who_hangs_starves_the_watchdog_and_the_tunnels_stay(world: &World) -> Result<()> {
    let host = &host_with_underlay(world)?;
    let greyhound = Greyhound::new(world, host, &declaration())?;
    let mut daemon = Daemon::start_told(&greyhound, "")?;
    let before = look::ours(host)?;
    let fed = |daemon: &Daemon| daemon.notified("WATCHDOG=1");
    for thread in ["reconcile", "greyhound"] {
        let seq = last(&greyhound)?;
        let at_first = fed(&daemon);
        let fed_again = || {
            ensure!(fed(&daemon) > at_first, "nobody feeds the watchdog");
            Ok(())
        };
        eventually(WATCHDOG, fed_again)?;
        let stopped = Stopped::thread(daemon.pid(), thread)?;
        // What was on its way when it stopped.
        sleep(WATCHDOG);
        let starving = fed(&daemon);
        sleep(WATCHDOG);
        ensure!(fed(&daemon) == starving, "{thread} hangs, and the watchdog is fed");
        if thread == "reconcile" {
            greyhound.ends(0, "status")?;
            host.ip("link set gh-ams mtu 1300")?;
        }
        drop(stopped);
        eventually(WATCHDOG, || {
            ensure!(fed(&daemon) > starving, "{thread} runs again, and nobody feeds the watchdog");
            Ok(())
        })?;
        if thread == "reconcile" {
            told(&greyhound, seq, "repair", "mtu of gh-ams 1476 -> 1300")?;
        }
    }
    // What systemd sends to who starves its watchdog, and what a panic ends with.
    kill(daemon.pid(), Signal::SIGABRT)?;
    ensure!(!daemon.ended(SOON)?.success(), "it ended well");
    before.expect_unchanged(&look::ours(host)?)?;
    let daemon = Daemon::start(&greyhound)?;
    before.expect_unchanged(&look::ours(host)?)?;
    holds_soon(&mut watched(&greyhound, &daemon)?)
}

/// Asks for the status again and again, until dropped.
struct Askers {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Askers {
    fn start(socket: &Path, count: usize) -> Self {
        let (stop, answers) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let threads = (0..count).map(|_| {
            let (socket, stop, answers) = (socket.to_owned(), Arc::clone(&stop), Arc::clone(&answers));
            spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match ask(&socket) {
                        Ok(()) => drop(answers.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => sleep(Duration::from_millis(1)),
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop, answers }
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn ask(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "no answer");
    Ok(())
}

fn who_asks_without_end_holds_up_no_repair_and_no_end(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let askers = Askers::start(greyhound.socket(), 16);
    eventually(SOON, || {
        ensure!(askers.answers.load(Ordering::Relaxed) > 100, "nobody is answered");
        Ok(())
    })?;
    for _ in 0..5 {
        let seq = last(&greyhound)?;
        greyhound.host.ip("link delete gh-ams")?;
        told(&greyhound, seq, "repair", "link gh-ams deleted")?;
    }
    let begun = Instant::now();
    daemon.stop()?;
    let answers = askers.answers.load(Ordering::Relaxed);
    println!("{answers} answers meanwhile; the end took {} ms", begun.elapsed().as_millis());
    Ok(())
}

fn the_service_manager_hears_each_step_and_the_log_is_json(world: &World) -> Result<()> {
    let host = host_with_underlay(world)?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let daemon = Daemon::start_told(&greyhound, "--log-format json")?;
    let mut witness = watched(&greyhound, &daemon)?;
    ensure!(daemon.notified("STATUS=2 tunnel(s) kept") > 0, "no status");
    // Somebody else has the name.
    host.ip("link add gh-lon type dummy")?;
    greyhound.declare(&(declaration() + &unicast("lon", FRA, 2, "")))?;
    daemon.reload()?;
    let heard = |line: &str, times: usize| {
        eventually(SOON, || {
            let found = daemon.notified(line);
            ensure!(found >= times, "{line}: {found} times");
            Ok(())
        })
    };
    heard("RELOADING=1", 1)?;
    heard("READY=1", 2)?;
    heard("STATUS=3 tunnel(s) kept, 1 of them cannot be as declared", 1)?;
    host.ip("link delete gh-lon")?;
    heard("STATUS=3 tunnel(s) kept", 1)?;
    heard("READY=1", 2)?;
    holds_soon(&mut witness)?;
    let Manager::Us(notices) = daemon.signs().manager else { bail!("somebody else is told") };
    let log = daemon.stop()?;
    ensure!(notices.times("STOPPING=1").len() == 1, "the manager does not hear the end");
    for line in log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(value["level"].is_string() && value["timestamp"].is_string(), "{line}");
    }
    Ok(())
}
