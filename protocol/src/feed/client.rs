//! The client half of `feed` (spec `feed.md`, "Client habits").
//!
//! There is no greeting: from the moment the connection is open, what is sent to everybody is taken to reach it. Its
//! decoder is its own: known fields by name, all others ignored. Ids are opaque.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CLOSE_HEARTBEAT_MISSED, CLOSE_SERVER_ERROR, CLOSE_UNAUTHENTICATED};
use crate::client::{
    Act, Address, Asked, Audience, Backoff, ClientHalf, Comeback, Draft, Effect, Growth, Heard, Id, Next,
    OfflineQueue, Persona, Request, Text, Turn, Way, percent_encoded,
};
use crate::close::CloseCode;

/// What its users can do.
pub const ACTS: &[Act] = &[
    Act::new(
        "say",
        Effect::Delivery {
            audience: Audience::Everybody,
        },
    ),
    Act::new("view", Effect::Reply),
    Act::new(
        "notify",
        Effect::Delivery {
            audience: Audience::Group,
        },
    ),
];

const SAY: usize = 0;
const VIEW: usize = 1;
const NOTIFY: usize = 2;

const MESSAGES: &str = "/api/messages/";

/// Messages in a page that is read back: the built-in server gives no more.
const PAGE_MESSAGES: u64 = 200;

/// A user of `feed`, to whom all others are one audience.
#[derive(Debug, Clone)]
pub struct FeedClient {
    persona: Persona,
    /// What the senders of his own run have in common, once he has said something.
    run: Option<u32>,
    /// The newest message that he heard and has not viewed; empty if there is none.
    unviewed: String,
    reading_back: ReadingBack,
}

/// Which page of all messages is next. Servers list them either way, and only the first page shows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadingBack {
    First,
    /// The newest come first: so the next page is older.
    Onward {
        page: u64,
    },
    /// The newest come last: so the page before is older.
    Backward {
        page: u64,
    },
    Done,
}

impl FeedClient {
    /// A user who is about to connect.
    #[must_use]
    pub const fn new(persona: Persona) -> Self {
        Self {
            persona,
            run: None,
            unviewed: String::new(),
            reading_back: ReadingBack::First,
        }
    }

    fn hear_message<'a>(&mut self, data: Option<&'a RawValue>) -> Heard<'a> {
        let Some(message) = message_of(data) else {
            return Heard::Unknown;
        };
        if let Some(id) = message.id {
            id.keep(&mut self.unviewed);
        }
        // Without a stamp: somebody talks who does not take part.
        Text::stamp(message.content.as_ref())
            .map_or(Heard::Push, |stamp| Heard::Delivery { stamp, by: Way::Live })
    }

    fn hear_page<'a>(&mut self, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let Ok(Page {
            count,
            next,
            results: Some(messages),
        }) = serde_json::from_str::<Page<'a>>(body)
        else {
            self.reading_back = ReadingBack::Done;
            return tell(Heard::Unknown);
        };
        let mut is_of_this_run = false;
        for message in &messages {
            let Some(stamp) = Text::stamp(message.content.as_ref()) else {
                continue;
            };
            is_of_this_run |= self.run.is_none_or(|run| stamp.key.run() == run);
            let by = Way::CaughtUp;
            tell(Heard::Delivery { stamp, by });
        }
        let is_longer = next.is_some();
        self.reading_back = match self.reading_back {
            ReadingBack::First if is_longer && !is_newest_first(&messages) => {
                let count = count.and_then(|count| count.get().parse::<u64>().ok());
                let each = messages.len().max(1) as u64;
                match count.map_or(0, |count| count.div_ceil(each)) {
                    0 | 1 => ReadingBack::Onward { page: 2 },
                    last => ReadingBack::Backward { page: last },
                }
            }
            ReadingBack::First if is_longer && is_of_this_run => ReadingBack::Onward { page: 2 },
            ReadingBack::Onward { page } if is_longer && is_of_this_run => {
                ReadingBack::Onward { page: page + 1 }
            }
            // The first page was read already.
            ReadingBack::Backward { page } if page > 2 && is_of_this_run => {
                ReadingBack::Backward { page: page - 1 }
            }
            ReadingBack::First
            | ReadingBack::Onward { .. }
            | ReadingBack::Backward { .. }
            | ReadingBack::Done => ReadingBack::Done,
        };
    }
}

/// Whether a page begins with its newest message. Without times it does not.
fn is_newest_first(messages: &[Message<'_>]) -> bool {
    let time = |message: Option<&Message<'_>>| message?.created_at.map(|at| at.text().into_owned());
    match (time(messages.first()), time(messages.last())) {
        (Some(first), Some(last)) => first > last,
        (None, _) | (_, None) => false,
    }
}

/// The message in the data of an event: in `data` once more (feed/5b), or bare.
fn message_of(data: Option<&RawValue>) -> Option<Message<'_>> {
    let outer = serde_json::from_str::<Message<'_>>(data?.get()).ok()?;
    match outer.data {
        Some(inner) => serde_json::from_str(inner.get()).ok(),
        None => Some(outer),
    }
}

impl ClientHalf for FeedClient {
    fn address(&self) -> Address {
        let mut query = "?accessToken=".to_owned();
        percent_encoded(&self.persona.token, &mut query);
        Address {
            segments: Vec::new(),
            query,
            headers: Vec::new(),
        }
    }

    fn opened(&mut self, tell: &mut impl FnMut(Heard<'static>)) {
        tell(Heard::Ready);
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        let Draft { body, path, .. } = draft;
        body.clear();
        path.clear();
        self.run = Some(turn.stamp.key.run());
        match turn.act {
            SAY => {
                body.push_str(r#"{"content":""#);
                turn.stamp.write(turn.content_bytes, body);
                body.push_str(r#""}"#);
                path.push_str(MESSAGES);
            }
            VIEW if !self.unviewed.is_empty() => {
                path.push_str(MESSAGES);
                percent_encoded(&self.unviewed, path);
                path.push_str("/view/");
                self.unviewed.clear();
            }
            NOTIFY => {
                body.push_str(r#"{"title":"load","level":"info","message":""#);
                turn.stamp.write(turn.content_bytes, body);
                body.push_str(r#""}"#);
                return Next::Inject {
                    kind: "SYSTEM_NOTIFICATION",
                    data: body,
                };
            }
            _ => return Next::Nothing,
        }
        Next::Request(Request {
            method: "POST",
            path,
            headers: &[],
            body,
        })
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text) else {
            return tell(Heard::Unknown);
        };
        let kind = envelope.kind.as_ref().map(|kind| &*kind.0);
        tell(match kind {
            Some("MESSAGE_CREATED") => self.hear_message(envelope.data),
            Some("SYSTEM_NOTIFICATION") => notification(envelope.data),
            Some(
                "MESSAGE_DELETED"
                | "MESSAGE_VIEWED"
                | "USER_PRESENCE_CONNECTED"
                | "USER_PRESENCE_DISCONNECTED"
                | "BUCKETPOINT_CREATED"
                | "BUCKETPOINT_UPDATED"
                | "BUCKETPOINT_DELETED"
                | "PHOTO_UPLOADED"
                | "PHOTO_UPDATED"
                | "PHOTO_DELETED"
                | "ALBUM_CREATED"
                | "ALBUM_UPDATED"
                | "ALBUM_DELETED",
            ) => Heard::Push,
            Some("PING") => Heard::Heartbeat {
                reply: Some(r#"{"type":"PONG","data":{}}"#.into()),
            },
            Some("ERROR") => Heard::Refused,
            Some(_) | None => Heard::Unknown,
        });
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let is_done = (200..300).contains(&status);
        match asked {
            Asked::Act { act: VIEW, .. } if is_done => tell(Heard::Reply { act: VIEW }),
            Asked::Act { stamp, .. } if is_done => tell(Heard::Confirmed { stamp }),
            Asked::CatchUp if is_done => self.hear_page(body, tell),
            Asked::Act { .. } => tell(Heard::Refused),
            Asked::CatchUp => {
                self.reading_back = ReadingBack::Done;
                tell(Heard::Refused);
            }
        }
    }

    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        if step == 0 {
            self.reading_back = ReadingBack::First;
        }
        let page = match self.reading_back {
            ReadingBack::First => 1,
            ReadingBack::Onward { page } | ReadingBack::Backward { page } => page,
            ReadingBack::Done => return Next::Nothing,
        };
        draft.path = format!("{MESSAGES}?page={page}&page_size={PAGE_MESSAGES}");
        Next::Request(Request {
            method: "GET",
            path: &draft.path,
            headers: &[],
            body: "",
        })
    }

    fn offline_queue(&self) -> Option<OfflineQueue> {
        Some(OfflineQueue {
            messages_max: 100,
            age_max: Duration::from_secs(60),
        })
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            growth: Growth::Percent(150),
            max: Duration::from_secs(30),
            attempts_max: Some(20),
        }
    }

    fn comeback(&self, code: Option<u16>) -> Comeback {
        match code.map(CloseCode) {
            Some(CLOSE_UNAUTHENTICATED) => Comeback::WithNewToken,
            None | Some(CLOSE_SERVER_ERROR | CLOSE_HEARTBEAT_MISSED) => Comeback::Again,
            Some(code) if code.invites_back() => Comeback::Again,
            Some(_) => Comeback::Never,
        }
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.persona.token);
    }
}

fn notification(data: Option<&RawValue>) -> Heard<'_> {
    let Some(told) = data.and_then(|data| serde_json::from_str::<Notification<'_>>(data.get()).ok()) else {
        return Heard::Unknown;
    };
    Text::stamp(told.message.as_ref()).map_or(Heard::Push, |stamp| Heard::Delivery { stamp, by: Way::Live })
}

/// All that the server says.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// A message (feed/5b), or what it is nested in.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    created_at: Option<Id<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What the server's own code tells (feed/5b).
#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

/// Some of all messages.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    count: Option<&'a RawValue>,
    /// Where more of them are, if there are more.
    #[serde(borrow)]
    next: Option<&'a RawValue>,
    #[serde(borrow)]
    results: Option<Vec<Message<'a>>>,
}

#[cfg(test)]
mod tests;
