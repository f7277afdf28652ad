//! The `[daemon]`, `[inventory]` and `[metrics]` sections.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::at::At;
use super::diagnostics::{Problem, Sink};
use super::document::Entry;
use super::{DaemonConfig, raw, value};
use crate::model::marks::{self, LABEL_SUFFIX, LINK_PREFIX};
use crate::model::{LinkName, TunnelName};

/// `sun_path` of sockaddr_un, less the zero at its end (linux/un.h).
const LONGEST_SOCKET: usize = 107;

/// Does everybody read?
const READERS: [(&str, bool); 2] = [("group", false), ("all", true)];

/// The section with its defaults, and the loopback link.
pub fn check(entry: &Entry<raw::Daemon>, sink: &mut Sink) -> (DaemonConfig, LinkName) {
    let raw::Daemon { socket, state_dir, loopback, rest, readers, group, role: _ } = &entry.raw;
    let default = super::Config::default();
    let mut take = |text: &Option<At<String>>, check: fn(&At<String>) -> Result<PathBuf, Problem>| {
        text.as_ref().and_then(|text| sink.take(check(text)))
    };
    let socket = take(socket, socket_path);
    let state_dir = take(state_dir, |text| absolute(text, "state_dir"));
    let rest = rest.as_ref().and_then(|text| sink.take(value::duration(text, "rest")));
    let readers = readers.as_ref().and_then(|text| sink.take(value::choice(text, "readers", &READERS)));
    let group = group.as_ref().and_then(|text| sink.take(group_name(text)));
    let loopback = loopback.as_ref().and_then(|text| sink.take(loopback_link(text)));
    let daemon = DaemonConfig {
        socket: socket.unwrap_or(default.daemon.socket),
        state_dir: state_dir.unwrap_or(default.daemon.state_dir),
        rest: rest.map_or(default.daemon.rest, |rest| rest.value),
        readers_all: readers.map_or(default.daemon.readers_all, |readers| readers.value),
        group: group.unwrap_or(default.daemon.group),
    };
    (daemon, loopback.unwrap_or(default.loopback))
}

/// The inventory's file; `None`: there is none, or nothing is known of it.
pub fn check_inventory(
    entry: Option<&Entry<raw::Inventory>>,
    state_dir: &Path,
    sink: &mut Sink,
) -> Option<PathBuf> {
    let entry = entry?;
    let text = entry.required("path", entry.raw.path.as_ref(), sink)?;
    let path = sink.take(absolute(text, "path"))?;
    let example = "such as \"/var/lib/greyhound-inventory/inventory.db\"";
    if text.value.ends_with('/') {
        let help = format!("write the path of a file, {example}");
        sink.push(Problem::new(&text.span, "`path` is a directory", help));
    } else if path.parent() == Some(state_dir) {
        let message = "`path` is in the state_dir, which is this host's alone";
        let help = format!("give it a directory of its own, {example}");
        sink.push(Problem::new(&text.span, message, help));
    }
    Some(path)
}

/// Where metrics are served besides; `None`: nowhere, or nothing is known of it.
pub fn check_metrics(entry: Option<&Entry<raw::Metrics>>, sink: &mut Sink) -> Option<SocketAddr> {
    let entry = entry?;
    let text = entry.required("listen", entry.raw.listen.as_ref(), sink)?;
    let address: Option<SocketAddr> = text.value.parse().ok();
    if address.is_none_or(|address| address.port() == 0) {
        let message = format!("`listen` cannot be {:?}", text.value);
        let help = "write an address of this host and a port from 1 to 65535, such as \"127.0.0.1:9862\" or \
                    \"[::1]:9862\"; whoever reaches it may read all metrics";
        sink.push(Problem::new(&text.span, message, help));
    }
    address
}

/// A link of ours cannot stand in for a link that must be there before us.
pub fn is_ours(link: &str) -> bool {
    TunnelName::of_link(link).is_some()
}

fn socket_path(text: &At<String>) -> Result<PathBuf, Problem> {
    let path = absolute(text, "socket")?;
    let length = text.value.len();
    if length > LONGEST_SOCKET {
        let message = format!("`socket` is {length} bytes long");
        let help =
            format!("write a path of at most {LONGEST_SOCKET} bytes: unix sockets have no longer names");
        return Err(Problem::new(&text.span, message, help));
    }
    if text.value.ends_with('/') {
        let help = "write the path of a file, such as /run/greyhound/greyhound.sock";
        return Err(Problem::new(&text.span, "`socket` is a directory", help));
    }
    Ok(path)
}

fn group_name(text: &At<String>) -> Result<String, Problem> {
    let name = text.value.as_str();
    if name.is_empty() || name.contains([':', ',', '/', '\0']) || name.contains(char::is_whitespace) {
        let help = "write the name of a group of this host, such as \"greyhound\"";
        return Err(Problem::new(&text.span, format!("`group`: {name:?} is not a group's name"), help));
    }
    Ok(name.to_owned())
}

fn absolute(text: &At<String>, key: &str) -> Result<PathBuf, Problem> {
    let path = text.value.as_str();
    let problem = |message: String, help: String| Err(Problem::new(&text.span, message, help));
    if path.contains('\0') {
        return problem(format!("`{key}` holds a zero byte"), "take it out: no path can hold one".into());
    }
    if !path.starts_with('/') {
        let message = format!("`{key}`: {path:?} is not an absolute path");
        let help = format!("start it with `/`, such as {:?}", format!("/{}", path.trim_start_matches("./")));
        return problem(message, help);
    }
    Ok(PathBuf::from(path))
}

fn loopback_link(text: &At<String>) -> Result<LinkName, Problem> {
    let name = value::name(text, LinkName::new)?.value;
    if marks::label(name.as_str()).is_none() {
        let message = format!("`loopback`: the name {name:?} is too long", name = name.as_str());
        let help = format!(
            "use a link with a name of at most 12 bytes: our addresses on it are labelled with it \
             and {LABEL_SUFFIX:?}, in 15 bytes"
        );
        return Err(Problem::new(&text.span, message, help));
    }
    if is_ours(name.as_str()) {
        let message = format!("`loopback` cannot be {:?}: that is a tunnel's name", name.as_str());
        let help = format!("use \"lo\" or a dummy; links named {LINK_PREFIX}… are greyhound's tunnels");
        return Err(Problem::new(&text.span, message, help));
    }
    Ok(name)
}
