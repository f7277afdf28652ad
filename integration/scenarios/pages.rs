//! The commands of README, the runbooks and all other pages but the tutorial, run on a host that has what they speak of.

use super::fleet_kit::{AGREED, BEHIND, Fleet};
use super::tunnels::ping;
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::world::greyhound;
use crate::support::{Host, Result, World, ensure, eventually};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub const SCENARIOS: &[Scenario] = &[scenario!(every_command_of_the_pages_is_run)
    .needs(&[Need::Program("mtr"), Need::Program("promtool"), Need::Program("tcpdump")])
    .exclusive()];

/// What a line begins with that somebody types. Another first word in a runbook's block is a mistake of this list.
const PROGRAMS: [&str; 24] = [
    "greyhound",
    "ip",
    "nft",
    "ping",
    "mtr",
    "tcpdump",
    "ss",
    "curl",
    "promtool",
    "systemctl",
    "journalctl",
    "timeout",
    "top",
    "cat",
    "for",
    "df",
    "ls",
    "dmesg",
    "grep",
    "modprobe",
    "mv",
    "sed",
    "make",
    "dpkg",
];

/// What a name in capitals stands for; the client of a fleet has these.
const NAMES: [(&str, &str); 14] = [
    ("check FILE", "check greyhound.toml"),
    ("HOST/NAME", "client-1/unicast"),
    ("NAME", "unicast"),
    ("TERMINATION", "198.51.100.9"),
    ("ADDRESS", "198.51.100.9"),
    ("REMOTE", "198.51.100.9"),
    ("POOL", "clients"),
    ("RANGE", "10.8.1.0/24"),
    ("--low-water N", "--low-water 2"),
    ("PREFIX", "10.8.0.77"),
    ("NOTE", "elsewhere"),
    ("SHELL", "bash"),
    ("LINK", "lost"),
    ("FILE", "file.db"),
];

/// Commands that end otherwise than with 0 here, how, and why that is right.
const OTHERWISE: [(&str, i32, &str); 10] = [
    ("curl -s localhost:9090", 7, "no Prometheus runs on this host"),
    ("| grep -E 'Main process exited", 1, "nothing of that happened"),
    ("| grep -i", 1, "nothing of that happened"),
    ("| grep repair", 1, "nothing was repaired"),
    ("| grep move", 1, "nothing was moved"),
    ("greyhound check greyhound.toml", 3, "the page shows what a mistake looks like"),
    ("greyhound daemon", 1, "one runs"),
    ("greyhound tunnel move", 1, "a session's tunnel has one termination"),
    ("greyhound store restore", 1, "a daemon runs"),
    ("systemctl status", 3, "the page begins with one that does not run"),
];

/// Who runs these is another test: `make test` is one, `installed` has the package and its service, and the README's
/// inventory by hand, and a session whose edge is gone, are in the command line's tests and in `sessions_life`.
const ELSEWHERE: [&str; 9] = [
    "make ",
    "dpkg ",
    "systemctl ",
    "journalctl ",
    "greyhound device add",
    "greyhound interface add",
    "greyhound pool add",
    "greyhound session add",
    "greyhound session remove",
];
/// These take away what the others look at: they come last, in this order.
const LAST: [&str; 4] =
    ["ip link delete", "greyhound tunnel move", "greyhound disconnect", "greyhound flush"];
/// In seconds, under emulation: one is 50 echo requests long ...
const PATIENCE: &str = "100";
/// ... and what shows something without end is looked at for this long.
const GLANCE: &str = "5";

fn pages() -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for folder in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let tutorial = path.ends_with("docs/tutorial.md");
            pages.extend((path.extension().is_some_and(|end| end == "md") && !tutorial).then_some(path));
        }
    }
    Ok(pages)
}

/// The lines of blocks and the pieces of code in the text that are commands, in the order of the page.
fn commands(page: &str, runbook: bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut block = None;
    for line in page.lines() {
        let text = line.trim();
        if let Some(language) = text.strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
        } else if let Some(language) = block {
            let command = text.split_once("$ ").map_or(text, |(_, command)| command);
            let known = is_command(command);
            ensure!(known || !runbook || !language.is_empty(), "`{command}` is of no known program");
            found.extend(known.then(|| command.to_owned()));
        } else {
            let code = line.split('`').skip(1).step_by(2).map(|code| code.trim_start_matches("sudo "));
            found.extend(code.filter(|code| is_whole(code)).map(str::to_owned));
        }
    }
    // A form with alternatives or options is not typed as it is.
    found.retain(|command| !command.contains(['[', '…', '\\']) && !command.ends_with("..."));
    Ok(found)
}

/// In the text a command is whole if it says what it is about; else it is a verb's name.
fn is_whole(code: &str) -> bool {
    let about = |word: &str| word.contains('/') || word.bytes().all(|byte| byte.is_ascii_uppercase());
    (code.starts_with("greyhound ") || code.starts_with("ip ")) && code.split(' ').skip(1).any(about)
}

fn is_command(text: &str) -> bool {
    let mut words = text.split_whitespace();
    PROGRAMS.contains(&words.next().unwrap_or_default()) && words.next().is_some_and(|word| word != "=")
}

fn all() -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for page in pages()? {
        let runbook = page.parent().is_some_and(|folder| folder.ends_with("runbooks"));
        let text = fs::read_to_string(&page)?;
        all.extend(commands(&text, runbook).with_context(|| page.display().to_string())?);
    }
    Ok(all)
}

/// Who types: on this host, with this declaration, in this folder.
struct Shell<'a> {
    host: &'a Host,
    config: &'a Path,
    folder: &'a Path,
}

impl Shell<'_> {
    fn run(&self, command: &str) -> Result<()> {
        let named = NAMES.iter().fold(command.to_owned(), |text, (name, value)| text.replace(name, value));
        let program = greyhound().parent().context("the program's folder")?;
        let line = format!(
            "cd {} && export PATH={}:$PATH GREYHOUND_CONFIG={}\n{named}",
            self.folder.display(),
            program.display(),
            self.config.display()
        );
        let endless = ["ip -ts monitor", "tcpdump", "greyhound latency --watch"]
            .iter()
            .any(|word| named.starts_with(word));
        let patience = if endless { GLANCE } else { PATIENCE };
        let output = self.host.try_exec(["timeout", patience, "bash", "-c", &line])?;
        let code = output.status.code().context("killed")?;
        let otherwise = OTHERWISE.iter().any(|(part, status, _)| named.contains(part) && code == *status);
        ensure!(
            code == 0 || otherwise || (endless && code == 124),
            "`{named}` ends with {code}\n{}{}",
            output.stdout,
            output.stderr
        );
        Ok(())
    }
}

/// Those about the service, typed where it is installed.
pub fn type_those_of_the_service(host: &Host) -> Result<()> {
    let all = all()?;
    let those: Vec<_> = all.iter().filter(|command| command.starts_with("journalctl")).collect();
    ensure!(those.len() > 3, "{all:?}");
    let shell = Shell { host, config: Path::new("/etc/greyhound/greyhound.toml"), folder: Path::new("/") };
    shell.run("systemctl status greyhound")?;
    those.into_iter().try_for_each(|command| shell.run(command))
}

fn every_command_of_the_pages_is_run(world: &World) -> Result<()> {
    let fleet = Fleet::build(
        world,
        "local = \"auto\"\n[metrics]\nlisten = \"127.0.0.1:9862\"\n[filter]\nenable = true",
    )?;
    let _daemons = fleet.start()?;
    fleet.client.ends(0, "connect unicast")?;
    eventually(AGREED, || ping(&fleet.client.host, BEHIND))?;
    let folder = world.folder();
    fs::write(folder.join("greyhound.toml"), "nonsense = 1\n")?;
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/monitoring/greyhound.rules.yml");
    fs::copy(rules, folder.join("greyhound.rules.yml"))?;
    for there in ["prometheus/node-exporter", "greyhound", "greyhound-inventory"] {
        fs::create_dir_all(Path::new("/var/lib").join(there))?;
    }
    fs::create_dir_all("/etc/greyhound")?;
    fs::copy(fleet.client.file(), "/etc/greyhound/greyhound.toml")?;
    fleet.client.host.ip("link add lost type dummy")?;
    let all = all()?;
    ensure!(all.len() > 70, "only {} commands are found: {all:?}", all.len());
    let elsewhere = |command: &&String| ELSEWHERE.iter().any(|start| command.starts_with(start));
    let mut commands: Vec<_> = all.iter().filter(|command| !elsewhere(command)).collect();
    commands.sort_by_key(|command| {
        LAST.iter().position(|start| command.starts_with(start)).map_or(0, |at| at + 1)
    });
    let shell = Shell { host: &fleet.client.host, config: fleet.client.file(), folder };
    let wrong: Vec<_> = commands.into_iter().filter_map(|command| shell.run(command).err()).collect();
    let wrong: Vec<_> = wrong.into_iter().map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
