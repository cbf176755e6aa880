//! A protocol that is none of the dialects, made of its description in a workload.
//!
//! Everything that can be wrong with the description is found here, before a run: what compiles can be spoken.

mod client;
mod doing;
mod glean;
mod template;

use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use touchstone_protocol::client::{Act, Audience, Backoff, Effect, Growth};

pub use client::{CustomClient, Who};

use crate::workload::custom::{Custom, CustomAct, CustomBackoff, CustomCatchUp, Recogniser, To};
use doing::{Asking, Asks, Doing, Headers, ReadingBack, frames, headers, with_pages};
use glean::Wanted;
pub(crate) use template::PLACES;
use template::{Pages, Place, Scope, Template};

/// Pointers of one description; each message of the server is read for all of them at once.
const POINTERS_MAX: usize = 64;
/// The column of a user that holds his token.
pub(crate) const TOKEN: &str = "token";
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";
/// Of a wait; what histograms can hold.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// What is wrong with a description, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The workload's key.
    pub key: String,
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub help: Option<String>,
}

impl Mistake {
    fn new(key: &str, why: String) -> Self {
        Self {
            key: key.to_owned(),
            why,
            help: None,
        }
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

/// A compiled description.
#[derive(Debug, Clone)]
pub struct CustomProtocol {
    written: Custom,
    path: Template,
    headers: Headers,
    greeting: Vec<Template>,
    resume: Option<Template>,
    reading_back: Option<ReadingBack>,
    /// The slot of the counter of the server's messages.
    last: Option<usize>,
    acts: Vec<Act>,
    doing: Vec<Doing>,
    wanted: Wanted,
    slots: usize,
    signs: Vec<(Sign, Compiled)>,
    beat: Option<(Duration, String)>,
    /// Whether a number alone names a message.
    counts: bool,
    /// Whether a sender is owed his own messages.
    hears_own: bool,
}

/// What a message of the server's means.
#[derive(Debug, Clone, PartialEq)]
enum Sign {
    Answer,
    Reply(usize),
    Confirm,
    Delivery,
    /// As a delivery, and it confirms the message to its sender.
    DeliveryThatConfirms,
    Ready,
    Push,
    Error,
    /// It brings what was missed.
    Missed,
    /// All that was missed has come.
    ReadBack,
    /// And what it wants to hear.
    Heartbeat(Option<String>),
}

/// A compiled recogniser.
#[derive(Debug, Clone)]
enum Compiled {
    Json {
        conditions: Vec<(usize, Value)>,
        key: Option<usize>,
    },
    Text(Regex),
}

impl PartialEq for CustomProtocol {
    /// The rest follows from the description.
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl CustomProtocol {
    /// Compiles a description, whose templates may name columns of the files `feeds`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(written: &Custom, feeds: &[&str]) -> Result<Self, Mistake> {
        let scope = Scope {
            key: "custom",
            feeds,
            pages: Pages::None,
        };
        let mut protocol = Self {
            written: written.clone(),
            path: Template::path(&written.path, scope.at("custom.path"))?,
            headers: headers(&written.headers, scope.at("custom.headers"))?,
            greeting: frames(&written.greeting, scope.at("custom.greeting"))?,
            resume: None,
            reading_back: None,
            last: None,
            acts: Vec::new(),
            doing: Vec::new(),
            wanted: Wanted::default(),
            slots: 0,
            signs: Vec::new(),
            beat: None,
            counts: false,
            hears_own: false,
        };
        if let Some(subprotocol) = &written.subprotocol {
            let template = Template::header(&subprotocol.replace('$', "$$"), scope.at("custom.subprotocol"))?;
            protocol.headers.push((SUBPROTOCOL.to_owned(), template));
        }
        if let Some(resume) = &written.resume {
            protocol.resume = Some(Template::frame(&resume.send, scope.at("custom.resume.send"))?);
            if let Some(pointer) = &resume.last {
                protocol.last = Some(protocol.slot(pointer, "custom.resume.last")?);
            }
        }
        if let Some(catch_up) = &written.catch_up {
            protocol.catch_up(catch_up, scope.at("custom.catch_up"))?;
        }
        protocol.signs_of_life()?;
        for (name, act) in &written.acts {
            protocol.act(name, act, scope)?;
        }
        if protocol.acts.is_empty() {
            return Err(Mistake::new("custom.acts", "users can do nothing".to_owned()));
        }
        protocol.rest()?;
        check_backoff(written.backoff)?;
        Ok(protocol)
    }

    fn catch_up(&mut self, written: &CustomCatchUp, scope: Scope<'_>) -> Result<(), Mistake> {
        let mistake = |why: &str| Mistake::new(scope.key, why.to_owned());
        let scope = with_pages(scope);
        let asks = match (&written.send, &written.request) {
            (Some(_), Some(_)) => return Err(mistake("it has one of `send` and `request`")),
            (Some(send), None) => Asks::Frame(Template::frame(send, scope.at("custom.catch_up.send"))?),
            (None, Some(request)) => {
                Asks::Request(Asking::new(request, scope.at("custom.catch_up.request"))?)
            }
            (None, None) if self.resume.is_some() => Asks::Resume,
            (None, None) => {
                return Err(mistake("nobody asks for what was missed")
                    .help("write `send`, or `request`, or a `resume` that the server answers with it"));
            }
        };
        match (&asks, &written.missed, &written.done) {
            (Asks::Request(_), None, None) | (Asks::Frame(_) | Asks::Resume, Some(_), _) => {}
            (Asks::Request(_), Some(_), _) | (Asks::Request(_), None, Some(_)) => {
                return Err(mistake("what was missed is in the answer to the `request`")
                    .help("`missed` and `done` are for frames"));
            }
            (Asks::Frame(_) | Asks::Resume, None, _) => {
                return Err(mistake("it does not say which frames bring what was missed")
                    .help("write for example `missed: {where: {/type: history}}`"));
            }
        }
        if let Some(missed) = &written.missed {
            self.sign(Sign::Missed, missed, "custom.catch_up.missed")?;
        }
        if let Some(done) = &written.done {
            self.sign(Sign::ReadBack, done, "custom.catch_up.done")?;
        }
        if let Some(pointer) = &written.last {
            let slot = self.slot(pointer, "custom.catch_up.last")?;
            if self.last.replace(slot).is_some_and(|other| other != slot) {
                let why = "`resume.last` is another place, and a server counts its messages once".to_owned();
                return Err(Mistake::new("custom.catch_up.last", why));
            }
        }
        let reading_back = ReadingBack::new(asks, written.done.is_some());
        if reading_back.from_last && self.last.is_none() {
            return Err(
                mistake("it does not say where `${last}` stands in what the server says")
                    .help("write for example `last: /seq`"),
            );
        }
        self.reading_back = Some(reading_back);
        Ok(())
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.written.name
    }

    /// What its users can do.
    #[must_use]
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// Whether whoever was away can learn what was said meanwhile.
    #[must_use]
    pub fn reads_back(&self) -> bool {
        self.reading_back.is_some()
    }

    /// Whether its clients say unasked that they are alive.
    #[must_use]
    pub fn beats(&self) -> bool {
        self.beat.is_some()
    }

    /// The dialect whose users and tokens of the target are its own, where it names one.
    #[must_use]
    pub fn users_of(&self) -> Option<&str> {
        self.written.users_of.as_deref()
    }

    /// The columns of a user that its templates name, `id` apart, which every user has; `token` is one of them.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<_> = self
            .places()
            .filter_map(|place| match place {
                Place::User(column) | Place::Recipient(column) => Some(column.as_str()),
                Place::Token => Some(TOKEN),
                Place::Stamp
                | Place::Index
                | Place::Session
                | Place::Channel
                | Place::Last
                | Place::Page
                | Place::Feed(..) => None,
            })
            .filter(|column| *column != "id")
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The columns of other files that its templates name, with the places of those.
    #[must_use]
    pub fn columns_of_feeds(&self) -> Vec<(usize, &str)> {
        let named = self.places().filter_map(|place| match place {
            Place::Feed(feed, column) => Some((*feed, column.as_str())),
            Place::User(_)
            | Place::Recipient(_)
            | Place::Token
            | Place::Stamp
            | Place::Index
            | Place::Session
            | Place::Channel
            | Place::Last
            | Place::Page => None,
        });
        named.collect()
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let done = self.doing.iter().flat_map(Doing::templates);
        let read_back = self
            .reading_back
            .iter()
            .flat_map(|reading| reading.asks.templates());
        let headers = self.headers.iter().map(|(_, value)| value);
        let all = done.chain(read_back).chain(headers);
        all.chain(&self.greeting)
            .chain(&self.resume)
            .chain([&self.path])
            .flat_map(Template::places)
    }

    fn backoff(&self) -> Backoff {
        let CustomBackoff {
            first,
            factor,
            max,
            attempts,
        } = self.written.backoff;
        Backoff {
            first: first.0,
            growth: Growth::Percent((factor * 100.0).round() as u32),
            max: max.0,
            attempts_max: attempts,
        }
    }

    fn act(&mut self, name: &str, act: &CustomAct, scope: Scope<'_>) -> Result<(), Mistake> {
        let key = format!("custom.acts.{name}");
        let doing = Doing::new(act, scope.at(&key))?;
        let index = self.acts.len();
        let effect = self.effect(index, act, &doing, &key)?;
        self.acts.push(Act {
            name: name.to_owned().into(),
            effect,
        });
        self.doing.push(doing);
        Ok(())
    }

    fn effect(&mut self, index: usize, act: &CustomAct, doing: &Doing, key: &str) -> Result<Effect, Mistake> {
        let mistake = |why: &str| Mistake::new(key, why.to_owned());
        if let (Some(_), Some(_)) = (&act.answer, &act.delivery) {
            return Err(mistake("an act is answered or delivered")
                .help("what its sender hears of a message that is delivered is its `confirm`"));
        }
        if let Some(confirm) = &act.confirm {
            self.sign(Sign::Confirm, confirm, &format!("{key}.confirm"))?;
        }
        if let Some(answer) = &act.answer {
            let has_key = answer.key.is_some() || answer.matches.is_some();
            let (sign, effect) = match (has_key, doing) {
                (true, _) => (Sign::Answer, Effect::Answer),
                (false, Doing::Say(_)) => (Sign::Reply(index), Effect::Reply),
                (false, Doing::Ask(_)) => {
                    return Err(Mistake::new(
                        &format!("{key}.answer"),
                        "without a `key` nobody knows which request it answers".to_owned(),
                    )
                    .help("leave `answer` out, and the answer to the request is the answer"));
                }
            };
            self.sign(sign, answer, &format!("{key}.answer"))?;
            return Ok(effect);
        }
        let (delivery, to) = match (&act.delivery, act.to) {
            (Some(delivery), Some(to)) => (delivery, to),
            (None, None) => {
                return Ok(match doing {
                    Doing::Say(_) => Effect::Nothing,
                    Doing::Ask(_) => Effect::Reply,
                });
            }
            (Some(_), None) => {
                return Err(mistake("nobody is owed the delivery")
                    .help("write `to: others`, `group`, `recipient` or `everybody`"));
            }
            (None, Some(_)) => return Err(mistake("`to` is for what has a `delivery`")),
        };
        let audience = match to {
            To::Others => Audience::OthersOfGroup,
            To::Group => Audience::Group,
            To::Recipient => Audience::Recipient,
            To::Everybody => Audience::Everybody,
        };
        self.hears_own |= matches!(audience, Audience::Group | Audience::Everybody);
        let confirmed = act.confirm.is_some() || matches!(doing, Doing::Ask(_));
        let sign = match (confirmed, audience) {
            (true, _) => Sign::Delivery,
            (false, Audience::Group | Audience::Everybody) => Sign::DeliveryThatConfirms,
            (false, Audience::OthersOfGroup | Audience::Recipient) => {
                return Err(mistake("without `confirm` nobody knows what the server owes")
                    .help("say how the server tells the sender that it has the message"));
            }
        };
        self.sign(sign, delivery, &format!("{key}.delivery"))?;
        Ok(Effect::Delivery { audience })
    }

    fn signs_of_life(&mut self) -> Result<(), Mistake> {
        let heartbeat = self.written.heartbeat.clone();
        for (number, reply) in heartbeat.answer.iter().enumerate() {
            let text = (!reply.reply.is_null()).then(|| literal(&reply.reply));
            let key = format!("custom.heartbeat.answer.{number}.when");
            self.sign(Sign::Heartbeat(text), &reply.when, &key)?;
        }
        if let Some(beat) = heartbeat.send {
            if beat.every.0.is_zero() || beat.every.0 > WAIT_MAX {
                let why = "it must be between 1ns and 3600s".to_owned();
                return Err(Mistake::new("custom.heartbeat.send.every", why));
            }
            self.beat = Some((beat.every.0, literal(&beat.text)));
        }
        Ok(())
    }

    /// What is recognised last, so that acts come first.
    fn rest(&mut self) -> Result<(), Mistake> {
        let Custom {
            ready,
            pushes,
            errors,
            ..
        } = self.written.clone();
        if let Some(ready) = &ready {
            self.sign(Sign::Ready, ready, "custom.ready")?;
        }
        for (number, error) in errors.iter().enumerate() {
            self.sign(Sign::Error, error, &format!("custom.errors.{number}"))?;
        }
        for (number, push) in pushes.iter().enumerate() {
            self.sign(Sign::Push, push, &format!("custom.pushes.{number}"))?;
        }
        Ok(())
    }

    fn sign(&mut self, sign: Sign, recogniser: &Recogniser, key: &str) -> Result<(), Mistake> {
        let wants_key = match sign {
            Sign::Answer | Sign::Confirm | Sign::Delivery | Sign::DeliveryThatConfirms => true,
            Sign::Reply(_)
            | Sign::Ready
            | Sign::Push
            | Sign::Error
            | Sign::Missed
            | Sign::ReadBack
            | Sign::Heartbeat(_) => false,
        };
        let compiled = self.compile(recogniser, key)?;
        let has_key = match &compiled {
            Compiled::Json { key, .. } => key.is_some(),
            Compiled::Text(regex) => regex.captures_len() > 1,
        };
        if wants_key && !has_key {
            return Err(Mistake::new(key, "it does not say where the key of the message is".to_owned())
                .help("write `key: /pointer`, or a group in `matches`, to where `${stamp}` or `${index}` comes back"));
        }
        self.counts |= wants_key;
        self.signs.push((sign, compiled));
        Ok(())
    }

    fn compile(&mut self, recogniser: &Recogniser, key: &str) -> Result<Compiled, Mistake> {
        match &recogniser.matches {
            Some(expression) if recogniser.key.is_none() && recogniser.conditions.is_empty() => {
                Regex::new(expression)
                    .map(Compiled::Text)
                    .map_err(|error| Mistake::new(&format!("{key}.matches"), no_expression(&error)))
            }
            Some(_) => Err(Mistake::new(
                key,
                "`matches` stands alone, without `where` and `key`".to_owned(),
            )),
            None => {
                let mut conditions = Vec::new();
                for (pointer, value) in &recogniser.conditions {
                    let slot = self.slot(pointer, &format!("{key}.where"))?;
                    conditions.push((slot, value.clone()));
                }
                let found = match &recogniser.key {
                    Some(pointer) => Some(self.slot(pointer, &format!("{key}.key"))?),
                    None => None,
                };
                if found.is_none() && conditions.is_empty() {
                    return Err(Mistake::new(key, "it would recognise everything".to_owned())
                        .help("write `where: {/pointer: value}`, `key: /pointer` or `matches: …`"));
                }
                Ok(Compiled::Json {
                    conditions,
                    key: found,
                })
            }
        }
    }

    fn slot(&mut self, pointer: &str, key: &str) -> Result<usize, Mistake> {
        if !pointer.starts_with('/') {
            let why = format!("`{pointer}` is no JSON pointer");
            return Err(Mistake::new(key, why).help(&format!("write `/{pointer}`")));
        }
        let slot = self.wanted.add(pointer, self.slots);
        self.slots = self.slots.max(slot + 1);
        if self.slots > POINTERS_MAX {
            let why = format!("there are more than {POINTERS_MAX} pointers");
            return Err(Mistake::new(key, why));
        }
        Ok(slot)
    }
}

/// Why a text is no regular expression, in one line: the others of the library's answer draw a caret under it.
fn no_expression(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("no regular expression: {}", last.trim_start_matches("error: "))
}

fn check_backoff(backoff: CustomBackoff) -> Result<(), Mistake> {
    let key = |name| format!("custom.backoff.{name}");
    if !(1.0..=100.0).contains(&backoff.factor) {
        let why = format!("{:?} is not between 1.0 and 100.0", backoff.factor);
        return Err(Mistake::new(&key("factor"), why));
    }
    for (name, wait) in [("first", backoff.first), ("max", backoff.max)] {
        if wait.0 > WAIT_MAX {
            return Err(Mistake::new(
                &key(name),
                "no wait is longer than an hour".to_owned(),
            ));
        }
    }
    Ok(())
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
