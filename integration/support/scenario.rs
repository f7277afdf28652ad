//! A scenario: a name that says what it shows, and a function that shows it in a world of its own.

use super::{limit::Limit, needs::Need, world::World};
use libtest_mimic::{Completion, Failed, Trial};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

pub type Show = fn(&World) -> anyhow::Result<()>;

#[derive(Clone)]
pub struct Scenario {
    topic: &'static str,
    name: &'static str,
    show: Show,
    needs: &'static [Need],
    exclusive: bool,
}

/// The scenario that a function of this name shows; its topic is the file.
macro_rules! scenario {
    ($show:ident) => {
        $crate::support::scenario::Scenario::new(module_path!(), stringify!($show), $show)
    };
}
pub(crate) use scenario;

impl Scenario {
    pub const fn new(topic: &'static str, name: &'static str, show: Show) -> Self {
        Self { topic, name, show, needs: &[], exclusive: false }
    }

    /// What it asks of kernel and machine besides GRE, which all may count on.
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Runs while no other scenario does: for measurements, and for what is not per namespace.
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    fn full_name(&self) -> String {
        let topic = self.topic.rsplit("::").next().unwrap_or(self.topic);
        format!("{topic}::{}", self.name)
    }

    fn run(&self) -> Result<Completion, Failed> {
        let unmet: Vec<_> = self.needs.iter().filter_map(Need::unmet).collect();
        if !unmet.is_empty() {
            return skip(&unmet.join("; "));
        }
        let _turn = Turn::take(self.exclusive);
        let _limit = Limit::begin(self.full_name());
        let world = World::new().map_err(|error| format!("{error:#}"))?;
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.show)(&world)));
        let complaint = match outcome {
            Ok(Ok(())) => return Ok(Completion::Completed),
            Ok(Err(error)) => format!("{error:#}"),
            Err(payload) => format!("panicked: {}", panic_text(&*payload)),
        };
        Err(format!("{complaint}\n{}", world.describe()).into())
    }
}

/// In CI a skip is a failure: what CI does not meet would never be shown anywhere.
fn skip(reason: &str) -> Result<Completion, Failed> {
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        return Err(format!("skipped, which CI does not allow: {reason}").into());
    }
    Ok(Completion::ignored_with(reason))
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

/// The right to run: shared, or alone.
enum Turn {
    Shared(#[allow(dead_code, reason = "held")] std::sync::RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held")] std::sync::RwLockWriteGuard<'static, ()>),
}

impl Turn {
    fn take(exclusive: bool) -> Self {
        static TURNS: RwLock<()> = RwLock::new(());
        if exclusive {
            Self::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Self::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

pub fn trials(scenarios: Vec<Scenario>) -> Vec<Trial> {
    let trial = |scenario: Scenario| Trial::ignorable_test(scenario.full_name(), move || scenario.run());
    scenarios.into_iter().map(trial).collect()
}
