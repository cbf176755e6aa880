//! YAML into a [`Scenario`], with a place for everything that is wrong.
//!
//! Nothing is skipped or guessed: an unknown key, actor, clause or variable is an error, and so is an expectation that
//! could never fail. Each file gives all the mistakes that stand independent of each other, not only the first.

mod connection;
mod fields;
mod matcher;
mod payload;
mod step;
mod table;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use touchstone_protocol::Dialect;

use crate::diag::Diag;
use crate::duration;
use crate::read::fields::Fields;
use crate::rules::{ClauseId, Rules};
use crate::scenario::{Action, Client, Connection, Scenario, Scope, Step, Template};
use crate::source::{Source, Span, Spanned};
use crate::yaml::{self, Kind, Node};

/// What a reading function gives: its value, or the first thing that is wrong with it.
pub(crate) type Read<T> = Result<T, Diag>;

/// Variables that exist without being defined: unique in each run and stable within it, or facts of the target.
/// `uid` and `uid.<anything>` are unique ids, `limits.<name>` the target's limits.
pub const BUILTIN_VARIABLES: &[&str] = &["uid", "dialect", "limits"];

/// The keys of a scenario file.
pub(crate) const SCENARIO_KEYS: &[&str] = &[
    "title",
    "rule",
    "dialect",
    "dialects",
    "requires",
    "alone",
    "actors",
    "variables",
    "ignore",
    "heartbeats",
    "given",
    "steps",
    "settle",
];

/// Reads a scenario file. `id` is its folder and file name without ending; the folder says which dialects it is for.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn scenario(source: &Arc<Source>, id: &str, rules: &Rules) -> Result<Scenario, Vec<Diag>> {
    let root = yaml::parse(source).map_err(|diag| vec![diag])?;
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
    /// Whether a capture here is sure to be reached.
    captures: Captures,
    /// Captured in the step that is being read; variables from the next one on.
    captured: Vec<String>,
    /// Whose lane of an interleaving is being read.
    lane: Option<Spanned<String>>,
    /// Whether there was an interleaving.
    interleaved: bool,
}

/// An actor as far as it has been read.
struct Known {
    client: Option<Client>,
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
            captures: Captures::Allowed,
            captured: Vec::new(),
            lane: None,
            interleaved: false,
        }
    }

    fn scenario(&mut self, root: &Node, id: &str) -> Read<Scenario> {
        let mut fields = Fields::of(self, root, "a scenario")?;
        fields.announce(SCENARIO_KEYS);
        let title_node = fields.require(self, "title");
        let title = title_node.and_then(|node| self.sentence(node));
        let rule = fields.take("rule");
        let dialect = fields.take("dialect");
        let dialects = fields.take("dialects");
        let scope = self.scope(id, dialect, dialects, rule.map(|(_, node)| node));
        self.scope = self.collect(scope).unwrap_or(Scope::None);
        let rule = match rule {
            Some((_, node)) => self.clause_id(node),
            None => self.missing_rule(&fields, root, id),
        };
        let requires = fields.take("requires").map(|(_, node)| self.strings(node));
        let alone = fields.take("alone").map(|(_, node)| self.boolean(node));
        let actors = fields.take("actors");
        let variables = fields
            .take("variables")
            .map_or(Ok(Vec::new()), |(_, node)| self.variables(node));
        let variables = self.collect(variables).unwrap_or_default();
        let actors = actors.map_or(Ok(Vec::new()), |(_, node)| self.actors(node));
        let mut actors = self.collect(actors).unwrap_or_default();
        let ignore = fields.take("ignore").map(|(_, node)| self.ignored(node));
        let heartbeats = fields
            .take("heartbeats")
            .map(|(_, node)| self.word(node, &[("judged", true)]));
        let given = fields
            .take("given")
            .map(|(_, node)| self.steps(node, table::Place::Given));
        let steps = fields.require(self, "steps");
        let steps = steps.and_then(|node| {
            let steps = self.steps(node, table::Place::Steps)?;
            if steps.is_empty() && self.diags.is_empty() {
                return Err(self.wrong("empty", node, "`steps` is empty: nothing is judged"));
            }
            Ok(steps)
        });
        let settle = fields.take("settle").map(|(_, node)| self.duration(node));
        let finished = fields.finish(self);
        self.collect(finished);
        for actor in &mut actors {
            if self.actors.get(&actor.name.value).is_some_and(|known| known.raw) {
                actor.connection.client = Client::Raw;
            }
        }
        let mut given = self.collect(given.unwrap_or(Ok(Vec::new()))).unwrap_or_default();
        let mut steps = self.collect(steps).unwrap_or_default();
        self.raw_clients(&mut given);
        self.raw_clients(&mut steps);
        let (title, rule) = (self.collect(title), self.collect(rule));
        let requires = self
            .collect(requires.unwrap_or(Ok(Vec::new())))
            .unwrap_or_default();
        let alone = self.collect(alone.unwrap_or(Ok(false))).unwrap_or_default();
        let ignore = self.collect(ignore.unwrap_or(Ok(Vec::new()))).unwrap_or_default();
        let heartbeats_judged = self.collect(heartbeats.unwrap_or(Ok(false))).unwrap_or_default();
        let settle = settle.and_then(|settle| self.collect(settle));
        Ok(Scenario {
            id: id.to_owned(),
            source: Arc::clone(self.source),
            title: title.unwrap_or_default(),
            rule: rule.unwrap_or_else(|| Spanned {
                value: ClauseId(id.to_owned()),
                span: root.span,
            }),
            scope: self.scope.clone(),
            requires,
            alone,
            actors,
            variables,
            ignore,
            heartbeats_judged,
            given,
            steps,
            settle,
        })
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
        self.list(node)?.iter().map(|item| self.dialect(item)).collect()
    }

    fn dialect(&self, node: &Node) -> Read<Dialect> {
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
        self.variables.insert(name.value.clone());
        Ok(())
    }

    fn ignored(&mut self, node: &Node) -> Read<Vec<crate::scenario::Matcher>> {
        let items = self.list(node)?;
        self.captures = Captures::Refused("`ignore`");
        let read = items.iter().map(|item| self.message_shape(item)).collect();
        self.captures = Captures::Allowed;
        read
    }

    /// The steps of a list; a wrong one is noted, and the next one read.
    fn steps(&mut self, node: &Node, place: table::Place) -> Read<Vec<Step>> {
        let items = self.list(node)?;
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

    /// Marks the client of every actor made on the spot whose steps send frames by hand.
    fn raw_clients(&self, steps: &mut [Step]) {
        let is_raw = |name: &str| self.actors.get(name).is_some_and(|known| known.raw);
        for step in steps {
            match &mut step.action {
                Action::ConnectAs { actor, connection } if is_raw(actor) => connection.client = Client::Raw,
                Action::Interleave { lanes, .. } => {
                    lanes.iter_mut().for_each(|(_, steps)| self.raw_clients(steps));
                }
                Action::Table(table) => self.raw_clients(&mut table.each),
                _ => {}
            }
        }
    }

    /// A new actor.
    fn introduce(
        &mut self,
        name: &Spanned<String>,
        connection: &Connection,
        client: Option<Client>,
    ) -> Read<()> {
        let plain = crate::template::is_name(name) && !name.contains('.');
        if !plain {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` cannot name an actor", name.value),
                )
                .help("use letters, digits and `_`, and begin with a letter"));
        }
        if self.scope == Scope::None && connection.path.is_none() {
            return Err(self
                .at(
                    "missing-key",
                    name.span,
                    format!(
                        "`{}` has no path, and there is no dialect to take it from",
                        name.value
                    ),
                )
                .help("add `path: /where/it/connects`"));
        }
        self.actors.insert(
            name.value.clone(),
            Known {
                client,
                connected: false,
                raw: false,
            },
        );
        Ok(())
    }
}
