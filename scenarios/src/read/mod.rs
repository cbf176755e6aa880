//! YAML into a [`Scenario`], with a place for everything that is wrong.
//!
//! Nothing is skipped or guessed: an unknown key, actor, clause or variable is an error, and so is an expectation that
//! could never fail. Each file gives all the mistakes that stand independent of each other, not only the first.

mod actor;
mod cast;
mod closing;
mod connection;
mod fields;
pub(crate) mod keys;
mod matcher;
pub(crate) mod mutant;
mod outcome;
mod payload;
mod step;
mod system;
mod table;
mod values;
mod whole;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use touchstone_protocol::Dialect;

use crate::cast::Cast;
use crate::diag::Diag;
use crate::duration;
use crate::read::fields::Fields;
use crate::rules::{ClauseId, Rules};
use crate::scenario::{Client, Duration, MessageMatcher, Scenario, Scope, Step, Template};
use crate::source::{Source, Span, Spanned};
use crate::yaml::{self, Kind, Node};

pub use crate::read::keys::REQUIREMENTS;
pub use crate::read::values::LIMITS;

/// What a reading function gives: its value, or the first thing that is wrong with it.
pub(crate) type Read<T> = Result<T, Diag>;

/// Variables that exist without being defined: unique in each run and stable within it, or facts of the target.
/// `uid` and `uid.<anything>` are unique ids, `now` the seconds since the epoch, `limits.<name>` the target's limits,
/// `tenant` and `channel` those that a case has without naming them.
pub const BUILTIN_VARIABLES: &[&str] = &["uid", "now", "dialect", "limits", "tenant", "channel"];

/// The keys of a frame. In a variable only the runner sees them.
pub const FRAME_KEYS: &[&str] = keys::FRAME;

/// Reads a scenario file. `id` is its folder and file name without ending; the folder says which dialects it is for.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn scenario(source: &Arc<Source>, id: &str, rules: &Rules) -> Result<Scenario, Vec<Diag>> {
    let root = yaml::parse(source).map_err(|diag| vec![diag])?;
    if root.kind == Kind::Null {
        let diag = Diag::new("empty", source, root.span, "the file is empty");
        return Err(vec![
            diag.help("a scenario has at least `title`, `rule` and `steps`"),
        ]);
    }
    let mut reader = Reader::new(source, rules, Scope::None);
    let scenario = reader.scenario(&root, id);
    let mut diags = reader.diags;
    match scenario {
        Ok(scenario) if diags.is_empty() => return Ok(scenario),
        Ok(_) => {}
        Err(diag) => diags.push(diag),
    }
    diags.sort_by_key(|diag| diag.span.start);
    diags.dedup();
    Err(diags)
}

/// Reads one file; knows what is defined so far.
pub(crate) struct Reader<'a> {
    source: &'a Arc<Source>,
    rules: &'a Rules,
    scope: Scope,
    /// What is wrong so far.
    diags: Vec<Diag>,
    /// Variables that are defined here, by name.
    variables: BTreeSet<String>,
    actors: BTreeMap<String, Known>,
    /// Users and channels that have been named.
    cast: Cast,
    /// Keys of the target file that the scenario requires.
    required: Vec<String>,
    /// Whether a capture here is sure to be reached.
    captures: Captures,
    /// Captured in the step that is being read; variables from the next one on.
    captured: Vec<String>,
    /// Whose lane of an interleaving is being read.
    lane: Option<Spanned<String>>,
    /// Whether there was an interleaving.
    interleaved: bool,
    /// Variables that a step uses whole, and as what: a table's cells are checked for it.
    uses: RefCell<Vec<(String, Use)>>,
    /// Users whose password something uses.
    passwords: RefCell<BTreeSet<String>>,
    /// Variables that something uses.
    used: RefCell<BTreeSet<String>>,
}

/// As what a step uses a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Frames,
    Code,
    Status,
}

/// An actor as far as it has been read.
struct Known {
    client: Option<Client>,
    /// The name of its user, where there are users.
    user: Option<String>,
    connected: bool,
    /// A step of it needs frames that only the raw client sends.
    raw: bool,
}

/// Whether `$capture` may stand here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Captures {
    Allowed,
    /// Here, it might never be reached: why.
    Refused(&'static str),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Arc<Source>, rules: &'a Rules, scope: Scope) -> Self {
        Self {
            source,
            rules,
            scope,
            diags: Vec::new(),
            variables: BTreeSet::new(),
            actors: BTreeMap::new(),
            cast: Cast::default(),
            required: Vec::new(),
            captures: Captures::Allowed,
            captured: Vec::new(),
            lane: None,
            interleaved: false,
            uses: RefCell::default(),
            passwords: RefCell::default(),
            used: RefCell::default(),
        }
    }

    /// Variables that a rules file may use.
    pub(crate) fn know(&mut self, names: &[&str]) {
        self.variables.extend(names.iter().map(|name| (*name).to_owned()));
    }

    fn scenario(&mut self, root: &Node, id: &str) -> Read<Scenario> {
        let mut fields = Fields::of(self, root, "a scenario")?;
        fields.announce(keys::SCENARIO);
        let title = fields.require(self, "title").and_then(|node| self.sentence(node));
        let title = self.collect(title).unwrap_or_default();
        let rule = self.scope_and_rule(&mut fields, root, id);
        let alone = self.optional(&mut fields, "alone", |reader, node| reader.boolean(node));
        let requires = self.optional(&mut fields, "requires", |reader, node| reader.requirements(node));
        // Before the actors, whose tokens and queries may use them.
        let variables = self.optional(&mut fields, "variables", |reader, node| reader.variables(node));
        let actors = self.optional(&mut fields, "actors", |reader, node| reader.actors(node));
        let ignore: Option<Vec<MessageMatcher>> =
            self.optional(&mut fields, "ignore", |reader, node| reader.ignored(node));
        let heartbeats = self.optional(&mut fields, "heartbeats", |reader, node| {
            reader.word(node, &[("judged", true)])
        });
        let settle: Option<Duration> =
            self.optional(&mut fields, "settle", |reader, node| reader.duration(node));
        let given = self.optional(&mut fields, "given", |reader, node| {
            reader.steps(node, table::Place::Given)
        });
        let steps = fields
            .require(self, "steps")
            .and_then(|node| self.judged_steps(node));
        let steps = self.collect(steps).unwrap_or_default();
        let finished = fields.finish(self);
        self.collect(finished);
        let mut scenario = Scenario {
            id: id.to_owned(),
            source: Arc::clone(self.source),
            title,
            rule: rule.unwrap_or_else(|| Spanned {
                value: ClauseId(id.to_owned()),
                span: root.span,
            }),
            scope: self.scope.clone(),
            requires: requires.unwrap_or_default(),
            alone: alone.unwrap_or_default(),
            actors: actors.unwrap_or_default(),
            cast: self.whole_cast(),
            variables: variables.unwrap_or_default(),
            ignore: ignore.unwrap_or_default(),
            heartbeats_judged: heartbeats.unwrap_or_default(),
            given: given.unwrap_or_default(),
            steps,
            settle,
        };
        self.choose_clients(&mut scenario);
        // A step that could not be read would be missed here.
        if self.diags.is_empty() {
            self.check_whole(&scenario);
        }
        Ok(scenario)
    }

    /// Reads a key that may be missing; a mistake in it is noted.
    fn optional<T>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        read: impl FnOnce(&mut Self, &Node) -> Read<T>,
    ) -> Option<T> {
        let (_, node) = fields.take(key)?;
        let value = read(self, node);
        self.collect(value)
    }

    fn scope_and_rule(
        &mut self,
        fields: &mut Fields<'_>,
        root: &Node,
        id: &str,
    ) -> Option<Spanned<ClauseId>> {
        let rule = fields.take("rule");
        let (dialect, dialects) = (fields.take("dialect"), fields.take("dialects"));
        let scope = self.scope(id, dialect, dialects, rule.map(|(_, node)| node));
        self.scope = self.collect(scope).unwrap_or(Scope::None);
        let rule = match rule {
            Some((_, node)) => self.clause_id(node),
            None => self.missing_rule(fields, root, id),
        };
        self.collect(rule)
    }

    fn judged_steps(&mut self, node: &Node) -> Read<Vec<Step>> {
        let steps = self.steps(node, table::Place::Steps)?;
        if steps.is_empty() && self.diags.is_empty() {
            return Err(self.wrong("empty", node, "`steps` is empty: nothing is judged"));
        }
        Ok(steps)
    }

    /// Keys of the target file. One that no target can have would skip the scenario for ever, unseen.
    fn requirements(&mut self, node: &Node) -> Read<Vec<Spanned<String>>> {
        let requirements = self.strings(node)?;
        for requirement in &requirements {
            let first = requirement.split('.').next().unwrap_or_default();
            // A target file can hold capabilities of its own: whoever writes both knows them.
            if !keys::REQUIREMENTS.contains(&first) && self.scope != Scope::None {
                return Err(self
                    .at(
                        "unknown-requirement",
                        requirement.span,
                        format!("no target file has `{}`", requirement.value),
                    )
                    .suggest(first, keys::REQUIREMENTS.iter().copied()));
            }
        }
        self.required = requirements
            .iter()
            .map(|required| required.value.clone())
            .collect();
        Ok(requirements)
    }

    /// Keeps an error and goes on without the value.
    fn collect<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|diag| self.diags.push(diag)).ok()
    }

    /// A diagnostic at a node.
    fn wrong(&self, code: &'static str, node: &Node, message: impl Into<String>) -> Diag {
        self.at(code, node.span, message)
    }

    /// A diagnostic at a place.
    fn at(&self, code: &'static str, span: Span, message: impl Into<String>) -> Diag {
        Diag::new(code, self.source, span, message)
    }

    fn sentence(&self, node: &Node) -> Read<String> {
        let text = self.string(node)?;
        if text.trim().is_empty() {
            return Err(self
                .wrong("empty", node, "the title is empty")
                .help("say in one sentence what holds"));
        }
        Ok(text)
    }

    /// Which dialects the scenario is for: its folder says so, and `dialect` or `dialects` where the folder does not.
    fn scope(
        &self,
        id: &str,
        dialect: Option<(&Spanned<String>, &Node)>,
        dialects: Option<(&Spanned<String>, &Node)>,
        rule: Option<&Node>,
    ) -> Read<Scope> {
        let folder = id.split_once('/').map_or("", |(folder, _)| folder);
        if folder == "common" {
            if let Some((key, _)) = dialect {
                return Err(self
                    .at("scope", key.span, "a common scenario is for several dialects")
                    .help("write `dialects: [echo]` to run it on some of them only"));
            }
            return match dialects {
                Some((_, node)) => Ok(Scope::Each(self.dialects(node)?)),
                None => Ok(Scope::Each(self.dialects_of_rule(rule))),
            };
        }
        if let Some((key, _)) = dialects {
            return Err(self.at(
                "scope",
                key.span,
                "`dialects` belongs to the scenarios of `common/`",
            ));
        }
        let own = folder.parse::<Dialect>().ok();
        let Some((_, node)) = dialect else {
            return Ok(match own {
                Some(dialect) => Scope::One(dialect),
                None if folder.starts_with("rfc") => Scope::First,
                None => Scope::None,
            });
        };
        let name = self.string(node)?;
        if name == "none" {
            return Ok(Scope::None);
        }
        let named = self.dialect(node)?;
        match own {
            Some(own) if own != named => Err(self.wrong(
                "scope",
                node,
                format!("the folder says `{own}`, this says `{named}`"),
            )),
            _ => Ok(Scope::One(named)),
        }
    }

    fn dialects_of_rule(&self, rule: Option<&Node>) -> Vec<Dialect> {
        let id = rule.and_then(|node| match &node.kind {
            Kind::String(text) => Some(ClauseId(text.clone())),
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::List(_) | Kind::Map(_) => None,
        });
        id.and_then(|id| self.rules.clause(&id))
            .map_or_else(|| Dialect::ALL.to_vec(), |clause| clause.dialects.clone())
    }

    fn dialects(&self, node: &Node) -> Read<Vec<Dialect>> {
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "on no dialect, the scenario is never run"));
        }
        items.iter().map(|item| self.dialect(item)).collect()
    }

    pub(super) fn dialect(&self, node: &Node) -> Read<Dialect> {
        let name = self.string(node)?;
        name.parse().map_err(|_| {
            let known = Dialect::ALL.iter().map(|dialect| dialect.name()).chain(["none"]);
            self.wrong("unknown-dialect", node, format!("`{name}` is not a dialect"))
                .suggest(&name, known)
        })
    }

    /// Without a dialect there are no clauses: the scenario is its own.
    fn missing_rule(&self, fields: &Fields<'_>, root: &Node, id: &str) -> Read<Spanned<ClauseId>> {
        if self.scope == Scope::None {
            let span = fields.key_span("title").unwrap_or(root.span);
            return Ok(Spanned {
                value: ClauseId(id.to_owned()),
                span,
            });
        }
        Err(fields
            .missing(self, "rule")
            .help("name the clause that it checks, for example `rule: echo/2a`"))
    }

    fn variables(&mut self, node: &Node) -> Read<Vec<(Spanned<String>, Template)>> {
        let mut variables = Vec::new();
        for (name, value) in self.map(node)? {
            let template = self.template(value)?;
            self.define(name)?;
            variables.push((name.clone(), template));
        }
        Ok(variables)
    }

    /// A new variable, known from here on.
    fn define(&mut self, name: &Spanned<String>) -> Read<()> {
        let plain = crate::template::is_name(name) && !name.contains('.');
        if !plain {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` cannot name a variable", name.value),
                )
                .help("use letters, digits and `_`, and begin with a letter"));
        }
        if BUILTIN_VARIABLES.contains(&name.value.as_str()) || name.value == duration::HEARTBEAT {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` has a meaning of its own", name.value),
                )
                .help("choose another name"));
        }
        if self.cast.user(&name.value).is_some() || self.cast.channel(&name.value).is_some() {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` is a user or a channel already", name.value),
                )
                .help("choose another name"));
        }
        self.variables.insert(name.value.clone());
        Ok(())
    }

    fn ignored(&mut self, node: &Node) -> Read<Vec<MessageMatcher>> {
        let items = self.list(node)?;
        self.captures = Captures::Refused("`ignore`");
        let read = items.iter().map(|item| self.message(item)).collect();
        self.captures = Captures::Allowed;
        read
    }

    /// The steps of a list; a wrong one is noted, and the next one read.
    fn steps(&mut self, node: &Node, place: table::Place) -> Read<Vec<Step>> {
        let items = self
            .list(node)
            .map_err(|diag| diag.help("begin each step with `- `"))?;
        let mut steps = Vec::with_capacity(items.len());
        for item in items {
            let step = self.step(item, place, items.len());
            // What a broken step would have captured is taken as known, or each use of it would be an error too.
            for name in std::mem::take(&mut self.captured) {
                self.variables.insert(name);
            }
            if let Some(step) = self.collect(step) {
                steps.push(step);
            }
        }
        Ok(steps)
    }
}
