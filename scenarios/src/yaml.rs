//! YAML with places: the only module that names the YAML library.
//!
//! Two ways in. [`parse`] makes a tree of [`Node`]s, each with its span, for the hand-written readers of scenarios.
//! [`from_str`] fills any `serde` type, for target files, workloads and configurations. Both refuse duplicate keys,
//! read `on`, `yes` and `n` as the words they are, keep to a budget, and turn every error into a [`Diag`].

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_yaml::{Error, Location};

use crate::diag::Diag;
use crate::source::{Source, Span, Spanned};

/// Nesting of maps and lists. The deepest construct of the language needs about ten; JSON in it a few more.
const DEPTH_MAX: usize = 32;
/// Maps, lists and scalars in a file. The largest file of the corpus has about a thousand.
const NODES_MAX: usize = 50_000;

/// A value of a YAML file and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From its first to its last character. A quoted string includes its quotes.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole or a broken number.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// What the value is, for messages: `a list`.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Boolean(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// Widens flow collections to their closing bracket, which the library does not tell: after the last item there
    /// is nothing before it but blanks, commas and, seldom, comments (which are left outside).
    fn close(&mut self, text: &[u8]) {
        let opening = text.get(self.span.start);
        let closing = match &mut self.kind {
            Kind::List(items) => {
                items.iter_mut().for_each(|item| item.close(text));
                self.span.end = self.span.end.max(items.last().map_or(0, |last| last.span.end));
                (opening == Some(&b'[')).then_some(b']')
            }
            Kind::Map(entries) => {
                entries.iter_mut().for_each(|(_, value)| value.close(text));
                self.span.end = self
                    .span
                    .end
                    .max(entries.last().map_or(0, |(_, last)| last.span.end));
                (opening == Some(&b'{')).then_some(b'}')
            }
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => None,
        };
        let Some(closing) = closing else { return };
        let rest = text.get(self.span.end..).unwrap_or_default();
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b','))
            .count();
        if rest.get(blanks) == Some(&closing) {
            self.span.end += blanks + 1;
        }
    }

    /// The same value as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Boolean(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::String(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.value.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// Reads one document as a tree.
///
/// # Errors
/// The first thing that is not YAML, or that exceeds the budget.
pub fn parse(source: &Arc<Source>) -> Result<Node, Diag> {
    let mut root: Node = from_str(source)?;
    root.close(source.text.as_bytes());
    Ok(root)
}

/// Reads one document as `T`. Structs should carry `#[serde(deny_unknown_fields)]`; enums must not be `untagged`,
/// `flatten`ed or internally tagged, or the place of an error is lost.
///
/// # Errors
/// The first thing that is not YAML, does not fit `T`, or exceeds the budget.
pub fn from_str<T: DeserializeOwned>(source: &Arc<Source>) -> Result<T, Diag> {
    serde_yaml::from_str_with_options(&source.text, options()).map_err(|error| explain(source, &error))
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        // Session ids and hex bytes are written without quotes: `0012` is not 12.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_yaml::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX },
    }
}

/// An error of the library as one of ours.
fn explain(source: &Arc<Source>, error: &Error) -> Diag {
    let error = error.without_snippet();
    let span = error
        .location()
        .map_or(Span::default(), |location| span_in(source, location));
    let diag = |code, message: String| Diag::new(code, source, span, message);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            diag("unknown-key", format!("unknown key `{field}`")).suggest(field, expected.iter().copied())
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => diag("unknown-value", format!("unknown value `{variant}`"))
            .suggest(variant, expected.iter().copied()),
        Error::SerdeMissingField { field, .. } => {
            diag("missing-key", format!("the key `{field}` is missing")).help(format!("add `{field}: …`"))
        }
        Error::SerdeInvalidType {
            unexpected, expected, ..
        }
        | Error::SerdeInvalidValue {
            unexpected, expected, ..
        } => diag(
            "wrong-type",
            format!(
                "{} stands where {expected} is expected",
                readable_kind(unexpected)
            ),
        ),
        Error::InvalidScalar { ty, .. } => {
            let found = source.text.get(span.start..span.end).unwrap_or_default();
            diag("wrong-type", format!("`{found}` is not {}", readable_type(ty)))
        }
        Error::InvalidBooleanStrict { .. } => {
            let found = source.text.get(span.start..span.end).unwrap_or_default();
            diag("wrong-type", format!("`{found}` is not true or false"))
        }
        Error::Unexpected { expected, .. } => {
            let wrong = diag(
                "wrong-type",
                format!("{} is expected here", readable_type(expected)),
            );
            match *expected {
                "sequence start" => {
                    wrong.help("a list is written `[one, two]`, or one item a line after `- `")
                }
                "mapping start" => {
                    wrong.help("a mapping is written `{key: value}`, or one `key: value` a line")
                }
                _ => wrong,
            }
        }
        Error::Eof { .. } => diag("empty", "the file ends before anything is said".to_owned()),
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_deref().unwrap_or("this key");
            diag("duplicate-key", format!("`{name}` is there twice in one mapping"))
                .help("keep one of them; a header or parameter that repeats is written as a list")
        }
        Error::MultipleDocuments { .. } => {
            diag("several-documents", "a second document begins here".to_owned())
                .help("one file holds one document: take the `---` out, or split the file")
        }
        other => {
            let sentence = plain(other);
            // An exceeded budget comes bare, wrapped in the alias that exceeded it, or as the parser's own guard.
            if ["budget", "recursion limit", "alias replay", "alias expansion"]
                .iter()
                .any(|limit| sentence.contains(limit))
            {
                return diag("too-large", "the file is too large or nested too deep".to_owned()).help(format!(
                    "at most {DEPTH_MAX} levels and {NODES_MAX} values, aliases written out; split it into several files"
                ));
            }
            advise(diag("yaml", sentence))
        }
    }
}

/// Names of number types as a person says them.
fn readable_type(name: &str) -> &str {
    match name {
        "u8" | "u16" | "u32" | "u64" | "usize" | "u128" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        "f32" | "f64" | "floating point" => "a number",
        "bool" => "true or false",
        "sequence start" => "a list",
        "mapping start" => "a mapping",
        "string scalar" => "a string",
        other => other,
    }
}

/// What stands somewhere, as a person says it.
fn readable_kind(name: &str) -> &str {
    match name {
        "sequence" => "a list",
        "map" => "a mapping",
        "unit" | "unit value" => "nothing",
        other => other,
    }
}

/// Adds what to do about the mistakes of syntax that people make most.
fn advise(diag: Diag) -> Diag {
    let text = diag.source.text.as_str();
    let line = text[..text.floor_char_boundary(diag.span.start)]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let line = text[line..].lines().next().unwrap_or_default();
    if line.trim_start_matches(' ').starts_with('\t') || diag.message.contains("tab") {
        return diag.help("indent with spaces: YAML has no tabs");
    }
    if line.contains("${") && line.contains('{') {
        return diag.help("inside `{…}` and `[…]` a variable is quoted: \"${name}\"");
    }
    if diag.message.contains("quoted scalar") {
        return diag
            .help("a quote is opened and not closed before here; inside \"…\" write \\\" for a quote");
    }
    if [
        "mapping values are not allowed",
        "indent",
        "expected '-' indicator",
        "illegal placement of ':'",
    ]
    .iter()
    .any(|symptom| diag.message.contains(symptom))
    {
        return diag.help(
            "keys of one mapping, and the `-` of one list, start in the same column; a text that holds `: ` is \
             quoted: \"like: this\"",
        );
    }
    diag
}

/// The library's own sentence without its place, which we show ourselves.
fn plain(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = match text.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => text,
    };
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// A place of the library as a range of bytes. The scanner knows line and column only.
fn span_in(source: &Source, location: Location) -> Span {
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(length)) => {
            let start = usize::try_from(start)
                .unwrap_or(usize::MAX)
                .min(source.text.len());
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Span {
                start,
                end: start.saturating_add(length).min(source.text.len()),
            }
        }
        _ => {
            let line = usize::try_from(location.line()).unwrap_or(1);
            let column = usize::try_from(location.column()).unwrap_or(1);
            let start = source.offset(line, column);
            Span { start, end: start }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let placed = serde_yaml::Spanned::<Bare>::deserialize(deserializer)?;
        let mut span = span_of(placed.referenced);
        // The library's span of a collection is its first character.
        let inner = match &placed.value.0 {
            Kind::List(items) => items.last().map(|last| last.span.end),
            Kind::Map(entries) => {
                if let Some((first, _)) = entries.first() {
                    span.start = span.start.min(first.span.start);
                }
                entries
                    .last()
                    .map(|(key, value)| key.span.end.max(value.span.end))
            }
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => None,
        };
        span.end = span.end.max(inner.unwrap_or_default());
        Ok(Self {
            span,
            kind: placed.value.0,
        })
    }
}

/// A value of a file that is read with [`from_str`], and where it stands.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let placed = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            span: span_of(placed.referenced),
            value: placed.value,
        })
    }
}

fn span_of(location: Location) -> Span {
    let span = location.span();
    let start = span
        .byte_offset()
        .and_then(|start| usize::try_from(start).ok())
        .unwrap_or_default();
    let length = span
        .byte_len()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or_default();
    Span {
        start,
        end: start.saturating_add(length),
    }
}

/// A value whose own place is not known yet; those of its parts are.
struct Bare(Kind);

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<Bare, E> {
        Ok(Bare(Kind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bare, D::Error> {
        Bare::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare(Kind::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare(Kind::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bare, E> {
        Ok(Bare(Kind::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Bare, E> {
        Number::from_f64(value)
            .map(|number| Bare(Kind::Number(number)))
            .ok_or_else(|| E::custom("a number has to be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bare, E> {
        Ok(Bare(Kind::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Bare, E> {
        Ok(Bare(Kind::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Bare(Kind::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Bare(Kind::Map(entries)))
    }
}
