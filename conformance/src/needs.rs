//! What a case needs of a target file: the keys without which it is skipped.

use std::collections::BTreeSet;

use serde_json::Value;
use touchstone_protocol::{Dialect, routes};
use touchstone_scenarios::scenario::{Action, Connection, Operation, Step, Template};
use touchstone_sut::{Act, Target};

use crate::select::Case;

/// The keys that the target lacks and the case needs, each of which alone would skip it.
#[must_use]
pub fn missing(case: &Case, target: &Target) -> BTreeSet<String> {
    let required = case.scenario.requires.iter().map(|key| key.value.clone());
    let mut needed: BTreeSet<String> = required.filter(|key| !target.has(key)).collect();
    let Some(dialect) = case.dialect else {
        return needed;
    };
    let mut need = |key: String| {
        if !target.has_for(dialect, &key) {
            needed.insert(key);
        }
    };
    let cast = &case.scenario.cast;
    if dialect.has_tokens() && !cast.users.is_empty() {
        need("users".into());
        need("auth".into());
        if cast.tenants().len() > 1 {
            need("tenants".into());
        }
        let in_path = target.websocket_path(dialect).contains(routes::CHANNEL_SEGMENT);
        if in_path || !cast.channels.is_empty() {
            need("channels".into());
        }
    }
    for actor in &case.scenario.actors {
        of_connection(&actor.connection, &mut need);
    }
    in_steps(&case.scenario.given, dialect, &mut need);
    in_steps(&case.scenario.steps, dialect, &mut need);
    needed
}

fn in_steps(steps: &[Step], dialect: Dialect, need: &mut impl FnMut(String)) {
    for step in steps {
        match &step.action {
            Action::Inject { to, .. } => need(format!("inject.{dialect}.{}", audience(to))),
            Action::Events { .. } => need(format!("events.{dialect}")),
            Action::Operate(operation) => need(format!("operate.{dialect}.{}", act(operation).name())),
            Action::ConnectAs { connection, .. } => of_connection(connection, need),
            Action::Interleave { lanes, .. } => {
                for (_, steps) in lanes {
                    in_steps(steps, dialect, need);
                }
            }
            Action::Table(table) => in_steps(&table.each, dialect, need),
            _ => {}
        }
    }
}

const fn act(operation: &Operation) -> Act {
    match operation {
        Operation::Disconnect { .. } => Act::Disconnect,
        Operation::DeleteUser { .. } => Act::DeleteUser,
        Operation::Drain { .. } => Act::Drain,
        Operation::Sweep => Act::Sweep,
    }
}

/// A token that is not plainly valid has to be signed by us.
fn of_connection(connection: &Connection, need: &mut impl FnMut(String)) {
    let special = |token: &Template| match &token.value {
        Value::String(word) => matches!(
            word.as_str(),
            "expired" | "wrong_key" | "none" | "other_algorithm"
        ),
        Value::Object(fields) => fields.contains_key("claims") || fields.contains_key("kind"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    if connection.token.as_ref().is_some_and(special) {
        need("auth.secret".into());
    }
}

/// For whom a message is, as far as a name says it: a channel has a name like anybody's.
fn audience(to: &Template) -> &'static str {
    match &to.value {
        Value::Array(_) => "users",
        Value::String(name) if name == "all" => "all",
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "user",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use touchstone_scenarios::builtin_scenarios;
    use touchstone_sut::{BuiltIn, Store};

    use super::*;
    use crate::select::cases;

    fn of(id: &str, target: &Target) -> Vec<String> {
        let scenarios: Vec<_> = builtin_scenarios().unwrap().into_iter().map(Arc::new).collect();
        let cases = cases(&scenarios, Dialect::ALL);
        let case = cases.iter().find(|case| case.id == id).unwrap();
        missing(case, target).into_iter().collect()
    }

    #[test]
    fn an_act_of_an_operator_is_a_need_of_its_dialect() {
        let unknown = Target::from_url("ws://127.0.0.1:1", &[]).unwrap();
        let built_in = BuiltIn {
            executable: "touchstone".into(),
            flags: Vec::new(),
            store: Store::Memory,
        };
        let built_in = Target::built_in(built_in, &[], &[]);
        for (id, act) in [
            ("outbox/6c-by-an-operator", "operate.outbox.sweep"),
            ("direct/1c-deleted-user", "operate.direct.delete_user"),
            ("common/6c-advice@echo", "operate.echo.drain"),
            ("common/6c-advice@rooms", "operate.rooms.drain"),
        ] {
            let needed = of(id, &unknown);
            assert!(needed.iter().any(|key| key == act), "{id}: {needed:?}");
            assert_eq!(of(id, &built_in), [""; 0], "{id}");
        }
    }
}
