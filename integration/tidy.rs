//! The walls of the house: which room may use which, and what none may do. ARCHITECTURE.md says why.

// A test says what is wrong by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room and the rooms of the crate that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("alloc", &["model"]),
    ("plan", &["model"]),
    ("registry", &["model", "alloc"]),
    ("netlink", &["model", "plan"]),
    ("sqlite", &[]),
    ("store", &["model", "alloc", "sqlite"]),
    ("inventory", &["model", "registry", "sqlite"]),
    ("command", &[]),
    ("filter", &["model", "plan", "netlink", "command"]),
    ("probe", &["model", "sys"]),
    ("sys", &[]),
    ("api", &["model", "sys"]),
    ("reconcile", &["model", "config", "alloc", "plan", "netlink", "filter", "store", "registry", "api"]),
    ("doctor", DOCTOR),
    ("daemon", DAEMON),
    ("cli", CLI),
];

/// The composition root uses everything but the system calls, the SQLite file itself and the verbs.
const DAEMON: &[&str] = &[
    "model",
    "config",
    "alloc",
    "plan",
    "netlink",
    "filter",
    "store",
    "registry",
    "inventory",
    "probe",
    "api",
    "reconcile",
];

/// What it looks at is everywhere; it has nothing done.
const DOCTOR: &[&str] = &[
    "model",
    "config",
    "plan",
    "netlink",
    "store",
    "probe",
    "api",
    "reconcile",
    "registry",
    "inventory",
    "sqlite",
    "sys",
];

/// The verbs use everything but the system calls and the daemon.
const CLI: &[&str] = &[
    "model",
    "command",
    "config",
    "alloc",
    "plan",
    "netlink",
    "filter",
    "store",
    "probe",
    "api",
    "reconcile",
    "registry",
    "inventory",
    "sqlite",
    "doctor",
];

/// Rooms that compute values and nothing else: time is an argument, and nothing is read or written.
const PURE: &[&str] = &["model", "config", "alloc", "plan", "registry"];

/// The files of `probe` that read and write. All its others are pure, and do not use `sys` either.
const SHELL_OF_PROBE: &[&str] =
    &["worker.rs", "clock.rs", "socket.rs", "line.rs", "engine.rs", "largest.rs", "reflector.rs"];

/// The files of `filter` that read and write. All its others are pure.
const SHELL_OF_FILTER: &[&str] = &["nft.rs", "keep.rs"];

/// What a pure room does not name.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "tracing",
    "log::",
    "nix::",
    "crate::sys",
    "rusqlite",
    "netlink_",
    "println!",
];

/// A crate that only these rooms may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("netlink_", &["netlink"]),
    ("rtnetlink", &["netlink"]),
    ("rusqlite", &["sqlite", "store", "inventory"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
];

/// The most lines of a file, tests and all, before it has two jobs.
const LONGEST: usize = 400;

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    assert!(paths.len() > 20, "the sources are not where they are looked for: {}", root.display());
    let source = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        Source { room, text: std::fs::read_to_string(&path).unwrap(), path }
    };
    paths.into_iter().map(source).collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The sources that are not compiled for tests alone.
fn shipped() -> Vec<Source> {
    let all = sources();
    let tests: BTreeSet<PathBuf> = all.iter().flat_map(test_modules).collect();
    let is_test =
        |path: &Path| tests.iter().any(|test| path == test || path.starts_with(test.with_extension("")));
    all.into_iter().filter(|source| !is_test(&source.path)).collect()
}

/// The files of modules that this file declares behind `#[cfg(test)]`.
fn test_modules(source: &Source) -> Vec<PathBuf> {
    let stem = source.path.file_stem().unwrap().to_string_lossy();
    let parent = source.path.parent().unwrap();
    let folder = if stem == "mod" || stem == "lib" { parent.to_owned() } else { parent.join(&*stem) };
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with(';'));
    let name = |line: &str| line.trim_end_matches(';').rsplit(' ').next().unwrap().to_owned();
    declared.map(|pair| folder.join(name(pair[1]) + ".rs")).collect()
}

/// The code of a file without its comments and without the unit tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
    let end = tests.unwrap_or(lines.len());
    let code = lines.into_iter().take(end).enumerate().map(|(n, line)| (n + 1, line));
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn uses(line: &str) -> Vec<&str> {
    let after = line.split("crate::").skip(1);
    after
        .flat_map(|rest| {
            if let Some(list) = rest.strip_prefix('{') {
                let list = list.split('}').next().unwrap();
                list.split(',').map(|item| item.trim().split("::").next().unwrap_or("")).collect::<Vec<_>>()
            } else {
                vec![rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("")]
            }
        })
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for source in shipped() {
        if source.room == "main" || source.room == "lib" {
            continue;
        }
        let Some(may) = allowed.get(source.room.as_str()) else {
            wrong.push(format!("{}: {} is no room of the house", source.path.display(), source.room));
            continue;
        };
        for (number, line) in code(&source.text) {
            for used in uses(line).into_iter().filter(|used| allowed.contains_key(used)) {
                if used != source.room && !may.contains(used) {
                    wrong.push(format!(
                        "{}:{number}: {} may not use {used}",
                        source.path.display(),
                        source.room
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_pure(source: &Source) -> bool {
    let file = source.path.file_name().unwrap().to_string_lossy();
    let half = source.room == "probe" && !SHELL_OF_PROBE.contains(&&*file);
    let half = half || source.room == "filter" && !SHELL_OF_FILTER.contains(&&*file);
    let judge = source.room == "doctor" && !source.path.components().any(|part| part.as_os_str() == "look");
    half || judge || PURE.contains(&source.room.as_str())
}

#[test]
fn pure_rooms_are_pure() {
    let mut wrong = Vec::new();
    for source in shipped().iter().filter(|source| is_pure(source)) {
        for (number, line) in code(&source.text) {
            wrong.extend(
                IMPURE
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number}: {word}, and it is pure", source.path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_outside_thing_has_one_room() {
    let mut wrong = Vec::new();
    for source in shipped() {
        for (number, line) in code(&source.text) {
            for (krate, rooms) in ONLY_IN {
                let names = line.contains(&format!("{krate}::")) || line.contains(&format!("use {krate}"));
                let exempt = rooms.contains(&source.room.as_str()) || source.room == "main";
                if names && !exempt {
                    wrong.push(format!("{}:{number}: {krate} belongs to {rooms:?}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for source in shipped() {
        let lines = source.text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{}: {lines} lines: it has two jobs", source.path.display()));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!("{}: does not begin by saying what it is", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_walls_would_be_noticed_if_broken() {
    assert_eq!(uses("use crate::netlink::Netlink;"), ["netlink"]);
    assert_eq!(uses("use crate::{netlink, store};"), ["netlink", "store"]);
    assert_eq!(uses("let x = crate::alloc::choose(crate::model::X);"), ["alloc", "model"]);
    assert_eq!(code("//! crate::x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}").count(), 1);
}
