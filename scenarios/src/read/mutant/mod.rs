//! A file of mutants, read: `mutants/<folder>.yaml`.
//!
//! What cannot be done to what is named is refused with what can: a mutant that changes nothing would be survived by
//! every scenario, and say nothing about any of them.

mod deed;
mod edit;
mod trigger;

use std::collections::BTreeMap;
use std::sync::Arc;

use touchstone_protocol::Dialect;

use crate::diag::Diag;
use crate::glob::Glob;
use crate::mutant::{Fault, LauncherFault, Mutant, Rule, Which};
use crate::read::{Captures, Fields, Read, Reader, keys};
use crate::rules::{ClauseId, Rules};
use crate::scenario::{Scope, Template};
use crate::source::{Source, Span, Spanned};
use crate::yaml::{self, Kind, Node};

/// Reads one file. `folder` begins the ids, and says which dialects the mutants are for unless they do.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub(crate) fn mutants(source: &Arc<Source>, folder: &str, rules: &Rules) -> Result<Vec<Mutant>, Vec<Diag>> {
    let root = yaml::parse(source).map_err(|diag| vec![diag])?;
    let mut reader = Reader::new(source, rules, Scope::None);
    let read = reader.mutants_file(&root, folder);
    let mutants = reader.collect(read).unwrap_or_default();
    let mut diags = reader.diags;
    if diags.is_empty() {
        return Ok(mutants);
    }
    diags.sort_by_key(|diag| diag.span.start);
    diags.dedup();
    Err(diags)
}

/// Whose connections the mutants of a folder meet, unless they say so themselves.
enum Usual {
    Dialects(Vec<Dialect>),
    /// The folder holds several dialects' scenarios.
    Unclear,
}

impl Usual {
    fn of(folder: &str) -> Self {
        match folder.parse() {
            Ok(dialect) => Self::Dialects(vec![dialect]),
            Err(_) if folder.starts_with("common") => Self::Unclear,
            Err(_) => Self::Dialects(Vec::new()),
        }
    }
}

impl Reader<'_> {
    fn mutants_file(&mut self, root: &Node, folder: &str) -> Read<Vec<Mutant>> {
        let mut fields = Fields::of(self, root, "a file of mutants")?;
        fields.announce(keys::MUTANTS_FILE);
        let dialects = self.optional(&mut fields, "dialects", |reader, node| {
            reader.dialects_or_none(node)
        });
        let usual = dialects.map_or_else(|| Usual::of(folder), Usual::Dialects);
        let node = fields.require(self, "mutants")?;
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "`mutants` is empty: nothing is broken"));
        }
        let mut mutants = Vec::with_capacity(items.len());
        let mut ids: BTreeMap<String, Span> = BTreeMap::new();
        for item in items {
            let read = self.mutant(item, folder, &usual);
            let Some(mutant) = self.collect(read) else {
                continue;
            };
            if let Some(first) = ids.insert(mutant.id.clone(), mutant.span) {
                let diag = self
                    .at(
                        "duplicate-id",
                        mutant.span,
                        format!("the mutant `{}` is there twice", mutant.id),
                    )
                    .label(first, "first here");
                self.diags.push(diag);
            }
            mutants.push(mutant);
        }
        fields.finish(self)?;
        Ok(mutants)
    }

    fn mutant(&mut self, node: &Node, folder: &str, usual: &Usual) -> Read<Mutant> {
        let mut fields = Fields::of(self, node, "a mutant")?;
        fields.announce(keys::MUTANT);
        let id = fields
            .require(self, "id")
            .and_then(|node| self.mutant_name(node))?;
        let dialects = match (fields.take("dialects"), usual) {
            (Some((_, node)), _) => self.dialects_or_none(node)?,
            (None, Usual::Dialects(dialects)) => dialects.clone(),
            (None, Usual::Unclear) => {
                return Err(fields
                    .missing(self, "dialects")
                    .help("name the dialects whose connections it breaks, here or once beside `mutants`"));
            }
        };
        // Clauses that no folder has are somebody's own, where no dialect is.
        self.scope = match dialects.as_slice() {
            [] if folder.starts_with("rfc") => Scope::First,
            [] => Scope::None,
            _ => Scope::Each(dialects.clone()),
        };
        let breaks = fields
            .require(self, "breaks")
            .and_then(|node| self.what_breaks(node))?;
        let clauses = fields
            .require(self, "clauses")
            .and_then(|node| self.clauses(node))?;
        let killed_by = fields
            .require(self, "killed_by")
            .and_then(|node| self.globs(node))?;
        let fault = self.mutant_fault(&mut fields)?;
        fields.finish(self)?;
        Ok(Mutant {
            id: format!("{folder}/{}", id.value),
            breaks,
            clauses,
            killed_by,
            dialects,
            fault,
            source: Arc::clone(self.source),
            span: id.span,
        })
    }

    /// `dialects: [echo]`, or `[]` for servers that speak none.
    fn dialects_or_none(&self, node: &Node) -> Read<Vec<Dialect>> {
        self.list(node)?.iter().map(|item| self.dialect(item)).collect()
    }

    fn mutant_name(&self, node: &Node) -> Read<Spanned<String>> {
        let name = self.spanned(node)?;
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(self
                .wrong("bad-name", node, format!("`{}` cannot name a mutant", name.value))
                .help("use lower case letters, digits and `-`; the file's name is put before it"));
        }
        Ok(name)
    }

    /// What no longer holds. It is shown behind the mutant's name and a colon, so it begins and ends as a part of a sentence.
    fn what_breaks(&self, node: &Node) -> Read<String> {
        let text = self.string(node)?;
        if text.trim().is_empty() {
            return Err(self
                .wrong("empty", node, "`breaks` is empty")
                .help("say in one sentence what no longer holds"));
        }
        if text.trim_end().ends_with('.') || begins_like_a_sentence(&text) {
            return Err(self
                .wrong("whole-sentence", node, "`breaks` is written as a sentence of its own")
                .help("begin in lower case and leave out the full stop: it stands behind the mutant's name, as in `lost: an answer is lost`"));
        }
        Ok(text)
    }

    /// `clauses: [echo/2a]`, or `any`: then there are none.
    fn clauses(&self, node: &Node) -> Read<Vec<Spanned<ClauseId>>> {
        if let Kind::String(text) = &node.kind
            && text == "any"
        {
            return if self.scope == Scope::None {
                Ok(Vec::new())
            } else {
                Err(self
                    .wrong(
                        "unknown-value",
                        node,
                        "`clauses: any` is for servers without a dialect",
                    )
                    .help("name the clauses that it breaks, so that a failure under another one is no proof"))
            };
        }
        let items = self.list(node).map_err(|diag| {
            diag.help("write for example `clauses: [echo/2a]`, or `clauses: any` where there is no dialect")
        })?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "a mutant that breaks no clause cannot be noticed"));
        }
        items.iter().map(|item| self.clause_id(item)).collect()
    }

    fn globs(&self, node: &Node) -> Read<Vec<Spanned<Glob>>> {
        let patterns = self.strings(node)?;
        if patterns.is_empty() {
            return Err(self
                .wrong("empty", node, "nobody is known to notice it")
                .help("name at least one scenario or case that fails"));
        }
        patterns
            .into_iter()
            .map(|pattern| {
                let value = pattern.value.parse().map_err(|error: crate::glob::GlobError| {
                    self.at("bad-pattern", pattern.span, error.to_string())
                })?;
                Ok(Spanned {
                    value,
                    span: pattern.span,
                })
            })
            .collect()
    }

    /// One rule in the mutant itself, several in `rules`, or `launcher`.
    fn mutant_fault(&mut self, fields: &mut Fields<'_>) -> Read<Fault> {
        let forms = ["on", "rules", "launcher"];
        let given: Vec<_> = forms.iter().filter_map(|form| fields.key_span(form)).collect();
        match given.as_slice() {
            [] => Err(fields
                .missing(self, "on")
                .help("write `on: …` with `do: …`, several of them in `rules: […]`, or `launcher: …`")),
            [_] => {
                if let Some((_, node)) = fields.take("rules") {
                    Ok(Fault::Proxy(self.rules_of_mutant(node)?))
                } else if let Some((_, node)) = fields.take("launcher") {
                    Ok(Fault::Launcher(self.launcher(node)?))
                } else {
                    Ok(Fault::Proxy(vec![self.rule_fields(fields)?]))
                }
            }
            [_, second, ..] => Err(self
                .at(
                    "contradiction",
                    *second,
                    "a mutant has one of `on`, `rules` and `launcher`",
                )
                .help("all rules go into `rules: […]`; what a launcher breaks is a mutant of its own")),
        }
    }

    fn rules_of_mutant(&mut self, node: &Node) -> Read<Vec<Rule>> {
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "without a rule nothing is broken"));
        }
        items
            .iter()
            .map(|item| {
                let mut fields = Fields::of(self, item, "a rule")?;
                fields.announce(keys::MUTANT_RULE);
                let rule = self.rule_fields(&mut fields)?;
                fields.finish(self)?;
                Ok(rule)
            })
            .collect()
    }

    fn rule_fields(&mut self, fields: &mut Fields<'_>) -> Read<Rule> {
        let after = match fields.take("after") {
            Some((_, node)) => Some(self.trigger(node)?),
            None => None,
        };
        let on = fields.require(self, "on")?;
        let on = self.trigger(on)?;
        let which = self.which(fields)?;
        let does = fields.require(self, "do")?;
        let does = self.deeds(does, &on)?;
        Ok(Rule {
            after,
            on,
            which,
            does,
        })
    }

    fn which(&self, fields: &mut Fields<'_>) -> Read<Which> {
        let mut which = None;
        for key in ["nth", "every", "from"] {
            let Some((name, node)) = fields.take(key) else {
                continue;
            };
            if which.is_some() {
                return Err(self.at(
                    "contradiction",
                    name.span,
                    "a rule has one of `nth`, `every` and `from`",
                ));
            }
            which = Some(match (self.count(node)?, key) {
                (0, _) => return Err(self.wrong("wrong-type", node, "they are counted from 1")),
                (number, "nth") => Which::Nth(number),
                (number, "every") => Which::Every(number),
                (number, _) => Which::From(number),
            });
        }
        Ok(which.unwrap_or_default())
    }

    fn launcher(&self, node: &Node) -> Read<LauncherFault> {
        let entries = self.map(node)?;
        let [(key, value)] = entries else {
            return Err(self
                .wrong("wrong-type", node, "a launcher breaks one thing")
                .help(format!("write one of: {}", keys::LAUNCHER.join(", "))));
        };
        match key.value.as_str() {
            "log" => self.word(
                value,
                &[
                    ("token", LauncherFault::LogsTokens),
                    ("nothing", LauncherFault::LogsNothing),
                ],
            ),
            "store" => self
                .word(value, &[("emptied", ())])
                .map(|()| LauncherFault::EmptiesStore),
            "signals" => self
                .word(value, &[("ignored", ())])
                .map(|()| LauncherFault::IgnoresSignals),
            "exit" => Ok(LauncherFault::ExitsWith(i32::from(self.count::<u8>(value)?))),
            "stop" => self
                .word(value, &[("kill", ())])
                .map(|()| LauncherFault::KillsOnStop),
            name => Err(self
                .at(
                    "unknown-key",
                    key.span,
                    format!("a launcher has no `{name}` to break"),
                )
                .suggest(name, keys::LAUNCHER.iter().copied())),
        }
    }

    /// Reads something in which no variable is known and nothing can be captured.
    fn literal<T>(&mut self, node: &Node, read: impl FnOnce(&mut Self, &Node) -> Read<T>) -> Read<T> {
        self.refuse_variables(node)?;
        let before = std::mem::replace(&mut self.captures, Captures::Refused("a mutant"));
        let value = read(self, node);
        self.captures = before;
        value
    }

    fn refuse_variables(&self, node: &Node) -> Read<()> {
        match &node.kind {
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) => Ok(()),
            Kind::String(_) => {
                let template = Template {
                    span: node.span,
                    value: node.to_json(),
                };
                match template.references().as_deref() {
                    Ok([first, ..]) => Err(self
                        .wrong(
                            "bad-variable",
                            node,
                            format!("a mutant knows no variable, so no `{}`", first.name),
                        )
                        .help("write what it is, or `$$` for a dollar")),
                    Ok([]) | Err(_) => Ok(()),
                }
            }
            Kind::List(items) => items.iter().try_for_each(|item| self.refuse_variables(item)),
            Kind::Map(entries) => entries
                .iter()
                .try_for_each(|(_, value)| self.refuse_variables(value)),
        }
    }

    /// A regular expression that matches from start to end.
    fn anchored(&self, node: &Node) -> Read<regex::Regex> {
        let text = self.string(node)?;
        crate::template::anchored(&text).map_err(|error| self.bad_regex(node, &error))
    }

    fn bad_regex(&self, node: &Node, error: &regex::Error) -> Diag {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        self.wrong("bad-regex", node, format!("not a regular expression: {reason}"))
    }

    /// A time that depends on nothing: nobody tells a proxy the timings of the target.
    fn fixed_time(&self, node: &Node) -> Read<std::time::Duration> {
        self.duration(node)?.evaluate(&|_| None).map_err(|error| {
            self.wrong("bad-duration", node, error.to_string())
                .help("a mutant knows no timings: write for example 250ms")
        })
    }
}

/// `An answer`, `A word`; but not `RSV1` or `HTTP`, which are written so everywhere.
fn begins_like_a_sentence(text: &str) -> bool {
    let mut letters = text.trim_start().chars();
    let capital = letters.next().is_some_and(char::is_uppercase);
    let abbreviation = letters
        .next()
        .is_some_and(|letter| letter.is_uppercase() || letter.is_ascii_digit());
    capital && !abbreviation
}
