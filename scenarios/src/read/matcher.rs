//! Matchers: what is expected of a JSON value, and of a message.

use crate::diag::Diag;
use crate::read::{Captures, Read, Reader, keys};
use crate::scenario::{Expected, JsonType, Matcher, MatcherKind, MessageMatcher, Scope, TimeUnit};
use crate::source::{Span, Spanned};
use crate::template::unescape_key;
use crate::yaml::{Kind, Node};

const TYPES: &[(&str, JsonType)] = &[
    ("null", JsonType::Null),
    ("boolean", JsonType::Boolean),
    ("number", JsonType::Number),
    ("integer", JsonType::Integer),
    ("string", JsonType::String),
    ("array", JsonType::Array),
    ("object", JsonType::Object),
];

type Entry<'n> = (&'n Spanned<String>, &'n Node);

impl Reader<'_> {
    /// A matcher of JSON.
    pub(super) fn matcher(&mut self, node: &Node) -> Read<Matcher> {
        let kind = match &node.kind {
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => {
                MatcherKind::Value(self.template(node)?)
            }
            Kind::List(items) => {
                MatcherKind::Array(items.iter().map(|item| self.matcher(item)).collect::<Read<_>>()?)
            }
            Kind::Map(entries) => return self.map_matcher(node.span, entries),
        };
        Ok(Matcher {
            span: node.span,
            kind,
        })
    }

    /// A mapping: fields, or one matcher, with what may stand beside either.
    fn map_matcher(&mut self, span: Span, entries: &[(Spanned<String>, Node)]) -> Read<Matcher> {
        let is_special = |key: &str| key.starts_with('$') && !key.starts_with("$$");
        let (special, plain): (Vec<Entry<'_>>, Vec<Entry<'_>>) = entries
            .iter()
            .map(|(key, value)| (key, value))
            .partition(|(key, _)| is_special(key));
        let mut main: Option<Entry<'_>> = None;
        let (mut capture, mut clause, mut unit) = (None, None, None);
        for (key, value) in special {
            match key.value.as_str() {
                "$capture" => capture = Some((key, value)),
                "$unit" => unit = Some((key, value)),
                "$clause" => clause = Some(self.clause_id(value)?),
                name if keys::MATCHERS.contains(&name) => {
                    if let Some((first, _)) = main {
                        return Err(self
                            .at("two-matchers", key.span, format!("`{}` and `{name}` stand in one mapping", first.value))
                            .help("one of them; a value that has to satisfy several is written as several steps"));
                    }
                    main = Some((key, value));
                }
                _ => return Err(self.unknown_matcher(key)),
            }
        }
        let inner = match main {
            Some((key, value)) => {
                if let Some((field, _)) = plain.first() {
                    return Err(self
                        .at(
                            "fields-beside-matcher",
                            field.span,
                            format!(
                                "the field `{}` stands beside the matcher `{}`",
                                field.value, key.value
                            ),
                        )
                        .help("move the field into the matcher, or the matcher into a field"));
                }
                self.special_matcher(key, value, unit)?
            }
            // `{$capture: id}` and `{$clause: x}` alone: whatever is there.
            None if plain.is_empty() && (capture.is_some() || clause.is_some()) => MatcherKind::Any,
            None => self.fields_matcher(&plain)?,
        };
        if let (Some((key, _)), false) = (unit, matches!(inner, MatcherKind::Now { .. })) {
            return Err(self.at("unknown-key", key.span, "`$unit` belongs to `$now`"));
        }
        let mut matcher = Matcher { span, kind: inner };
        if let Some((key, value)) = capture {
            let name = self.capture(key, value)?;
            matcher = Matcher {
                span,
                kind: MatcherKind::Capture {
                    name,
                    inner: Box::new(matcher),
                },
            };
        }
        if let Some(clause) = clause {
            matcher = Matcher {
                span,
                kind: MatcherKind::Under {
                    clause,
                    inner: Box::new(matcher),
                },
            };
        }
        Ok(matcher)
    }

    fn unknown_matcher(&self, key: &Spanned<String>) -> Diag {
        let diag = self.at(
            "unknown-matcher",
            key.span,
            format!("there is no matcher `{}`", key.value),
        );
        if keys::MESSAGE_FORMS.contains(&key.value.as_str())
            || keys::ORDER_FORMS.contains(&key.value.as_str())
        {
            return diag.help("it stands for whole messages, not inside one");
        }
        let known = keys::MATCHERS.iter().chain(keys::MATCHER_COMPANIONS).copied();
        let suggested = diag.suggest(&key.value, known);
        let help = suggested.help.clone().unwrap_or_default();
        suggested.help(format!("{help} A field of this name is written `${}`", key.value))
    }

    fn fields_matcher(&mut self, plain: &[Entry<'_>]) -> Read<MatcherKind> {
        let mut fields = Vec::with_capacity(plain.len());
        for (key, value) in plain {
            let name = Spanned {
                value: unescape_key(key).to_owned(),
                span: key.span,
            };
            fields.push((name, self.matcher(value)?));
        }
        Ok(MatcherKind::Object { fields, exact: false })
    }

    fn special_matcher(
        &mut self,
        key: &Spanned<String>,
        value: &Node,
        unit: Option<Entry<'_>>,
    ) -> Read<MatcherKind> {
        Ok(match key.value.as_str() {
            "$value" => self.matcher(value)?.kind,
            "$exact" => match self.matcher(value)?.kind {
                MatcherKind::Object { fields, .. } => MatcherKind::Object { fields, exact: true },
                _ => return Err(self.expected(value, "a mapping of fields")),
            },
            "$type" => self.types(value)?,
            "$regex" => self.regex(value)?,
            "$range" => self.range(value)?,
            "$any_of" => MatcherKind::AnyOf(self.any_of(value)?),
            "$not" => {
                let inner = self.guarded("`$not`", |reader| reader.matcher(value))?;
                MatcherKind::Not(Box::new(inner))
            }
            "$contains" => MatcherKind::Contains(Box::new(self.matcher(value)?)),
            "$length" => MatcherKind::Length(self.number(value)?),
            "$optional" => {
                let inner = self.guarded("`$optional`", |reader| reader.matcher(value))?;
                MatcherKind::Optional(Box::new(inner))
            }
            "$absent" => {
                self.flag(value)?;
                MatcherKind::Absent
            }
            "$any" => {
                self.flag(value)?;
                MatcherKind::Any
            }
            "$now" => {
                let units = [
                    ("ms", TimeUnit::Millis),
                    ("s", TimeUnit::Seconds),
                    ("rfc3339", TimeUnit::Rfc3339),
                ];
                let unit = unit.map(|(_, node)| self.word(node, &units)).transpose()?;
                MatcherKind::Now {
                    within: self.duration(value)?,
                    unit: unit.unwrap_or(TimeUnit::Millis),
                }
            }
            _ => return Err(self.unknown_matcher(key)),
        })
    }

    /// Reads something that may not be reached: no captures in it.
    pub(super) fn guarded<T>(
        &mut self,
        inside: &'static str,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<T> {
        let before = std::mem::replace(&mut self.captures, Captures::Refused(inside));
        let value = read(self);
        self.captures = before;
        value
    }

    fn capture(&mut self, key: &Spanned<String>, node: &Node) -> Read<String> {
        if let Captures::Refused(inside) = self.captures {
            return Err(self
                .at(
                    "capture-unsure",
                    key.span,
                    format!("`$capture` inside {inside} might never be reached"),
                )
                .help("capture where the value is sure to be there"));
        }
        let name = self.spanned(node)?;
        let known = self.variables.contains(&name.value);
        self.define(&name)?;
        if !known {
            // Not in this step: what it captures is there once it has passed.
            self.variables.remove(&name.value);
        }
        self.captured.push(name.value.clone());
        Ok(name.value)
    }

    fn types(&self, node: &Node) -> Read<MatcherKind> {
        let Kind::List(items) = &node.kind else {
            return Ok(MatcherKind::Type(self.one_type(node)?));
        };
        if items.is_empty() {
            return Err(self.expected(node, "one type or several"));
        }
        let of = |item: &Node| {
            Ok(Matcher {
                span: item.span,
                kind: MatcherKind::Type(self.one_type(item)?),
            })
        };
        Ok(MatcherKind::AnyOf(items.iter().map(of).collect::<Read<_>>()?))
    }

    fn one_type(&self, node: &Node) -> Read<JsonType> {
        match node.kind {
            // `$type: null` is YAML's null, and meant as the word.
            Kind::Null => Ok(JsonType::Null),
            _ => self.word(node, TYPES),
        }
    }

    fn regex(&self, node: &Node) -> Read<MatcherKind> {
        let text = self.string(node)?;
        if text.contains("${") {
            return Ok(MatcherKind::RegexFrom(self.template(node)?));
        }
        crate::template::anchored(&text)
            .map(MatcherKind::Regex)
            .map_err(|error| {
                let reason = error.to_string();
                let reason = reason
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                self.wrong("bad-regex", node, format!("not a regular expression: {reason}"))
            })
    }

    fn range(&self, node: &Node) -> Read<MatcherKind> {
        let Kind::List(ends) = &node.kind else {
            return Err(self
                .expected(node, "a list of two numbers")
                .help("write `$range: [1, 5]`; `null` leaves an end open"));
        };
        let [min, max] = ends.as_slice() else {
            return Err(self
                .wrong("wrong-type", node, "a range has two ends")
                .help("write `$range: [1, 5]`; `null` leaves an end open"));
        };
        let end = |end: &Node| match end.kind {
            Kind::Null => Ok(None),
            _ => self.number(end).map(Some),
        };
        let (min_end, max_end) = (end(min)?, end(max)?);
        if min_end.is_none() && max_end.is_none() {
            return Err(self
                .wrong("matches-anything", node, "a range without ends")
                .help("write `$type: number`"));
        }
        if let (Kind::Number(low), Kind::Number(high)) = (&min.kind, &max.kind)
            && low.as_f64() > high.as_f64()
        {
            return Err(self.wrong(
                "empty-range",
                node,
                "no number is in this range: its ends are the wrong way round",
            ));
        }
        Ok(MatcherKind::Range {
            min: min_end,
            max: max_end,
        })
    }

    /// A number, or a variable that will be one.
    pub(super) fn number(&self, node: &Node) -> Read<crate::scenario::Template> {
        let template = self.template(node)?;
        match &node.kind {
            Kind::Number(_) => Ok(template),
            Kind::String(text) if text.starts_with("${") => Ok(template),
            _ => Err(self.expected(node, "a number")),
        }
    }

    fn any_of(&mut self, node: &Node) -> Read<Vec<Matcher>> {
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "`$any_of` without anything can never match"));
        }
        self.guarded("`$any_of`", |reader| {
            items.iter().map(|item| reader.matcher(item)).collect()
        })
    }

    /// A matcher that tells kinds of messages apart; it may be as wide as "any object".
    pub(crate) fn shape(&mut self, node: &Node) -> Read<Matcher> {
        self.guarded("a rules file", |reader| reader.matcher(node))
    }

    /// A matcher of a whole JSON message; one that could never fail is refused.
    pub(super) fn message_shape(&mut self, node: &Node) -> Read<Matcher> {
        if let Kind::Map(entries) = &node.kind
            && let Some((key, _)) = entries
                .iter()
                .find(|(key, _)| keys::MODIFIERS.contains(&key.value.as_str()))
        {
            return Err(self
                .at("misplaced-key", key.span, format!("`{}` is read as a field of the message here", key.value))
                .help("put it beside the verb, in a line of its own; a message that has such a field is written {$json: {…}}"));
        }
        self.whole(node)
    }

    fn whole(&mut self, node: &Node) -> Read<Matcher> {
        let matcher = self.matcher(node)?;
        match vacuous(&matcher) {
            None => Ok(matcher),
            Some(why) => Err(self
                .wrong("matches-anything", node, format!("this could never fail: {why}"))
                .help("name at least one field that the message has to have, or use `$exact`")),
        }
    }

    /// One message.
    pub(crate) fn message(&mut self, node: &Node) -> Read<MessageMatcher> {
        match &node.kind {
            Kind::String(_) => Ok(MessageMatcher::Text(self.template(node)?)),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if keys::MESSAGE_FORMS.contains(&key.value.as_str()) => {
                    match key.value.as_str() {
                        "$json" => Ok(MessageMatcher::Json(self.whole(value)?)),
                        "$text" => Ok(MessageMatcher::Text(self.template(value)?)),
                        "$answer" => self.answer(key, value),
                        _ => Ok(MessageMatcher::Binary(self.payload(value)?)),
                    }
                }
                _ => Ok(MessageMatcher::Json(self.message_shape(node)?)),
            },
            Kind::List(_) => Err(self
                .expected(node, "one message")
                .help("a message that is a JSON array is written {$json: […]}")),
            Kind::Null => Err(self
                .expected(node, "a message")
                .help("a message that is JSON's null is written {$json: null}")),
            Kind::Boolean(_) | Kind::Number(_) => Ok(MessageMatcher::Json(self.whole(node)?)),
        }
    }

    /// `$answer: PAYLOAD`, where there is a dialect to answer.
    fn answer(&mut self, key: &Spanned<String>, node: &Node) -> Read<MessageMatcher> {
        if self.scope == Scope::None {
            return Err(self
                .at(
                    "unknown-matcher",
                    key.span,
                    "without a dialect nobody knows what is answered",
                )
                .help("say what the server sends"));
        }
        Ok(MessageMatcher::Answer(self.payload(node)?))
    }

    /// Several messages.
    pub(super) fn messages(&mut self, node: &Node) -> Read<Vec<MessageMatcher>> {
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self
                .wrong("matches-anything", node, "an empty list expects nothing")
                .help("silence is expected by `nothing: {on: […], for: 300ms}`"));
        }
        items.iter().map(|item| self.message(item)).collect()
    }

    /// What `ann.expect` holds: one message, a list, or a list in any order.
    pub(super) fn expectation(&mut self, node: &Node) -> Read<Expected> {
        match &node.kind {
            Kind::List(_) => Ok(Expected::InOrder(self.messages(node)?)),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.value == "$any_order" => Ok(Expected::AnyOrder(self.messages(value)?)),
                [(key, value)] if key.value == "$any_order_preserving" => self.preserving(value),
                _ => Ok(Expected::Next(self.message(node)?)),
            },
            _ => Ok(Expected::Next(self.message(node)?)),
        }
    }

    fn preserving(&mut self, node: &Node) -> Read<Expected> {
        let mut fields = super::Fields::of(self, node, "`$any_order_preserving`")?;
        let by = fields.require(self, "by").and_then(|node| self.pointer(node))?;
        let of = fields.require(self, "of")?;
        let of = self.messages(of)?;
        fields.finish(self)?;
        Ok(Expected::AnyOrderPreserving { by, of })
    }

    /// A JSON pointer.
    pub(super) fn pointer(&self, node: &Node) -> Read<String> {
        let text = self.string(node)?;
        if text.starts_with('/') {
            Ok(text)
        } else {
            Err(self
                .wrong("bad-pointer", node, format!("`{text}` is not a JSON pointer"))
                .help(format!("write `/{text}`")))
        }
    }
}

/// Why the matcher accepts every message that could be legal: a message of a dialect is an object, so neither "any
/// object" nor "these fields may be missing" can ever fail.
fn vacuous(matcher: &Matcher) -> Option<&'static str> {
    match &matcher.kind {
        MatcherKind::Any => Some("any message matches"),
        MatcherKind::Type(JsonType::Object) => Some("every message is an object"),
        MatcherKind::Object { fields, exact: false } if fields.is_empty() => Some("no field is named"),
        MatcherKind::Object { fields, exact: false }
            if fields.iter().all(|(_, field)| is_optional(field)) =>
        {
            Some("each of its fields may be missing")
        }
        MatcherKind::Optional(_) => Some("a whole message cannot be optional"),
        MatcherKind::Not(_) => Some("every other message matches"),
        MatcherKind::Absent => Some("a whole message cannot be absent; silence is expected by `nothing`"),
        MatcherKind::AnyOf(options) => options.iter().find_map(vacuous),
        MatcherKind::Capture { inner, .. } | MatcherKind::Under { inner, .. } => vacuous(inner),
        MatcherKind::Value(_)
        | MatcherKind::Object { .. }
        | MatcherKind::Array(_)
        | MatcherKind::Type(_)
        | MatcherKind::Regex(_)
        | MatcherKind::RegexFrom(_)
        | MatcherKind::Range { .. }
        | MatcherKind::Contains(_)
        | MatcherKind::Length(_)
        | MatcherKind::Now { .. } => None,
    }
}

fn is_optional(matcher: &Matcher) -> bool {
    match &matcher.kind {
        MatcherKind::Optional(_) => true,
        MatcherKind::Under { inner, .. } | MatcherKind::Capture { inner, .. } => is_optional(inner),
        _ => false,
    }
}
