//! The tunnels: are they as declared, and what has their marks and is none? Pure.

use std::net::Ipv4Addr;

use super::code::Code;
use super::facts::{Daemon, Declaration, Facts};
use super::report::Report;
use crate::api::dto::{StatusView, TunnelState, TunnelView};
use crate::config::Config;
use crate::model::{Local, TunnelName};
use crate::plan::render::removal;

pub fn judge(facts: &Facts, report: &mut Report) {
    let codes = [Code::TunnelRefused, Code::TunnelHeld, Code::TunnelDrifted, Code::Orphan];
    let status = report.see(&codes, "", &facts.status);
    let missing = locals(facts, report);
    let Some(StatusView { tunnels, orphans, .. }) = status else { return };
    let daemon = matches!(&facts.daemon, Ok(Daemon::Runs(_)));
    for tunnel in tunnels.iter().filter(|tunnel| !missing.contains(&tunnel.name)) {
        state(tunnel, daemon, report);
    }
    for orphan in orphans {
        report.find(Code::Orphan, first_words(orphan), format!("the kernel has: {orphan}"), removal(orphan));
    }
}

fn state(tunnel: &TunnelView, daemon: bool, report: &mut Report) {
    let TunnelView { name, state, reasons, .. } = tunnel;
    let evidence = |word: &str| {
        let reasons = reasons.join("; ");
        if reasons.is_empty() { word.to_owned() } else { format!("{word}: {reasons}") }
    };
    let show = format!("greyhound tunnel show {name}");
    let apply = if daemon { "greyhound events; greyhound apply" } else { "greyhound apply" };
    let (code, word, mend) = match state {
        TunnelState::Up | TunnelState::Disabled => return,
        TunnelState::Refused => (Code::TunnelRefused, "refused", show),
        TunnelState::Held => (Code::TunnelHeld, "held", show),
        TunnelState::Drifted => (Code::TunnelDrifted, "not as declared", apply.to_owned()),
        TunnelState::Missing => (Code::TunnelDrifted, "not in the kernel", apply.to_owned()),
        TunnelState::Leaving => (Code::TunnelDrifted, "still in the kernel", apply.to_owned()),
    };
    report.find(code, format!("tunnel {name}"), evidence(word), mend);
}

/// Tunnels whose declared address this host does not have.
fn locals(facts: &Facts, report: &mut Report) -> Vec<String> {
    let codes = &[Code::LocalMissing];
    let Ok(Declaration::Good { config, .. }) = &facts.declaration else {
        report.not(codes, "", "there is no declaration to look at");
        return Vec::new();
    };
    let Some(host) = report.see(codes, "", &facts.host) else { return Vec::new() };
    let has = |local: Ipv4Addr| host.observed.addresses.iter().any(|address| address.address.ip() == local);
    let missing: Vec<_> = bound(config).filter(|(_, local)| !has(*local)).collect();
    for (name, local) in &missing {
        let evidence = format!("`local` is {local}, and no link of this host has that address");
        report.find(
            Code::LocalMissing,
            format!("tunnel {name}"),
            evidence,
            format!("ip address add {local}/32 dev lo"),
        );
    }
    missing.into_iter().map(|(name, _)| name.to_string()).collect()
}

/// Tunnels that are bound to an address that somebody else put there.
fn bound(config: &Config) -> impl Iterator<Item = (&TunnelName, Ipv4Addr)> {
    config.tunnels.values().filter(|tunnel| tunnel.enable).filter_map(|tunnel| match tunnel.local {
        Local::Host(local) => Some((&tunnel.name, local)),
        Local::Auto { .. } | Local::Leased { .. } => None,
    })
}

/// `link gh-x` of `link gh-x local ...`.
fn first_words(orphan: &str) -> String {
    orphan.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TUNNEL, codes, declared, healthy};
    use super::*;

    fn shown(state: TunnelState) -> Facts {
        let mut facts = healthy();
        let status = facts.status.as_mut().unwrap();
        status.tunnels[0].state = state;
        status.tunnels[0].reasons = vec!["this".to_owned(), "and that".to_owned()];
        facts
    }

    #[test]
    fn each_state_but_up_and_disabled_is_found() {
        for (state, expected) in [
            (TunnelState::Up, vec![]),
            (TunnelState::Disabled, vec![]),
            (TunnelState::Refused, vec!["tunnel-refused"]),
            (TunnelState::Held, vec!["tunnel-held"]),
            (TunnelState::Drifted, vec!["tunnel-drifted"]),
            (TunnelState::Missing, vec!["tunnel-drifted"]),
            (TunnelState::Leaving, vec!["tunnel-drifted"]),
        ] {
            assert_eq!(codes(&shown(state)), expected, "{state:?}");
        }
        let report = super::super::judge(&shown(TunnelState::Held));
        assert_eq!(report.findings[0].evidence, "held: this; and that");
    }

    #[test]
    fn a_local_address_that_is_not_here_is_found_once() {
        let mut facts = shown(TunnelState::Held);
        let declaration = TUNNEL.replace("\"auto\"", "\"192.0.2.99\"");
        facts.declaration = declared(&declaration);
        let report = super::super::judge(&facts);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code.entry().id).collect();
        assert_eq!(found, ["local-missing"]);
        assert_eq!(report.findings[0].mend, "ip address add 192.0.2.99/32 dev lo");
        facts.declaration = declared(&declaration.replace("192.0.2.99", "192.0.2.10"));
        assert_eq!(codes(&facts), ["tunnel-held"], "this host has 192.0.2.10");
    }

    #[test]
    fn an_orphan_is_deleted_by_its_own_words() {
        let mut facts = healthy();
        facts.status.as_mut().unwrap().orphans =
            vec!["link gh-lost local 192.0.2.1 remote 192.0.2.2".to_owned()];
        let report = super::super::judge(&facts);
        assert_eq!(report.findings[0].about, "link gh-lost");
        assert_eq!(report.findings[0].mend, "ip link delete gh-lost");
    }
}
