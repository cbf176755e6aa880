//! JSON against a matcher. Objects match as subsets unless `$exact`; every difference is reported with its place.

use serde_json::Value;
use touchstone_scenarios::duration::Duration;
use touchstone_scenarios::rules::ClauseId;
use touchstone_scenarios::scenario::{JsonType, Matcher, MatcherKind, TimeUnit};
use touchstone_scenarios::source::{Span, Spanned};
use touchstone_scenarios::template::{Template, TemplateError, anchored};

use crate::verdict::Check;

use super::expectation::{expectation, like, type_name};
use super::nearest::{closeness, differences};
use super::time::{about, as_time, epoch_seconds};
use super::{Comparison, Environment, Mismatch, shortened};

/// Compares a value with a matcher. What a `$capture` took is a variable for the steps after this one.
#[must_use]
pub fn compare(matcher: &Matcher, actual: &Value, environment: &Environment<'_>) -> Comparison {
    compare_at(matcher, Some(actual), "", environment)
}

/// Compares what is, or is not, at a place of something larger; `pointer` names the place in reports.
#[must_use]
pub(super) fn compare_at(
    matcher: &Matcher,
    actual: Option<&Value>,
    pointer: &str,
    environment: &Environment<'_>,
) -> Comparison {
    let walk = Walk { environment };
    let mut found = Comparison::default();
    walk.value(
        matcher,
        actual,
        &Place {
            pointer: pointer.to_owned(),
            clause: None,
        },
        &mut found,
    );
    found
}

/// Whether two values are the same, `1` and `1.0` too.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}

struct Walk<'a> {
    environment: &'a Environment<'a>,
}

/// Where in the message, and under which clause.
struct Place {
    pointer: String,
    clause: Option<ClauseId>,
}

impl Place {
    fn child(&self, step: &str) -> Self {
        let escaped = step.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: format!("{}/{escaped}", self.pointer),
            clause: self.clause.clone(),
        }
    }

    fn miss(&self, span: Span, expected: impl Into<String>, actual: Option<&Value>) -> Mismatch {
        let actual = actual.map_or_else(
            || "nothing there".to_owned(),
            |value| shortened(&value.to_string()),
        );
        Mismatch {
            pointer: self.pointer.clone(),
            clause: self.clause.clone(),
            ..Mismatch::new(span, expected, actual, Check::Message)
        }
    }
}

impl Walk<'_> {
    fn value(&self, matcher: &Matcher, actual: Option<&Value>, place: &Place, found: &mut Comparison) {
        let span = matcher.span;
        match &matcher.kind {
            MatcherKind::Absent => {
                if actual.is_some() {
                    found.mismatches.push(place.miss(span, "no such field", actual));
                }
            }
            MatcherKind::Optional(inner) => {
                if actual.is_some() {
                    self.value(inner, actual, place, found);
                }
            }
            MatcherKind::Under { clause, inner } => {
                let under = Place {
                    pointer: place.pointer.clone(),
                    clause: Some(clause.value.clone()),
                };
                self.value(inner, actual, &under, found);
            }
            MatcherKind::Capture { name, inner } => {
                self.value(inner, actual, place, found);
                if let Some(value) = actual {
                    found.captures.push((name.clone(), value.clone()));
                }
            }
            MatcherKind::Any => {
                if actual.is_none() {
                    found.mismatches.push(place.miss(span, "anything", None));
                }
            }
            MatcherKind::AnyOf(matchers) => self.any_of(span, matchers, actual, place, found),
            MatcherKind::Value(_)
            | MatcherKind::Not(_)
            | MatcherKind::Object { .. }
            | MatcherKind::Array(_)
            | MatcherKind::Type(_)
            | MatcherKind::Regex(_)
            | MatcherKind::RegexFrom(_)
            | MatcherKind::Range { .. }
            | MatcherKind::Contains(_)
            | MatcherKind::Length(_)
            | MatcherKind::Now { .. } => match actual {
                Some(actual) => self.present(matcher, actual, place, found),
                None => found
                    .mismatches
                    .push(place.miss(span, expectation(matcher, self.environment), None)),
            },
        }
    }

    /// The matchers that want something to be there.
    fn present(&self, matcher: &Matcher, actual: &Value, place: &Place, found: &mut Comparison) {
        let span = matcher.span;
        let refusal = match &matcher.kind {
            MatcherKind::Object { fields, exact } => {
                self.object(span, fields, actual, place, found);
                if *exact {
                    refuse_others(span, fields, actual, place, found);
                }
                return;
            }
            MatcherKind::Array(items) => return self.array(span, items, actual, place, found),
            MatcherKind::Contains(inner) => return self.contains(span, inner, actual, place, found),
            MatcherKind::Not(inner) => {
                let mut tried = Comparison::default();
                self.value(inner, Some(actual), place, &mut tried);
                refuse(!tried.mismatches.is_empty(), || {
                    expectation(matcher, self.environment)
                })
            }
            MatcherKind::Value(template) => self.value_refuses(template, actual),
            MatcherKind::Type(kind) => refuse(is_type(*kind, actual), || type_name(*kind).to_owned()),
            MatcherKind::Regex(regex) => {
                let fits = actual.as_str().is_some_and(|text| regex.is_match(text));
                refuse(fits, || like(regex.as_str()))
            }
            MatcherKind::RegexFrom(template) => self.regex_refuses(template, actual),
            MatcherKind::Range { min, max } => self.range_refuses(min.as_ref(), max.as_ref(), actual),
            MatcherKind::Length(template) => self.length_refuses(template, actual),
            MatcherKind::Now { within, unit } => self.now_refuses(within, *unit, actual),
            MatcherKind::Any
            | MatcherKind::AnyOf(_)
            | MatcherKind::Optional(_)
            | MatcherKind::Absent
            | MatcherKind::Capture { .. }
            | MatcherKind::Under { .. } => return self.value(matcher, Some(actual), place, found),
        };
        match refusal {
            Ok(None) => {}
            Ok(Some(expected)) => {
                let mut mismatch = place.miss(span, expected, Some(actual));
                if let MatcherKind::Now { unit, .. } = &matcher.kind
                    && let Some(time) = as_time(actual, *unit)
                {
                    mismatch.actual.push_str(&format!(", which is {time}"));
                }
                found.mismatches.push(mismatch);
            }
            Err(error) => {
                let mut mismatch = place.miss(span, "a value to compare with", None);
                mismatch.actual = error.to_string();
                found.mismatches.push(mismatch);
            }
        }
    }

    fn resolve(&self, template: &Template) -> Result<Value, TemplateError> {
        template.resolve(self.environment.variable)
    }

    fn value_refuses(&self, template: &Template, actual: &Value) -> Refusal {
        let expected = self.resolve(template)?;
        refuse(same(&expected, actual), || shortened(&expected.to_string()))
    }

    fn regex_refuses(&self, template: &Template, actual: &Value) -> Refusal {
        let pattern = super::text_of(self.resolve(template)?);
        // What no regex can be made of matches nothing: the report shows it.
        let regex = anchored(&pattern).ok();
        let fits = regex.is_some_and(|regex| actual.as_str().is_some_and(|text| regex.is_match(text)));
        refuse(fits, || like(&pattern))
    }

    fn range_refuses(&self, min: Option<&Template>, max: Option<&Template>, actual: &Value) -> Refusal {
        let bound = |template: Option<&Template>| match template {
            Some(template) => self.resolve(template).map(|value| value.as_f64()),
            None => Ok(None),
        };
        let (min, max) = (bound(min)?, bound(max)?);
        let within = actual
            .as_f64()
            .is_some_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max));
        let edge = |edge: Option<f64>| edge.map_or_else(|| "…".to_owned(), |edge| edge.to_string());
        refuse(within, || {
            format!("a number within [{}, {}]", edge(min), edge(max))
        })
    }

    fn length_refuses(&self, template: &Template, actual: &Value) -> Refusal {
        let length = match actual {
            Value::Array(items) => Some(items.len()),
            Value::String(text) => Some(text.chars().count()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        };
        let expected = self.resolve(template)?;
        let fits = length.is_some_and(|length| same(&Value::from(length), &expected));
        refuse(fits, || format!("an array or string of length {expected}"))
    }

    fn now_refuses(&self, within: &Duration, unit: TimeUnit, actual: &Value) -> Refusal {
        let within = match within.evaluate(self.environment.timing) {
            Ok(within) => within,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let now = self.environment.epoch_seconds;
        let distance = epoch_seconds(actual, unit).map_or(f64::INFINITY, |at| (at - now).abs());
        refuse(distance <= within.as_secs_f64(), || about(now, within, unit))
    }

    fn contains(&self, span: Span, inner: &Matcher, actual: &Value, place: &Place, found: &mut Comparison) {
        let items = actual.as_array().into_iter().flatten().enumerate();
        let mut tries = Vec::new();
        for (index, item) in items {
            let at = place.child(&index.to_string());
            let mut tried = Comparison::default();
            self.value(inner, Some(item), &at, &mut tried);
            if tried.mismatches.is_empty() {
                found.captures.extend(tried.captures);
                return;
            }
            tries.push((at.pointer, tried));
        }
        let expected = format!("an array with {}", expectation(inner, self.environment));
        let mut mismatch = place.miss(span, expected, Some(actual));
        // Where every element is something else altogether, none is nearer than the others.
        let comparable = tries.into_iter().filter_map(|(pointer, tried)| {
            closeness(&tried, &pointer).map(|closeness| (closeness, pointer, tried))
        });
        if let Some((_, pointer, tried)) = comparable.min_by_key(|(closeness, ..)| *closeness) {
            mismatch.actual = format!("none like it, nearest is {pointer} of {}", mismatch.actual);
            mismatch.differences = differences(&tried);
        }
        found.mismatches.push(mismatch);
    }

    fn object(
        &self,
        span: Span,
        fields: &[(Spanned<String>, Matcher)],
        actual: &Value,
        place: &Place,
        found: &mut Comparison,
    ) {
        let Some(object) = actual.as_object() else {
            found.mismatches.push(place.miss(span, "an object", Some(actual)));
            return;
        };
        for (key, matcher) in fields {
            self.value(matcher, object.get(&key.value), &place.child(key), found);
        }
    }

    fn array(&self, span: Span, items: &[Matcher], actual: &Value, place: &Place, found: &mut Comparison) {
        let Some(array) = actual.as_array().filter(|array| array.len() == items.len()) else {
            let expected = format!("an array of {}", items.len());
            found.mismatches.push(place.miss(span, expected, Some(actual)));
            return;
        };
        for (index, (matcher, item)) in items.iter().zip(array).enumerate() {
            self.value(matcher, Some(item), &place.child(&index.to_string()), found);
        }
    }

    fn any_of(
        &self,
        span: Span,
        matchers: &[Matcher],
        actual: Option<&Value>,
        place: &Place,
        found: &mut Comparison,
    ) {
        let mut tries = Vec::new();
        for matcher in matchers {
            let mut tried = Comparison::default();
            self.value(matcher, actual, place, &mut tried);
            if tried.mismatches.is_empty() {
                found.captures.extend(tried.captures);
                return;
            }
            tries.push(tried);
        }
        let expected: Vec<_> = matchers
            .iter()
            .map(|matcher| expectation(matcher, self.environment))
            .collect();
        let mut mismatch = place.miss(span, format!("one of {}", expected.join(", ")), actual);
        let comparable = tries
            .into_iter()
            .filter_map(|tried| closeness(&tried, &place.pointer).map(|closeness| (closeness, tried)));
        if let Some((_, tried)) = comparable.min_by_key(|(closeness, _)| *closeness) {
            mismatch.differences = differences(&tried);
        }
        found.mismatches.push(mismatch);
    }
}

/// What would have been right, if this is not; an error where it cannot be told.
type Refusal = Result<Option<String>, TemplateError>;

fn refuse(fits: bool, expected: impl FnOnce() -> String) -> Refusal {
    Ok((!fits).then(expected))
}

/// `$exact`: no field that is not named.
fn refuse_others(
    span: Span,
    fields: &[(Spanned<String>, Matcher)],
    actual: &Value,
    place: &Place,
    found: &mut Comparison,
) {
    for (key, extra) in actual.as_object().into_iter().flatten() {
        if !fields.iter().any(|(known, _)| known.value == *key) {
            found
                .mismatches
                .push(place.child(key).miss(span, "no such field", Some(extra)));
        }
    }
}

fn is_type(kind: JsonType, value: &Value) -> bool {
    match kind {
        JsonType::Null => value.is_null(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|x| x.fract() == 0.0)
        }
        JsonType::String => value.is_string(),
        JsonType::Array => value.is_array(),
        JsonType::Object => value.is_object(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matcher(kind: MatcherKind) -> Matcher {
        Matcher {
            span: Span::default(),
            kind,
        }
    }

    fn value(value: Value) -> Matcher {
        matcher(MatcherKind::Value(Template::new(value)))
    }

    fn object(fields: Vec<(&str, Matcher)>, exact: bool) -> Matcher {
        let fields = fields
            .into_iter()
            .map(|(key, matcher)| {
                (
                    Spanned {
                        value: key.to_owned(),
                        span: Span::default(),
                    },
                    matcher,
                )
            })
            .collect();
        matcher(MatcherKind::Object { fields, exact })
    }

    fn under(clause: &str, inner: Matcher) -> Matcher {
        let clause = Spanned {
            value: ClauseId(clause.to_owned()),
            span: Span::default(),
        };
        matcher(MatcherKind::Under {
            clause,
            inner: Box::new(inner),
        })
    }

    fn look(matcher: &Matcher, actual: &Value) -> Comparison {
        let environment = Environment {
            variable: &|name| (name == "n").then(|| json!(3)),
            timing: &|_| None,
            answers: None,
            epoch_seconds: 1_700_000_000.0,
        };
        compare(matcher, actual, &environment)
    }

    fn pointers(matcher: &Matcher, actual: &Value) -> Vec<String> {
        look(matcher, actual)
            .mismatches
            .into_iter()
            .map(|mismatch| mismatch.pointer)
            .collect()
    }

    #[test]
    fn every_matcher_accepts_what_it_should_and_refuses_the_rest() {
        let range = |min: Option<f64>, max: Option<f64>| {
            let edge = |edge: Option<f64>| edge.map(|edge| Template::new(json!(edge)));
            matcher(MatcherKind::Range {
                min: edge(min),
                max: edge(max),
            })
        };
        let regex = |text: &str| matcher(MatcherKind::Regex(regex::Regex::new(text).unwrap()));
        let now = |unit| {
            let within = Duration::parse("5s", Span::default()).unwrap();
            matcher(MatcherKind::Now { within, unit })
        };
        let cases = [
            (
                "value",
                value(json!(1)),
                vec![json!(1), json!(1.0)],
                vec![json!(2), json!("1"), json!(null)],
            ),
            (
                "variable",
                value(json!("${n}")),
                vec![json!(3)],
                vec![json!("3"), json!(4)],
            ),
            (
                "unknown variable",
                value(json!("${m}")),
                vec![],
                vec![json!("${m}"), json!(null)],
            ),
            (
                "array",
                matcher(MatcherKind::Array(vec![value(json!(1))])),
                vec![json!([1])],
                vec![json!([1, 1]), json!([]), json!(1)],
            ),
            (
                "whole",
                matcher(MatcherKind::Type(JsonType::Integer)),
                vec![json!(1), json!(-2), json!(2.0)],
                vec![json!(1.5), json!("1")],
            ),
            (
                "null",
                matcher(MatcherKind::Type(JsonType::Null)),
                vec![json!(null)],
                vec![json!(0), json!("")],
            ),
            (
                "regex",
                regex("^(?:a|ab)$"),
                vec![json!("a"), json!("ab")],
                vec![json!("abc"), json!("xa"), json!(1)],
            ),
            (
                "range",
                range(Some(1.0), Some(2.0)),
                vec![json!(1), json!(1.5), json!(2)],
                vec![json!(0.9), json!(2.1), json!("1")],
            ),
            (
                "open range",
                range(None, Some(2.0)),
                vec![json!(-9)],
                vec![json!(3)],
            ),
            (
                "any of",
                matcher(MatcherKind::AnyOf(vec![value(json!(1)), value(json!("x"))])),
                vec![json!(1), json!("x")],
                vec![json!(2)],
            ),
            (
                "contains",
                matcher(MatcherKind::Contains(Box::new(value(json!(1))))),
                vec![json!([0, 1])],
                vec![json!([0]), json!([]), json!(1)],
            ),
            (
                "length",
                matcher(MatcherKind::Length(Template::new(json!(2)))),
                vec![json!("äö"), json!([0, 0])],
                vec![json!("ä"), json!([]), json!(2)],
            ),
            (
                "now written out",
                now(TimeUnit::Rfc3339),
                vec![json!("2023-11-14T22:13:20.000Z"), json!("2023-11-14T22:13:16Z")],
                vec![
                    json!("2023-11-14T22:13:26.000Z"),
                    json!("2023-11-14T22:13:20.000"),
                    json!(1_700_000_000),
                ],
            ),
            (
                "not",
                matcher(MatcherKind::Not(Box::new(value(json!(1))))),
                vec![json!(2), json!("1"), json!(null)],
                vec![json!(1), json!(1.0)],
            ),
            (
                "now in seconds",
                now(TimeUnit::Seconds),
                vec![json!(1_700_000_004.5), json!("1700000000")],
                vec![json!(1_700_000_006), json!("soon"), json!(1_700_000_000_000_u64)],
            ),
            (
                "now in millis",
                now(TimeUnit::Millis),
                vec![json!(1_699_999_996_000_u64)],
                vec![json!(1_700_000_000), json!(null)],
            ),
        ];
        for (name, matcher, good, bad) in cases {
            for value in good {
                assert_eq!(pointers(&matcher, &value), [""; 0], "{name} accepts {value}");
            }
            for value in bad {
                assert_eq!(pointers(&matcher, &value), [""], "{name} refuses {value}");
            }
        }
    }

    #[test]
    fn an_array_without_the_element_names_the_nearest_one() {
        let wanted = object(
            vec![
                ("id", value(json!("${n}"))),
                ("name", value(json!("ann"))),
                ("x", value(json!(0))),
            ],
            false,
        );
        let contains = matcher(MatcherKind::Contains(Box::new(wanted)));
        let actual = json!([{"id": 1}, {"id": 3, "name": "bob", "x": 0}, "text"]);
        let found = look(&contains, &actual).mismatches.remove(0);
        assert_eq!(
            found.expected,
            r#"an array with {"id": 3, "name": "ann", "x": 0}"#
        );
        assert!(
            found.actual.starts_with("none like it, nearest is /1 of ["),
            "{found:?}"
        );
        let shown: Vec<_> = found
            .differences
            .iter()
            .map(|one| (one.pointer.as_str(), one.expected.as_str(), one.actual.as_str()))
            .collect();
        assert_eq!(shown, [("/1/name", "\"ann\"", "\"bob\"")]);
        let of_texts = look(&contains, &json!(["a", "b"])).mismatches.remove(0);
        assert_eq!(
            (of_texts.actual.as_str(), of_texts.differences),
            (r#"["a","b"]"#, vec![])
        );
    }

    #[test]
    fn objects_are_subsets_unless_exact() {
        let fields = || {
            vec![
                ("a", value(json!(1))),
                ("b/c", object(vec![("d", value(json!(2)))], false)),
            ]
        };
        let subset = object(fields(), false);
        assert!(pointers(&subset, &json!({"a": 1, "b/c": {"d": 2, "e": 3}, "x": 0})).is_empty());
        assert_eq!(pointers(&subset, &json!({"a": 2, "b/c": {}})), ["/a", "/b~1c/d"]);
        assert_eq!(
            pointers(&object(fields(), true), &json!({"a": 1, "b/c": {"d": 2}, "x": 0})),
            ["/x"]
        );
        assert_eq!(pointers(&subset, &json!([1])), [""]);
    }

    #[test]
    fn absent_and_optional_are_about_presence() {
        let absent = object(vec![("a", matcher(MatcherKind::Absent))], false);
        assert!(pointers(&absent, &json!({})).is_empty());
        assert_eq!(pointers(&absent, &json!({"a": null})), ["/a"]);
        let not = object(
            vec![("a", matcher(MatcherKind::Not(Box::new(value(json!(1))))))],
            false,
        );
        assert_eq!(pointers(&not, &json!({})), ["/a"]);
        let optional = object(
            vec![("a", matcher(MatcherKind::Optional(Box::new(value(json!(1))))))],
            false,
        );
        assert!(pointers(&optional, &json!({})).is_empty());
        assert_eq!(pointers(&optional, &json!({"a": 2})), ["/a"]);
    }

    #[test]
    fn a_field_under_a_clause_of_its_own_does_not_hide_what_the_message_is() {
        let matcher = object(
            vec![("a", value(json!(1))), ("b", under("echo/8a", value(json!(2))))],
            false,
        );
        let soft = look(&matcher, &json!({"a": 1, "b": 3}));
        assert!(soft.is_recognised());
        assert_eq!(soft.mismatches[0].clause, Some(ClauseId("echo/8a".into())));
        assert!(!look(&matcher, &json!({"a": 2, "b": 3})).is_recognised());
    }

    #[test]
    fn what_is_captured_is_handed_back() {
        let capture = matcher(MatcherKind::Capture {
            name: "x".to_owned(),
            inner: Box::new(matcher(MatcherKind::Type(JsonType::Integer))),
        });
        let found = look(&object(vec![("a", capture)], false), &json!({"a": 5}));
        assert_eq!(
            (found.mismatches.len(), found.captures),
            (0, vec![("x".to_owned(), json!(5))])
        );
    }
}
