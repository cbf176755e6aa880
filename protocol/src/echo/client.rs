//! The client half of `echo` (spec `echo.md`, "Client habits").
//!
//! Its decoder is its own, not the server's types read backwards: what a client hears is told apart by the fields that
//! are there (echo/2a, 8a, 9a, 10a), and fields nobody named are ignored.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Backoff, ClientHalf, Heard, Key, Next};
use crate::echo::{QUERY_PERSISTENCE, QUERY_SESSION};

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
    fn query(&self) -> String {
        let session = self.session;
        match self.persistence {
            Persistence::Count => format!("?{QUERY_SESSION}=load-{session:x}"),
            Persistence::Messages => format!("?{QUERY_SESSION}=load-{session:x}&{QUERY_PERSISTENCE}=true"),
        }
    }

    fn next<'a>(&mut self, key: Key, content_bytes: usize, content: &'a mut String) -> Next<'a> {
        content.clear();
        key.write(content_bytes, content);
        Next::Send(content)
    }

    fn hear<'a>(&mut self, text: &'a str) -> Heard<'a> {
        let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
            return Heard::Unknown;
        };
        if let (Some(count), Some(echo)) = (message.count, &message.echo) {
            return Key::read(&echo.0).map_or(Heard::Unknown, |key| Heard::Answer {
                key,
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

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_millis(500),
            max: Duration::from_secs(10),
        }
    }
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

/// Borrows where the text has no escapes. (`Option<Cow<str>>` alone would always copy: serde borrows through a newtype only.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> EchoClient {
        EchoClient::new(0x7_0000_0003, Persistence::Count)
    }

    #[test]
    fn each_message_of_the_server_is_told_apart() {
        let key = Key {
            sender: 3,
            sequence: 10,
        };
        let answer = |count| Heard::Answer {
            key,
            count: Some(count),
        };
        let rows = [
            (r#"{"count":7,"echo":"~3.a~xxxx"}"#, answer(7)),
            (r#"{"echo":"~3.a~","extra":[1],"count":7}"#, answer(7)),
            (r#"{"count":8,"echo":"\u007e3.a~"}"#, answer(8)),
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
            (r#"{"count":-1,"echo":"~3.a~"}"#, Heard::Unknown),
            (r#"{"type":"new"}"#, Heard::Unknown),
            ("hello", Heard::Unknown),
            ("", Heard::Unknown),
        ];
        for (text, expected) in rows {
            assert_eq!(client().hear(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_carries_its_key_and_has_the_size_that_was_asked_for() {
        let key = Key {
            sender: 3,
            sequence: 10,
        };
        let mut content = String::from("left over");
        assert_eq!(client().next(key, 8, &mut content), Next::Send("~3.a~xxx"));
    }

    #[test]
    fn a_session_comes_back_under_its_own_name() {
        assert_eq!(client().query(), "?session=load-700000003");
        let keeping = EchoClient::new(1, Persistence::Messages);
        assert_eq!(keeping.query(), "?session=load-1&redis_persistence=true");
    }
}
