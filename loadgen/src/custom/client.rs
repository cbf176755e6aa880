//! One user of a protocol of one's own.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use touchstone_protocol::client::{
    Address, Asked, Backoff, Beat, ClientHalf, Comeback, Draft, Effect, Heard, Next, Request, Stamp, Turn,
    Way,
};

use super::doing::{Asking, Asks, Doing};
use super::glean::Found;
use super::template::{Kind, Place, Template, Values};
use super::{Compiled, CustomProtocol, SUBPROTOCOL, Sign};
use crate::feed::{Cell, Feeds};

/// Pages that one who missed something reads back at most: more than any run fills.
const PAGES_MAX: u32 = 1_000;
/// Messages whose answers may still come by their number alone; an answer to an older one is no answer any more.
const REMEMBERED_MAX: usize = 1_024;

/// Who a user is among all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The run's tag above the session's number.
    pub sender: u64,
    /// The number of his group.
    pub group: u32,
    /// His place in it.
    pub place: u32,
    /// How many it has.
    pub members: u32,
}

/// A user of a [`CustomProtocol`].
#[derive(Debug, Clone)]
pub struct CustomClient {
    pub(super) protocol: Arc<CustomProtocol>,
    feeds: Arc<Feeds>,
    who: Who,
    token: String,
    /// Turns that he has taken.
    taken: u32,
    /// How far the frames that take turns are, on this connection.
    turns: u32,
    connections: u32,
    /// What was last heard at the counter's place.
    last: String,
    last_kind: Kind,
    missed: Missed,
    /// Ascending by their sequence.
    sent: VecDeque<Stamp>,
}

/// How far he is with reading back what he missed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Missed {
    /// He waits for nothing.
    NotAsked,
    /// He has asked for more.
    Asked,
    /// It had messages: the next page may have some, too.
    Found,
}

impl CustomClient {
    /// The user `who`, whose values stand in `feeds` by his session's number. His token is given to him later.
    #[must_use]
    pub fn new(protocol: Arc<CustomProtocol>, feeds: Arc<Feeds>, who: Who) -> Self {
        Self {
            protocol,
            feeds,
            who,
            token: String::new(),
            taken: 0,
            last_kind: Kind::Text,
            missed: Missed::NotAsked,
            turns: 0,
            connections: 0,
            last: String::new(),
            sent: VecDeque::new(),
        }
    }

    fn values(&self, turn: Option<Turn>) -> Said<'_> {
        Said {
            client: self,
            turn,
            page: 0,
        }
    }

    /// Headers with these values, into `out`.
    fn write_headers<'h>(
        headers: impl IntoIterator<Item = &'h (String, Template)>,
        said: &Said<'_>,
        out: &mut Vec<(String, String)>,
    ) {
        out.extend(headers.into_iter().map(|(name, template)| {
            let mut value = String::new();
            template.write(said, &mut value);
            (name.clone(), value)
        }));
    }

    /// Writes a request with these values into the draft.
    fn ask<'a>(&self, asking: &Asking, said: &Said<'_>, draft: &'a mut Draft) -> Next<'a> {
        let Draft { body, path, headers } = draft;
        body.clear();
        path.clear();
        headers.clear();
        asking.path.write(said, path);
        asking.body.write(said, body);
        let shared = self.protocol.headers.iter();
        Self::write_headers(shared.filter(|(name, _)| name != SUBPROTOCOL), said, headers);
        Self::write_headers(&asking.headers, said, headers);
        Next::Request(Request {
            method: asking.method,
            path,
            headers,
            body,
        })
    }

    /// Tells every message that stands in a text which brings what was missed; whether there is any.
    fn read_back<'a>(&self, text: &str, tell: &mut impl FnMut(Heard<'a>)) -> bool {
        let mut found = false;
        for (at, _) in text.match_indices('~') {
            let Some(stamp) = Stamp::read(&text[at..]) else {
                continue;
            };
            found = true;
            if self.protocol.hears_own || stamp.key.sender != self.who.sender {
                let by = Way::CaughtUp;
                tell(Heard::Delivery { stamp, by });
            }
        }
        found
    }

    /// Keeps what stands at the counter's place.
    fn count(&mut self, last: &Found<'_>) {
        self.last.clear();
        self.last_kind = Kind::Json;
        match last {
            Found::Text(text) => {
                self.last.push_str(text);
                self.last_kind = Kind::Text;
            }
            Found::Whole(number) => {
                write!(self.last, "{number}").expect("a String takes everything");
            }
            Found::Number(number) => {
                write!(self.last, "{number}").expect("a String takes everything");
            }
            Found::Truth(_) | Found::Null | Found::Other => self.last_kind = Kind::Text,
        }
    }

    /// A frame has come that brings what was missed.
    fn came_back<'a>(&mut self, found: bool, tell: &mut impl FnMut(Heard<'a>)) {
        if self.missed == Missed::NotAsked {
            return;
        }
        if found {
            self.missed = Missed::Found;
        }
        let reading_back = self.protocol.reading_back.as_ref();
        if reading_back.is_some_and(|reading_back| !reading_back.has_end) {
            self.is_read_back(tell);
        }
    }

    /// All has come that was asked for.
    fn is_read_back<'a>(&mut self, tell: &mut impl FnMut(Heard<'a>)) {
        match self.missed {
            Missed::NotAsked => {}
            Missed::Asked => {
                self.missed = Missed::NotAsked;
                tell(Heard::ReadBack);
            }
            Missed::Found => tell(Heard::ReadBack),
        }
    }

    /// What the description says of a close code, or the status of a refusal.
    fn after(&self, code: u16) -> Option<Comeback> {
        let written = &self.protocol.written;
        if written.stay_away_after.contains(&code) {
            return Some(Comeback::Never);
        }
        let wants_token = written.new_token_after.contains(&code);
        wants_token.then_some(Comeback::WithNewToken)
    }

    /// The message that a key names.
    fn stamp(&self, key: &Found<'_>) -> Option<Stamp> {
        match key {
            Found::Text(text) => self.named(text),
            Found::Whole(number) => self.numbered(*number),
            Found::Number(_) | Found::Truth(_) | Found::Null | Found::Other => None,
        }
    }

    fn named(&self, text: &str) -> Option<Stamp> {
        match text.find('~') {
            Some(start) => Stamp::read(&text[start..]),
            None => self.numbered(text.parse().ok()?),
        }
    }

    fn numbered(&self, number: u64) -> Option<Stamp> {
        let sequence = u32::try_from(number).ok()?;
        let at = self
            .sent
            .binary_search_by_key(&sequence, |stamp| stamp.key.sequence)
            .ok()?;
        Some(self.sent[at])
    }

    fn remember(&mut self, stamp: Stamp) {
        if !self.protocol.counts || stamp.key.sequence == 0 {
            return;
        }
        if self.sent.len() == REMEMBERED_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(stamp);
    }

    /// Whether `compiled` recognises the text, and the key it finds there.
    fn recognise(&self, compiled: &Compiled, text: &str, json: Option<&[Option<Found<'_>>]>) -> Recognised {
        match compiled {
            Compiled::Json { conditions, key } => {
                let Some(slots) = json else {
                    return Recognised::Not;
                };
                let holds = |(slot, value): &(usize, Value)| {
                    slots[*slot].as_ref().is_some_and(|found| is(found, value))
                };
                if !conditions.iter().all(holds) {
                    return Recognised::Not;
                }
                match key {
                    None => Recognised::WithoutKey,
                    Some(slot) => match slots[*slot].as_ref().and_then(|found| self.stamp(found)) {
                        Some(stamp) => Recognised::As(stamp),
                        None => Recognised::Not,
                    },
                }
            }
            Compiled::Text(regex) if regex.captures_len() == 1 => match regex.is_match(text) {
                true => Recognised::WithoutKey,
                false => Recognised::Not,
            },
            Compiled::Text(regex) => {
                let found = regex.captures(text).and_then(|found| found.get(1));
                match found.and_then(|found| self.named(found.as_str())) {
                    Some(stamp) => Recognised::As(stamp),
                    None => Recognised::Not,
                }
            }
        }
    }
}

enum Recognised {
    Not,
    WithoutKey,
    As(Stamp),
}

fn is(found: &Found<'_>, value: &Value) -> bool {
    match (found, value) {
        (Found::Text(text), Value::String(value)) => text == value,
        (Found::Whole(number), Value::Number(value)) => {
            value.as_u64() == Some(*number) || value.as_f64() == Some(*number as f64)
        }
        (Found::Number(number), Value::Number(value)) => value.as_f64() == Some(*number),
        (Found::Truth(truth), Value::Bool(value)) => truth == value,
        (Found::Null, Value::Null) => true,
        _ => false,
    }
}

impl ClientHalf for CustomClient {
    /// One segment, which is the whole path after its first slash, and the query.
    fn address(&self) -> Address {
        let mut path = String::new();
        let said = self.values(None);
        self.protocol.path.write(&said, &mut path);
        let mut headers = Vec::new();
        Self::write_headers(&self.protocol.headers, &said, &mut headers);
        Address {
            segments: vec![path[1..].to_owned()],
            query: String::new(),
            headers,
        }
    }

    fn greeting(&mut self, say: &mut dyn FnMut(&str)) {
        self.turns = 0;
        self.connections += 1;
        let protocol = Arc::clone(&self.protocol);
        let frames = match &protocol.resume {
            Some(resume) if self.connections > 1 => std::slice::from_ref(resume),
            Some(_) | None => &protocol.greeting,
        };
        let mut text = String::new();
        for frame in frames {
            text.clear();
            frame.write(&self.values(None), &mut text);
            say(&text);
        }
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        self.remember(turn.stamp);
        self.taken += 1;
        let protocol = Arc::clone(&self.protocol);
        match &protocol.doing[turn.act] {
            Doing::Say(frames) => {
                draft.body.clear();
                let frame = &frames[self.turns as usize % frames.len()];
                frame.write(&self.values(Some(turn)), &mut draft.body);
                // One count for all acts: an act of one frame does not mind, and two that take turns are one mix.
                self.turns = self.turns.wrapping_add(u32::from(frames.len() > 1));
                Next::Send(&draft.body)
            }
            Doing::Ask(asking) => self.ask(asking, &self.values(Some(turn)), draft),
        }
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let protocol = Arc::clone(&self.protocol);
        let mut slots = vec![None; protocol.slots];
        let json = protocol.slots > 0 && protocol.wanted.glean(text, &mut slots);
        let json = json.then_some(slots.as_slice());
        let mut heard = false;
        for (sign, compiled) in &protocol.signs {
            let recognised = self.recognise(compiled, text, json);
            match (sign, recognised) {
                (_, Recognised::Not) => continue,
                (Sign::Answer, Recognised::As(stamp)) => tell(Heard::Answer { stamp, count: None }),
                (Sign::Confirm, Recognised::As(stamp)) => tell(Heard::Confirmed { stamp }),
                (Sign::Delivery, Recognised::As(stamp)) => tell(Heard::Delivery { stamp, by: Way::Live }),
                (Sign::DeliveryThatConfirms, Recognised::As(stamp)) => {
                    if stamp.key.sender == self.who.sender {
                        tell(Heard::Confirmed { stamp });
                    }
                    tell(Heard::Delivery { stamp, by: Way::Live });
                }
                (
                    Sign::Answer | Sign::Confirm | Sign::Delivery | Sign::DeliveryThatConfirms,
                    Recognised::WithoutKey,
                ) => continue,
                (Sign::Reply(act), _) => tell(Heard::Reply { act: *act }),
                (Sign::Ready, _) => tell(Heard::Ready),
                (Sign::Push, _) => tell(Heard::Push),
                (Sign::Error, _) => tell(Heard::Refused),
                (Sign::Missed, _) => {
                    let found = self.read_back(text, tell);
                    self.came_back(found, tell);
                }
                (Sign::ReadBack, _) => self.is_read_back(tell),
                (Sign::Heartbeat(reply), _) => tell(Heard::Heartbeat {
                    reply: reply.clone().map(Cow::Owned),
                }),
            }
            heard = true;
        }
        if !heard {
            tell(Heard::Unknown);
        }
        if let (Some(slot), Some(slots)) = (protocol.last, json)
            && let Some(last) = &slots[slot]
        {
            self.count(last);
        }
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let ok = (200..300).contains(&status);
        match asked {
            Asked::Act { act, stamp } if ok => match self.protocol.acts[act].effect {
                Effect::Reply => tell(Heard::Reply { act }),
                Effect::Delivery { .. } => tell(Heard::Confirmed { stamp }),
                // The answer comes over the connection.
                Effect::Answer | Effect::Nothing => {}
            },
            Asked::CatchUp if ok => {
                self.missed = match self.read_back(body, tell) {
                    true => Missed::Found,
                    false => Missed::NotAsked,
                };
            }
            Asked::Act { .. } => tell(Heard::Refused),
            Asked::CatchUp => {
                self.missed = Missed::NotAsked;
                tell(Heard::Refused);
            }
        }
    }

    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        let protocol = Arc::clone(&self.protocol);
        let Some(reading_back) = &protocol.reading_back else {
            return Next::Nothing;
        };
        let goes_on = step < PAGES_MAX && reading_back.by_pages && self.missed == Missed::Found;
        if step > 0 && !goes_on {
            self.missed = Missed::NotAsked;
            return Next::Nothing;
        }
        let said = Said {
            page: step + 1,
            ..self.values(None)
        };
        let next = match &reading_back.asks {
            Asks::Resume => return Next::Nothing,
            Asks::Request(asking) => self.ask(asking, &said, draft),
            Asks::Frame(frame) => {
                draft.body.clear();
                frame.write(&said, &mut draft.body);
                Next::Send(&draft.body)
            }
        };
        self.missed = Missed::Asked;
        next
    }

    fn catches_up_at_once(&self) -> bool {
        let reading_back = self.protocol.reading_back.as_ref();
        reading_back.is_some_and(|reading_back| reading_back.from_last)
    }

    fn beat(&self) -> Option<Beat<'_>> {
        let (interval, text) = self.protocol.beat.as_ref()?;
        Some(Beat {
            interval: *interval,
            text,
        })
    }

    fn backoff(&self) -> Backoff {
        self.protocol.backoff()
    }

    fn comeback(&self, code: Option<u16>) -> Comeback {
        code.and_then(|code| self.after(code)).unwrap_or(Comeback::Again)
    }

    fn refused(&self, status: u16) -> Option<Comeback> {
        self.after(status)
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }
}

/// What stands at the places of what a user says.
struct Said<'a> {
    client: &'a CustomClient,
    /// Missing in what is said on no turn.
    turn: Option<Turn>,
    /// Of what is read back.
    page: u32,
}

impl Said<'_> {
    fn column(&self, sender: u64, column: &str, out: &mut String) -> Kind {
        match self.client.feeds.user(sender as u32, column) {
            Some(cell) => written(cell, out),
            None => {
                write!(out, "{sender:x}").expect("a String takes everything");
                Kind::Text
            }
        }
    }

    /// The number of the message, or of the turn where no ledger counts the act.
    fn index(&self) -> u32 {
        match self.turn.map(|turn| turn.stamp.key.sequence) {
            Some(0) => self.client.taken,
            Some(sequence) => sequence,
            None => 0,
        }
    }
}

fn written(cell: &Cell, out: &mut String) -> Kind {
    out.push_str(cell.text());
    match cell.is_json() {
        true => Kind::Json,
        false => Kind::Text,
    }
}

impl Values for Said<'_> {
    fn write(&self, place: &Place, out: &mut String) -> Kind {
        let CustomClient { who, token, last, .. } = self.client;
        match place {
            Place::Stamp => {
                if let Some(turn) = self.turn {
                    turn.stamp.write(turn.content_bytes, out);
                }
            }
            Place::Index => {
                write!(out, "{}", self.index()).expect("a String takes everything");
                return Kind::Json;
            }
            Place::Page => {
                write!(out, "{}", self.page).expect("a String takes everything");
                return Kind::Json;
            }
            Place::Session => write!(out, "{:x}", who.sender).expect("a String takes everything"),
            Place::Token => out.push_str(token),
            Place::Channel => {
                let tag = who.sender >> 32;
                write!(out, "{tag:x}-{}", who.group).expect("a String takes everything");
            }
            Place::Last => {
                out.push_str(last);
                return self.client.last_kind;
            }
            Place::User(column) => return self.column(who.sender, column, out),
            Place::Recipient(column) => {
                // On no turn it is the next of the group: of a pair, the other.
                let next = (who.place + 1) % who.members.max(1);
                let place = self.turn.map_or(u64::from(next), |turn| turn.recipient as u64);
                let first = who.sender - u64::from(who.place);
                return self.column(first + place, column, out);
            }
            Place::Feed(feed, column) => {
                // Before the first turn it is that one's row.
                let turn = self.client.taken.saturating_sub(1);
                let session = who.sender as u32;
                if let Some(cell) = self.client.feeds.value(*feed, (session, turn), column) {
                    return written(cell, out);
                }
            }
        }
        Kind::Text
    }
}
