//! One user of a protocol of one's own.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use touchstone_protocol::client::{
    Address, Asked, Backoff, Beat, ClientHalf, Comeback, Draft, Effect, Heard, Next, Request, Stamp, Turn,
    Way,
};

use super::glean::Found;
use super::template::{Place, Values};
use super::{Compiled, CustomProtocol, Doing, Sign};
use crate::feed::Rows;

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
}

/// A user of a [`CustomProtocol`].
#[derive(Debug, Clone)]
pub struct CustomClient {
    protocol: Arc<CustomProtocol>,
    users: Option<Arc<Rows>>,
    who: Who,
    token: String,
    /// How far the frames that take turns are, on this connection.
    turns: u32,
    connections: u32,
    /// What was last heard at the counter's place.
    last: String,
    /// Ascending by their sequence.
    sent: VecDeque<Stamp>,
}

impl CustomClient {
    /// The user `who`, who has the row of his session's number among `users`.
    #[must_use]
    pub fn new(protocol: Arc<CustomProtocol>, users: Option<Arc<Rows>>, who: Who) -> Self {
        let session = who.sender as u32;
        let token = users.as_ref().and_then(|rows| rows.value(session, "token"));
        Self {
            token: token.unwrap_or_default().to_owned(),
            protocol,
            users,
            who,
            turns: 0,
            connections: 0,
            last: String::new(),
            sent: VecDeque::new(),
        }
    }

    fn values(&self, turn: Option<Turn>) -> Said<'_> {
        Said { client: self, turn }
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
        if !self.protocol.counts {
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
        self.protocol.path.write(&self.values(None), &mut path);
        Address {
            segments: vec![path[1..].to_owned()],
            query: String::new(),
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
        draft.body.clear();
        draft.path.clear();
        match &self.protocol.doing[turn.act] {
            Doing::Say(frames) => {
                let frame = &frames[self.turns as usize % frames.len()];
                frame.write(&self.values(Some(turn)), &mut draft.body);
                // One count for all acts: an act of one frame does not mind, and two that take turns are one mix.
                self.turns = self.turns.wrapping_add(u32::from(frames.len() > 1));
                Next::Send(&draft.body)
            }
            Doing::Post { path, body } => {
                path.write(&self.values(Some(turn)), &mut draft.path);
                body.write(&self.values(Some(turn)), &mut draft.body);
                Next::Request(Request {
                    method: "POST",
                    path: &draft.path,
                    body: &draft.body,
                })
            }
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
                (Sign::Heartbeat(reply), _) => tell(Heard::Heartbeat { reply: *reply }),
            }
            heard = true;
        }
        if !heard {
            tell(Heard::Unknown);
        }
        if let Some(Some(last)) = protocol
            .last
            .and_then(|slot| json.map(|slots| slots[slot].as_ref()))
        {
            self.last.clear();
            match last {
                Found::Text(text) => self.last.push_str(text),
                Found::Whole(number) => {
                    write!(self.last, "{number}").expect("a String takes everything");
                }
                Found::Number(number) => {
                    write!(self.last, "{number}").expect("a String takes everything");
                }
                Found::Truth(_) | Found::Null | Found::Other => {}
            }
        }
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let _ = body;
        let ok = (200..300).contains(&status);
        match asked {
            Asked::Act { act, stamp } if ok => match self.protocol.acts[act].effect {
                Effect::Answer => tell(Heard::Answer { stamp, count: None }),
                Effect::Reply => tell(Heard::Reply { act }),
                Effect::Delivery { .. } | Effect::Nothing => tell(Heard::Confirmed { stamp }),
            },
            Asked::Act { .. } | Asked::CatchUp => tell(Heard::Refused),
        }
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
        match code {
            Some(code) if self.protocol.written.stay_away_after.contains(&code) => Comeback::Never,
            Some(_) | None => Comeback::Again,
        }
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
}

impl Said<'_> {
    fn column(&self, sender: u64, column: &str, out: &mut String) {
        let rows = self.client.users.as_ref();
        match rows.and_then(|rows| rows.value(sender as u32, column)) {
            Some(value) => out.push_str(value),
            None => write!(out, "{sender:x}").expect("a String takes everything"),
        }
    }
}

impl Values for Said<'_> {
    fn write(&self, place: &Place, out: &mut String) {
        let CustomClient { who, token, last, .. } = self.client;
        match place {
            Place::Stamp => {
                if let Some(turn) = self.turn {
                    turn.stamp.write(turn.content_bytes, out);
                }
            }
            Place::Index => {
                let index = self.turn.map_or(0, |turn| turn.stamp.key.sequence);
                write!(out, "{index}").expect("a String takes everything");
            }
            Place::Session => write!(out, "{:x}", who.sender).expect("a String takes everything"),
            Place::Token => out.push_str(token),
            Place::Channel => {
                let tag = who.sender >> 32;
                write!(out, "{tag:x}-{}", who.group).expect("a String takes everything");
            }
            Place::Last => out.push_str(last),
            Place::User(column) => self.column(who.sender, column, out),
            Place::Recipient(column) => {
                let place = self
                    .turn
                    .map_or(u64::from(who.place), |turn| turn.recipient as u64);
                let first = who.sender - u64::from(who.place);
                self.column(first + place, column, out);
            }
        }
    }
}
