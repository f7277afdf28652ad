//! A program run to its end: fed, read from, and neither for longer nor for more than it may.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// How long it may take, and how much of each of its two outputs is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub patience: Duration,
    /// Bytes.
    pub largest: u64,
}

/// What it said, and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// It said more than was kept.
    pub cut: bool,
}

/// Why nothing is known of its end.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{program} cannot be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} has not ended within {seconds} s")]
    Deadline { program: String, seconds: u64 },
}

/// Runs it. One that takes too long is killed.
pub fn run(command: &mut Command, input: &str, bounds: Bounds) -> Result<Ended, Error> {
    let program = name(command.get_program());
    let cannot = |source| Error::Run { program: program.clone(), source };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // One that has ended reads no more, and its status says why.
            stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        let said = scope.spawn(|| read(stdout, bounds.largest));
        let complained = scope.spawn(|| read(stderr, bounds.largest));
        let status = ended(&mut child, bounds.patience).map_err(cannot)?;
        let (stdout, cut) = said.join().unwrap_or_default();
        let (stderr, _) = complained.join().unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let seconds = bounds.patience.as_secs();
        let status = status.ok_or(Error::Deadline { program: program.clone(), seconds })?;
        Ok(Ended { status, stdout, stderr, cut })
    })
}

/// The first line that it complained with: what is drawn below it says where.
pub fn complaint(stderr: &str) -> &str {
    stderr.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gives no reason")
}

fn name(program: &OsStr) -> String {
    program.to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned()
}

/// `None`: not in time.
fn ended(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= patience {
            // It may have ended just now.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// As much as may be kept, and whether there was more. The rest is read as well, or the program would wait for that.
fn read(pipe: Option<impl Read>, largest: u64) -> (Vec<u8>, bool) {
    let (mut bytes, mut more) = (Vec::new(), 0);
    if let Some(mut pipe) = pipe {
        // What was read until an error is all that there is.
        let _ = pipe.by_ref().take(largest).read_to_end(&mut bytes);
        more = io::copy(&mut pipe, &mut io::sink()).unwrap_or_default();
    }
    (bytes, more > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { patience: Duration::from_secs(30), largest: 2 << 20 };

    fn shell(script: &str, input: &str, bounds: Bounds) -> Result<Ended, Error> {
        run(Command::new("/bin/sh").args(["-c", script]), input, bounds)
    }

    #[test]
    fn what_it_reads_and_says_may_be_larger_than_a_pipe() {
        let input = "x".repeat(1 << 20);
        let ended = shell("cat", &input, BOUNDS).unwrap();
        assert_eq!((ended.stdout.len(), ended.cut), (input.len(), false));
        assert!(shell("exit 0", &input, BOUNDS).unwrap().status.success(), "it need not read all");
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_it_ends_all_the_same() {
        let bounds = Bounds { largest: 1000, ..BOUNDS };
        let ended = shell("cat", &"x".repeat(1 << 20), bounds).unwrap();
        assert_eq!((ended.stdout.len(), ended.cut, ended.status.success()), (1000, true, true));
    }

    #[test]
    fn its_own_words_are_told() {
        let ended =
            shell("echo >&2; echo 'Error: no such thing' >&2; echo '  ^^^' >&2; exit 7", "", BOUNDS).unwrap();
        assert_eq!((ended.status.code(), complaint(&ended.stderr)), (Some(7), "Error: no such thing"));
        assert_eq!(complaint("\n"), "it gives no reason");
    }

    #[test]
    fn it_is_not_waited_for_longer_than_it_may_take() {
        let begun = Instant::now();
        let late =
            shell("exec sleep 600", "", Bounds { patience: Duration::from_secs(1), ..BOUNDS }).unwrap_err();
        assert_eq!(late.to_string(), "sh has not ended within 1 s");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
