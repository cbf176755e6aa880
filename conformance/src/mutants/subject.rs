//! What is tried: a mutant on one dialect, and the cases that may notice it.

use std::sync::Arc;

use touchstone_protocol::Dialect;
use touchstone_scenarios::glob::Glob;
use touchstone_scenarios::mutant::{Deed, Fault, LauncherFault, Mutant, Rule, Trigger};
use touchstone_scenarios::scenario::{Action, Scope, Step};
use touchstone_sut::Target;

use crate::select::Case;

/// The folders whose cases are about the RFCs, on whichever dialect the target has first.
const RFC_FOLDERS: &[&str] = &["rfc6455", "rfc7692"];

/// A mutant on one dialect.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) mutant: Arc<Mutant>,
    /// The mutant's, with `@dialect` where it is about several.
    pub(crate) id: String,
    /// Where it is counted: its dialect, or the RFC it is about; `none` without either.
    pub(crate) group: String,
    /// The cases that may notice it, by position.
    pub(crate) cases: Vec<usize>,
    /// The names under `killed_by` that name cases of this dialect.
    pub(crate) names: Vec<Name>,
    /// The key of the target file without which it cannot be tried.
    pub(crate) needs: Option<&'static str>,
}

/// A name under `killed_by`, and the cases it names, by position.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) pattern: String,
    pub(crate) cases: Vec<usize>,
}

impl Subject {
    /// The folder of the file it stands in.
    pub(crate) fn folder(&self) -> &str {
        folder_of(&self.mutant.id)
    }

    /// Its rules, if it can be told beforehand whether a case meets what they are about.
    pub(crate) fn watchable_rules(&self) -> Option<&[Rule]> {
        match &self.mutant.fault {
            Fault::Launcher(_) => None,
            Fault::Proxy(rules) => {
                let is_watchable =
                    |trigger: &Trigger| !matches!(trigger, Trigger::Frame { .. } | Trigger::Header { .. });
                let mut triggers = rules.iter().flat_map(Rule::triggers);
                triggers.all(is_watchable).then_some(rules.as_slice())
            }
        }
    }

    /// Whether a pattern of the command line means it.
    pub(crate) fn is_named_by(&self, pattern: &Glob) -> bool {
        pattern.matches(&self.id)
    }

    /// Whether its file has to name cases of the dialect: of an RFC they may all be of one that the target has not first.
    pub(crate) fn owes_names(&self) -> bool {
        !RFC_FOLDERS.contains(&self.folder())
    }

    /// Every case that is tried against it: the named ones first.
    pub(crate) fn named_first(&self) -> Vec<usize> {
        let mut cases = self.named_cases();
        cases.extend(&self.cases);
        let mut once = Vec::with_capacity(cases.len());
        for case in cases {
            if !once.contains(&case) {
                once.push(case);
            }
        }
        once
    }

    /// The cases that its file names.
    pub(crate) fn named_cases(&self) -> Vec<usize> {
        let mut once = Vec::new();
        for case in self.names.iter().flat_map(|name| &name.cases) {
            if !once.contains(case) {
                once.push(*case);
            }
        }
        once
    }
}

/// Mutants of which it is found out at once whether a case ever meets what they break: one that does nothing to what
/// any of them is about.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) mutant: Arc<Mutant>,
    /// Of each rule, the position of the subject whose it is.
    pub(crate) owners: Vec<usize>,
}

impl Watch {
    /// One for these subjects, as far as they can be watched together: who is about frames as such sees others than who
    /// is about whole messages. None if there is nothing to watch.
    pub(crate) fn of(subjects: &[(usize, &Subject)]) -> Option<Self> {
        let mut rules = Vec::new();
        let mut owners = Vec::new();
        let mut dialects: Vec<Dialect> = Vec::new();
        let mut everybody = false;
        for (position, subject) in subjects {
            let Some(own) = subject.watchable_rules() else {
                continue;
            };
            everybody |= subject.mutant.dialects.is_empty();
            dialects.extend(&subject.mutant.dialects);
            for rule in own {
                owners.push(*position);
                rules.push(Rule {
                    does: Vec::new(),
                    ..rule.clone()
                });
            }
        }
        let (_, first) = subjects.first()?;
        if everybody {
            dialects.clear();
        }
        let mutant = Mutant {
            dialects,
            fault: Fault::Proxy(rules),
            ..(*first.mutant).clone()
        };
        (!owners.is_empty()).then(|| Self {
            mutant: Arc::new(mutant),
            owners,
        })
    }
}

/// The folder of an id.
pub(crate) fn folder_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(folder, _)| folder)
}

/// The same mutant whose delays are as much longer as windows are: what comes too late does so on a busy machine too.
pub(crate) fn stretched(mutant: &Mutant, patience: f64) -> Mutant {
    let mut mutant = mutant.clone();
    if let Fault::Proxy(rules) = &mut mutant.fault {
        for deed in rules.iter_mut().flat_map(|rule| &mut rule.does) {
            if let Deed::Delay { by, .. } = deed {
                *by = by.mul_f64(patience.max(1.0));
            }
        }
    }
    mutant
}

/// The mutants on each dialect that they are about and the target speaks, in their order.
pub(crate) fn subjects(mutants: &[Arc<Mutant>], all: &[Case], target: &Target) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for mutant in mutants {
        let folder = folder_of(&mutant.id);
        if RFC_FOLDERS.contains(&folder) {
            if target.dialects.is_empty() {
                continue;
            }
            let is_about = |case: &Case| RFC_FOLDERS.contains(&folder_of(&case.scenario.id));
            let first = target.dialects.first().copied();
            let may_name = |case: &Case| case.dialect == first;
            subjects.push(subject(mutant, all, (None, folder), is_about, may_name, target));
        } else if mutant.dialects.is_empty() {
            let is_about = |case: &Case| case.dialect.is_none();
            subjects.push(subject(mutant, all, (None, "none"), is_about, is_about, target));
        } else {
            let spoken = mutant
                .dialects
                .iter()
                .filter(|dialect| target.dialects.contains(dialect));
            for dialect in spoken {
                let of_dialect = |case: &Case| case.dialect == Some(*dialect);
                let is_about = |case: &Case| {
                    of_dialect(case) && !matches!(case.scenario.scope, Scope::First | Scope::None)
                };
                let several = (mutant.dialects.len() > 1).then_some(*dialect);
                let place = (several, dialect.name());
                subjects.push(subject(mutant, all, place, is_about, of_dialect, target));
            }
        }
    }
    subjects
}

fn subject(
    mutant: &Arc<Mutant>,
    all: &[Case],
    (several, group): (Option<Dialect>, &str),
    is_about: impl Fn(&Case) -> bool,
    may_name: impl Fn(&Case) -> bool,
    target: &Target,
) -> Subject {
    let positions = |wanted: &dyn Fn(&Case) -> bool| {
        let chosen = all.iter().enumerate().filter(|(_, case)| wanted(case));
        chosen.map(|(position, _)| position).collect::<Vec<_>>()
    };
    let launched = matches!(mutant.fault, Fault::Launcher(_));
    let names = mutant.killed_by.iter().map(|glob| Name {
        pattern: glob.value.to_string(),
        cases: positions(&|case| may_name(case) && glob.value.matches(&case.id)),
    });
    Subject {
        mutant: Arc::clone(mutant),
        id: several.map_or_else(|| mutant.id.clone(), |dialect| format!("{}@{dialect}", mutant.id)),
        group: group.to_owned(),
        cases: positions(&|case| is_about(case) && (!launched || concerns_the_launcher(case))),
        names: names.filter(|name| !name.cases.is_empty()).collect(),
        needs: missing(mutant, target),
    }
}

/// Whether a launcher could make a difference to it: it stops the server, starts it again or reads its log.
fn concerns_the_launcher(case: &Case) -> bool {
    case.scenario
        .given
        .iter()
        .chain(&case.scenario.steps)
        .any(step_concerns_the_launcher)
}

fn step_concerns_the_launcher(step: &Step) -> bool {
    match &step.action {
        Action::Stop { .. }
        | Action::Stopped { .. }
        | Action::Kill
        | Action::Start
        | Action::Log { .. }
        | Action::Unlogged { .. } => true,
        Action::Table(table) => table.each.iter().any(step_concerns_the_launcher),
        Action::Interleave { lanes, .. } => lanes
            .iter()
            .any(|(_, steps)| steps.iter().any(step_concerns_the_launcher)),
        Action::Connect { .. }
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
        | Action::Inject { .. }
        | Action::Introduce
        | Action::Events { .. }
        | Action::Operate(_)
        | Action::Fault(_)
        | Action::Metrics { .. }
        | Action::Pause(_) => false,
    }
}

/// The first key of the target file without which the mutant cannot be made.
fn missing(mutant: &Mutant, target: &Target) -> Option<&'static str> {
    let needs: &[&str] = match &mutant.fault {
        Fault::Launcher(LauncherFault::EmptiesStore) => &["spawn", "durable"],
        Fault::Launcher(
            LauncherFault::LogsTokens
            | LauncherFault::LogsNothing
            | LauncherFault::IgnoresSignals
            | LauncherFault::ExitsWith(_)
            | LauncherFault::KillsOnStop,
        ) => &["spawn"],
        Fault::Proxy(rules) => {
            let deeds = rules.iter().flat_map(|rule| &rule.does);
            if deeds.into_iter().any(|deed| matches!(deed, Deed::Sign(_))) {
                &["auth.secret"]
            } else {
                &[]
            }
        }
    };
    needs.iter().copied().find(|key| !target.has(key))
}
