//! The way to each tunnel's other end, as probes found it. Pure.

use super::code::Code;
use super::facts::{Asked, Declaration, Facts, Seen, Size, Trial, Trials};
use super::report::Report;
use crate::api::dto::{ProbeView, TunnelView};

/// What is found out by probes of the way itself, and by large packets.
const WAY: [Code; 4] = [Code::GreRefused, Code::GreBlocked, Code::NoReturnRoute, Code::RemoteSilent];
const SIZE: [Code; 2] = [Code::MtuBlackHole, Code::MtuTooLarge];

pub fn judge(facts: &Facts, report: &mut Report) {
    let all = [&WAY[..], &SIZE].concat();
    let Some(Trials { tunnels, left_out }) = report.see(&all, "", &facts.trials) else { return };
    if *left_out > 0 {
        let why = format!("only the first {} are probed: name others with --tunnel", tunnels.len());
        report.not(&all, &format!("{left_out} more tunnel(s)"), &why);
    }
    let shown = facts.status.as_ref().map(|status| &status.tunnels[..]).unwrap_or_default();
    for (name, trial) in tunnels {
        let tunnel = shown.iter().find(|tunnel| tunnel.name == *name);
        if let (Some(trial), Some(tunnel)) = (report.see(&all, &format!("tunnel {name}"), trial), tunnel) {
            way(tunnel, trial, report);
            size(facts, tunnel, trial, report);
        }
    }
}

fn way(tunnel: &TunnelView, trial: &Trial, report: &mut Report) {
    let about = format!("tunnel {}", tunnel.name);
    let Trial { inside, own, plain, counters: (_, after), said, .. } = trial;
    if inside.answered > 0 {
        return;
    }
    if inside.sent == 0 {
        return report.not(&WAY, &about, "no probe could be sent through the tunnel");
    }
    let (local, remote) = ends(trial);
    if !said.is_empty() {
        let said = said.iter().cloned().collect::<Vec<_>>().join("; ");
        let evidence = format!("of GRE packets from {local} to {remote} was said: {said}; {}", told(trial));
        let mend = format!("on the other end: ip tunnel show | grep {local}; nft list ruleset");
        report.find(Code::GreRefused, about, evidence, mend);
    } else if came(trial) > 0 {
        let words = "packets of the other end arrive, none of ours is answered";
        let unknown = format!("{words}: whether ours reach it, or it answers no probes, cannot be seen");
        blocked(tunnel, trial, words, &unknown, report);
    } else if own.answered > 0 && after.rx_packets == 0 {
        report.find(Code::GreBlocked, about, told(trial), pass(trial));
    } else if own.answered > 0 {
        let unknown = format!(
            "{} packet(s) came through the tunnel since it was made, none while it was probed: it may be idle, and its \
             other end may answer no probes",
            after.rx_packets
        );
        blocked(tunnel, trial, "the other end answers outside the tunnel alone", &unknown, report);
    } else if let Some((source, _)) = plain.as_ref().filter(|(_, plain)| plain.answered > 0) {
        let mend =
            format!("in the underlay: ip route add {local}/32 via {source}; or a route for its whole pool");
        report.find(Code::NoReturnRoute, about, told(trial), mend);
    } else {
        report.find(Code::RemoteSilent, about, told(trial), format!("traceroute -n {remote}"));
    }
}

/// A few packets more or less prove nothing of a peer that may answer no probes. The daemon knows whether it did.
fn blocked(tunnel: &TunnelView, trial: &Trial, words: &str, unknown: &str, report: &mut Report) {
    let about = format!("tunnel {}", tunnel.name);
    let Some(ProbeView { liveness, liveness_why, .. }) = &tunnel.probe else {
        let why = format!("{unknown}; no daemon runs that would have asked it before");
        return report.not(&[Code::GreBlocked], &about, &why);
    };
    if liveness != "down" {
        let why = format!("{unknown}; to the daemon it is {liveness}");
        return report.not(&[Code::GreBlocked], &about, &why);
    }
    let why = liveness_why.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
    let evidence = format!("{words}: {}; to the daemon it is down{why}", told(trial));
    report.find(Code::GreBlocked, about, evidence, pass(trial));
}

fn pass(trial: &Trial) -> String {
    let (local, remote) = ends(trial);
    format!("let IP protocol 47 pass between {local} and {remote}: nft list ruleset | grep -w gre")
}

/// Packets that came through the tunnel while it was probed.
fn came(trial: &Trial) -> u64 {
    let (before, after) = &trial.counters;
    after.rx_packets.saturating_sub(before.rx_packets)
}

fn ends(trial: &Trial) -> (String, String) {
    let shown = |end: Option<std::net::Ipv4Addr>| end.map_or_else(|| "?".to_owned(), |end| end.to_string());
    (shown(trial.local), shown(trial.remote))
}

/// All that was counted.
fn told(trial: &Trial) -> String {
    let Trial { link, inside, own, plain, counters: (before, after), .. } = trial;
    let (local, remote) = ends(trial);
    let mut text = format!("{remote} answered {} from {local}", asked(own));
    if let Some((source, plain)) = plain {
        text += &format!(" and {} from {source}", asked(plain));
    }
    let (sent, came) = (after.tx_packets.saturating_sub(before.tx_packets), came(trial));
    text + &format!(
        "; through the tunnel, {} were answered; meanwhile {link} sent {sent} packet(s) and received {came}, {} since it was made",
        asked(inside),
        after.rx_packets
    )
}

fn asked(Asked { sent, answered, why }: &Asked) -> String {
    let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{answered} of {sent} probes{why}")
}

fn size(facts: &Facts, tunnel: &TunnelView, trial: &Trial, report: &mut Report) {
    let about = format!("tunnel {}", tunnel.name);
    let nobody = || Err("its other end was not asked with large packets".to_owned());
    let measured: Seen<Size> = trial.size.clone().unwrap_or_else(nobody);
    let Some(size) = report.see(&SIZE, &about, &measured) else { return };
    let Size { wanted, passed, told, own } = size;
    if passed >= wanted {
        return;
    }
    let fits = passed.saturating_sub(tunnel.overhead);
    let (_, remote) = ends(trial);
    let mut evidence = format!(
        "its MTU of {} makes packets of {wanted} bytes; unfragmented, {remote} answered {passed} and no more",
        wanted.saturating_sub(tunnel.overhead)
    );
    let code = match (told, own) {
        (Some((who, mtu)), _) => {
            evidence += &format!("; {who} says that a link carries {mtu}");
            Code::MtuTooLarge
        }
        (None, true) => {
            evidence += "; the link of this host carries no more";
            Code::MtuTooLarge
        }
        (None, false) => {
            evidence += "; nobody said that they are too big";
            Code::MtuBlackHole
        }
    };
    report.find(code, about, evidence, smaller(facts, tunnel, fits, *passed));
}

/// A declared tunnel has its MTU from the declaration; that of a session follows the route to its remote.
fn smaller(facts: &Facts, tunnel: &TunnelView, fits: u32, passed: u32) -> String {
    let name = &tunnel.name;
    let declared = matches!(&facts.declaration, Ok(Declaration::Good { config, .. })
        if config.tunnels.keys().any(|known| known.as_str() == name));
    let path = tunnel.remote.and_then(|remote| {
        let host = facts.host.as_ref().ok()?;
        let path = host.observed.paths.get(&remote)?;
        let link = &host.observed.links.get(&path.link)?.name;
        let via = path.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        Some(format!("ip route add {remote}/32{via} dev {link} mtu {passed}"))
    });
    match path {
        Some(route) if !declared => route,
        _ => format!("in the [[tunnel]] {name} of the declaration: mtu = {fits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{codes, healthy, trial};
    use super::*;
    use crate::model::Counters;

    fn asked_and(sent: u32, answered: u32) -> Asked {
        Asked { sent, answered, why: None }
    }

    fn tried(change: impl FnOnce(&mut Trial)) -> Facts {
        let mut trial = trial();
        change(&mut trial);
        let trials = Trials { tunnels: [("ams".to_owned(), Ok(trial))].into(), left_out: 0 };
        Facts { trials: Ok(trials), ..healthy() }
    }

    /// Nothing comes back through the tunnel, nor ever did.
    fn dead(trial: &mut Trial) {
        trial.inside = asked_and(6, 0);
        let (before, after) = &mut trial.counters;
        before.rx_packets = 0;
        *after = Counters { tx_packets: before.tx_packets + 6, ..*before };
    }

    /// The same, and what the daemon says of it.
    fn known(facts: Facts, liveness: &str) -> Facts {
        let mut facts = facts;
        let liveness_why = (liveness == "down").then(|| "no answer through the tunnel for 1.05 s".to_owned());
        let liveness = liveness.to_owned();
        let probe = ProbeView { liveness, liveness_why, ..crate::api::tests::probe(false) };
        facts.status.as_mut().unwrap().tunnels[0].probe = Some(probe);
        facts
    }

    /// Nothing is found, and this is why it could not be examined whether GRE is blocked.
    fn why_not(facts: &Facts) -> String {
        let report = super::super::judge(facts);
        assert!(report.findings.is_empty(), "{report:?}");
        let mut told = report.unexamined.into_iter().filter(|one| one.code == Code::GreBlocked);
        told.next().unwrap().why
    }

    #[test]
    fn a_tunnel_that_answers_is_well_whatever_else_is_silent() {
        assert!(codes(&tried(|_| ())).is_empty());
        assert!(codes(&tried(|trial| trial.own = asked_and(6, 0))).is_empty());
    }

    #[test]
    fn gre_is_blocked_when_the_remote_answers_and_counters_stand_still() {
        let report = super::super::judge(&tried(dead));
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].code, Code::GreBlocked);
        assert_eq!(
            report.findings[0].evidence,
            "203.0.113.1 answered 6 of 6 probes from 198.51.100.8 and 6 of 6 probes from 192.0.2.10; through the \
             tunnel, 0 of 6 probes were answered; meanwhile gh-ams sent 6 packet(s) and received 0, 0 since it was made"
        );
    }

    #[test]
    fn one_direction_that_is_blocked_is_seen_by_who_knows_that_the_peer_answers() {
        let sends = || {
            tried(|trial| {
                dead(trial);
                trial.counters.1.rx_packets += 3;
            })
        };
        let report = super::super::judge(&known(sends(), "down"));
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert_eq!(report.findings[0].code, Code::GreBlocked);
        let evidence = &report.findings[0].evidence;
        assert!(
            evidence.starts_with("packets of the other end arrive, none of ours is answered: "),
            "{evidence}"
        );
        assert!(
            evidence.contains("received 3, 3 since it was made; to the daemon it is down, "),
            "{evidence}"
        );
        assert!(why_not(&known(sends(), "silent")).ends_with("; to the daemon it is silent"));
        assert!(why_not(&sends()).ends_with("no daemon runs that would have asked it before"));
    }

    #[test]
    fn an_idle_tunnel_whose_peer_answers_no_probe_is_not_called_blocked() {
        let idle = || {
            tried(|trial| {
                dead(trial);
                trial.counters.0.rx_packets = 40;
                trial.counters.1.rx_packets = 40;
            })
        };
        assert!(
            why_not(&idle())
                .starts_with("40 packet(s) came through the tunnel since it was made, none while")
        );
        assert!(why_not(&known(idle(), "silent")).ends_with("to the daemon it is silent"));
        assert_eq!(codes(&known(idle(), "down")), ["gre-blocked"]);
    }

    #[test]
    fn who_refuses_is_named() {
        let facts = tried(|trial| {
            dead(trial);
            trial.said.insert("port unreachable, says 203.0.113.1".to_owned());
        });
        let report = super::super::judge(&facts);
        assert_eq!(report.findings[0].code, Code::GreRefused);
        assert!(report.findings[0].evidence.contains("was said: port unreachable, says 203.0.113.1; "));
    }

    #[test]
    fn no_way_back_is_told_from_no_answer_at_all() {
        let facts = tried(|trial| {
            dead(trial);
            trial.own = asked_and(6, 0);
        });
        assert_eq!(codes(&facts), ["no-return-route"]);
        let facts = tried(|trial| {
            dead(trial);
            trial.own = asked_and(6, 0);
            trial.plain = None;
        });
        assert_eq!(codes(&facts), ["remote-silent"]);
    }

    #[test]
    fn what_could_not_be_sent_is_not_examined() {
        let report = super::super::judge(&tried(|trial| trial.inside = asked_and(0, 0)));
        assert!(report.findings.is_empty());
        assert!(
            report.unexamined.iter().any(|one| one.code == Code::GreBlocked && one.about == "tunnel ams")
        );
    }

    #[test]
    fn a_smaller_path_is_told_of_or_is_a_black_hole() {
        let sized = |told| {
            tried(|trial| trial.size = Some(Ok(Size { wanted: 1500, passed: 1400, told, own: false })))
        };
        let told = sized(Some(([192, 0, 2, 254].into(), 1400)));
        let report = super::super::judge(&told);
        assert_eq!(report.findings[0].code, Code::MtuTooLarge);
        assert_eq!(report.findings[0].mend, "in the [[tunnel]] ams of the declaration: mtu = 1376");
        assert_eq!(codes(&sized(None)), ["mtu-black-hole"]);
        let mut of_a_session = told;
        of_a_session.declaration = super::super::tests::declared("");
        let report = super::super::judge(&of_a_session);
        assert_eq!(report.findings[0].mend, "ip route add 203.0.113.1/32 via 192.0.2.254 dev eth0 mtu 1400");
    }
}
