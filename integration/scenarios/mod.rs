//! What is shown, a file a topic. A new topic is a file here, and a line in each of the two lists below.

mod clashes;
mod daemon;
mod daemon_api;
mod daemon_kit;
mod daemon_life;
mod daemon_trouble;
mod daemon_whole;
mod doctor;
mod doctor_host;
mod doctor_kit;
mod doctor_settings;
mod documents;
mod filter;
mod filter_hands;
mod fleet_kit;
mod frr;
mod installed;
mod lab;
mod leftovers;
mod metrics;
mod mirror;
mod mirror_deeds;
mod moves;
mod moves_learnt;
mod netlink_answers;
mod netlink_clashes;
mod netlink_kit;
mod netlink_links;
mod pages;
mod pools;
mod probes;
mod probes_inside;
mod probes_kit;
mod probes_scapy;
mod probes_truth;
mod render;
mod repairs;
mod routing;
mod scale;
mod sessions;
mod sessions_choice;
mod sessions_clients;
mod sessions_life;
mod shown;
mod store;
mod support;
mod tunnels;
mod verbs;
mod witness;
mod witness_daemon;

use crate::support::scenario::Scenario;
use crate::support::service;

pub fn all() -> Vec<Scenario> {
    let everywhere = [
        lab::SCENARIOS,
        witness::SCENARIOS,
        witness_daemon::SCENARIOS,
        netlink_answers::SCENARIOS,
        netlink_clashes::SCENARIOS,
        netlink_links::SCENARIOS,
        mirror::SCENARIOS,
        tunnels::SCENARIOS,
        routing::SCENARIOS,
        leftovers::SCENARIOS,
        repairs::SCENARIOS,
        clashes::SCENARIOS,
        pools::SCENARIOS,
        verbs::SCENARIOS,
        probes::SCENARIOS,
        probes_inside::SCENARIOS,
        probes_truth::SCENARIOS,
        probes_scapy::SCENARIOS,
        daemon::SCENARIOS,
        daemon_life::SCENARIOS,
        daemon_trouble::SCENARIOS,
        daemon_api::SCENARIOS,
        daemon_whole::SCENARIOS,
        moves::SCENARIOS,
        sessions::SCENARIOS,
        sessions_choice::SCENARIOS,
        sessions_clients::SCENARIOS,
        sessions_life::SCENARIOS,
        moves_learnt::SCENARIOS,
        shown::SCENARIOS,
        metrics::SCENARIOS,
        doctor::SCENARIOS,
        doctor_host::SCENARIOS,
        doctor_settings::SCENARIOS,
        filter::SCENARIOS,
        filter_hands::SCENARIOS,
        store::SCENARIOS,
        support::SCENARIOS,
        frr::SCENARIOS,
        render::SCENARIOS,
        scale::SCENARIOS,
        documents::SCENARIOS,
        pages::SCENARIOS,
    ]
    .concat();
    // What is installed on a machine is shown where systemd is its first process, and nowhere else is it listed.
    let there: &[Scenario] = if service::available() { installed::SCENARIOS } else { &[] };
    [&everywhere, there].concat()
}
