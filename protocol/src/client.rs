//! The client half of a dialect, without a socket and without a clock.
//!
//! A simulated session asks its half to [act](ClientHalf::act) and tells it every text it
//! [hears](ClientHalf::hear). Who decides when, over which connection, and what is measured, is elsewhere. The
//! [`Stamp`] travels in the content and pairs a stimulus with its effects wherever they are heard: one message may have
//! one answer, many deliveries, or both.

mod backoff;
#[cfg(test)]
pub(crate) mod rehearsal;
mod stamp;
mod text;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::close::CloseCode;
pub use backoff::{Backoff, Growth};
pub use stamp::{Key, Stamp};
pub(crate) use text::{Id, Text, json_string, percent_encoded};

/// Something a user of a protocol can do, as workloads, thresholds and reports name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// In a workload's `mix`, and the name of its latency.
    pub name: Cow<'static, str>,
    /// What follows if all goes well.
    pub effect: Effect,
}

impl Act {
    /// An act of a dialect.
    #[must_use]
    pub const fn new(name: &'static str, effect: Effect) -> Self {
        Self {
            name: Cow::Borrowed(name),
            effect,
        }
    }
}

/// What follows an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server answers the user with his own stamp, and tells nobody else.
    Answer,
    /// The server confirms to the user that it has his message, and delivers it to those whom it is for.
    Delivery {
        /// Who is owed it.
        audience: Audience,
    },
    /// The server replies without a stamp: the next reply to this act on the connection belongs to the oldest one that
    /// waits.
    Reply,
    /// Nothing that the user would hear, and nothing that anybody is owed.
    Nothing,
}

/// Who is owed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The members of the sender's group, himself not.
    OthersOfGroup,
    /// The members of the sender's group, himself too.
    Group,
    /// The one member of the group whom it names (`recipient` of [`Turn`]).
    Recipient,
    /// Everybody who is connected, the sender too.
    Everybody,
}

/// What a user is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Which of the protocol's acts.
    pub act: usize,
    /// To be carried in the content.
    pub stamp: Stamp,
    /// Bytes of content, where the act has one and the protocol allows as many.
    pub content_bytes: usize,
    /// The place of the other user in [`Persona::group`], where the act is for one.
    pub recipient: usize,
}

/// Space for what a user says; lent for one turn, cleared by whoever writes to it.
#[derive(Debug, Default)]
pub struct Draft {
    /// A frame's text, or a request's body.
    pub body: String,
    /// A request's path.
    pub path: String,
    /// A request's headers.
    pub headers: Vec<(String, String)>,
}

/// What a simulated user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// Send this text over the own connection.
    Send(&'a str),
    /// Ask the server over HTTP, as this user.
    Request(Request<'a>),
    /// Make the server emit to this user's group by its back door: the kind of event, and its data as JSON.
    Inject {
        /// The event's type.
        kind: &'a str,
        /// Its data.
        data: &'a str,
    },
    /// Nothing: there is no occasion for it, such as a receipt before anything was received.
    Nothing,
}

/// A request with the user's own token (`Authorization: Bearer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`, `POST` …
    pub method: &'static str,
    /// As documented; it is moved to where the target has it.
    pub path: &'a str,
    /// Its headers, beside those of the target; without `Authorization` among them it carries the user's token.
    pub headers: &'a [(String, String)],
    /// JSON, or empty.
    pub body: &'a str,
}

/// What a simulated user heard. One text may say several things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// From here on the connection is a full one: the greeting of the dialect is complete, what is sent to the user's group
    /// reaches it.
    Ready,
    /// The server's answer to this user's own message.
    Answer {
        /// Which message.
        stamp: Stamp,
        /// The number the server gave it, on a dialect that counts (echo/2b).
        count: Option<u64>,
    },
    /// The server has this user's own message: from now on it is owed.
    Confirmed {
        /// Which message.
        stamp: Stamp,
    },
    /// A message as its recipient hears it.
    Delivery {
        /// Which message.
        stamp: Stamp,
        /// By which way it came.
        by: Way,
    },
    /// The reply to the oldest act of this kind that waits on the connection.
    Reply {
        /// Which act.
        act: usize,
    },
    /// Something the server said of its own accord.
    Push,
    /// A sign of life, and the text it wants back, if any.
    Heartbeat {
        /// To be sent at once.
        reply: Option<Cow<'a, str>>,
    },
    /// The server will not do what this user asked for.
    Refused,
    /// All has come that a text of [`catch_up`](ClientHalf::catch_up) asked for: it can be asked for the next step. (After a
    /// request its answer says so.)
    ReadBack,
    /// Nothing this protocol's server says; counted as an error.
    Unknown,
}

/// How a delivery came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Sent when it was said.
    Live,
    /// Read back: history, or what was queued while the user was away. No delivery latency is taken of it, and it is never a
    /// duplicate of a live one.
    CaughtUp,
    /// Sent on this connection under the same name as on an earlier one, because the server could not know that it had
    /// arrived (outbox/9c). A client drops it, and so it is no duplicate; it is only counted.
    Redelivered,
}

/// What somebody who comes back has to do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comeback {
    /// He does not come back.
    Never,
    /// Wait and connect.
    Again,
    /// Get a new token, wait and connect.
    WithNewToken,
}

/// Texts that a client says unasked to show that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat<'a> {
    /// From one to the next; the first comes one interval after the connection is open.
    pub interval: Duration,
    /// What it says.
    pub text: &'a str,
}

/// What a client keeps for later while it is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfflineQueue {
    /// No more than so many; the oldest go first.
    pub messages_max: usize,
    /// None older than this.
    pub age_max: Duration,
}

/// Who a simulated user is to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persona {
    /// His id, as text.
    pub id: String,
    /// The token of the next connection; empty where there are none.
    pub token: String,
    /// The tenant's schema, on a dialect with tenants.
    pub tenant: String,
    /// The id of the channel or conversation that his group shares, where the dialect has such a thing.
    pub channel: String,
    /// The ids of his group's members, himself included.
    pub group: Arc<[String]>,
    /// His own place in it.
    pub place: usize,
}

/// One user's half of a protocol. Pure; one value per session, kept over its reconnects.
pub trait ClientHalf {
    /// The path's segments in braces and the query, `?` included, for the next connection: the same session every time.
    fn address(&self) -> Address;

    /// A connection stands, and nothing was said on it: what was of the last one is forgotten. A dialect without a greeting
    /// tells [`Ready`](Heard::Ready) here.
    fn opened(&mut self, tell: &mut impl FnMut(Heard<'static>)) {
        let _ = tell;
    }

    /// What this user says first on a connection that stands, one text after the other; most dialects want nothing.
    fn greeting(&mut self, say: &mut dyn FnMut(&str)) {
        let _ = say;
    }

    /// Does what `turn` asks for. `draft` is scratch space.
    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a>;

    /// Takes in a text message of the server and tells what it says.
    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>));

    /// Takes in the answer to a request of [`act`](Self::act) or [`catch_up`](Self::catch_up).
    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let _ = body;
        match asked {
            Asked::Act { stamp, .. } if (200..300).contains(&status) => tell(Heard::Confirmed { stamp }),
            Asked::Act { .. } | Asked::CatchUp => tell(Heard::Refused),
        }
    }

    /// What to do next to read back what was missed, `step` being 0 at first; `Nothing` when there is nothing to read any
    /// more, or no way.
    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        let _ = (step, draft);
        Next::Nothing
    }

    /// Whether it reads back what it has missed as soon as it is back, and not only at the end.
    fn catches_up_at_once(&self) -> bool {
        false
    }

    /// What this client says unasked to show that it is alive.
    fn beat(&self) -> Option<Beat<'_>> {
        None
    }

    /// What this client keeps for later while it is not connected.
    fn offline_queue(&self) -> Option<OfflineQueue> {
        None
    }

    /// How long a client of this dialect waits before it comes back.
    fn backoff(&self) -> Backoff;

    /// Whether it comes back after the server closed with `code` (`None`: without a close frame, or without a code in it).
    fn comeback(&self, code: Option<u16>) -> Comeback {
        match code {
            Some(code) if !CloseCode(code).invites_back() => Comeback::Never,
            Some(_) | None => Comeback::Again,
        }
    }

    /// What it does after its handshake was refused with this status, if it does not do as everybody (common/2b): come back
    /// to a server that is full or stopping, and else not.
    fn refused(&self, status: u16) -> Option<Comeback> {
        let _ = status;
        None
    }

    /// Another token for the next connection and request.
    fn new_token(&mut self, token: &str) {
        let _ = token;
    }
}

/// Which request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// An act of the user.
    Act {
        /// Which of the protocol's acts.
        act: usize,
        /// Its stamp.
        stamp: Stamp,
    },
    /// What was missed.
    CatchUp,
}

/// Where a connection goes, beneath the dialect's route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Values of the route's segments in braces, in their order, percent-encoded.
    pub segments: Vec<String>,
    /// `?` and what follows, or empty.
    pub query: String,
    /// Headers of this user's handshake, beside those of the target.
    pub headers: Vec<(String, String)>,
}
