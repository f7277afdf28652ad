//! Numbered UDP streams: a `Sender` that counts, and `Receiver`s that say which numbers came.

use super::host::Host;
use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Packets per second.
pub const RATE: u32 = 1_000;
/// Enough for any underlay here, should nobody decrement it by dozens.
const MULTICAST_TTL: u32 = 32;
/// After this long without a packet, no more is on its way.
const QUIET: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_millis(50);
const BUFFER: usize = 16 << 20;
const MAGIC: [u8; 8] = *b"numbered";

/// Sends number after number, until stopped or dropped.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Starts a stream of `RATE` from a host, with the source address that routing gives.
    pub fn start(host: &Host, to: SocketAddrV4) -> Result<Self> {
        Self::start_from(host, Ipv4Addr::UNSPECIFIED, to)
    }

    /// The same, with this source address.
    pub fn start_from(host: &Host, source: Ipv4Addr, to: SocketAddrV4) -> Result<Self> {
        let socket = host.within(|| {
            let socket = UdpSocket::bind((source, 0)).with_context(|| format!("socket from {source}"))?;
            Ok(socket)
        })?;
        Self::go(socket, to)
    }

    /// The same, out of this link, whatever routes there are.
    pub fn start_on(host: &Host, link: &str, to: SocketAddrV4) -> Result<Self> {
        let socket = host.within(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("socket")?;
            setsockopt(&socket, sockopt::BindToDevice, &link.into())
                .with_context(|| format!("out of {link}"))?;
            Ok(socket)
        })?;
        Self::go(socket, to)
    }

    fn go(socket: UdpSocket, to: SocketAddrV4) -> Result<Self> {
        socket.set_multicast_ttl_v4(MULTICAST_TTL)?;
        let (stop, sent) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || send(&socket, to, &stopped, &count));
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the stream: how many numbers were sent.
    pub fn stop(mut self) -> u64 {
        self.finish();
        self.sent()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A number that the kernel refuses to send counts as sent: whoever waits for it has lost it.
fn send(socket: &UdpSocket, to: SocketAddrV4, stop: &AtomicBool, sent: &AtomicU64) {
    let start = Instant::now();
    let mut packet = [0; 64];
    packet[..8].copy_from_slice(&MAGIC);
    let mut number: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        packet[8..16].copy_from_slice(&number.to_be_bytes());
        let _ = socket.send_to(&packet, to);
        number += 1;
        sent.store(number, Ordering::Relaxed);
        let due = start + Duration::from_micros(number * 1_000_000 / u64::from(RATE));
        sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Counts the numbers that come, until asked for its report or dropped.
#[derive(Debug)]
pub struct Receiver {
    stop: Arc<AtomicBool>,
    expected: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<u32>>>,
}

impl Receiver {
    /// Listens on an address of a host.
    pub fn start(host: &Host, at: SocketAddrV4) -> Result<Self> {
        Self::listen(host.within(|| UdpSocket::bind(at).with_context(|| format!("socket at {at}")))?)
    }

    /// Joins a group on the interface that has this address, and listens.
    pub fn join(host: &Host, group: SocketAddrV4, interface: Ipv4Addr) -> Result<Self> {
        Self::listen(host.within(|| {
            let socket = UdpSocket::bind(group).with_context(|| format!("socket at {group}"))?;
            let joined = socket.join_multicast_v4(group.ip(), &interface);
            joined.with_context(|| format!("joining {group} on {interface}"))?;
            Ok(socket)
        })?)
    }

    fn listen(socket: UdpSocket) -> Result<Self> {
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let expected = Arc::new(AtomicU64::new(u64::MAX));
        let (stopped, until) = (Arc::clone(&stop), Arc::clone(&expected));
        let thread = std::thread::spawn(move || receive(&socket, &stopped, &until));
        Ok(Self { stop, expected, thread: Some(thread) })
    }

    /// Waits for stragglers of `sent` numbers, until all have come or nothing does any more.
    pub fn report(self, sent: u64) -> Result<Report> {
        Ok(Report::of(sent, &self.counts(sent)?))
    }

    /// The same: the numbers that came, in their order.
    pub fn numbers(self, sent: u64) -> Result<Vec<u64>> {
        let counts = self.counts(sent)?.into_iter().zip(0..);
        Ok(counts.filter(|(count, _)| *count > 0).map(|(_, number)| number).collect())
    }

    fn counts(mut self, sent: u64) -> Result<Vec<u32>> {
        let thread = self.thread.take().context("reported twice")?;
        self.expected.store(sent, Ordering::Relaxed);
        thread.join().map_err(|_| anyhow!("the receiver's thread panicked"))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How often each number came.
fn receive(socket: &UdpSocket, stop: &AtomicBool, expected: &AtomicU64) -> Vec<u32> {
    let mut counts: Vec<u32> = Vec::new();
    let mut distinct: u64 = 0;
    let mut last = Instant::now();
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        if let Some(number) = next(socket, &mut buffer) {
            let at = usize::try_from(number).unwrap_or(usize::MAX).min(1 << 24);
            counts.resize(counts.len().max(at + 1), 0);
            distinct += u64::from(counts[at] == 0);
            counts[at] += 1;
            last = Instant::now();
        }
        match expected.load(Ordering::Relaxed) {
            u64::MAX => last = Instant::now(),
            all if distinct >= all || last.elapsed() >= QUIET => break,
            _ => {}
        }
    }
    counts
}

fn next(socket: &UdpSocket, buffer: &mut [u8]) -> Option<u64> {
    let length = socket.recv(buffer).ok()?;
    let number = buffer[..length].strip_prefix(&MAGIC)?.first_chunk()?;
    Some(u64::from_be_bytes(*number))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    pub duplicated: u64,
    /// The longest run of numbers that did not come: at `RATE`, milliseconds of outage.
    pub gap: u64,
}

impl Report {
    fn of(sent: u64, counts: &[u32]) -> Self {
        let received = counts.iter().filter(|&&count| count > 0).count() as u64;
        let duplicated = counts.iter().map(|&count| u64::from(count.saturating_sub(1))).sum();
        let mut counts = counts.to_vec();
        counts.resize(counts.len().max(usize::try_from(sent).unwrap_or(0)), 0);
        let gap = counts.split(|&count| count > 0).map(<[u32]>::len).max().unwrap_or(0) as u64;
        Self { sent, received, lost: sent.saturating_sub(received), duplicated, gap }
    }

    /// Every number came, once; and there were numbers.
    pub fn complete(&self) -> Result<()> {
        ensure!(
            self.sent > 0 && self.lost == 0 && self.duplicated == 0,
            "not every number came once: {self}"
        );
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, lost, duplicated, gap } = self;
        write!(f, "{sent} sent, {received} received, {lost} lost, {duplicated} duplicated, longest gap {gap}")
    }
}
