//! The client half of a dialect, without a socket and without a clock.
//!
//! A simulated session asks its half what to do [`next`](ClientHalf::next) and tells it every text it
//! [hears](ClientHalf::hear). Who decides when, over which connection, and what is measured, is elsewhere. The
//! [`Key`] travels in the content and pairs a stimulus with its effects wherever they are heard: one send may have
//! one answer, many deliveries, or both.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// Names one message of a run: who sent it, and as which of theirs.
///
/// Its written form, `~sender.sequence~` in hexadecimal, survives JSON and every dialect's content rules unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Unique among all generators that may reach one server: the run's tag above the session's number.
    pub sender: u64,
    /// Counts the sender's messages from 1.
    pub sequence: u32,
}

impl Key {
    /// Reads the key at the start of a content; whatever follows it is padding.
    ///
    /// `None` for a content that no simulated session wrote.
    #[must_use]
    pub fn read(content: &str) -> Option<Self> {
        let (sender, rest) = content.strip_prefix('~')?.split_once('.')?;
        let (sequence, _padding) = rest.split_once('~')?;
        Some(Self {
            sender: u64::from_str_radix(sender, 16).ok()?,
            sequence: u32::from_str_radix(sequence, 16).ok()?,
        })
    }

    /// Appends the key and then padding until the content has `content_bytes`; a key is never cut.
    pub fn write(self, content_bytes: usize, content: &mut String) {
        let start = content.len();
        write!(content, "{self}").expect("a String takes everything");
        let padding = content_bytes.saturating_sub(content.len() - start);
        content.extend(std::iter::repeat_n('x', padding));
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{:x}.{:x}~", self.sender, self.sequence)
    }
}

/// What a simulated user does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// Send this text over the own connection.
    Send(&'a str),
    /// Make the server emit by its back door; the JSON is the body of the target's `inject`.
    Inject(&'a str),
    /// Nothing: this dialect's user only listens.
    Listen,
}

/// What a simulated user heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The server's answer to this session's own message.
    Answer {
        /// Which message.
        key: Key,
        /// The number the server gave it, on a dialect that counts (echo/2b).
        count: Option<u64>,
    },
    /// A message as its recipient hears it.
    Delivery {
        /// Which message.
        key: Key,
    },
    /// Something the server said of its own accord.
    Push,
    /// A sign of life, and the text it wants back, if any.
    Heartbeat {
        /// To be sent at once.
        reply: Option<&'a str>,
    },
    /// Nothing this dialect's server says; counted as an error.
    Unknown,
}

/// One user's half of a dialect. Pure; one value per session, kept over its reconnects.
pub trait ClientHalf {
    /// The path's query, `?` included, for the next connection; the same session every time.
    fn query(&self) -> String;

    /// What to do when it is this user's turn. `content` is scratch space, cleared first; the message is to carry `key` and have
    /// `content_bytes` of content where the dialect allows it.
    fn next<'a>(&mut self, key: Key, content_bytes: usize, content: &'a mut String) -> Next<'a>;

    /// Takes in a text message of the server.
    fn hear<'a>(&mut self, text: &'a str) -> Heard<'a>;

    /// How long a client of this dialect waits before it comes back.
    fn backoff(&self) -> Backoff;
}

/// Exponential back-off as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first attempt.
    pub first: Duration,
    /// No wait is longer, advice of the server apart.
    pub max: Duration,
}

impl Backoff {
    /// The wait before reconnect attempt `attempt` (from 0), shortened by at most a fifth so that a crowd that was dropped together
    /// does not come back together.
    ///
    /// `jitter` is in [0, 1): the caller's chance. `advice` is the server's own (common/6b): it replaces the back-off where it is
    /// longer, and the jitter is then added, because a client must not come before it was asked to.
    #[must_use]
    pub fn wait(self, attempt: u32, jitter: f64, advice: Option<Duration>) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let own = doubled.min(self.max);
        let spread = own.mul_f64(0.2 * jitter.clamp(0.0, 1.0));
        match advice {
            Some(advice) if advice > own => advice + spread,
            _ => own - spread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_content_whatever_the_padding() {
        let key = Key {
            sender: 0xdead_beef_0000_002a,
            sequence: 300,
        };
        for (content_bytes, expected) in [(0, "~deadbeef0000002a.12c~"), (25, "~deadbeef0000002a.12c~xxx")] {
            let mut content = String::new();
            key.write(content_bytes, &mut content);
            assert_eq!(content, expected);
            assert_eq!(Key::read(&content), Some(key));
        }
    }

    #[test]
    fn other_contents_have_no_key() {
        for content in [
            "",
            "hello",
            "~1.2",
            "~.~",
            "~1.x~",
            "x~1.2~",
            "~1~",
            "~1.100000000~",
        ] {
            assert_eq!(Key::read(content), None, "{content}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_follows_longer_advice() {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            max: Duration::from_secs(10),
        };
        let seconds = Duration::from_secs;
        let rows: &[(&str, u32, f64, Option<Duration>, Duration)] = &[
            ("at first", 0, 0.0, None, Duration::from_millis(500)),
            ("doubles", 1, 0.0, None, seconds(1)),
            ("doubles again", 4, 0.0, None, seconds(8)),
            ("up to its limit", 5, 0.0, None, seconds(10)),
            ("and never overflows", 4_000, 0.0, None, seconds(10)),
            (
                "jitter shortens by up to a fifth",
                1,
                1.0,
                None,
                Duration::from_millis(800),
            ),
            ("longer advice wins", 0, 0.0, Some(seconds(7)), seconds(7)),
            (
                "and jitter then lengthens",
                0,
                1.0,
                Some(seconds(7)),
                Duration::from_millis(7_100),
            ),
            ("shorter advice does not", 5, 0.0, Some(seconds(7)), seconds(10)),
        ];
        for (name, attempt, jitter, advice, expected) in rows {
            assert_eq!(backoff.wait(*attempt, *jitter, *advice), *expected, "{name}");
        }
    }
}
