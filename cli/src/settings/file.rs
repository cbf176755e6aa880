//! The configuration file: YAML, its keys as a tree or with dots, its mistakes with their place.

use std::path::Path;
use std::sync::Arc;

use touchstone_scenarios::diag::Diag;
use touchstone_scenarios::source::{Source, Span};
use touchstone_scenarios::yaml::{self, Kind, Node};

use super::slot::{Given, NONE};
use super::table::{self, Key};
use super::{Assignment, Origin, secrets};
use crate::exit::Failure;

/// What a file says, each value tried.
///
/// # Errors
/// If it cannot be read; else all its mistakes.
pub(super) fn read(path: &Path) -> Result<Vec<Assignment>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "could not read the configuration {}: {error}",
            path.display()
        ))
    })?;
    parse(&path.to_string_lossy(), text).map_err(|mistakes| Failure::mistakes(&mistakes))
}

pub(super) fn parse(path: &str, text: String) -> Result<Vec<Assignment>, Vec<Diag>> {
    // A file in which everything is commented out is what one starts with.
    let says_nothing = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if says_nothing {
        return Ok(Vec::new());
    }
    let source = Arc::new(Source {
        path: path.to_owned(),
        text,
    });
    let root = yaml::parse(&source).map_err(|diag| vec![diag])?;
    let mut reader = Reader {
        source,
        found: Vec::new(),
        mistakes: Vec::new(),
        hidden: Vec::new(),
    };
    match &root.kind {
        Kind::Map(_) => reader.mapping("", &root),
        _ => {
            let diag = reader.diag(
                "wrong-type",
                root.span,
                format!("{} stands where keys are expected", root.what()),
            );
            reader.mistakes.push(diag);
        }
    }
    if reader.mistakes.is_empty() {
        Ok(reader
            .found
            .into_iter()
            .map(|(assignment, _)| assignment)
            .collect())
    } else {
        Err(reader.without_secrets())
    }
}

struct Reader {
    source: Arc<Source>,
    found: Vec<(Assignment, Span)>,
    mistakes: Vec<Diag>,
    /// Where somebody wrote a secret.
    hidden: Vec<Span>,
}

impl Reader {
    /// The mistakes, their excerpts with every secret covered up.
    fn without_secrets(self) -> Vec<Diag> {
        let Self {
            source,
            mut mistakes,
            hidden,
            ..
        } = self;
        let mut text = String::with_capacity(source.text.len());
        for (at, letter) in source.text.char_indices() {
            let is_secret = hidden.iter().any(|span| (span.start..span.end).contains(&at));
            if is_secret && letter != '\n' {
                // As many bytes as before: the places of the mistakes stay where they are.
                text.extend(std::iter::repeat_n('*', letter.len_utf8()));
            } else {
                text.push(letter);
            }
        }
        let path = source.path.clone();
        let covered = Arc::new(Source { path, text });
        for mistake in &mut mistakes {
            mistake.source = Arc::clone(&covered);
        }
        mistakes
    }

    fn diag(&self, code: &'static str, span: Span, message: String) -> Diag {
        Diag::new(code, &self.source, span, message)
    }

    /// The keys below `prefix`, which ends with a dot unless it is empty.
    fn mapping(&mut self, prefix: &str, node: &Node) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        for (name, value) in entries {
            let full = format!("{prefix}{}", name.value);
            let below = format!("{full}.");
            let is_branch = table::keys().any(|key| key.name.starts_with(&below));
            match (table::find(&full), &value.kind) {
                (_, Kind::Map(_)) if is_branch => self.mapping(&below, value),
                (Some(key), _) => self.value(key, name.span, value),
                (None, _) if is_branch => {
                    let message = format!("{} stands where the keys of `{full}` are expected", value.what());
                    let names = names_below(&below);
                    let diag = self
                        .diag("wrong-type", value.span, message)
                        .help(format!("there is: {}", names.join(", ")));
                    self.mistakes.push(diag);
                }
                (None, _) => self.unknown(prefix, &full, name.span, value),
            }
        }
    }

    fn unknown(&mut self, prefix: &str, full: &str, span: Span, value: &Node) {
        if secrets::is_one(full) {
            let message = format!("`{full}` would be a secret, and this file is none");
            let diag = self.diag("secret", span, message).help(secrets::WHERE_FROM);
            self.mistakes.push(diag);
            self.hidden.push(value.span);
            return;
        }
        let short = full.strip_prefix(prefix).unwrap_or(full);
        let names = names_below(prefix);
        let diag = self.diag("unknown-key", span, format!("unknown key `{full}`"));
        let siblings = diag.suggest(short, names.iter().map(String::as_str));
        self.mistakes.push(siblings);
    }

    fn value(&mut self, key: &'static Key, name: Span, node: &Node) {
        let given = match given(node) {
            Some(given) => given,
            None => {
                let message = format!("{} stands where `{}` has a value", node.what(), key.name);
                let diag = self.diag("wrong-type", node.span, message);
                self.mistakes.push(diag);
                return;
            }
        };
        if key.slot.may_hold_a_password() {
            self.hidden.push(node.span);
        }
        if let Err(advice) = key.check(&given) {
            let diag = self
                .diag(
                    "wrong-value",
                    node.span,
                    format!("`{}` {}", key.name, key.slot.refusal(&given)),
                )
                .help(advice);
            self.mistakes.push(diag);
        }
        if let Some((_, before)) = self.found.iter().find(|(found, _)| found.key.name == key.name) {
            let diag = self
                .diag("duplicate-key", name, format!("`{}` is set twice", key.name))
                .label(*before, "here it is set first")
                .help("keep one of them");
            self.mistakes.push(diag);
        }
        let (line, _) = self.source.line_column(name.start);
        let origin = Origin::File {
            path: self.source.path.clone(),
            line,
        };
        self.found.push((Assignment { key, given, origin }, name));
    }
}

/// What may follow `prefix`, once each.
fn names_below(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = table::keys()
        .filter_map(|key| key.name.strip_prefix(prefix))
        .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
        .collect();
    names.dedup();
    names
}

fn given(node: &Node) -> Option<Given> {
    let scalar = |node: &Node| match &node.kind {
        Kind::Null => Some(NONE.to_owned()),
        Kind::Boolean(value) => Some(value.to_string()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::String(text) => Some(text.clone()),
        Kind::List(_) | Kind::Map(_) => None,
    };
    match &node.kind {
        Kind::List(items) => Some(Given::List(items.iter().map(scalar).collect::<Option<_>>()?)),
        Kind::Map(_) => None,
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => scalar(node).map(Given::Text),
    }
}
