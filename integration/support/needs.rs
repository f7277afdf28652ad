//! What a scenario asks of kernel and machine. Each need is found out by trying, once, in a namespace thrown away.

use super::service;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// Something the kernel must be able to do: a shell command that shows it.
    Kernel { what: &'static str, trial: &'static str },
    /// A program on PATH.
    Program(&'static str),
    /// systemd as the first process.
    Systemd,
}

pub const GRE: Need =
    Need::Kernel { what: "GRE links", trial: "ip link add try type gre local 127.0.0.1 remote 127.0.0.2" };
pub const DUMMY: Need = Need::Kernel { what: "dummy links", trial: "ip link add try type dummy" };
pub const VRF: Need = Need::Kernel { what: "VRFs", trial: "ip link add try type vrf table 10" };
pub const FOU: Need = Need::Kernel {
    what: "foo-over-UDP",
    trial: "modprobe -qa fou; ip link add try type gre remote 127.0.0.2 encap fou encap-sport auto encap-dport 5555",
};
pub const NETEM: Need = Need::Kernel { what: "netem", trial: "tc qdisc add dev lo root netem delay 1ms" };

impl Need {
    /// Why it is not met; nothing when it is.
    pub fn unmet(&self) -> Option<String> {
        match *self {
            Self::Kernel { what, trial } if !succeeds(trial) => Some(format!("this kernel has no {what}")),
            Self::Program(name) if !succeeds(&format!("command -v {name}")) => {
                Some(format!("{name} is not installed"))
            }
            Self::Systemd if !service::available() => Some("systemd is not the first process".to_owned()),
            _ => None,
        }
    }
}

fn succeeds(trial: &str) -> bool {
    static KNOWN: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(trial.to_owned()).or_insert_with(|| try_it(trial))
}

fn try_it(trial: &str) -> bool {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", trial])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
