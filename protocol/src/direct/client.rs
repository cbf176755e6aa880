//! The client half of `direct` (spec `direct.md`, "Client habits").
//!
//! Its decoder is its own: known fields by name, all others ignored. An `online_users` that was asked for looks like one that
//! was not. The one that follows a `user_offline` at once is the server's own (direct/12b), unless so many are online that
//! it sends none (common/11a); any other belongs to the oldest question that waits.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CLOSE_SERVER_ERROR, CONTENT_CHARS_MAX};
use crate::client::{
    Act, Address, Asked, Audience, Backoff, ClientHalf, Comeback, Draft, Effect, Growth, Heard, Id, Next,
    Persona, Request, Text, Turn, Way, json_string, percent_encoded,
};
use crate::close::CloseCode;

/// What its users can do.
pub const ACTS: &[Act] = &[
    Act::new(
        "say",
        Effect::Delivery {
            audience: Audience::Recipient,
        },
    ),
    Act::new("typing", Effect::Nothing),
    Act::new("read", Effect::Reply),
    Act::new("online", Effect::Reply),
    Act::new("history", Effect::Reply),
];

const SAY: usize = 0;
const TYPING: usize = 1;
const READ: usize = 2;
const ONLINE: usize = 3;
const HISTORY: usize = 4;

/// Messages in a page that is read back: the built-in server gives no more.
const PAGE_MESSAGES: usize = 200;

/// With more connections than these, nobody is told who is online without asking (common/11a).
const CROWD: u64 = 100;

/// A user of `direct`, who talks to the others of his group one by one.
#[derive(Debug, Clone)]
pub struct DirectClient {
    persona: Persona,
    stage: Stage,
    /// Who is shown that this user types, by his place.
    typing_to: Option<usize>,
    /// Whoever wrote last and is not marked read; empty if there is nobody.
    unread: String,
    /// `get_online_users` without an answer on this connection.
    questions: u32,
    reading_back: ReadingBack,
}

/// How far this connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The greeting is not complete (direct/2a).
    Greeting,
    /// It is.
    Ready,
    /// It is, and the last frame said that somebody went.
    SomebodyWent,
}

/// Which page of whose conversation is next, and with which message the last one began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ReadingBack {
    place: usize,
    page: u32,
    began_with: String,
}

impl ReadingBack {
    const fn with(place: usize) -> Self {
        Self {
            place,
            page: 1,
            began_with: String::new(),
        }
    }
}

impl DirectClient {
    /// A user who is about to connect.
    #[must_use]
    pub const fn new(persona: Persona) -> Self {
        Self {
            persona,
            stage: Stage::Greeting,
            typing_to: None,
            unread: String::new(),
            questions: 0,
            reading_back: ReadingBack::with(0),
        }
    }

    /// The other at this place of the group; nobody is his own other.
    fn other(&self, place: usize) -> Option<&str> {
        let other = self.persona.group.get(place)?;
        (place != self.persona.place).then_some(other)
    }

    fn say<'a>(&self, turn: Turn, body: &'a mut String) -> Next<'a> {
        let Some(other) = self.other(turn.recipient) else {
            return Next::Nothing;
        };
        body.push_str(r#"{"type":"chat_message","data":{"receiverId":"#);
        json_string(other, body);
        body.push_str(r#","content":""#);
        turn.stamp.write(turn.content_bytes.min(CONTENT_CHARS_MAX), body);
        body.push_str(r#""}}"#);
        Next::Send(body)
    }

    /// Begins to type to somebody, or ends what was begun.
    fn type_to<'a>(&mut self, recipient: usize, body: &'a mut String) -> Next<'a> {
        let (kind, place) = match self.typing_to {
            Some(place) => ("typing_stop", place),
            None => ("typing_start", recipient),
        };
        let Some(other) = self.other(place) else {
            return Next::Nothing;
        };
        named(kind, "receiverId", other, body);
        self.typing_to = match self.typing_to {
            Some(_) => None,
            None => Some(place),
        };
        Next::Send(body)
    }

    fn read<'a>(&mut self, body: &'a mut String) -> Next<'a> {
        if self.unread.is_empty() {
            return Next::Nothing;
        }
        named("mark_read", "senderId", &self.unread, body);
        self.unread.clear();
        Next::Send(body)
    }

    fn conversation_with<'a>(&self, place: usize, page: Option<u32>, path: &'a mut String) -> Next<'a> {
        let Some(other) = self.other(place) else {
            return Next::Nothing;
        };
        path.clear();
        path.push_str("/api/messages/");
        percent_encoded(other, path);
        if let Some(page) = page {
            path.push_str(&format!("?page={page}&limit={PAGE_MESSAGES}"));
        }
        Next::Request(Request {
            method: "GET",
            path,
            headers: &[],
            body: "",
        })
    }

    fn hear_message(&mut self, data: Option<&RawValue>) -> Heard<'static> {
        let Some(message) = fields(data) else {
            return Heard::Unknown;
        };
        if let Some(sender) = message.sender_id {
            sender.keep(&mut self.unread);
        }
        let by = match self.stage {
            // Unread messages that some servers push (direct/5c).
            Stage::Greeting => Way::CaughtUp,
            Stage::Ready | Stage::SomebodyWent => Way::Live,
        };
        // Without a stamp: somebody talks who does not take part.
        Text::stamp(message.content.as_ref()).map_or(Heard::Push, |stamp| Heard::Delivery { stamp, by })
    }

    fn hear_online_users(&mut self, data: Option<&RawValue>) -> Heard<'static> {
        let Some(list) = fields(data) else {
            return Heard::Unknown;
        };
        let total = list
            .total_online
            .and_then(|total| total.get().parse::<u64>().ok());
        let is_crowd = total.is_some_and(|total| total > CROWD);
        match self.stage {
            Stage::Greeting => {
                self.stage = Stage::Ready;
                Heard::Ready
            }
            Stage::SomebodyWent if !is_crowd => Heard::Push,
            Stage::SomebodyWent | Stage::Ready if self.questions > 0 => {
                self.questions -= 1;
                Heard::Reply { act: ONLINE }
            }
            Stage::SomebodyWent | Stage::Ready => Heard::Push,
        }
    }

    fn hear_page<'a>(&mut self, asked: Asked, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let page = serde_json::from_str::<Answer<'a>>(body).ok();
        let messages = page.and_then(|page| {
            let data = serde_json::from_str::<Page<'a>>(page.data?.get()).ok()?;
            data.messages
        });
        let mut has_stamps = false;
        for message in messages.iter().flatten() {
            let Some(stamp) = Text::stamp(message.content.as_ref()) else {
                continue;
            };
            has_stamps = true;
            if message
                .sender_id
                .is_none_or(|sender| !is_same(&sender.text(), &self.persona.id))
            {
                let by = Way::CaughtUp;
                tell(Heard::Delivery { stamp, by });
            }
        }
        match (asked, messages) {
            (Asked::Act { act, .. }, Some(_)) => tell(Heard::Reply { act }),
            (Asked::Act { .. }, None) => tell(Heard::Unknown),
            (Asked::CatchUp, Some(messages)) => {
                let first = messages.first().and_then(|message| message.id);
                self.read_back(first.filter(|_| has_stamps));
            }
            (Asked::CatchUp, None) => {
                self.read_back(None);
                tell(Heard::Unknown);
            }
        }
    }

    /// Goes on to the next page, or to the next conversation after a page with nothing of a run, or with the same as before.
    fn read_back(&mut self, first: Option<Id<'_>>) {
        match first {
            Some(first) if first.text() != self.reading_back.began_with => {
                first.keep(&mut self.reading_back.began_with);
                self.reading_back.page += 1;
            }
            Some(_) | None => self.reading_back = ReadingBack::with(self.reading_back.place + 1),
        }
    }
}

/// Ids of `direct` are compared without case (direct/1f).
const fn is_same(id: &str, other: &str) -> bool {
    id.eq_ignore_ascii_case(other)
}

/// A message whose data name one user.
fn named(kind: &str, field: &str, user: &str, body: &mut String) {
    for part in [r#"{"type":""#, kind, r#"","data":{""#, field, r#"":"#] {
        body.push_str(part);
    }
    json_string(user, body);
    body.push_str("}}");
}

fn fields(data: Option<&RawValue>) -> Option<Data<'_>> {
    serde_json::from_str(data?.get()).ok()
}

impl ClientHalf for DirectClient {
    fn address(&self) -> Address {
        let mut query = "?token=".to_owned();
        percent_encoded(&self.persona.token, &mut query);
        Address {
            segments: Vec::new(),
            query,
            headers: Vec::new(),
        }
    }

    fn opened(&mut self, _tell: &mut impl FnMut(Heard<'static>)) {
        self.stage = Stage::Greeting;
        self.typing_to = None;
        self.questions = 0;
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        draft.body.clear();
        match turn.act {
            SAY => self.say(turn, &mut draft.body),
            TYPING => self.type_to(turn.recipient, &mut draft.body),
            READ => self.read(&mut draft.body),
            ONLINE => {
                self.questions += 1;
                Next::Send(r#"{"type":"get_online_users","data":{}}"#)
            }
            HISTORY => self.conversation_with(turn.recipient, None, &mut draft.path),
            _ => Next::Nothing,
        }
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text) else {
            return tell(Heard::Unknown);
        };
        let kind = envelope.kind.as_ref().map(|kind| &*kind.0);
        let heard = match kind {
            Some("message_sent") => {
                let content = fields(envelope.data).and_then(|data| data.content);
                Text::stamp(content.as_ref()).map_or(Heard::Unknown, |stamp| Heard::Confirmed { stamp })
            }
            Some("new_message") => self.hear_message(envelope.data),
            Some("online_users") => self.hear_online_users(envelope.data),
            Some("mark_read_success") => Heard::Reply { act: READ },
            Some(
                "connection_established"
                | "user_online"
                | "user_offline"
                | "message_delivered"
                | "messages_read"
                | "typing_indicator",
            ) => Heard::Push,
            Some("error") => Heard::Refused,
            Some(_) | None => Heard::Unknown,
        };
        self.stage = match (self.stage, kind) {
            (Stage::Greeting, _) => Stage::Greeting,
            (Stage::Ready | Stage::SomebodyWent, Some("user_offline")) => Stage::SomebodyWent,
            (Stage::Ready | Stage::SomebodyWent, _) => Stage::Ready,
        };
        tell(heard);
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        if status == 200 {
            return self.hear_page(asked, body, tell);
        }
        if asked == Asked::CatchUp {
            self.read_back(None);
        }
        tell(Heard::Refused);
    }

    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        if step == 0 {
            self.reading_back = ReadingBack::with(0);
        }
        if self.reading_back.place == self.persona.place {
            self.reading_back = ReadingBack::with(self.persona.place + 1);
        }
        let ReadingBack { place, page, .. } = self.reading_back;
        self.conversation_with(place, Some(page), &mut draft.path)
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            growth: Growth::Percent(200),
            max: Duration::from_secs(30),
            attempts_max: None,
        }
    }

    fn comeback(&self, code: Option<u16>) -> Comeback {
        let code = code.map(CloseCode);
        if code.is_none_or(|code| code == CLOSE_SERVER_ERROR || code.invites_back()) {
            Comeback::Again
        } else {
            Comeback::Never
        }
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.persona.token);
    }
}

/// All that the server says.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What is read of the data of a frame, and of a message in a page.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    sender_id: Option<Id<'a>>,
    #[serde(borrow)]
    total_online: Option<&'a RawValue>,
}

/// The answer to a request.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Part of a conversation, oldest first.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    messages: Option<Vec<Data<'a>>>,
}

#[cfg(test)]
mod tests;
