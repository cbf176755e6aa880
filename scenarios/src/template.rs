//! JSON with variables in its strings.
//!
//! `${name}` is a variable; alone in a string it keeps its JSON type, inside a longer text it is written as text
//! (strings as they are, everything else as JSON). `${row.session}` is a field of a variable, `${answer/data/0}` goes
//! on with a JSON pointer, and
//! `${limits.message_bytes + 1}` adds (`-`, `*`) a whole number. `$$` is a dollar; a dollar before anything else is
//! itself. In keys of mappings only `$$` is read, because a key with one dollar is a matcher.

use serde_json::{Map, Value};

use crate::source::Span;

/// JSON with variables in its strings, and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Where it stands.
    pub span: Span,
    /// With `${…}` and `$$` still in it.
    pub value: Value,
}

/// Why a template has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing of this name is known.
    #[error("the variable `{0}` has no value")]
    UnknownVariable(String),
    /// The variable holds nothing at the pointer.
    #[error("`{name}` holds nothing at `{pointer}`")]
    NothingThere {
        /// The variable.
        name: String,
        /// Where in it.
        pointer: String,
    },
    /// Arithmetic needs a whole number.
    #[error("`{name}` is {value}, which is not a whole number to calculate with")]
    NotWhole {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
    },
    /// Text after `${` that is no variable.
    #[error("`${{{0}}}` is not a variable")]
    Malformed(String),
    /// `${` without its `}`.
    #[error("`${{` is never closed")]
    Unclosed,
}

/// What stands inside `${…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The variable, with its dots: `uid.first`.
    pub name: &'a str,
    /// From `/` on, or empty.
    pub pointer: &'a str,
    arithmetic: Option<(char, i64)>,
}

enum Piece<'a> {
    Text(&'a str),
    Dollar,
    Reference(Reference<'a>),
}

impl Template {
    /// A template without a place.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self {
            span: Span::default(),
            value,
        }
    }

    /// The value with everything put in; `lookup` gives a variable's value.
    ///
    /// # Errors
    /// The first variable that has no value, or text that is no variable.
    pub fn resolve(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, TemplateError> {
        resolve(&self.value, lookup)
    }

    /// Every variable in it, in order, repeated as often as it is used.
    ///
    /// # Errors
    /// Text that is no variable.
    pub fn references(&self) -> Result<Vec<Reference<'_>>, TemplateError> {
        let mut found = Vec::new();
        collect(&self.value, &mut found)?;
        Ok(found)
    }

    /// Whether it says all by itself.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.references().is_ok_and(|found| found.is_empty())
    }
}

fn collect<'a>(value: &'a Value, found: &mut Vec<Reference<'a>>) -> Result<(), TemplateError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            for piece in pieces(text)? {
                if let Piece::Reference(reference) = piece {
                    found.push(reference);
                }
            }
        }
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, found))?,
        Value::Object(fields) => fields.values().try_for_each(|field| collect(field, found))?,
    }
    Ok(())
}

fn resolve(value: &Value, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) => resolve_text(text, lookup)?,
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| resolve(item, lookup))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, field) in fields {
                out.insert(unescape_key(key).to_owned(), resolve(field, lookup)?);
            }
            Value::Object(out)
        }
    })
}

/// A key as it is meant: `$$x` is `$x`.
#[must_use]
pub fn unescape_key(key: &str) -> &str {
    if key.starts_with("$$") { &key[1..] } else { key }
}

fn resolve_text(text: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, TemplateError> {
    let pieces = pieces(text)?;
    if let [Piece::Reference(reference)] = pieces.as_slice() {
        return reference.resolve(lookup);
    }
    let mut out = String::with_capacity(text.len());
    for piece in &pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Dollar => out.push('$'),
            Piece::Reference(reference) => match reference.resolve(lookup)? {
                Value::String(text) => out.push_str(&text),
                other => out.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::String(out))
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            out.push(Piece::Text(before));
        }
        if let Some(after) = from.strip_prefix("$$") {
            out.push(Piece::Dollar);
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let (inside, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
            out.push(Piece::Reference(Reference::parse(inside)?));
            rest = after;
        } else {
            out.push(Piece::Dollar);
            rest = &from[1..];
        }
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    Ok(out)
}

impl<'a> Reference<'a> {
    fn parse(inside: &'a str) -> Result<Self, TemplateError> {
        let wrong = || TemplateError::Malformed(inside.to_owned());
        let mut words = inside.split_whitespace();
        let place = words.next().ok_or_else(wrong)?;
        let (name, pointer) = place.split_at(place.find('/').unwrap_or(place.len()));
        let arithmetic = match (words.next(), words.next(), words.next()) {
            (None, None, None) => None,
            (Some(sign @ ("+" | "-" | "*")), Some(number), None) => Some((
                sign.chars().next().unwrap_or('+'),
                number.parse().map_err(|_| wrong())?,
            )),
            _ => return Err(wrong()),
        };
        if is_name(name) {
            Ok(Self {
                name,
                pointer,
                arithmetic,
            })
        } else {
            Err(wrong())
        }
    }

    fn resolve(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, TemplateError> {
        let value =
            named(self.name, lookup).ok_or_else(|| TemplateError::UnknownVariable(self.name.to_owned()))?;
        let value = if self.pointer.is_empty() {
            value
        } else {
            value
                .pointer(self.pointer)
                .cloned()
                .ok_or_else(|| TemplateError::NothingThere {
                    name: self.name.to_owned(),
                    pointer: self.pointer.to_owned(),
                })?
        };
        let Some((sign, number)) = self.arithmetic else {
            return Ok(value);
        };
        value
            .as_i64()
            .and_then(|left| match sign {
                '+' => left.checked_add(number),
                '-' => left.checked_sub(number),
                _ => left.checked_mul(number),
            })
            .map(Value::from)
            .ok_or_else(|| TemplateError::NotWhole {
                name: self.name.to_owned(),
                value: value.to_string(),
            })
    }
}

/// The value of a name with dots: its own, or a field of the variable before the dot.
fn named(name: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    lookup(name).or_else(|| {
        let (holder, field) = name.rsplit_once('.')?;
        named(holder, lookup)?.get(field).cloned()
    })
}

/// A regular expression that matches from the start of a text to its end.
///
/// # Errors
/// When it is none.
pub fn anchored(expression: &str) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!(r"\A(?:{expression})\z"))
}

/// `[A-Za-z_][A-Za-z0-9_]*`, and more such parts after dots; a part after a dot may begin with a digit (`uid.1`).
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let word = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    word(first) && !first.starts_with(|letter: char| letter.is_ascii_digit()) && parts.all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(value: Value) -> Result<Value, String> {
        Template::new(value)
            .resolve(&|name| match name {
                "n" => Some(json!(7)),
                "text" => Some(json!("hi")),
                "answer" => Some(json!({"data": {"count": 3}, "list": [true]})),
                "limits.message_bytes" => Some(json!(65536)),
                _ => None,
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_put_in() {
        for (template, value) in [
            (json!("${n}"), json!(7)),
            (json!("n is ${n}!"), json!("n is 7!")),
            (json!("${text}${text}"), json!("hihi")),
            (json!("${answer/data}"), json!({"count": 3})),
            (json!("${answer/data/count}"), json!(3)),
            (json!("${answer.data.count}"), json!(3)),
            (json!("got ${answer/list}"), json!("got [true]")),
            (json!("${limits.message_bytes + 1}"), json!(65537)),
            (json!("${n - 10}"), json!(-3)),
            (json!("$$"), json!("$")),
            (json!("$${n}"), json!("${n}")),
            (json!("5 $ and $x"), json!("5 $ and $x")),
            (json!(""), json!("")),
            (
                json!({"$$type": ["${n}", null, 1.5]}),
                json!({"$type": [7, null, 1.5]}),
            ),
        ] {
            assert_eq!(resolved(template.clone()), Ok(value), "{template}");
        }
    }

    #[test]
    fn what_has_no_value_is_named() {
        for (template, error) in [
            (json!("${m}"), "the variable `m` has no value"),
            (json!(["${answer/nope}"]), "`answer` holds nothing at `/nope`"),
            (
                json!("${text + 1}"),
                "`text` is \"hi\", which is not a whole number to calculate with",
            ),
            (json!("${n + x}"), "`${n + x}` is not a variable"),
            (json!("${}"), "`${}` is not a variable"),
            (json!("${1a}"), "`${1a}` is not a variable"),
            (json!("${n"), "`${` is never closed"),
        ] {
            assert_eq!(resolved(template.clone()), Err(error.to_owned()), "{template}");
        }
    }
}
