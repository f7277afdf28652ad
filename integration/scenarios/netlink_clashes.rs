//! Steps that meet something of others, which is named and never touched.

use super::netlink_kit::{
    address, apply_all, apply_on, create, delete_numbered, desired, inside, ip, ip_args, links_of_ip,
    numbered, observe, overlay, route, rule, says, tuple,
};
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Result, World};
use greyhound::model::marks::{LINK_GROUP, SCRATCH_GROUP, TABLE};
use greyhound::model::{DesiredLink, Scope};
use greyhound::netlink::Netlink;
use greyhound::plan::Step;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(an_existing_address_route_or_rule_is_never_success_and_is_named).needs(&[DUMMY]),
    scenario!(one_failure_in_the_middle_of_a_batch_leaves_the_others_alone).needs(&[DUMMY]),
    scenario!(a_chosen_index_that_somebody_took_costs_another_try_and_no_foreign_link).needs(&[DUMMY]),
    scenario!(whoever_holds_a_name_or_a_tuple_is_named).needs(&[DUMMY]),
    scenario!(a_link_that_is_not_what_was_observed_is_left_alone).needs(&[DUMMY]),
    scenario!(links_that_cannot_be_deleted_are_said_to_be_there),
    scenario!(a_deletion_of_many_takes_no_foreign_link).needs(&[DUMMY]),
];

fn an_existing_address_route_or_rule_is_never_success_and_is_named(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add dum type dummy");
        ip("link set dum up");
        ip("addr add 10.1.1.1/32 dev dum label dum:they");
        ip("route add 10.9.0.0/16 dev dum table 4700 proto 4");
        let mut netlink = Netlink::open().unwrap();
        apply_all(
            &mut netlink,
            [Step::AddRule(rule(4703, TABLE)), Step::CreateLink(desired("gh-x", tuple(1, 1, None)))],
        );
        let steps = [
            Step::AddAddress(address("dum", "10.1.1.1/32", Scope::Global, "dum:gh")),
            Step::AddRoute(route("10.9.0.0/16", None, 0, TABLE)),
            Step::AddRule(rule(4703, TABLE)),
        ];
        let observed = observe(&mut netlink);
        let results = apply_on(&mut netlink, steps, &observed);
        says(
            &results[0],
            &["10.1.1.1/32 dev dum: ", "has this address already", "\"dum:they\"", "protocol 0"],
        );
        says(&results[1], &["10.9.0.0/16 dev gh-x table 4700: ", "already: by dum, protocol 4"]);
        says(&results[2], &["rule 4703", "already"]);
    })
}

fn one_failure_in_the_middle_of_a_batch_leaves_the_others_alone(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add gh-t50 type dummy");
        let mut netlink = Netlink::open().unwrap();
        let results = create(&mut netlink, 0..100);
        for (number, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), number % 100 == 50, "{number}: {result:?}");
        }
        says(&results[50], &["gh-t50: the name is held by link 5 (dummy)"]);
        says(&results[150], &["169.254.0.100/31 dev gh-t50: its link gh-t50 is not there"]);
        assert_eq!(
            ip("addr show dev gh-t50").matches("inet ").count(),
            0,
            "nothing went to the foreign link"
        );
    })
}

fn a_chosen_index_that_somebody_took_costs_another_try_and_no_foreign_link(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        let observed = observe(&mut netlink);
        let highest = *observed.links.last_key_value().unwrap().0;
        // Taken after the observation, right where the next indexes would be.
        for number in 1..=3 {
            let index = highest + 2 * number;
            ip_args(&[
                "link",
                "add",
                &format!("their{number}"),
                "index",
                &index.to_string(),
                "type",
                "dummy",
            ]);
        }
        let mut steps: Vec<_> = (0..10).map(|number| Step::CreateLink(numbered(number))).collect();
        steps.extend((0..10).map(overlay));
        for result in apply_on(&mut netlink, steps, &observed) {
            result.unwrap();
        }
        let after = observe(&mut netlink);
        for number in 0..10 {
            let link = after.link(&format!("gh-t{number}")).unwrap();
            assert!(after.addresses.iter().any(|address| address.link == link.index));
        }
        for number in 1..=3 {
            let link = after.link(&format!("their{number}")).unwrap();
            assert!(!link.up && after.addresses.iter().all(|address| address.link != link.index));
        }
    })
}

fn whoever_holds_a_name_or_a_tuple_is_named(world: &World) -> Result<()> {
    let elsewhere = world.host("elsewhere")?;
    inside(world, || {
        ip("link add gh-name type dummy");
        ip("link add alt type dummy");
        ip("link property add dev alt altname gh-alt");
        ip("link add foo type gre local 10.0.0.1 remote 10.9.0.1");
        ip("link add foo0 type gre local 10.0.0.1 remote 10.9.0.2 key 0");
        ip("link add tap type gretap local 10.0.0.1 remote 10.9.0.3");
        ip("link add any type gre local any remote 10.9.0.4");
        ip("link add away type gre local 10.0.0.1 remote 10.9.0.5");
        ip(&format!("link set away netns {}", elsewhere.namespace()));
        let mut netlink = Netlink::open().unwrap();
        let index = |name: &str| links_of_ip()[name]["ifindex"].to_string();
        let make = |netlink: &mut Netlink, link: DesiredLink| {
            let observed = observe(netlink);
            apply_on(netlink, [Step::CreateLink(link)], &observed).remove(0)
        };
        let named = |name: &str, index: String| format!("{name}: the name is held by link {index} (dummy)");
        says(
            &make(&mut netlink, desired("gh-name", tuple(1, 20, None))),
            &[&named("gh-name", index("gh-name"))],
        );
        says(&make(&mut netlink, desired("gh-alt", tuple(1, 21, None))), &[&named("gh-alt", index("alt"))]);
        let held =
            format!("gh-a: the tuple local 10.0.0.1 remote 10.9.0.1 is held by link {} (foo)", index("foo"));
        says(&make(&mut netlink, desired("gh-a", tuple(1, 1, None))), &[&held]);
        let held = format!(
            "the tuple local 10.0.0.1 remote 10.9.0.2 key 0 is held by link {} (foo0)",
            index("foo0")
        );
        says(&make(&mut netlink, desired("gh-b", tuple(1, 2, Some(0)))), &[&held]);
        says(
            &make(&mut netlink, desired("gh-c", tuple(1, 5, None))),
            &["moved to another network namespace"],
        );
        // None of these is in the way.
        make(&mut netlink, desired("gh-key", tuple(1, 1, Some(0)))).unwrap();
        make(&mut netlink, desired("gh-none", tuple(1, 2, None))).unwrap();
        make(&mut netlink, desired("gh-tap", tuple(1, 3, None))).unwrap();
        make(&mut netlink, desired("gh-any", tuple(1, 4, None))).unwrap();
        // The same for a change.
        let link = observe(&mut netlink).link("gh-none").unwrap().index;
        let step = Step::ChangeLink {
            index: link,
            link: desired("gh-none", tuple(1, 1, None)),
            differences: vec![],
        };
        let observed = observe(&mut netlink);
        let held = format!(
            "gh-none: the tuple local 10.0.0.1 remote 10.9.0.1 is held by link {} (foo)",
            index("foo")
        );
        says(&apply_on(&mut netlink, [step], &observed)[0], &[&held]);
    })
}

fn a_link_that_is_not_what_was_observed_is_left_alone(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        let observed = {
            apply_all(&mut netlink, [Step::CreateLink(desired("gh-x", tuple(1, 1, None)))]);
            observe(&mut netlink)
        };
        let index = observed.link("gh-x").unwrap().index;
        ip("link del gh-x");
        ip_args(&["link", "add", "theirs", "index", &index.to_string(), "type", "dummy"]);
        let change =
            Step::ChangeLink { index, link: desired("gh-x", tuple(1, 1, None)), differences: vec![] };
        let delete = Step::DeleteLink { index, name: "gh-x".into() };
        let results = apply_on(&mut netlink, [change, delete], &observed);
        let sentence = format!("gh-x: link {index} has become theirs meanwhile, and is left alone");
        says(&results[0], &[&sentence]);
        says(&results[1], &[&sentence]);
        assert!(links_of_ip().contains_key("theirs"));
    })
}

fn links_that_cannot_be_deleted_are_said_to_be_there(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        let observed = observe(&mut netlink);
        let delete =
            |name: &str| Step::DeleteLink { index: observed.link(name).unwrap().index, name: name.into() };
        let results = apply_on(&mut netlink, [delete("gre0"), delete("lo")], &observed);
        says(&results[0], &["gre0: the kernel says that it was deleted, and it is still there"]);
        says(&results[1], &["lo: links of this kind cannot be deleted"]);
        assert_eq!(results[1].as_ref().unwrap_err().errno, Some(95));
    })
}

fn a_deletion_of_many_takes_no_foreign_link(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        assert!(create(&mut netlink, 0..130).iter().all(Result::is_ok));
        // In our mark group, in the first scratch group, and among the ones to delete by index.
        for (device, group) in
            [("their1", LINK_GROUP), ("their2", SCRATCH_GROUP), ("their3", SCRATCH_GROUP + 1)]
        {
            ip_args(&["link", "add", device, "group", &group.to_string(), "type", "dummy"]);
        }
        let observed = observe(&mut netlink);
        let mut steps: Vec<_> = (0..120).map(|number| delete_numbered(&observed, number)).collect();
        steps.insert(
            60,
            Step::DeleteLink { index: observed.link("gre0").unwrap().index, name: "gre0".into() },
        );
        let results = apply_on(&mut netlink, steps, &observed);
        for (place, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), place == 60, "{place}: {result:?}");
        }
        let left = links_of_ip();
        assert_eq!(left.keys().filter(|name| name.starts_with("gh-t")).count(), 10);
        for device in ["their1", "their2", "their3", "gre0"] {
            assert!(left.contains_key(device), "{device}");
        }
    })
}
