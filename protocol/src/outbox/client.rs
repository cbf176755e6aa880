//! The client half of `outbox` (spec `outbox.md`, "Client habits").
//!
//! What was queued while the user was away comes like anything else (outbox/7a): a client could tell it only by a
//! `created_at` before the `timestamp` of its `connection_established`. So it is a live delivery, in time or late by its
//! stamp. What the server sends again under the same `event_id` (outbox/9c) is dropped. The decoder is its own: known
//! fields by name, all others ignored.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{
    Act, Address, Audience, Backoff, Beat, ClientHalf, Draft, Effect, Growth, Heard, Id, Next, Persona,
    Request, Text, Turn, Way, json_string, percent_encoded,
};

/// What its users can do.
pub const ACTS: &[Act] = &[
    Act::new(
        "say",
        Effect::Delivery {
            audience: Audience::Group,
        },
    ),
    Act::new("pending", Effect::Reply),
    Act::new(
        "notify",
        Effect::Delivery {
            audience: Audience::Group,
        },
    ),
];

const SAY: usize = 0;
const PENDING: usize = 1;
const NOTIFY: usize = 2;

const GET_PENDING: &str = r#"{"type":"get_pending"}"#;

/// Events by whose names the next connection knows what it had already. More than these are hardly ever unconfirmed at
/// once: a pong confirms all events before its ping (outbox/9b).
const EVENTS_REMEMBERED: usize = 256;

/// A user of `outbox`, whose group shares a conversation.
#[derive(Debug, Clone)]
pub struct OutboxClient {
    persona: Persona,
    events: Events,
    /// `get_pending` of the user that have no answer yet on this connection.
    questions: u32,
    catching_up: CatchingUp,
}

/// Whether what was missed is asked for, and after how many answers to the user's own questions its answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CatchingUp {
    NotAsked,
    Asked { questions_before: u32 },
}

/// The newest events that were heard, by hashes of their names, oldest first.
#[derive(Debug, Clone, Default)]
struct Events {
    hashes: VecDeque<u64>,
    /// So many of them were heard on earlier connections.
    earlier: usize,
}

impl Events {
    fn connection_opened(&mut self) {
        self.earlier = self.hashes.len();
    }

    /// Takes in an event, and says by which way it came. One that comes twice on one connection is no redelivery: the
    /// server wrote it twice (outbox/9c).
    fn heard(&mut self, event_id: &str) -> Way {
        let mut hasher = DefaultHasher::new();
        hasher.write(event_id.as_bytes());
        let hash = hasher.finish();
        let known = self
            .hashes
            .iter()
            .take(self.earlier)
            .position(|known| *known == hash);
        match known {
            Some(place) => {
                self.hashes.remove(place);
                self.earlier -= 1;
            }
            None if self.hashes.len() == EVENTS_REMEMBERED => {
                self.hashes.pop_front();
                self.earlier = self.earlier.saturating_sub(1);
            }
            None => {}
        }
        self.hashes.push_back(hash);
        match known {
            Some(_) => Way::Redelivered,
            None => Way::Live,
        }
    }
}

impl OutboxClient {
    /// A user who is about to connect.
    #[must_use]
    pub fn new(persona: Persona) -> Self {
        Self {
            persona,
            events: Events::default(),
            questions: 0,
            catching_up: CatchingUp::NotAsked,
        }
    }

    fn say<'a>(&self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        let Draft { body, .. } = draft;
        body.push_str(r#"{"conversation_uuid":"#);
        json_string(&self.persona.channel, body);
        body.push_str(r#","content":""#);
        turn.stamp.write(turn.content_bytes, body);
        body.push_str(r#""}"#);
        Next::Request(Request {
            method: "POST",
            headers: &[],
            path: "/api/messages",
            body,
        })
    }

    /// `content` is the object that may have one.
    fn hear_event<'a>(&mut self, event_id: Option<Id<'a>>, content: Option<&'a RawValue>) -> Heard<'a> {
        let way = event_id.map_or(Way::Live, |id| self.events.heard(&id.text()));
        let Some(content) =
            content.and_then(|content| serde_json::from_str::<Content<'_>>(content.get()).ok())
        else {
            return Heard::Unknown;
        };
        let by = match (way, self.catching_up) {
            (Way::Live, CatchingUp::Asked { .. }) => Way::CaughtUp,
            (way, _) => way,
        };
        // Without a stamp: somebody talks who does not take part.
        Text::stamp(content.content.as_ref()).map_or(Heard::Push, |stamp| Heard::Delivery { stamp, by })
    }

    fn pending_check_is_complete(&mut self) -> Heard<'static> {
        match &mut self.catching_up {
            CatchingUp::Asked { questions_before: 0 } => {
                self.catching_up = CatchingUp::NotAsked;
                return Heard::ReadBack;
            }
            CatchingUp::Asked { questions_before } => *questions_before -= 1,
            CatchingUp::NotAsked => {}
        }
        match self.questions.checked_sub(1) {
            Some(rest) => {
                self.questions = rest;
                Heard::Reply { act: PENDING }
            }
            // Some servers tell it unasked, after what was queued.
            None => Heard::Push,
        }
    }
}

impl ClientHalf for OutboxClient {
    fn address(&self) -> Address {
        let mut user = String::new();
        percent_encoded(&self.persona.id, &mut user);
        let mut query = "?token=".to_owned();
        percent_encoded(&self.persona.token, &mut query);
        Address {
            segments: vec![user],
            query,
            headers: Vec::new(),
        }
    }

    fn opened(&mut self, _tell: &mut impl FnMut(Heard<'static>)) {
        self.events.connection_opened();
        self.questions = 0;
        self.catching_up = CatchingUp::NotAsked;
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        draft.body.clear();
        match turn.act {
            SAY => self.say(turn, draft),
            PENDING => {
                self.questions += 1;
                Next::Send(GET_PENDING)
            }
            NOTIFY => {
                draft.body.push_str(r#"{"notification":{"content":""#);
                turn.stamp.write(turn.content_bytes, &mut draft.body);
                draft.body.push_str(r#""}}"#);
                Next::Inject {
                    kind: "notifications",
                    data: &draft.body,
                }
            }
            _ => Next::Nothing,
        }
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text) else {
            return tell(Heard::Unknown);
        };
        let kind = envelope.kind.as_ref().map(|kind| &*kind.0);
        tell(match kind {
            Some("message_generate") => self.hear_event(envelope.event_id, envelope.message),
            Some("notifications" | "notification") => {
                self.hear_event(envelope.event_id, envelope.notification)
            }
            Some("message_regenerate") => Heard::Push,
            Some("connection_established") => Heard::Ready,
            Some("pong") => Heard::Heartbeat { reply: None },
            Some("pending_check_complete") => self.pending_check_is_complete(),
            Some("error") => Heard::Refused,
            Some(_) | None => Heard::Unknown,
        });
    }

    fn catch_up<'a>(&mut self, step: u32, _draft: &'a mut Draft) -> Next<'a> {
        if step > 0 {
            return Next::Nothing;
        }
        self.catching_up = CatchingUp::Asked {
            questions_before: self.questions,
        };
        Next::Send(GET_PENDING)
    }

    fn beat(&self) -> Option<Beat<'_>> {
        Some(Beat {
            interval: Duration::from_secs(30),
            text: r#"{"type":"ping"}"#,
        })
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            growth: Growth::Percent(200),
            // What the last of ten attempts waits.
            max: Duration::from_secs(512),
            attempts_max: Some(10),
        }
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.persona.token);
    }
}

/// All that the server says, as one flat envelope. `message` is a text in an error.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    event_id: Option<Id<'a>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    notification: Option<&'a RawValue>,
}

/// What is read of a message or a notification.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
}

#[cfg(test)]
mod tests;
