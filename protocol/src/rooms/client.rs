//! The client half of `rooms` (spec `rooms.md`, "Client habits").
//!
//! A message is confirmed when the sender hears it himself (rooms/5b); on a server that does not echo it to him, which the
//! spec allows, nothing ever is. Its decoder is its own: known fields by name, all others ignored. Ids are opaque.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CONTENT_CHARS_MAX, PAGE_MESSAGES_MAX};
use crate::client::{
    Act, Address, Asked, Audience, Backoff, Beat, ClientHalf, Draft, Effect, Growth, Heard, Id, Next,
    Persona, Request, Text, Turn, Way, json_string, percent_encoded,
};

/// What its users can do.
pub const ACTS: &[Act] = &[
    Act::new(
        "say",
        Effect::Delivery {
            audience: Audience::OthersOfGroup,
        },
    ),
    Act::new("typing", Effect::Nothing),
    Act::new("read", Effect::Nothing),
    Act::new("history", Effect::Reply),
];

const SAY: usize = 0;
const TYPING: usize = 1;
const READ: usize = 2;
const HISTORY: usize = 3;

/// A user of `rooms`, in one channel, which is his group's.
#[derive(Debug, Clone)]
pub struct RoomsClient {
    persona: Persona,
    greeting: Greeting,
    is_typing: bool,
    /// The newest message of another that he heard and has not marked read; empty if there is none.
    unread: String,
    reading_back: ReadingBack,
}

/// What of the greeting was heard on this connection (rooms/3c), in whichever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Nothing,
    Channel,
    History,
    Complete,
}

/// How far back the history was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReadingBack {
    /// The next page ends before this message; with none it is the newest.
    Before(Option<String>),
    Done,
}

impl RoomsClient {
    /// A user who is about to connect.
    #[must_use]
    pub const fn new(persona: Persona) -> Self {
        Self {
            persona,
            greeting: Greeting::Nothing,
            is_typing: false,
            unread: String::new(),
            reading_back: ReadingBack::Before(None),
        }
    }

    fn messages_path(&self, path: &mut String) {
        path.clear();
        path.push_str("/api/chat/");
        percent_encoded(&self.persona.tenant, path);
        path.push_str("/channels/");
        percent_encoded(&self.persona.channel, path);
        path.push_str("/messages/");
    }

    fn greeted_with(&mut self, part: Greeting) -> Heard<'static> {
        let before = self.greeting;
        self.greeting = match (before, part) {
            (Greeting::Nothing, part) => part,
            (Greeting::Channel, Greeting::History) | (Greeting::History, Greeting::Channel) => {
                Greeting::Complete
            }
            (before, _) => before,
        };
        if before != Greeting::Complete && self.greeting == Greeting::Complete {
            Heard::Ready
        } else {
            Heard::Push
        }
    }

    fn is_own(&self, message: &Message<'_>) -> bool {
        match message.user_id {
            Some(author) => author.text() == self.persona.id,
            None => message.is_own.is_some_and(|is_own| is_own.get() == "true"),
        }
    }

    fn hear_message<'a>(&mut self, message: Option<&'a RawValue>) -> Heard<'a> {
        let Some(message) =
            message.and_then(|message| serde_json::from_str::<Message<'_>>(message.get()).ok())
        else {
            return Heard::Unknown;
        };
        let is_own = self.is_own(&message);
        if let (false, Some(id)) = (is_own, message.id) {
            id.keep(&mut self.unread);
        }
        match Text::stamp(message.content.as_ref()) {
            Some(stamp) if is_own => Heard::Confirmed { stamp },
            Some(stamp) => Heard::Delivery { stamp, by: Way::Live },
            // Somebody talks who does not take part.
            None => Heard::Push,
        }
    }

    /// Tells the messages of others, oldest first; `None` if it is no list of messages.
    fn hear_history<'a>(&self, messages: &'a RawValue, tell: &mut impl FnMut(Heard<'a>)) -> Option<Page<'a>> {
        let messages: Vec<Message<'a>> = serde_json::from_str(messages.get()).ok()?;
        let mut has_stamps = false;
        for message in &messages {
            let Some(stamp) = Text::stamp(message.content.as_ref()) else {
                continue;
            };
            has_stamps = true;
            if !self.is_own(message) {
                let by = Way::CaughtUp;
                tell(Heard::Delivery { stamp, by });
            }
        }
        Some(Page {
            oldest: messages.first().and_then(|message| message.id),
            has_stamps,
        })
    }

    fn hear_page<'a>(&mut self, asked: Asked, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let read = serde_json::from_str::<Envelope<'a>>(body).ok();
        let has_more = read
            .as_ref()
            .and_then(|page| page.has_more)
            .is_some_and(|has_more| has_more.get() == "true");
        let page = read.and_then(|page| self.hear_history(page.messages?, tell));
        match (asked, page) {
            (Asked::Act { act, .. }, Some(_)) => tell(Heard::Reply { act }),
            (Asked::CatchUp, Some(page)) => self.read_back(&page, has_more),
            (Asked::Act { .. }, None) => tell(Heard::Unknown),
            (Asked::CatchUp, None) => {
                self.reading_back = ReadingBack::Done;
                tell(Heard::Unknown);
            }
        }
    }

    fn read_back(&mut self, page: &Page<'_>, has_more: bool) {
        let oldest = page.oldest.map(|id| id.text().into_owned());
        let next = ReadingBack::Before(oldest);
        // A server that shows the same page again shows nothing more.
        let is_last = !has_more || !page.has_stamps || page.oldest.is_none() || self.reading_back == next;
        self.reading_back = if is_last { ReadingBack::Done } else { next };
    }
}

impl ClientHalf for RoomsClient {
    fn address(&self) -> Address {
        let mut channel = String::new();
        percent_encoded(&self.persona.channel, &mut channel);
        let mut query = "?token=".to_owned();
        percent_encoded(&self.persona.token, &mut query);
        Address {
            segments: vec![channel],
            query,
            headers: Vec::new(),
        }
    }

    fn opened(&mut self, _tell: &mut impl FnMut(Heard<'static>)) {
        self.greeting = Greeting::Nothing;
        self.is_typing = false;
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        draft.body.clear();
        match turn.act {
            SAY => {
                draft.body.push_str(r#"{"type":"chat.message","content":""#);
                let content_bytes = turn.content_bytes.min(CONTENT_CHARS_MAX);
                turn.stamp.write(content_bytes, &mut draft.body);
                draft.body.push_str(r#""}"#);
                Next::Send(&draft.body)
            }
            TYPING => {
                self.is_typing = !self.is_typing;
                Next::Send(if self.is_typing {
                    r#"{"type":"typing","is_typing":true}"#
                } else {
                    r#"{"type":"typing","is_typing":false}"#
                })
            }
            READ if !self.unread.is_empty() => {
                draft.body.push_str(r#"{"type":"message.read","message_id":"#);
                json_string(&self.unread, &mut draft.body);
                draft.body.push('}');
                self.unread.clear();
                Next::Send(&draft.body)
            }
            HISTORY => {
                self.messages_path(&mut draft.path);
                Next::Request(Request {
                    method: "GET",
                    path: &draft.path,
                    headers: &[],
                    body: "",
                })
            }
            _ => Next::Nothing,
        }
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text) else {
            return tell(Heard::Unknown);
        };
        let kind = envelope.kind.as_ref().map(|kind| &*kind.0);
        let heard = match kind {
            Some("chat.message") => self.hear_message(envelope.message),
            Some("typing" | "message.read" | "presence" | "user.join" | "user.leave") => Heard::Push,
            Some("heartbeat.ack") => Heard::Heartbeat { reply: None },
            Some("channel.info") => self.greeted_with(Greeting::Channel),
            Some("messages.history") => {
                let page = envelope
                    .messages
                    .and_then(|messages| self.hear_history(messages, tell));
                match page {
                    Some(_) => self.greeted_with(Greeting::History),
                    None => Heard::Unknown,
                }
            }
            Some("error") => Heard::Refused,
            Some(_) | None => Heard::Unknown,
        };
        tell(heard);
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        if status == 200 {
            return self.hear_page(asked, body, tell);
        }
        if asked == Asked::CatchUp {
            self.reading_back = ReadingBack::Done;
        }
        tell(Heard::Refused);
    }

    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        if step == 0 {
            self.reading_back = ReadingBack::Before(None);
        }
        let ReadingBack::Before(before) = &self.reading_back else {
            return Next::Nothing;
        };
        self.messages_path(&mut draft.path);
        draft.path.push_str("?limit=");
        draft.path.push_str(&PAGE_MESSAGES_MAX.to_string());
        if let Some(before) = before {
            draft.path.push_str("&before=");
            percent_encoded(before, &mut draft.path);
        }
        Next::Request(Request {
            method: "GET",
            path: &draft.path,
            headers: &[],
            body: "",
        })
    }

    fn beat(&self) -> Option<Beat<'_>> {
        Some(Beat {
            interval: Duration::from_secs(30),
            text: r#"{"type":"heartbeat"}"#,
        })
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(3),
            growth: Growth::Linear,
            max: Duration::from_secs(15),
            attempts_max: Some(5),
        }
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.persona.token);
    }
}

/// Part of the history.
struct Page<'a> {
    oldest: Option<Id<'a>>,
    /// Whether somebody who takes part said something in it.
    has_stamps: bool,
}

/// All that the server says, and a page of the history, as one flat envelope. `message` is a text in an error.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    has_more: Option<&'a RawValue>,
}

/// A message, live or in the history (rooms/5d).
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    user_id: Option<Id<'a>>,
    #[serde(borrow)]
    is_own: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests;
