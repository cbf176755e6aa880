//! What happens in a channel, as it travels between nodes: the frames that tell it, and who is told which.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use touchstone_protocol::rooms::messages::Told;
use touchstone_storage::ConnectionId;

/// Something that happened. `T` is JSON text: owned where it is written, borrowed where it is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct Event<'a, T> {
    /// The number of the message that was said; 0 for anything else.
    pub(super) sequence: u64,
    pub(super) manner: Manner,
    /// The user whose connections are not told what the others are; empty where all are told the same.
    #[serde(borrow)]
    pub(super) about: Cow<'a, str>,
    /// The one connection that is told, and nobody else; `None`: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) only: Option<u128>,
    /// What others are told.
    pub(super) told: T,
    /// What his connections are told instead, if anything.
    pub(super) own: Option<T>,
}

/// How an event is told to a crowd (common/11a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Manner {
    /// As to anybody.
    Always,
    /// It is somebody's newest state and goes with the next batch.
    InBatches,
    /// Not at all: another event says more about the same user.
    NotToCrowds,
}

/// An event that is about to be published.
pub(super) type Happened = Event<'static, Box<RawValue>>;

/// An event as it arrives from the bus.
pub(super) type Arriving<'a> = Event<'a, &'a RawValue>;

impl Happened {
    /// All are told the same.
    pub(super) fn to_all(told: &Told<'_>) -> Self {
        Self {
            sequence: 0,
            manner: Manner::Always,
            about: Cow::Borrowed(""),
            only: None,
            told: raw(told),
            own: None,
        }
    }

    /// One connection is told.
    pub(super) fn to_one(connection: ConnectionId, told: &Told<'_>) -> Self {
        Self {
            only: Some(connection.0),
            ..Self::to_all(told)
        }
    }

    /// All are told but the user himself.
    pub(super) fn about(user: &str, told: &Told<'_>) -> Self {
        Self {
            about: Cow::Owned(user.to_owned()),
            ..Self::to_all(told)
        }
    }
}

/// A message as JSON text.
pub(super) fn raw(told: &Told<'_>) -> Box<RawValue> {
    serde_json::value::to_raw_value(told).expect("a message is always JSON")
}

/// Events of one channel, one behind the other, as they are published.
pub(super) fn pack(events: &[Happened]) -> Bytes {
    let packed = serde_json::to_vec(events).expect("events are always JSON, and a Vec takes them");
    Bytes::from(packed)
}

/// What was packed. Another node's version may write what this one cannot read; that is not told.
pub(super) fn unpack(packed: &[u8]) -> serde_json::Result<Vec<Arriving<'_>>> {
    serde_json::from_slice(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchstone_protocol::rooms::messages::{Id, Mover};
    use touchstone_protocol::timestamp::Rfc3339;

    #[test]
    fn events_arrive_as_they_were_packed() {
        let told = Told::Join(Mover {
            user_id: Id::Text(Cow::Borrowed("a\"\\\n")),
            username: "ann \u{1F980}",
            timestamp: Rfc3339(0),
        });
        let said = Happened {
            sequence: 7,
            manner: Manner::InBatches,
            own: Some(raw(&told)),
            ..Happened::about("a\"\\\n", &told)
        };
        let only = Happened::to_one(ConnectionId(u128::MAX), &told);
        let packed = pack(&[said, Happened::to_all(&told), only]);
        let events = unpack(&packed).unwrap();
        let [said, plain, only] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((said.sequence, &*said.about), (7, "a\"\\\n"));
        assert_eq!(said.manner, Manner::InBatches);
        assert_eq!(said.told.get(), raw(&told).get());
        assert_eq!(said.own.map(RawValue::get), Some(raw(&told).get()));
        assert_eq!((plain.sequence, &*plain.about), (0, ""));
        assert!(plain.own.is_none());
        assert_eq!((plain.only, only.only), (None, Some(u128::MAX)));
    }
}
