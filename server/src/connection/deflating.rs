//! Compressed messages (RFC 7692) on their way out. Above this nobody knows of compression: what is sent are whole
//! frames, and they are deflated here for those peers who agreed to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use touchstone_wire as wire;
use touchstone_wire::deflate::{
    Agreement, Deflater, Level, Negotiated, Policy, Takeover, WindowBits, deflate_shared,
};

use super::buffers::Scratch;
use super::frames::{Frame, frames};
use crate::config::Compression;
use crate::slots::{Slot, Slots};

/// Frames that a thread remembers deflated: as many broadcasts as may be on their way through crowds at a time. One
/// more costs a broadcast that it is deflated again.
const FRAMES_REMEMBERED: usize = 8;

/// What they may come to, unless a single one is longer.
const REMEMBERED_BYTES_MAX: usize = 1 << 20;

/// How connections are compressed. Clones share the limit on contexts.
#[derive(Debug, Clone)]
pub(crate) struct Deflation {
    policy: Policy,
    thrift: Thrift,
    /// Connections that may still have windows of their own.
    takeovers: Arc<Slots>,
}

/// When and how hard a message is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thrift {
    level: Level,
    message_bytes_min: usize,
}

/// What was granted to one connection.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) negotiated: Negotiated,
    /// Its share of the limit, if it may have a window of its own.
    takeover: Option<Slot>,
}

/// How one connection's messages leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Plain,
    /// Each message by itself: deflated once for all who have the same window.
    Alone(WindowBits),
    /// With a deflater of its own, behind the lock that keeps the order.
    Lasting,
}

/// What a connection keeps whose messages may refer to earlier ones.
#[derive(Debug)]
pub(super) struct Lasting {
    /// `None` if only the peer's messages do.
    deflater: Option<Deflater>,
    thrift: Thrift,
    /// Given back with the connection.
    _slot: Slot,
}

impl Deflation {
    /// As configured.
    pub(crate) fn new(config: Compression) -> Self {
        let window = |bits| WindowBits::new(bits).expect("windows were checked when the server was bound");
        Self {
            policy: Policy {
                takeover: if config.context_takeover {
                    Takeover::Kept
                } else {
                    Takeover::Dropped
                },
                server_window: window(config.server_window_bits),
                client_window: window(config.client_window_bits),
            },
            thrift: Thrift {
                level: Level::new(config.level).expect("the level was checked when the server was bound"),
                message_bytes_min: config.message_bytes_min,
            },
            takeovers: Slots::new(config.context_takeover_connections),
        }
    }

    /// What the client's offers come to; `None` if nothing. Beyond the limit of connections with windows of their own
    /// contexts are dropped.
    pub(crate) fn grant(&self, request: &HeaderMap) -> Option<Granted> {
        let slot = match self.policy.takeover {
            Takeover::Dropped => None,
            Takeover::Kept => self.takeovers.take(),
        };
        let policy = match slot {
            Some(_) => self.policy,
            None => Policy {
                takeover: Takeover::Dropped,
                ..self.policy
            },
        };
        let negotiated = policy.negotiate(request)?;
        let Agreement { server, client } = negotiated.agreement;
        let lasts = [server, client]
            .iter()
            .any(|half| half.takeover == Takeover::Kept);
        Some(Granted {
            negotiated,
            takeover: slot.filter(|_| lasts),
        })
    }

    /// How a connection sends that was granted this, and what lasts as long as it.
    pub(super) fn sending(&self, granted: Granted) -> (Sending, Option<Box<Lasting>>) {
        let Granted { negotiated, takeover } = granted;
        let server = negotiated.agreement.server;
        let (sending, deflater) = match server.takeover {
            Takeover::Dropped => (Sending::Alone(server.window), None),
            Takeover::Kept => (Sending::Lasting, Some(Deflater::new(server, self.thrift.level))),
        };
        let lasting = takeover.map(|slot| {
            Box::new(Lasting {
                deflater,
                thrift: self.thrift,
                _slot: slot,
            })
        });
        (sending, lasting)
    }

    pub(super) const fn thrift(&self) -> Thrift {
        self.thrift
    }
}

impl Thrift {
    /// Deflates a message that stands by itself, if that makes it smaller.
    pub(super) fn deflate(self, opcode: wire::OpCode, message: &[u8], window: WindowBits) -> Option<Scratch> {
        if opcode.is_control() || message.len() < self.message_bytes_min {
            return None;
        }
        let mut deflated = Scratch::for_deflated();
        deflate_shared(window, self.level, message, &mut deflated);
        (deflated.len() < message.len()).then_some(deflated)
    }

    /// The same frames, deflated where that makes them smaller. Whoever sends the same `Bytes` to many peers of one window
    /// has them deflated once: the thread remembers the last few.
    pub(super) fn deflate_frames(self, plain: &Bytes, window: WindowBits) -> Bytes {
        if plain.len() < self.message_bytes_min {
            return plain.clone();
        }
        REMEMBERED.with_borrow_mut(|remembered| {
            if let Some(known) = remembered.iter().find(|known| known.is_of(plain, window)) {
                return known.deflated.clone();
            }
            let mut out = Vec::with_capacity(plain.len());
            for Frame { whole, payload } in frames(plain) {
                let opcode = Frame { whole, payload }.plain_message();
                match opcode.and_then(|opcode| Some((opcode, self.deflate(opcode, payload, window)?))) {
                    Some((opcode, deflated)) => wire::encode_deflated(&mut out, opcode, &deflated, None),
                    None => out.extend_from_slice(whole),
                }
            }
            let deflated = Bytes::from(out);
            remembered.push_back(Remembered {
                plain: plain.clone(),
                window,
                deflated: deflated.clone(),
            });
            let bytes = |remembered: &VecDeque<Remembered>| -> usize {
                remembered
                    .iter()
                    .map(|known| known.plain.len() + known.deflated.len())
                    .sum()
            };
            while remembered.len() > FRAMES_REMEMBERED
                || remembered.len() > 1 && bytes(remembered) > REMEMBERED_BYTES_MAX
            {
                remembered.pop_front();
            }
            deflated
        })
    }
}

thread_local! {
    static REMEMBERED: RefCell<VecDeque<Remembered>> = const { RefCell::new(VecDeque::new()) };
}

/// Frames that many are sent, deflated.
struct Remembered {
    plain: Bytes,
    window: WindowBits,
    deflated: Bytes,
}

impl Remembered {
    /// As long as `self.plain` is held nothing else can lie at its place: the same place is the same bytes.
    fn is_of(&self, plain: &Bytes, window: WindowBits) -> bool {
        self.window == window && self.plain.as_ptr() == plain.as_ptr() && self.plain.len() == plain.len()
    }
}

impl Lasting {
    /// The same frames, deflated by this connection's own stream; `None` if they are sent as they are.
    pub(super) fn deflate(&mut self, plain: &Bytes) -> Option<Bytes> {
        self.deflater.as_ref()?;
        let mut out = Vec::with_capacity(plain.len());
        for frame in frames(plain) {
            match frame.plain_message() {
                Some(opcode) => self.encode(&mut out, opcode, frame.payload),
                None => out.extend_from_slice(frame.whole),
            }
        }
        Some(Bytes::from(out))
    }

    /// Appends a frame to `out`, deflated if it is worth it. Once deflated it is sent so, even if it has grown: the peer's
    /// stream has to follow.
    pub(super) fn encode(&mut self, out: &mut Vec<u8>, opcode: wire::OpCode, payload: &[u8]) {
        match &mut self.deflater {
            Some(deflater) if !opcode.is_control() && payload.len() >= self.thrift.message_bytes_min => {
                let mut deflated = Scratch::for_deflated();
                deflater.deflate(payload, &mut deflated);
                wire::encode_deflated(out, opcode, &deflated, None);
            }
            Some(_) | None => wire::encode_unmasked(out, opcode, payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRIFT: Thrift = Thrift {
        level: Level::FASTEST,
        message_bytes_min: 100,
    };

    #[test]
    fn what_many_are_sent_is_deflated_once() {
        let plain = wire::server_text(&"abc".repeat(1_000));
        let first = THRIFT.deflate_frames(&plain, WindowBits::MAX);
        assert!(first.len() < 100 && first[0] == 0xC1, "{first:02x?}");
        let again = THRIFT.deflate_frames(&plain.clone(), WindowBits::MAX);
        assert_eq!(again.as_ptr(), first.as_ptr(), "not deflated anew");
        let narrow = THRIFT.deflate_frames(&plain, WindowBits::COMPRESS_MIN);
        assert_ne!(
            narrow.as_ptr(),
            first.as_ptr(),
            "another window is another stream"
        );
        let equal = wire::server_text(&"abc".repeat(1_000));
        assert_eq!(THRIFT.deflate_frames(&equal, WindowBits::MAX), first);
    }

    #[test]
    fn a_thread_forgets_what_is_too_much() {
        for _ in 0..50 {
            let plain = wire::server_binary(&vec![7; 300_000]);
            THRIFT.deflate_frames(&plain, WindowBits::MAX);
        }
        REMEMBERED.with_borrow(|remembered| assert_eq!(remembered.len(), 3));
        for _ in 0..50 {
            THRIFT.deflate_frames(&wire::server_binary(&[7; 300]), WindowBits::MAX);
        }
        REMEMBERED.with_borrow(|remembered| assert_eq!(remembered.len(), FRAMES_REMEMBERED));
    }

    #[test]
    fn only_messages_that_get_smaller_are_deflated() {
        let mut random = fastrand::Rng::with_seed(3);
        let noise: Vec<u8> = (0..500).map(|_| random.u8(..)).collect();
        let mut joined = Vec::new();
        wire::encode_unmasked(&mut joined, wire::OpCode::Text, b"short");
        wire::encode_unmasked(&mut joined, wire::OpCode::Text, &[b'a'; 500]);
        wire::encode_unmasked(&mut joined, wire::OpCode::Binary, &noise);
        wire::encode_unmasked(&mut joined, wire::OpCode::Ping, &[b'a'; 120]);
        let joined = Bytes::from(joined);
        let deflated = THRIFT.deflate_frames(&joined, WindowBits::MAX);
        let kinds: Vec<_> = frames(&deflated).map(|frame| frame.whole[0]).collect();
        assert_eq!(kinds, [0x81, 0xC1, 0x82, 0x89]);
        let untouched: Vec<_> = frames(&joined).map(|frame| frame.whole).collect();
        let sent: Vec<_> = frames(&deflated).map(|frame| frame.whole).collect();
        for at in [0, 2, 3] {
            assert_eq!(sent[at], untouched[at]);
        }
    }
}
