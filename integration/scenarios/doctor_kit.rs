//! What the doctor's scenarios share: a patient, and what is found.

use super::tunnels::{AMS, three};
use crate::support::command::Output;
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::{Greyhound, Host, Result, Underlay, World, ensure, world};
use anyhow::Context as _;
use serde_json::Value;

/// Of the machine, and not of a network namespace: it has a scenario of its own.
const OF_THE_MACHINE: &str = "clock-unsynchronised";

/// A client with a tunnel to an edge box of plain iproute2, which answers.
pub struct Patient {
    pub underlay: Underlay,
    pub client: Host,
    pub ams: Host,
    pub greyhound: Greyhound,
}

pub fn declaration(more: &str) -> String {
    POOL.to_owned() + &unicast("ams", AMS, 0, &format!("routes = [\"10.20.0.0/16\"]\n{more}"))
}

/// All is as declared, without a daemon.
pub fn patient(world: &World) -> Result<Patient> {
    let (underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(""))?;
    greyhound.json(0, "apply")?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    Ok(Patient { underlay, client, ams, greyhound })
}

/// What the doctor says.
#[derive(Debug)]
pub struct Seen {
    pub status: i32,
    pub report: Value,
}

impl Seen {
    pub fn of(output: &Output) -> Result<Self> {
        let report = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok(Self { status: output.status.code().context("a signal")?, report })
    }

    fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().map(|all| &all[..]).unwrap_or_default()
    }

    fn all(&self) -> Vec<&str> {
        self.findings().iter().filter_map(|finding| finding["code"].as_str()).collect()
    }

    /// The codes that are found, but for what is the machine's.
    pub fn codes(&self) -> Vec<&str> {
        self.all().into_iter().filter(|code| *code != OF_THE_MACHINE).collect()
    }

    /// What mends the finding of this code that has these words in its evidence.
    pub fn evidence(&self, code: &str, words: &str) -> Result<String> {
        let has = |finding: &&Value| {
            finding["code"] == code && finding["evidence"].as_str().is_some_and(|said| said.contains(words))
        };
        let found = self.findings().iter().find(has);
        let found = found.with_context(|| format!("no {code} with {words:?} in {:#}", self.report))?;
        let whole =
            ["meaning", "mend"].iter().all(|key| found[key].as_str().is_some_and(|text| !text.is_empty()));
        ensure!(whole, "{found:#}");
        Ok(found["mend"].as_str().unwrap_or_default().to_owned())
    }

    /// This could not be examined, and these words say why.
    pub fn unexamined(&self, what: &str, words: &str) -> Result<()> {
        let all = self.report["unexamined"].as_array().cloned().unwrap_or_default();
        let is = |one: &Value| {
            one["what"].as_str().is_some_and(|said| said.starts_with(what))
                && one["why"].as_str().is_some_and(|why| why.contains(words))
        };
        ensure!(all.iter().any(is), "no {what} with {words:?} in {:#}", self.report["unexamined"]);
        Ok(())
    }

    /// Exactly these, and the status that goes with them.
    pub fn only(&self, status: i32, codes: &[&str]) -> Result<()> {
        ensure!(self.codes() == codes, "{:?}, not {codes:?}: {:#}", self.codes(), self.report);
        // The machine's clock is a warning, where nothing worse is found.
        let clock = self.all().contains(&OF_THE_MACHINE);
        let expected = if clock && status == 0 { 6 } else { status };
        ensure!(self.status == expected, "{}, not {expected}: {:#}", self.status, self.report);
        Ok(())
    }
}

/// The doctor with further words.
pub fn doctor(greyhound: &Greyhound, words: &str) -> Result<Seen> {
    Seen::of(&greyhound.run(&format!("doctor -j {words}"))?)
}

/// The doctor, run by a shell in a mount namespace of its own, after some other lines.
pub fn doctor_after(greyhound: &Greyhound, lines: &str, words: &str) -> Result<Seen> {
    let program = world::greyhound().display().to_string();
    let verb = greyhound.words(&format!("doctor -j {words}")).join(" ");
    let script = format!("set -e; {lines}\nexec {program} {verb}");
    Seen::of(&greyhound.host.try_exec(["unshare", "--mount", "sh", "-c", &script])?)
}

/// Types a whole cure of a setting, as it is printed, into a shell whose /etc/sysctl.d is its own. Then the setting is lost,
/// and comes again from the file that was written, as it does at boot: that is what is returned.
pub fn type_it(host: &Host, mend: &str) -> Result<String> {
    let script = format!(
        "set -e; mount -t tmpfs none /etc/sysctl.d; {{ {mend}; }} >/dev/null\n\
         sed 's/=.*/=0/' /etc/sysctl.d/* | sysctl -q -p -\n\
         sysctl -q -p /etc/sysctl.d/61-greyhound-local.conf\ncat /etc/sysctl.d/*"
    );
    Ok(host.exec(["unshare", "--mount", "sh", "-c", &script])?.stdout)
}

/// Rules of nftables on a host, in a chain of this hook.
pub fn filter(host: &Host, hook: &str, rule: &str) -> Result<()> {
    let rules = format!(
        "add table ip way; add chain ip way {hook} {{ type filter hook {hook} priority 0; }}; add rule ip way {hook} {rule}"
    );
    host.exec(["nft", &rules])?;
    Ok(())
}

/// Takes the rules away.
pub fn unfilter(host: &Host) -> Result<()> {
    host.exec(["nft", "delete table ip way"])?;
    Ok(())
}
