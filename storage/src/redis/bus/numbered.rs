//! A payload with its number, as a channel and a stream bring it.

use bytes::Bytes;
use redis::Value;

/// The key under which a topic's last number is.
pub(super) fn last_key(channel: &str) -> String {
    format!("{channel}:last")
}

/// The key of a topic's stream.
pub(super) fn stream_key(channel: &str) -> String {
    format!("{channel}:stream")
}

/// What a stream has under an id.
pub(super) type Entry = (String, Vec<(String, Vec<u8>)>);

/// A payload of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Higher than that of any before it.
    pub(super) number: u64,
    /// The number of the one before it; 0 if Redis remembers none.
    pub(super) previous: u64,
    /// Which node published it.
    pub(super) node: String,
    pub(super) bytes: Bytes,
}

impl Numbered {
    /// What a channel brings: `NUMBER PREVIOUS NODE COUNT`, a newline, and the payload.
    pub(super) fn of_push(message: Vec<u8>) -> Option<Self> {
        let end = message.iter().position(|byte| *byte == b'\n')?;
        let mut words = std::str::from_utf8(&message[..end]).ok()?.split(' ');
        let (number, previous) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (node, _count) = (words.next()?.to_owned(), words.next()?);
        Some(Self {
            number,
            previous,
            node,
            bytes: Bytes::from(message).slice(end + 1..),
        })
    }

    /// An entry of a stream: its id, and the fields `after`, `from` and `bytes`.
    pub(super) fn of_entry((id, fields): Entry) -> Option<Self> {
        let number = id.split_once('-')?.0.parse().ok()?;
        let mut values = fields.into_iter().map(|(_, value)| value);
        let previous = String::from_utf8(values.next()?).ok()?.parse().ok()?;
        let from = String::from_utf8(values.next()?).ok()?;
        Some(Self {
            number,
            previous,
            node: from.split_once(' ')?.0.to_owned(),
            bytes: values.next()?.into(),
        })
    }
}

/// The channel and the message of a push that is one.
pub(super) fn channel_and_message(data: Vec<Value>) -> Option<(String, Vec<u8>)> {
    let [Value::BulkString(channel), Value::BulkString(message)] = <[Value; 2]>::try_from(data).ok()? else {
        return None;
    };
    Some((String::from_utf8(channel).ok()?, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_channel_brings_is_read_and_else_nothing() {
        let read = |text: &str| Numbered::of_push(text.as_bytes().to_vec());
        let expected = Numbered {
            number: 7,
            previous: 5,
            node: "abc".to_owned(),
            bytes: Bytes::from_static(b"a\nb"),
        };
        assert_eq!(read("7 5 abc 3\na\nb"), Some(expected));
        for foreign in ["", "hello", "7\nx", "x 5 abc 3\ny", "7 5 abc\ny"] {
            assert_eq!(read(foreign), None, "{foreign:?}");
        }
    }
}
