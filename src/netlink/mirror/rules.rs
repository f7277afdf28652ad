//! Rules that come and go.

use std::collections::BTreeSet;

use super::Mirror;
use crate::model::Rule;

impl Mirror {
    pub fn rule(&mut self, rule: Rule) {
        if !self.observed.rules.contains(&rule) {
            self.tell_rule(&rule, "added");
            self.observed.rules.insert(rule);
            self.rules_changed();
        }
    }

    /// Two rules can be equal in all that is looked at: whether another one is left has to be read.
    pub fn rule_gone(&mut self, rule: &Rule) {
        if self.observed.rules.contains(rule) {
            self.tell_rule(rule, "deleted");
            self.observed.rules.remove(rule);
            self.rules_changed();
        }
        self.stale.rules = true;
    }

    /// All rules, as they were read.
    pub(in crate::netlink) fn replace_rules(&mut self, now: &BTreeSet<Rule>) {
        let gone: Vec<Rule> = self.observed.rules.difference(now).cloned().collect();
        gone.iter().for_each(|rule| self.rule_gone(rule));
        now.iter().for_each(|rule| self.rule(rule.clone()));
        self.stale.rules = false;
    }

    fn rules_changed(&mut self) {
        self.doubt_paths();
        self.underlay = super::Underlay::of(&self.observed);
    }

    fn tell_rule(&mut self, rule: &Rule, verb: &str) {
        self.tell(None, |_| format!("rule {} lookup {} {verb}", rule.priority, rule.table));
    }
}
