//! Golden plans, and the properties of `plan` against a kernel of the model.
//!
//! `integration/plans/CASE/` tells a story: `before.toml` was applied (if there is one), then the kernel
//! came to have `also.json` as well (if there is one), and now `declared.toml` is planned: `plan.txt`.
//! `GREYHOUND_BLESS=1 cargo test --test plans` writes the plans anew.
// A test says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/fake_kernel.rs"]
mod fake_kernel;
mod plan_properties;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use greyhound::config::{self, Config};
use greyhound::model::{Address, Desired, Link, LinkKind, Observed, Owned, Path as UnderlayPath, Scope};
use greyhound::plan::{Declared, Plan, desire, plan, render};
use greyhound::reconcile::{claims, locals};
use greyhound::store::{State, Supply};

#[test]
fn every_case_gives_its_golden_plan() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/plans");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    let wrong: Vec<String> = cases.iter().filter_map(|case| differs(case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differs(case: &Path) -> Option<String> {
    let (got, golden) = (story(case), case.join("plan.txt"));
    if std::env::var_os("GREYHOUND_BLESS").is_some() {
        fs::write(&golden, &got).unwrap();
    }
    let want = fs::read_to_string(&golden).unwrap_or_default();
    (got != want).then(|| format!("{}:\n--- golden\n{want}--- got\n{got}", case.display()))
}

fn story(case: &Path) -> String {
    let mut host = Host::new();
    if let Some(before) = declaration(&case.join("before.toml")) {
        let plan = host.plan(&before);
        host.apply(&before, &plan);
    }
    if let Ok(also) = fs::read_to_string(case.join("also.json")) {
        host.put(serde_json::from_str(&also).unwrap());
    }
    let declared = declaration(&case.join("declared.toml")).expect("declared.toml");
    let plan = host.plan(&declared);
    let text = render::text(&plan, &host.kernel) + &render::summary(&plan, std::iter::empty()) + "\n";
    host.apply(&declared, &plan);
    let again = host.plan(&declared);
    assert!(again.is_empty(), "{}: the second plan is not empty: {again:#?}", case.display());
    text
}

fn declaration(file: &Path) -> Option<Config> {
    let text = fs::read_to_string(file).ok()?;
    Some(config::parse(&text, &file.display().to_string()).unwrap_or_else(|e| panic!("{}", e.render(false))))
}

struct Host {
    kernel: Observed,
    owned: Owned,
    state: State,
}

impl Host {
    /// `lo`, and an underlay of MTU 1500 on `eth0` with 192.0.2.100.
    fn new() -> Self {
        let mut kernel = Observed::default();
        for (index, name) in [(1, "lo"), (2, "eth0")] {
            let link = Link {
                index,
                name: name.to_owned(),
                kind: LinkKind::Other(String::new()),
                mtu: 1500,
                group: 0,
                up: true,
                multicast: true,
                master: None,
                addrgen_none: false,
            };
            kernel.links.insert(index, link);
        }
        kernel.addresses.insert(Address {
            link: 2,
            address: "192.0.2.100/24".parse().unwrap(),
            scope: Scope::Global,
            label: "eth0".to_owned(),
            protocol: 0,
        });
        Self { kernel, owned: Owned::default(), state: State::open_copy(Path::new("/nonexistent")).unwrap() }
    }

    fn put(&mut self, also: Observed) {
        self.kernel.links.extend(also.links);
        self.kernel.addresses.extend(also.addresses);
        self.kernel.routes.extend(also.routes);
        self.kernel.rules.extend(also.rules);
        self.kernel.paths.extend(also.paths);
    }

    fn look(&mut self, config: &Config) -> Desired {
        for remote in config.tunnels.values().flat_map(|tunnel| &tunnel.remotes) {
            let path = UnderlayPath {
                link: 2,
                gateway: None,
                source: Some(Ipv4Addr::new(192, 0, 2, 100)),
                mtu: 1500,
                strict_rp: false,
            };
            self.kernel.paths.entry(*remote).or_insert(path);
        }
        let foreign = locals::foreign(&self.kernel, &config.tunnels, &self.owned);
        let supply = Supply { pools: &config.pools, foreign: &foreign, rest: 0, now: 0 };
        let leased =
            self.state.change(|change| locals::lease(&config.tunnels, &supply, &self.kernel, change));
        let locals = leased.unwrap();
        let choices = std::collections::BTreeMap::new();
        let declared = Declared {
            tunnels: &config.tunnels,
            locals: &locals,
            probe: None,
            offered: &config.offered,
            choices: &choices,
            loopback: &config.loopback,
        };
        desire(&declared, &self.kernel)
    }

    fn plan(&mut self, config: &Config) -> Plan {
        let desired = self.look(config);
        plan(&desired, &self.kernel, &self.owned)
    }

    fn apply(&mut self, config: &Config, plan: &Plan) {
        let desired = self.look(config);
        claim(&desired, plan, &mut self.owned);
        for planned in &plan.steps {
            fake_kernel::apply(&mut self.kernel, &planned.step).unwrap();
        }
        settle(&desired, &self.kernel, &mut self.owned);
    }
}

/// What a turn claims before it touches the kernel.
fn claim(desired: &Desired, plan: &Plan, owned: &mut Owned) {
    let (claims, loopback) = (claims::before(desired, plan, owned), claims::loopback_before(desired, owned));
    owned.claims.extend(claims);
    owned.loopback.extend(loopback);
}

/// What a turn makes of its claims once it has read the kernel back.
fn settle(desired: &Desired, kernel: &Observed, owned: &mut Owned) {
    let settled = claims::after(desired, kernel, owned);
    owned.claims.retain(|tunnel, _| !settled.gone.contains(tunnel));
    owned.claims.extend(settled.changed);
    owned.loopback.retain(|address| !settled.loopback_gone.contains(address));
}
