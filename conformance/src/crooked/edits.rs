//! Changes of a JSON value.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Number, Value};
use touchstone_report::timestamp::rfc3339;
use touchstone_scenarios::mutant::Edit;

/// Gives the value that stood at a place in the message before, and takes the one that stands there now.
pub(super) type Before<'a> = &'a mut dyn FnMut(&str, Value) -> Option<Value>;

/// Changes the value where the edit says; a place that is not there is left alone.
pub(super) fn apply(edit: &Edit, json: &mut Value, before: Before<'_>) {
    match edit {
        Edit::Set(place, value) => {
            for (parent, name) in parents(json, place) {
                set(json, &parent, &name, value.clone());
            }
        }
        Edit::Remove(place) => {
            // From the end, so that what is removed from an array moves nothing that is still to be removed.
            for place in places(json, place).iter().rev() {
                remove(json, place);
            }
        }
        Edit::Rename(place, name) => {
            for place in places(json, place) {
                if let Some(value) = remove(json, &place) {
                    set(json, split(&place).0, name, value);
                }
            }
        }
        Edit::Copy { to, from } => {
            let from = places(json, from).into_iter().next();
            let Some(value) = from.and_then(|from| json.pointer(&from).cloned()) else {
                return;
            };
            for (parent, name) in parents(json, to) {
                set(json, &parent, &name, value.clone());
            }
        }
        Edit::Stale(place) => {
            for place in places(json, place) {
                if let Some(value) = json.pointer_mut(&place)
                    && let Some(old) = before(&place, value.clone())
                {
                    *value = old;
                }
            }
        }
        Edit::Retype(place) => each(json, place, retype),
        Edit::Add(place, much) => each(json, place, |value| add(value, *much)),
        Edit::Append(place, what) => each(json, place, |value| append(value, what)),
        Edit::Reverse(place) => each(json, place, |value| {
            if let Value::Array(items) = value {
                items.reverse();
            }
        }),
        Edit::First(place, count) => each(json, place, |value| match value {
            Value::Array(items) => items.truncate(*count),
            Value::String(text) => *text = text.chars().take(*count).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }),
        Edit::Twice(place) => each(json, place, |value| {
            if let Value::Array(items) = value
                && let Some(first) = items.first().cloned()
            {
                items.insert(0, first);
            }
        }),
        Edit::Recase(place) => each(json, place, |value| {
            if let Value::String(text) = value {
                let lower = text.chars().any(char::is_lowercase);
                *text = if lower {
                    text.to_uppercase()
                } else {
                    text.to_lowercase()
                };
            }
        }),
    }
}

fn each(json: &mut Value, place: &str, change: impl Fn(&mut Value)) {
    for place in places(json, place) {
        if let Some(value) = json.pointer_mut(&place) {
            change(value);
        }
    }
}

/// The pointers that a pointer with `*` in it stands for, as far as they are there.
fn places(json: &Value, place: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in place.split('/').skip(1) {
        let mut deeper = Vec::new();
        for parent in found {
            let Some(value) = json.pointer(&parent) else {
                continue;
            };
            let names: Vec<String> = match (part, value) {
                ("*", Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
                ("*", Value::Object(fields)) => fields.keys().map(|name| escaped(name)).collect(),
                _ => vec![part.to_owned()],
            };
            deeper.extend(names.into_iter().map(|name| format!("{parent}/{name}")));
        }
        found = deeper;
    }
    found.retain(|place| json.pointer(place).is_some());
    found
}

/// Where a pointer's last part would stand: its parents that are there, and its name in them.
fn parents(json: &Value, place: &str) -> Vec<(String, String)> {
    let (parent, name) = split(place);
    if place.is_empty() {
        return vec![(String::new(), String::new())];
    }
    if name == "*" {
        let there = places(json, place);
        return there
            .iter()
            .map(|place| split(place))
            .map(|(parent, name)| (parent.to_owned(), unescaped(name)))
            .collect();
    }
    let there = places(json, parent);
    there
        .into_iter()
        .map(|parent| (parent, unescaped(name)))
        .collect()
}

fn split(place: &str) -> (&str, &str) {
    place.rsplit_once('/').unwrap_or(("", ""))
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// An empty name is the whole: a field without a name is nothing that a dialect has.
fn set(json: &mut Value, parent: &str, name: &str, value: Value) {
    if parent.is_empty() && name.is_empty() {
        *json = value;
        return;
    }
    match json.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(items)) => {
            if let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

fn remove(json: &mut Value, place: &str) -> Option<Value> {
    let (parent, name) = split(place);
    match json.pointer_mut(parent)? {
        Value::Object(fields) => fields.remove(&unescaped(name)),
        Value::Array(items) => {
            let index = name.parse::<usize>().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn retype(value: &mut Value) {
    *value = match value.take() {
        Value::Null => Value::Object(serde_json::Map::new()),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        Value::String(text) if is_digits(&text) => text
            .parse::<Number>()
            .map_or_else(|_| Value::Array(vec![Value::String(text)]), Value::Number),
        Value::String(text) => Value::Array(vec![Value::String(text)]),
        other @ (Value::Array(_) | Value::Object(_)) => Value::String(other.to_string()),
    };
}

fn append(value: &mut Value, what: &Value) {
    match (value, what) {
        (Value::String(text), Value::String(more)) => text.push_str(more),
        (Value::String(text), more) => text.push_str(&more.to_string()),
        (Value::Array(items), item) => items.push(item.clone()),
        (Value::Object(fields), Value::Object(more)) => {
            fields.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_), _) => {}
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn add(value: &mut Value, much: f64) {
    match value {
        Value::Number(number) => {
            if let Some(sum) = sum(number, much) {
                *number = sum;
            }
        }
        Value::String(text) => {
            if let Some(later) = moved(text, much) {
                *text = later;
            } else if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"-.:".contains(&byte))
            {
                *text = added_to_digits(text, much);
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
    }
}

/// A whole number stays one.
fn sum(number: &Number, much: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "it is compared with what it was")]
    let whole = much as i64;
    match number.as_i64() {
        Some(old) if whole as f64 == much => Some(old.checked_add(whole)?.into()),
        _ => Number::from_f64(number.as_f64()? + much),
    }
}

/// To each number in `1700000000000-5`.
fn added_to_digits(text: &str, much: f64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse::<Number>().ok();
        match number.and_then(|number| sum(&number, much)) {
            Some(sum) => out.push_str(&sum.to_string()),
            None => out.push_str(&rest[..digits]),
        }
        let others = rest[digits..]
            .bytes()
            .take_while(|byte| !byte.is_ascii_digit())
            .count();
        out.push_str(&rest[digits..digits + others]);
        rest = &rest[digits + others..];
    }
    out
}

/// A time of RFC 3339, moved by seconds; what stands behind its whole seconds stays.
fn moved(text: &str, seconds: f64) -> Option<String> {
    let (moment, behind) = text.split_at_checked(19)?;
    let bytes = moment.as_bytes();
    if [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
        .iter()
        .any(|(at, mark)| bytes[*at] != *mark)
    {
        return None;
    }
    let field = |from: usize, to: usize| moment.get(from..to)?.parse::<i64>().ok();
    let day = days(field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let second = day * 86_400 + field(11, 13)? * 3_600 + field(14, 16)? * 60 + field(17, 19)?;
    let later = u64::try_from(second).ok()? as f64 + seconds;
    let later = rfc3339(UNIX_EPOCH + Duration::try_from_secs_f64(later).ok()?);
    Some(format!(
        "{}{}{}{behind}",
        &later[..10],
        &moment[10..11],
        &later[11..19]
    ))
}

/// Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_edit_changes_what_it_says_and_nothing_else() {
        let place = |place: &str| place.to_owned();
        let cases = [
            (Edit::Set(place("/a"), json!(7)), json!({"a": 1}), json!({"a": 7})),
            (
                Edit::Set(place("/b"), json!(7)),
                json!({"a": 1}),
                json!({"a": 1, "b": 7}),
            ),
            (
                Edit::Set(place("/x/y"), json!(7)),
                json!({"a": 1}),
                json!({"a": 1}),
            ),
            (
                Edit::Set(place("/a/*"), json!(0)),
                json!({"a": [1, 2]}),
                json!({"a": [0, 0]}),
            ),
            (Edit::Set(place(""), json!(7)), json!({"a": 1}), json!(7)),
            (
                Edit::Remove(place("/a/*/b")),
                json!({"a": [{"b": 1}, {"c": 1}]}),
                json!({"a": [{}, {"c": 1}]}),
            ),
            (
                Edit::Remove(place("/a/*")),
                json!({"a": [1, 2, 3]}),
                json!({"a": []}),
            ),
            (
                Edit::Rename(place("/a/b"), place("c")),
                json!({"a": {"b": 1}}),
                json!({"a": {"c": 1}}),
            ),
            (
                Edit::Copy {
                    to: place("/b"),
                    from: place("/a"),
                },
                json!({"a": 1}),
                json!({"a": 1, "b": 1}),
            ),
            (
                Edit::Copy {
                    to: place("/b"),
                    from: place("/x"),
                },
                json!({"a": 1}),
                json!({"a": 1}),
            ),
            (
                Edit::Retype(place("/*")),
                json!([1, "2", "x", true, null, {"a": 1}, [1]]),
                json!(["1", 2, ["x"], "true", {}, "{\"a\":1}", "[1]"]),
            ),
            (
                Edit::Add(place("/*"), 1.0),
                json!([1, 1.5, "7-9", "x"]),
                json!([2, 2.5, "8-10", "x"]),
            ),
            (
                Edit::Add(place("/a"), 86_400.0),
                json!({"a": "2024-02-28T23:00:01.5+01:00"}),
                json!({"a": "2024-02-29T23:00:01.5+01:00"}),
            ),
            (
                Edit::Add(place("/a"), -1.0),
                json!({"a": "2000-01-01T00:00:00Z"}),
                json!({"a": "1999-12-31T23:59:59Z"}),
            ),
            (
                Edit::Append(place("/a"), json!("!")),
                json!({"a": "hi"}),
                json!({"a": "hi!"}),
            ),
            (
                Edit::Append(place("/a"), json!(3)),
                json!({"a": [1]}),
                json!({"a": [1, 3]}),
            ),
            (
                Edit::Append(place("/a"), json!({"c": 3})),
                json!({"a": {"b": 1}}),
                json!({"a": {"b": 1, "c": 3}}),
            ),
            (
                Edit::Reverse(place("/a")),
                json!({"a": [1, 2]}),
                json!({"a": [2, 1]}),
            ),
            (
                Edit::First(place("/*"), 1),
                json!([[1, 2], "hi", 5]),
                json!([[1], "h", 5]),
            ),
            (
                Edit::Twice(place("/a")),
                json!({"a": [1, 2]}),
                json!({"a": [1, 1, 2]}),
            ),
            (
                Edit::Recase(place("/*")),
                json!(["aB", "AB"]),
                json!(["AB", "ab"]),
            ),
            (
                Edit::Set(place("/a~1b"), json!(2)),
                json!({"a/b": 1}),
                json!({"a/b": 2}),
            ),
        ];
        for (edit, from, to) in cases {
            let mut json = from.clone();
            apply(&edit, &mut json, &mut |_, _| None);
            assert_eq!(json, to, "{edit:?} of {from}");
        }
    }

    #[test]
    fn what_is_stale_is_what_stood_there_before() {
        let mut kept = None;
        let edit = Edit::Stale("/a".into());
        let mut seen = Vec::new();
        for value in 1..4 {
            let mut json = json!({"a": value});
            apply(&edit, &mut json, &mut |place, now| {
                assert_eq!(place, "/a");
                kept.replace(now)
            });
            seen.push(json["a"].clone());
        }
        assert_eq!(seen, [json!(1), json!(1), json!(2)]);
    }
}
