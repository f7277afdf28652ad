//! A capture: the IPv4 packets of one interface of a host, both ways, from start to `stop`.

use super::host::Host;
use super::packet::Packet;
use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// The longest that `stop` waits for the thread to look up.
const PATIENCE: Duration = Duration::from_millis(50);
/// Room for seconds of traffic while the emulated machine does something else.
const BUFFER: usize = 32 << 20;
const ETHERTYPE_IPV4: u16 = 0x0800;

#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Packet>>>,
}

impl Capture {
    /// Everything from now on: the socket is open when this returns.
    pub fn start(host: &Host, interface: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, opened) = channel();
        let work = Work { host: host.clone(), interface: interface.to_owned(), stop: Arc::clone(&stop) };
        let thread = std::thread::spawn(move || work.run(&ready));
        opened.recv().context("the capture's thread is gone")??;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the capture: what was seen, in the order in which it was seen.
    pub fn stop(mut self) -> Result<Vec<Packet>> {
        // What was sent just now may not have reached the socket yet.
        sleep(PATIENCE);
        let thread = self.thread.take().context("stopped twice")?;
        self.stop.store(true, Ordering::Relaxed);
        thread.join().map_err(|_| anyhow!("the capture's thread panicked"))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    host: Host,
    interface: String,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&self, ready: &Sender<Result<()>>) -> Vec<Packet> {
        let (socket, index) = match self.open() {
            Ok(opened) => opened,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Vec::new();
            }
        };
        let _ = ready.send(Ok(()));
        let mut seen = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
                Ok((length, from)) => seen.extend(ours(from, index, &buffer[..length])),
                // The queue is drained before the end.
                Err(Errno::EAGAIN) if self.stop.load(Ordering::Relaxed) => return seen,
                Err(_) => {}
            }
        }
    }

    /// A packet socket of the whole namespace: binding one to an interface takes an address that nix cannot make.
    fn open(&self) -> Result<(OwnedFd, usize)> {
        self.host.enter()?;
        let index = if_nametoindex(self.interface.as_str())
            .with_context(|| format!("no {} on {}", self.interface, self.host.name()))?;
        let socket =
            socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
        let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis())?);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        Ok((socket, usize::try_from(index)?))
    }
}

fn ours(from: Option<LinkAddr>, index: usize, bytes: &[u8]) -> Option<Packet> {
    from.filter(|from| from.ifindex() == index && u16::from_be(from.protocol()) == ETHERTYPE_IPV4)?;
    Packet::decode(bytes)
}
