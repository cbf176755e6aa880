//! What nodes tell each other over the bus: one of these per payload, with its frames already made.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::direct::{HexId, ID_DIGITS};
use touchstone_storage::{ConnectionId, MessagePlace};

use crate::connection::Close;

/// Under the topic of a user it is for his connections, under that of everybody for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parcel {
    /// To be sent as it is.
    Frames(Bytes),
    /// A message to the user; whoever hands it over says so to its sender.
    Message { sent: SentMessage, frame: Bytes },
    /// These connections of the user were taken over by a later one (direct/7a).
    Superseded(Vec<ConnectionId>),
    /// The user's connections are to be closed.
    Close(Close),
    /// Somebody came or went: for everybody but him.
    Change(Change),
}

/// A stored message, as far as its receipt needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentMessage {
    pub(super) place: MessagePlace,
    pub(super) id: HexId,
    pub(super) sender: HexId,
}

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Online,
    Offline,
}

/// Somebody came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) user: HexId,
    pub(super) whereabouts: Whereabouts,
    /// By which of his connections.
    pub(super) connection: ConnectionId,
    /// Connections that there were to be told, counted when it happened (common/11a).
    pub(super) others: u32,
    /// What tells it.
    pub(super) frame: Bytes,
}

const FRAMES: u8 = 1;
const MESSAGE: u8 = 2;
const SUPERSEDED: u8 = 3;
const CLOSE: u8 = 4;
const ONLINE: u8 = 5;
const OFFLINE: u8 = 6;

impl Parcel {
    /// The payload for the bus.
    pub(super) fn encode(&self) -> Bytes {
        let mut payload = BytesMut::new();
        match self {
            Self::Frames(frames) => {
                payload.put_u8(FRAMES);
                payload.put_slice(frames);
            }
            Self::Message { sent, frame } => {
                payload.reserve(size_of::<SentMessage>() + 1 + frame.len());
                payload.put_u8(MESSAGE);
                payload.put_u64(sent.place.dialogue);
                payload.put_u64(sent.place.number);
                payload.put_slice(sent.id.as_str().as_bytes());
                payload.put_slice(sent.sender.as_str().as_bytes());
                payload.put_slice(frame);
            }
            Self::Superseded(connections) => {
                payload.put_u8(SUPERSEDED);
                connections
                    .iter()
                    .for_each(|connection| payload.put_u128(connection.0));
            }
            Self::Close(close) => {
                payload.put_u8(CLOSE);
                payload.put_u16(close.code.0);
                payload.put_slice(close.reason.as_bytes());
            }
            Self::Change(change) => {
                payload.put_u8(match change.whereabouts {
                    Whereabouts::Online => ONLINE,
                    Whereabouts::Offline => OFFLINE,
                });
                payload.put_slice(change.user.as_str().as_bytes());
                payload.put_u128(change.connection.0);
                payload.put_u32(change.others);
                payload.put_slice(&change.frame);
            }
        }
        payload.freeze()
    }

    /// What a payload says; `None` if nobody of ours can have published it. Frames are not copied.
    pub(super) fn decode(payload: &Bytes) -> Option<Self> {
        let mut rest = payload.clone();
        let kind = rest.try_get_u8().ok()?;
        Some(match kind {
            FRAMES => Self::Frames(rest),
            MESSAGE => {
                let place = MessagePlace {
                    dialogue: rest.try_get_u64().ok()?,
                    number: rest.try_get_u64().ok()?,
                };
                let (id, sender) = (take_id(&mut rest)?, take_id(&mut rest)?);
                let sent = SentMessage { place, id, sender };
                Self::Message { sent, frame: rest }
            }
            SUPERSEDED => {
                let mut connections = Vec::new();
                while rest.has_remaining() {
                    connections.push(ConnectionId(rest.try_get_u128().ok()?));
                }
                Self::Superseded(connections)
            }
            CLOSE => {
                let code = CloseCode(rest.try_get_u16().ok()?);
                Self::Close(Close::new(code, std::str::from_utf8(&rest).ok()?))
            }
            ONLINE | OFFLINE => Self::Change(Change {
                user: take_id(&mut rest)?,
                whereabouts: if kind == ONLINE {
                    Whereabouts::Online
                } else {
                    Whereabouts::Offline
                },
                connection: ConnectionId(rest.try_get_u128().ok()?),
                others: rest.try_get_u32().ok()?,
                frame: rest,
            }),
            _ => return None,
        })
    }
}

fn take_id(rest: &mut Bytes) -> Option<HexId> {
    let enough = rest.len() >= ID_DIGITS;
    enough
        .then(|| rest.split_to(ID_DIGITS))
        .and_then(|digits| HexId::from_ascii(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_arrives_as_it_was_sent_and_a_part_of_it_never_panics() {
        let frame = Bytes::from_static(b"\x81\x02hi");
        let change = |whereabouts| Change {
            user: HexId::from_number(7),
            whereabouts,
            connection: ConnectionId(u128::MAX - 1),
            others: 99,
            frame: frame.clone(),
        };
        let sent = SentMessage {
            place: MessagePlace {
                dialogue: 1,
                number: 2,
            },
            id: HexId::from_number(3),
            sender: HexId::from_number(4),
        };
        for parcel in [
            Parcel::Frames(frame.clone()),
            Parcel::Message {
                sent,
                frame: frame.clone(),
            },
            Parcel::Superseded(vec![ConnectionId(5), ConnectionId(6)]),
            Parcel::Close(Close::new(CloseCode(4003), "gone")),
            Parcel::Change(change(Whereabouts::Online)),
            Parcel::Change(change(Whereabouts::Offline)),
        ] {
            let payload = parcel.encode();
            assert_eq!(Parcel::decode(&payload), Some(parcel));
            for end in 0..payload.len() {
                // Some of a parcel may be a shorter one; nothing more is asked of it.
                let _ = Parcel::decode(&payload.slice(..end));
            }
        }
        assert_eq!(Parcel::decode(&Bytes::from_static(b"\x09hi")), None);
    }
}
