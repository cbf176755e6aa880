//! The client half of `echo` (spec `echo.md`, "Client habits").
//!
//! Its decoder is its own, not the server's types read backwards: what a client hears is told apart by the fields that
//! are there (echo/2a, 8a, 9a, 10a), and fields nobody named are ignored.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{
    Act, Address, Backoff, ClientHalf, Draft, Effect, Growth, Heard, Next, Stamp, Text, Turn,
};
use crate::echo::{QUERY_PERSISTENCE, QUERY_SESSION};

/// What its users can do.
pub const ACTS: &[Act] = &[Act::new("say", Effect::Answer)];

/// Whether the server is asked to keep the messages (echo/7a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Only the count.
    Count,
    /// The count and every message.
    Messages,
}

/// A user of `echo`: sends texts, each of which is counted and comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EchoClient {
    session: u64,
    persistence: Persistence,
}

impl EchoClient {
    /// A user whose session is named after `session`, the sender of its keys.
    #[must_use]
    pub const fn new(session: u64, persistence: Persistence) -> Self {
        Self { session, persistence }
    }
}

impl ClientHalf for EchoClient {
    fn address(&self) -> Address {
        let session = self.session;
        let kept = match self.persistence {
            Persistence::Count => String::new(),
            Persistence::Messages => format!("&{QUERY_PERSISTENCE}=true"),
        };
        Address {
            segments: Vec::new(),
            query: format!("?{QUERY_SESSION}=load-{session:x}{kept}"),
            headers: Vec::new(),
        }
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        draft.body.clear();
        turn.stamp.write(turn.content_bytes, &mut draft.body);
        Next::Send(&draft.body)
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        tell(heard(text));
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_millis(500),
            growth: Growth::Percent(200),
            max: Duration::from_secs(10),
            attempts_max: None,
        }
    }
}

fn heard(text: &str) -> Heard<'_> {
    let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
        return Heard::Unknown;
    };
    if let (Some(count), Some(echo)) = (message.count, &message.echo) {
        return Stamp::read(&echo.0).map_or(Heard::Unknown, |stamp| Heard::Answer {
            stamp,
            count: Some(count),
        });
    }
    if message.ts.is_some() {
        return Heard::Heartbeat { reply: None };
    }
    if message.bye.is_some() || message.kind.is_some_and(|kind| kind.0 == "broadcast") {
        return Heard::Push;
    }
    Heard::Unknown
}

/// All that the server says, as one flat envelope: a tagged enum would buffer every message before reading it.
#[derive(Deserialize)]
struct Message<'a> {
    count: Option<u64>,
    #[serde(borrow)]
    echo: Option<Text<'a>>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    bye: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Key;

    fn client() -> EchoClient {
        EchoClient::new(0x7_0000_0003, Persistence::Count)
    }

    fn stamp() -> Stamp {
        Stamp {
            key: Key {
                sender: 3,
                sequence: 10,
            },
            intended_micros: 5,
            lag_micros: 1,
        }
    }

    #[test]
    fn each_message_of_the_server_is_told_apart() {
        let answer = |count| Heard::Answer {
            stamp: stamp(),
            count: Some(count),
        };
        let rows = [
            (r#"{"count":7,"echo":"~3.a.5.1~xxxx"}"#, answer(7)),
            (r#"{"echo":"~3.a.5.1~","extra":[1],"count":7}"#, answer(7)),
            (r#"{"count":8,"echo":"\u007e3.a.5.1~"}"#, answer(8)),
            (r#"{"ts":"1703123456789"}"#, Heard::Heartbeat { reply: None }),
            (r#"{"ts":1703123456789}"#, Heard::Heartbeat { reply: None }),
            (
                r#"{"type":"broadcast","message":"m","title":"t","level":"info","timestamp":1}"#,
                Heard::Push,
            ),
            (
                r#"{"bye":true,"total":3,"message":"Server is shutting down gracefully"}"#,
                Heard::Push,
            ),
            (r#"{"count":7}"#, Heard::Unknown),
            (r#"{"count":7,"echo":"hello"}"#, Heard::Unknown),
            (r#"{"count":-1,"echo":"~3.a.5.1~"}"#, Heard::Unknown),
            (r#"{"type":"new"}"#, Heard::Unknown),
            ("hello", Heard::Unknown),
            ("", Heard::Unknown),
        ];
        for (text, expected) in rows {
            assert_eq!(heard(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_carries_its_stamp_and_has_the_size_that_was_asked_for() {
        let mut draft = Draft {
            body: "left over".to_owned(),
            ..Draft::default()
        };
        let turn = Turn {
            act: 0,
            stamp: stamp(),
            content_bytes: 12,
            recipient: 0,
        };
        assert_eq!(client().act(turn, &mut draft), Next::Send("~3.a.5.1~xxx"));
    }

    #[test]
    fn a_session_comes_back_under_its_own_name() {
        assert_eq!(client().address().query, "?session=load-700000003");
        let keeping = EchoClient::new(1, Persistence::Messages);
        assert_eq!(keeping.address().query, "?session=load-1&redis_persistence=true");
    }
}
