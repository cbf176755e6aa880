//! The keys: name, kind and place of each, what it is for, and the flag where it has one.
//!
//! Everything else is made from here: `--help`, the variables of the environment, `--print-config`, the JSON Schema,
//! and through that `docs/configuration.md`.

mod dialects;
mod server;

use super::Settings;
use super::slot::{Given, Slot};

/// One thing that can be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// As it stands in a file, dots between the levels: `feed.heartbeat.interval`.
    pub(super) name: &'static str,
    /// Its kind, and its place.
    pub(super) slot: Slot,
    /// What it is for, in Markdown, with the clause it comes from; without a full stop.
    pub(super) doc: &'static str,
    /// Its flag, without dashes.
    pub(super) flag: Option<&'static str>,
    /// The key that stands for it where it is not set itself.
    pub(super) falls_back_to: Option<&'static str>,
}

impl Key {
    const fn new(name: &'static str, slot: Slot, doc: &'static str) -> Self {
        Self {
            name,
            slot,
            doc,
            flag: None,
            falls_back_to: None,
        }
    }

    const fn flag(self, flag: &'static str) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    const fn falls_back_to(self, key: &'static str) -> Self {
        Self {
            falls_back_to: Some(key),
            ..self
        }
    }

    /// Whether `given` is a value of it.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn check(&self, given: &Given) -> Result<(), String> {
        self.slot.read(&mut Settings::default(), given)
    }

    /// Its variables in the environment; the first that is set counts.
    pub(super) fn variables(&self) -> Vec<String> {
        let mut variables = vec![variable(self.name)];
        variables.extend(
            self.flag
                .map(variable)
                .filter(|name| *name != variable(self.name)),
        );
        if self.name == "log.filter" {
            variables.push("TOUCHSTONE_LOG".to_owned());
        }
        variables
    }
}

/// `TOUCHSTONE_FEED_HEARTBEAT_INTERVAL`.
pub(super) fn variable(name: &str) -> String {
    format!("TOUCHSTONE_{}", name.replace(['.', '-'], "_").to_uppercase())
}

/// Every key, in the order in which they are listed.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    server::KEYS.iter().chain(dialects::KEYS)
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_flags_and_variables_are_nobody_elses() {
        let mut seen = HashSet::new();
        for key in keys() {
            for name in key.variables() {
                assert!(seen.insert(name.clone()), "{name}");
            }
            assert!(!key.doc.ends_with('.'), "{}", key.name);
            if let Some(general) = key.falls_back_to {
                assert!(find(general).is_some(), "{general}");
            }
        }
    }
}
