//! Chains of packet filters that drop what is forwarded unless a rule lets it pass, as nft lists them. Shell.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::facts::Seen;
use super::sentence;

/// `FAMILY TABLE CHAIN` of each. Those of the older iptables are not among them; that of today makes such chains.
pub fn forward() -> Seen<Vec<String>> {
    let mut nft = Command::new("nft");
    nft.args(["-j", "list", "chains"]).stdin(Stdio::null());
    // An ordinary user's PATH often lacks it.
    nft.env("PATH", "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin").env("LC_ALL", "C");
    let output = nft.output().map_err(|error| format!("nft cannot be asked: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("nft lists no chains: {}", said.lines().next().unwrap_or_default()));
    }
    Ok(dropping(&serde_json::from_slice(&output.stdout).map_err(sentence)?))
}

/// Of a listing (libnftables-json(5)).
fn dropping(listing: &Value) -> Vec<String> {
    let all = listing["nftables"].as_array().into_iter().flatten().map(|object| &object["chain"]);
    let drops = |chain: &&Value| {
        let ipv4 = ["ip", "inet"].iter().any(|family| chain["family"] == *family);
        ipv4 && chain["hook"] == "forward" && chain["policy"] == "drop"
    };
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let named = |chain: &Value| ["family", "table", "name"].map(|key| word(&chain[key])).join(" ");
    all.filter(drops).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_drops_forwarded_ipv4_by_policy_is_named() {
        let listing = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
            {"chain": {"family": "inet", "table": "fw", "name": "through", "hook": "forward", "policy": "drop"}},
            {"chain": {"family": "ip", "table": "a", "name": "b", "hook": "forward", "policy": "accept"}},
            {"chain": {"family": "ip", "table": "a", "name": "c", "hook": "input", "policy": "drop"}},
            {"chain": {"family": "ip6", "table": "a", "name": "d", "hook": "forward", "policy": "drop"}},
            {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
        ]});
        assert_eq!(dropping(&listing), ["ip filter FORWARD", "inet fw through"]);
        assert!(dropping(&serde_json::json!({"nftables": []})).is_empty());
    }
}
