//! greyhound on one host: its declaration, its state, and its verbs as a script sees them.

use super::command::Output;
use super::host::Host;
use super::world::World;
use crate::witness::Witness;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The addresses that tunnels lease in the scenarios.
pub const POOL: &str = "\
[[pool]]
name = \"loopbacks\"
purpose = \"termination\"
ranges = [\"198.51.100.8-198.51.100.15\"]
";

/// Clones are the same greyhound.
#[derive(Clone, Debug)]
pub struct Greyhound {
    pub host: Host,
    file: PathBuf,
    state: PathBuf,
    socket: PathBuf,
}

impl Greyhound {
    /// greyhound with a state of its own, which is not there yet. The declaration goes on in the `[daemon]` table.
    pub fn new(world: &World, host: &Host, declaration: &str) -> Result<Self> {
        let file = world.file(&format!("{}.toml", host.name()), "")?;
        let [state, socket] = ["state", "sock"].map(|extension| file.with_extension(extension));
        let made = Self { host: host.clone(), state, socket, file };
        made.declare(declaration)?;
        Ok(made)
    }

    /// The one that a package has installed on this host, with its own declaration.
    pub fn installed(host: &Host) -> Self {
        Self {
            host: host.clone(),
            file: "/etc/greyhound/greyhound.toml".into(),
            state: "/var/lib/greyhound".into(),
            socket: "/run/greyhound/greyhound.sock".into(),
        }
    }

    /// Another declaration in the place of the last.
    pub fn declare(&self, declaration: &str) -> Result<()> {
        let (state, socket) = (self.state.display(), self.socket.display());
        let text = format!("[daemon]\nstate_dir = \"{state}\"\nsocket = \"{socket}\"\n{declaration}");
        std::fs::write(&self.file, text).context("the declaration")
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Where the daemon's API listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The words of a command line with this declaration.
    pub fn words(&self, verb: &str) -> Vec<String> {
        let config = ["--config".to_owned(), self.file.display().to_string()];
        config.into_iter().chain(verb.split_whitespace().map(str::to_owned)).collect()
    }

    /// A verb to its end, whatever that is.
    pub fn run(&self, verb: &str) -> Result<Output> {
        self.host.greyhound(self.words(verb))
    }

    /// A verb that must end with this status.
    pub fn ends(&self, status: i32, verb: &str) -> Result<Output> {
        let output = self.run(verb)?;
        ensure!(
            output.status.code() == Some(status),
            "`greyhound {verb}`: {}, not {status}\n{}{}",
            output.status,
            output.stdout,
            output.stderr
        );
        Ok(output)
    }

    /// What a verb with `-j` prints when it ends with this status.
    pub fn json(&self, status: i32, verb: &str) -> Result<Value> {
        let output = self.ends(status, &format!("{verb} -j"))?;
        serde_json::from_str(&output.stdout).with_context(|| format!("`{verb} -j` printed {}", output.stdout))
    }

    /// An apply after which all is as declared, a second plan is empty, and the witness agrees. What it did, as JSON.
    pub fn apply(&self) -> Result<Value> {
        let outcome = self.json(0, "apply")?;
        self.settled(0)?;
        Witness::new(self).holds().context("after an apply")?;
        Ok(outcome)
    }

    /// An apply after which some tunnels are not as declared, and nothing more can be done about it.
    pub fn apply_partly(&self) -> Result<Value> {
        let outcome = self.json(4, "apply")?;
        self.settled(4)?;
        Ok(outcome)
    }

    fn settled(&self, status: i32) -> Result<()> {
        let plan = self.json(status, "plan --exit-code")?;
        ensure!(plan["steps"] == Value::Array(Vec::new()), "a second plan is empty: {}", plan["text"]);
        Ok(())
    }

    /// One tunnel's field as `tunnel show -j` has it, whatever its state.
    pub fn tunnel(&self, name: &str, field: &str) -> Result<Value> {
        let output = self.run(&format!("tunnel show {name} -j"))?;
        let shown: Value = serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
        Ok(shown[field].clone())
    }
}

/// A `[[tunnel]]` table. Its overlay is the pair of addresses number `pair` of 169.254.10.0/24, of which ours is even.
pub fn tunnel(name: &str, kind: &str, local: &str, remote: &str, pair: u8, more: &str) -> String {
    let ours = pair * 2;
    format!(
        "[[tunnel]]\nname = \"{name}\"\nkind = \"{kind}\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
         overlay = \"169.254.10.{ours}/31\"\n{more}\n"
    )
}

/// A unicast tunnel with a leased local address.
pub fn unicast(name: &str, remote: &str, pair: u8, more: &str) -> String {
    tunnel(name, "unicast", "auto", remote, pair, more)
}

/// A multicast tunnel with a leased local address.
pub fn multicast(name: &str, remote: &str, pair: u8, more: &str) -> String {
    tunnel(name, "multicast", "auto", remote, pair, more)
}

/// The other end of such a tunnel, made by plain iproute2.
pub fn answer(peer: &Host, name: &str, outer: &str, pair: u8) -> Result<()> {
    let theirs = pair * 2 + 1;
    peer.ip_batch(&format!(
        "link add {name} type gre {outer}\n\
         address add 169.254.10.{theirs}/31 dev {name}\n\
         link set {name} up multicast on\n"
    ))
}
