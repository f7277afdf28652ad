//! The other side of sd_notify: a datagram socket as systemd has one, and what a service told it.

use anyhow::{Context, Result};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(50);

/// Clones are the same record.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Vec<(Instant, String)>>>);

impl Notices {
    /// When each datagram came that has this line.
    pub fn times(&self, line: &str) -> Vec<Instant> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |text: &str| text.lines().any(|found| found == line);
        told.iter().filter(|(_, text)| has(text)).map(|(at, _)| *at).collect()
    }

    fn add(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), text));
    }
}

/// Listens until dropped.
#[derive(Debug)]
pub struct NotifySocket {
    pub notices: Notices,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NotifySocket {
    /// The path must be free, or that of an earlier socket.
    pub fn bind(path: &Path) -> Result<Self> {
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).with_context(|| format!("socket {}", path.display()))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let (stop, notices) = (Arc::new(AtomicBool::new(false)), Notices::default());
        let (stopped, told) = (Arc::clone(&stop), notices.clone());
        let thread = std::thread::spawn(move || listen(&socket, &stopped, &told));
        Ok(Self { notices, stop, thread: Some(thread) })
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(socket: &UnixDatagram, stop: &AtomicBool, told: &Notices) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        if let Ok(length) = socket.recv(&mut buffer) {
            told.add(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    }
}
