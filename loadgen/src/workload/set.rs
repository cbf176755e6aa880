//! `--set key=value`: a workload with one value changed.

use serde_json::Value;

use super::Workload;
use crate::plan::PlanError;

impl Workload {
    /// This workload with `key` set to `value`. Dots lead inwards, and a number is the place in a list, from 0:
    /// `messages.rate`, `phases.0.steady.for`. The value is read as JSON where it is some (a number, a truth value, a list or a
    /// map), and else as text.
    ///
    /// # Errors
    /// If no such key exists, or the value does not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, PlanError> {
        let bad = |why: String| PlanError::Override {
            setting: format!("{key}={value}"),
            why,
        };
        let mut tree =
            serde_json::to_value(self).expect("a workload is made of maps, lists, texts and numbers");
        let mut place = &mut tree;
        let mut names = key.split('.');
        while let Some(name) = names.next() {
            // The names of timings have dots of their own.
            let timing = (name == "timings").then(|| names.by_ref().collect::<Vec<_>>().join("."));
            place = inner(place, name).map_err(&bad)?;
            if let Some(timing) = timing {
                place = inner(place, &timing).map_err(&bad)?;
            }
        }
        *place = match serde_json::from_str(value) {
            Ok(Value::Null | Value::String(_)) | Err(_) => Value::String(value.to_owned()),
            Ok(other) => other,
        };
        serde_json::from_value(tree).map_err(|error| bad(error.to_string()))
    }
}

/// What stands under `name`; a key that is not there yet is made, and judged when the whole is read again.
fn inner<'a>(place: &'a mut Value, name: &str) -> Result<&'a mut Value, String> {
    if place.is_null() {
        *place = Value::Object(serde_json::Map::new());
    }
    match place {
        Value::Object(map) => Ok(map.entry(name).or_insert(Value::Null)),
        Value::Array(items) => {
            let count = items.len();
            name.parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| format!("`{name}` is no place in a list of {count}; the first is 0"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(format!("`{name}` is not inside a map"))
        }
    }
}
