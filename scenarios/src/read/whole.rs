//! What only the whole scenario shows: actors that nobody uses, needs that it does not name, effects that it does not
//! own up to.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::Diag;
use crate::read::Reader;
use crate::scenario::{Action, Fault, Operation, Scenario, Scope, Step};
use crate::source::Spanned;

/// What comes after it says by which dialect, and to whom.
const INJECT: &str = "inject.";
/// What comes after it says by which dialect, and what is done.
const OPERATE: &str = "operate.";

/// What a step needs of the target, and whether it is felt by everybody on the server.
struct Need {
    /// The key of the target file, or what it begins with.
    key: &'static str,
    reach: Reach,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    ItsOwn,
    Everybody,
}

impl Reader<'_> {
    pub(super) fn check_whole(&mut self, scenario: &Scenario) {
        let mut steps = Vec::new();
        flatten(&scenario.given, &mut steps);
        flatten(&scenario.steps, &mut steps);
        self.check_actors(scenario, &steps);
        self.check_channels(scenario);
        self.check_fallen(scenario, &steps);
        self.check_used(scenario.variables.iter().map(|(name, _)| name), "variable");
        for step in steps {
            let Some(need) = need_of(&step.action) else {
                continue;
            };
            // A server of one's own may be started by hand and broken on purpose: there is nobody else on it.
            if self.scope == Scope::None {
                continue;
            }
            let named = scenario
                .requires
                .iter()
                .any(|required| required.value.starts_with(need.key));
            // The case itself asks the target for this and is skipped without it: for a back door where there are users,
            // for what an operator does always.
            let asked = need.key == OPERATE || (need.key == INJECT && self.has_users(None));
            if !named && !asked {
                let diag = self.missing_requirement(step, need.key);
                self.diags.push(diag);
            }
            if need.reach == Reach::Everybody && !scenario.alone {
                let diag = self
                    .at("not-alone", step.span, "this is felt by everybody on the server")
                    .help("add `alone: true`: the case runs by itself, or on a server of its own");
                self.diags.push(diag);
            }
        }
    }

    /// A gauge that never rose has not fallen either; and one that others move as well says nothing.
    fn check_fallen(&mut self, scenario: &Scenario, steps: &[&Step]) {
        let mut risen = BTreeMap::new();
        let mut diags = Vec::new();
        for step in steps {
            let Action::Metrics { moved } = &step.action else {
                continue;
            };
            for metric in moved {
                let name = &metric.names[0];
                let before = risen.get(name.value.as_str()).copied().unwrap_or(0.0_f64);
                if let Some(at_most) = metric.at_most {
                    if at_most >= before {
                        let message = format!("this could never fail: `{}` has not risen before", name.value);
                        let help = "before it falls, a step `metrics` with `at_least` has to see it higher than that";
                        diags.push(self.at("matches-anything", name.span, message).help(help));
                    }
                    if !scenario.alone && self.scope != Scope::None {
                        let message = format!("`{}` is moved by everybody on the server", name.value);
                        let help = "add `alone: true`: the case runs by itself, or on a server of its own";
                        diags.push(self.at("not-alone", name.span, message).help(help));
                    }
                }
                if let Some(at_least) = metric.at_least {
                    risen.insert(name.value.as_str(), at_least.max(before));
                }
            }
        }
        self.diags.extend(diags);
    }

    fn missing_requirement(&self, step: &Step, key: &'static str) -> Diag {
        let diag = self.at(
            "missing-requirement",
            step.span,
            "not every target can do this, and the scenario does not require it",
        );
        let example = if key == INJECT { "inject.echo.all" } else { key };
        diag.help(format!(
            "add `requires: [{example}]`: where it is missing the case is skipped, naming it"
        ))
    }

    /// What nothing uses is a slip of the pen: the value that was meant to be tried is not.
    pub(super) fn check_used<'n>(&mut self, names: impl Iterator<Item = &'n Spanned<String>>, what: &str) {
        for name in names {
            if !self.used.borrow().contains(&name.value) {
                let diag = self
                    .at(
                        "unused-variable",
                        name.span,
                        format!("nothing uses the {what} `{}`", name.value),
                    )
                    .help(format!(
                        "take it out, or write \"${{{}}}\" where it belongs",
                        name.value
                    ));
                self.diags.push(diag);
            }
        }
    }

    fn check_actors(&mut self, scenario: &Scenario, steps: &[&Step]) {
        let mut used = BTreeSet::new();
        for step in steps {
            match &step.action {
                Action::Connect { actors, .. } => {
                    used.extend(actors.iter().map(|actor| actor.value.as_str()));
                }
                Action::Refused { actor, .. } => {
                    used.insert(actor.value.as_str());
                }
                _ => {}
            }
        }
        for actor in &scenario.actors {
            if !used.contains(actor.name.value.as_str()) {
                let diag = self
                    .at(
                        "unused-actor",
                        actor.name.span,
                        format!("`{}` never connects", actor.name.value),
                    )
                    .help("take it out, or connect it");
                self.diags.push(diag);
            }
        }
    }
}

/// Every step, also those inside others.
fn flatten<'s>(steps: &'s [Step], out: &mut Vec<&'s Step>) {
    for step in steps {
        out.push(step);
        match &step.action {
            Action::Interleave { lanes, .. } => lanes.iter().for_each(|(_, steps)| flatten(steps, out)),
            Action::Table(table) => flatten(&table.each, out),
            _ => {}
        }
    }
}

fn need_of(action: &Action) -> Option<Need> {
    let (key, reach) = match action {
        Action::Stop { .. } | Action::Kill | Action::Stopped { .. } | Action::Start => {
            ("spawn", Reach::Everybody)
        }
        Action::Fault(Fault::Store { .. }) => ("faults.store", Reach::Everybody),
        Action::Fault(Fault::Handler { .. }) => ("faults.handler", Reach::Everybody),
        Action::Inject { to, .. } => {
            let everybody = to.value == "all";
            (
                INJECT,
                if everybody {
                    Reach::Everybody
                } else {
                    Reach::ItsOwn
                },
            )
        }
        Action::Log { .. } | Action::Unlogged { .. } => ("log", Reach::ItsOwn),
        Action::Metrics { .. } => ("metrics", Reach::ItsOwn),
        Action::Operate(Operation::Drain { .. } | Operation::Sweep) => (OPERATE, Reach::Everybody),
        Action::Operate(Operation::Disconnect { .. } | Operation::DeleteUser { .. })
        | Action::Events { .. }
        | Action::Introduce
        | Action::Connect { .. }
        | Action::ConnectAs { .. }
        | Action::Refused { .. }
        | Action::Handshake { .. }
        | Action::Send { .. }
        | Action::SendBinary { .. }
        | Action::Raw { .. }
        | Action::Expect { .. }
        | Action::Nothing { .. }
        | Action::Close { .. }
        | Action::Closed { .. }
        | Action::ClosedAllButOne { .. }
        | Action::Ends { .. }
        | Action::Ponged { .. }
        | Action::Pinged { .. }
        | Action::Tcp { .. }
        | Action::Http { .. }
        | Action::HttpAtOnce { .. }
        | Action::Pause(_)
        | Action::Interleave { .. }
        | Action::Table(_) => return None,
    };
    Some(Need { key, reach })
}
