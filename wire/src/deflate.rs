//! permessage-deflate (RFC 7692): what two sides agree on, and the streams that follow from it.
//!
//! - [`Policy`] answers a client's offers; [`Offer`] makes one and checks the answer.
//! - [`Deflater`] and [`Inflater`] are one direction of one connection; [`deflate_shared`] is for a direction that
//!   remembers nothing between two messages, and so needs nothing of its own.
//!
//! The [`Receiver`](crate::Receiver) inflates by itself once it is told how.

mod compress;
mod decompress;
mod negotiate;
mod pool;

pub use compress::Deflater;
pub use decompress::{Fault, INFLATER_BYTES, Inflater};
pub use negotiate::{Agreement, AnswerError, ClientWindow, Negotiated, Offer, Policy};
pub use pool::deflate_shared;
pub(crate) use pool::{give_back_inflater, take_inflater};

/// The extension's name in `Sec-WebSocket-Extensions`.
pub const EXTENSION: &str = "permessage-deflate";

/// What a sender leaves away at the end of a message, and a receiver puts back (RFC 7692 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Whether a message may refer to earlier ones of its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Takeover {
    /// It may: both sides keep their streams as long as the connection.
    Kept,
    /// Each message stands by itself: no stream outlives it.
    Dropped,
}

/// How far back a stream may refer, as the logarithm of a number of bytes: 8 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 32 KiB: what is used unless something less was agreed on.
    pub const MAX: Self = Self(15);

    /// The smallest window this crate compresses with. RFC 7692 goes down to 8, which zlib cannot do in a raw stream.
    pub const COMPRESS_MIN: Self = Self(9);

    /// A window of RFC 7692; `None` outside of 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            8..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// A parameter's value: decimal, without a leading zero.
    fn parse(value: &str) -> Option<Self> {
        let bits = value.parse().ok().filter(|_| !value.starts_with(['0', '+']));
        bits.and_then(Self::new)
    }

    /// The logarithm.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The window in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

impl std::fmt::Display for WindowBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How hard a deflater tries, 1 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// What suits a server that sends many short messages: for those the other levels win little and cost twice as much.
    pub const FASTEST: Self = Self(1);

    /// A level of zlib's; `None` outside of 1 to 9.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            1..=9 => Some(Self(level)),
            _ => None,
        }
    }
}

/// How one direction of a connection is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Half {
    /// Whether messages may refer to earlier ones.
    pub takeover: Takeover,
    /// How far back at most.
    pub window: WindowBits,
}

/// The most compressed bytes of a message whose inflated size is limited: Deflate adds five bytes to a block that it
/// cannot make smaller, and this leaves room for very small blocks. Beyond it the message is refused on a header, so that
/// nobody can keep a receiver busy with blocks that hold nothing.
#[must_use]
pub const fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max
        .saturating_add(message_bytes_max / 8)
        .saturating_add(1024)
}
