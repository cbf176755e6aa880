//! Where in a file a mistake of the plan stands.

use std::sync::Arc;

use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::{Diag, closest};
use touchstone_scenarios::source::{Source, Span};
use touchstone_scenarios::yaml::{self, Kind, Node};

use crate::plan::PlanError;

/// `error` as a diagnostic of `source`: at the value of its key, or as near to it as the file goes.
///
/// # Errors
/// If the file is no YAML.
pub(super) fn diag(source: &Arc<Source>, error: &PlanError) -> Result<Diag, Diag> {
    let tree = yaml::parse(source)?;
    let diag = Diag::new(
        "workload",
        source,
        place(&source.text, &tree, error),
        error.to_string(),
    );
    Ok(match error {
        PlanError::Unknown { name, known, .. } => match closest(name, &texts(known)) {
            Some(best) => diag.help(format!("did you mean `{best}`?")),
            None => diag,
        },
        PlanError::Wrong { help: Some(help), .. } => diag.help(help.clone()),
        // All dialects are in the message, which does not know what was written.
        PlanError::Dialect(_) => match closest(written(&tree), &names()) {
            Some(best) => diag.help(format!("did you mean `{best}`?")),
            None => diag,
        },
        PlanError::Range { .. }
        | PlanError::Wrong { help: None, .. }
        | PlanError::Threshold(_)
        | PlanError::Override { .. } => diag,
    })
}

/// The dialect as it stands in the file.
fn written(tree: &Node) -> &str {
    match inner(tree, "dialect").map(|(_, value)| &value.kind) {
        Some(Kind::String(name)) => name,
        Some(_) | None => "",
    }
}

fn names() -> Vec<&'static str> {
    Dialect::ALL.iter().map(|dialect| dialect.name()).collect()
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The file's beginning, if the value is a default. Of a value that is several lines long its key.
fn place(text: &str, tree: &Node, error: &PlanError) -> Span {
    let (key, last) = match error {
        PlanError::Range { key, .. } | PlanError::Wrong { key, .. } => (key.as_str(), None),
        PlanError::Unknown { key, name, .. } => (key.as_str(), Some(name.as_str())),
        PlanError::Dialect(_) => ("dialect", None),
        PlanError::Threshold(_) => ("thresholds", None),
        PlanError::Override { .. } => return Span::default(),
    };
    let mut place = tree;
    let mut named = Span::default();
    for name in key.split('.') {
        match inner(place, name) {
            Some((key, value)) => (named, place) = (key, value),
            None => break,
        }
    }
    if let Some((key, _)) = last.and_then(|name| inner(place, name)) {
        return key;
    }
    if let (PlanError::Threshold(wrong), Kind::List(items)) = (error, &place.kind) {
        let is_it = |item: &&Node| matches!(&item.kind, Kind::String(text) if *text == wrong.expression);
        place = items.iter().find(is_it).unwrap_or(place);
    }
    if std::ptr::eq(place, tree) {
        Span::default()
    } else if text[place.span.start..place.span.end].contains('\n') {
        named
    } else {
        place.span
    }
}

/// The key `name` of a mapping, or item `name` of a list: where the name stands, and its value.
fn inner<'a>(place: &'a Node, name: &str) -> Option<(Span, &'a Node)> {
    match &place.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(key, value)| (key.span, value)),
        Kind::List(items) => {
            let item = items.get(name.parse::<usize>().ok()?)?;
            Some((item.span, item))
        }
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => None,
    }
}
