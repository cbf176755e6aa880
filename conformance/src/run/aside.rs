//! What is out of a case's way: messages that it ignores, heartbeats, and frames about people who take no part in it.

use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_scenarios::habits::{Greeting, Habits, Stranger};
use touchstone_scenarios::scenario::{Action, Awaited, MatcherKind, MessageMatcher, Scenario, Scope, Step};

use super::trial::Trial;
use crate::frames::{Content, Message};
use crate::matching::{compare, compare_message, same, text_of};
use crate::tap::Record;

impl Trial<'_> {
    /// What the dialect does by itself.
    pub(crate) fn habits(&self, dialect: Option<Dialect>) -> Option<&'static Habits> {
        let folder = self.bench.rules.dialect(dialect.or(self.case.dialect)?)?;
        Some(&folder.habits)
    }

    /// Whether the message of this number is out of the way. `dialect` is that of the connection.
    pub(crate) fn is_set_aside(&self, dialect: Option<Dialect>, record: &Record, index: usize) -> bool {
        let Some(message) = record.received.get(index) else {
            return false;
        };
        let scenario = self.scenario();
        let ignored = |matcher| {
            self.compare(|environment| compare_message(matcher, message, environment))
                .mismatches
                .is_empty()
        };
        if self.is_a_sounding(message) || scenario.ignore.iter().any(ignored) {
            return true;
        }
        let Some(value) = message.json() else {
            return false;
        };
        let habits = self.habits(dialect);
        let heartbeat = habits
            .and_then(|habits| habits.heartbeat.as_ref())
            .filter(|_| !scenario.heartbeats_judged);
        let fits = |matcher| {
            self.compare(|environment| compare(matcher, value, environment))
                .mismatches
                .is_empty()
        };
        if heartbeat.into_iter().any(fits) {
            return true;
        }
        let Some(habits) = habits else {
            return false;
        };
        self.is_by_the_way(habits, value) || self.is_strangers(habits, record, index, value)
    }

    /// The type of the first message on the connection that belongs to its dialect's greeting, if one came.
    pub(super) fn greeting_heard(&self, index: usize) -> Option<String> {
        let actor = &self.actors[index];
        let greeting = &self.habits(actor.dialect)?.greeting;
        let record = actor.log.record();
        record.received.iter().find_map(|message| {
            let value = message.json()?;
            let kind = value.get("type")?.as_str()?;
            let is_greeting = |own: &Greeting| kind_of(&own.message) == Some(kind);
            greeting.iter().any(is_greeting).then(|| kind.to_owned())
        })
    }

    /// A scenario for several dialects knows neither their greetings nor what they tell of who comes and goes.
    fn is_by_the_way(&self, habits: &Habits, value: &Value) -> bool {
        let scenario = self.scenario();
        let several = matches!(scenario.scope, Scope::First | Scope::Each(_));
        if !several || awaits_greeting(scenario) {
            return false;
        }
        let Some(kind) = value.get("type").and_then(Value::as_str) else {
            return false;
        };
        let greeted_by = |message: &MessageMatcher| kind_of(message).is_some_and(|own| own == kind);
        habits.presence.iter().any(|presence| presence == kind)
            || habits
                .greeting
                .iter()
                .any(|greeting| greeted_by(&greeting.message))
    }

    /// A frame that goes to everybody, and is about somebody else.
    fn is_strangers(&self, habits: &Habits, record: &Record, index: usize, value: &Value) -> bool {
        let Some(kind) = value.get("type").and_then(Value::as_str) else {
            return false;
        };
        let Some(stranger) = habits.strangers.iter().find(|stranger| stranger.kind == kind) else {
            return false;
        };
        match &stranger.after {
            Some(after) => self.is_owed(habits, record, index, (kind, after)),
            None => self.is_about_a_stranger(stranger, record.received.get(index), value),
        }
    }

    fn is_about_a_stranger(&self, stranger: &Stranger, message: Option<&Message>, value: &Value) -> bool {
        let identity = stranger
            .identity
            .as_ref()
            .and_then(|pointer| value.pointer(pointer));
        if stranger.among.is_empty() {
            return identity.is_some_and(|identity| !self.cast.has_id(identity));
        }
        let text = match message.map(|message| &message.content) {
            Some(Content::Text(text)) => text.as_str(),
            Some(Content::Binary(_) | Content::BadText(_) | Content::BadDeflate(..)) | None => "",
        };
        let data = value.get("data");
        let injected = data.is_some_and(|data| self.injected.iter().any(|own| same(own, data)));
        let captured = identity.is_some_and(|identity| {
            let known = |(source, value): &(String, Value)| {
                stranger.among.iter().any(|word| source.contains(word))
                    && text_of(value.clone()) == text_of(identity.clone())
            };
            self.captured.iter().any(known)
        });
        !(text.contains(&self.mark_of_case()) || injected || captured)
    }

    /// For each frame of type `after` that was about a stranger comes one of type `kind`, the first that is left.
    fn is_owed(&self, habits: &Habits, record: &Record, index: usize, (kind, after): (&str, &str)) -> bool {
        let mut owed = 0_usize;
        for (number, message) in record.received.iter().enumerate().take(index) {
            let Some(value) = message.json() else { continue };
            match value.get("type").and_then(Value::as_str) {
                Some(seen) if seen == after && self.is_strangers(habits, record, number, value) => owed += 1,
                Some(seen) if seen == kind => owed = owed.saturating_sub(1),
                Some(_) | None => {}
            }
        }
        owed > 0
    }
}

/// The type that a message's matcher asks for.
fn kind_of(message: &MessageMatcher) -> Option<&str> {
    let MessageMatcher::Json(matcher) = message else {
        return None;
    };
    let MatcherKind::Object { fields, .. } = &matcher.kind else {
        return None;
    };
    let (_, kind) = fields.iter().find(|(name, _)| name.value == "type")?;
    match &kind.kind {
        MatcherKind::Value(template) => template.value.as_str(),
        _ => None,
    }
}

/// Whether the scenario looks at greetings itself.
fn awaits_greeting(scenario: &Scenario) -> bool {
    fn any(steps: &[Step]) -> bool {
        steps.iter().any(|step| match &step.action {
            Action::Connect { greeting, .. } | Action::ConnectAs { greeting, .. } => {
                *greeting == Awaited::Yes
            }
            Action::Table(table) => any(&table.each),
            _ => false,
        })
    }
    any(&scenario.given) || any(&scenario.steps)
}
