//! The tutorial, typed as it is written: each file it shows is written, each command of each block is typed in the shell
//! that the block names, and must succeed.

use crate::support::scenario::{Scenario, scenario};
use crate::support::world::greyhound;
use crate::support::{Result, World, bail, ensure};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[scenario!(the_tutorial_works_as_it_is_written).exclusive()];

const TUTORIAL: &str = include_str!("../../docs/tutorial.md");
const HOSTS: [&str; 3] = ["web-1", "ams-1", "fra-1"];
/// No block takes as long, not even under emulation.
const PATIENCE: Duration = Duration::from_secs(180);

/// A block of the page that somebody types.
#[derive(Debug, PartialEq, Eq)]
enum Block<'a> {
    /// In the shell of this host, or in the first one, where the machine is made and removed.
    Typed {
        host: Option<&'a str>,
        text: &'a str,
    },
    Saved {
        file: &'a str,
        text: &'a str,
    },
}

/// The blocks, in their order. The name of a file is the last path in `/etc` that the text before it has.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut parts = page.split("\n```");
    let mut said = parts.next().unwrap_or_default();
    while let (Some(block), after) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap_or((block, ""));
        match language {
            "sh" => {
                let host = text.strip_prefix("# ").and_then(|text| text.lines().next());
                found.push(Block::Typed { host: host.filter(|host| HOSTS.contains(host)), text });
            }
            "toml" => {
                let from = said.rfind("/etc/greyhound/").expect("a block of TOML has its file before it");
                let file = said[from..].split('`').next().unwrap_or_default();
                found.push(Block::Saved { file, text });
            }
            _ => {}
        }
        said = after.unwrap_or_default();
    }
    found
}

/// A shell that ends with the first command that fails.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    log: PathBuf,
    blocks: u32,
}

impl Shell {
    fn start(world: &World, host: Option<&str>, path: &str) -> Result<Self> {
        let log = world.file(&format!("shell-{}.log", host.unwrap_or("first")), "")?;
        let output = File::create(&log)?;
        let config = format!("GREYHOUND_CONFIG=/etc/greyhound/{}.toml", host.unwrap_or("none"));
        let mut command = match host {
            Some(host) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", host, "env", &config, "bash"]);
                command
            }
            None => Command::new("bash"),
        };
        command.env("PATH", path).stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("stdin")?;
        // Jobs have numbers as in a shell that somebody types in.
        stdin.write_all(b"set -e -m\n")?;
        Ok(Self { child, stdin, log, blocks: 0 })
    }

    fn type_in(&mut self, text: &str) -> Result<()> {
        self.blocks += 1;
        let done = format!("-- block {} is done", self.blocks);
        let typed = writeln!(self.stdin, "set -x\n{text}\n{{ set +x; }} 2>/dev/null\necho '{done}'");
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&self.log)?;
            if said.contains(&done) {
                return Ok(());
            }
            let over = typed.is_err() || self.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE;
            ensure!(!over, "the last command of these did not succeed:\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a tutorial that was cut short leaves.
struct Rest;

impl Drop for Rest {
    fn drop(&mut self) {
        for host in HOSTS {
            let line = format!("ip netns pids {host} | xargs -r kill -KILL; ip netns delete {host}");
            let _ = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status();
            let _ = fs::remove_dir_all(format!("/var/lib/greyhound-{host}"));
            let _ = fs::remove_file(format!("/etc/greyhound/{host}.toml"));
        }
        let _ = Command::new("ip").args(["netns", "delete", "core"]).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all("/var/lib/greyhound-inventory");
    }
}

fn the_tutorial_works_as_it_is_written(world: &World) -> Result<()> {
    let program = greyhound().parent().context("the program's folder")?;
    let path = format!("{}:{}", program.display(), std::env::var("PATH")?);
    let _rest = Rest;
    let mut shells: BTreeMap<Option<&str>, Shell> = BTreeMap::new();
    let all = blocks(TUTORIAL);
    ensure!(all.len() > 20, "the page is read wrongly: {all:?}");
    for (number, block) in all.iter().enumerate() {
        match block {
            Block::Saved { file, text } => {
                ensure!(Path::new(file).starts_with("/etc/greyhound"), "{file}");
                fs::write(file, text)?;
            }
            // What is built and installed here is what is under test.
            Block::Typed { text, .. } if text.starts_with("cargo build") => {}
            // How the shells are begun, which is done here.
            Block::Typed { text, .. } if text.ends_with(" bash") => {}
            Block::Typed { host, text } => {
                let shell = match shells.entry(*host) {
                    std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                    std::collections::btree_map::Entry::Vacant(free) => {
                        free.insert(Shell::start(world, *host, &path)?)
                    }
                };
                shell.type_in(text).with_context(|| format!("block {number}"))?;
                // `kill %1` in the others, too, and all three are left: the page says so.
                if text.contains("greyhound flush") {
                    for host in ["ams-1", "fra-1"] {
                        shells.get_mut(&Some(host)).context(host)?.type_in("kill %1")?;
                    }
                    shells.retain(|host, _| host.is_none());
                }
            }
        }
    }
    if Path::new("/run/netns/web-1").exists() {
        bail!("the page leaves its hosts behind");
    }
    Ok(())
}
