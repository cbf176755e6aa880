//! Writing frames: a server's as one `Bytes` that any number of connections can share, a client's masked into a
//! buffer that is used again.

use crate::frame::{CONTROL_BYTES_MAX, Fin, Header, OpCode, PayloadForm};
use crate::mask;
use bytes::Bytes;
use std::num::NonZeroUsize;

/// The most bytes of a close reason: a control frame's payload, less the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A server's text message in one frame. Cloning the result costs no copy, so a broadcast is encoded once.
#[must_use]
pub fn server_text(text: &str) -> Bytes {
    server_frame(OpCode::Text, text.as_bytes())
}

/// A server's binary message in one frame.
#[must_use]
pub fn server_binary(payload: &[u8]) -> Bytes {
    server_frame(OpCode::Binary, payload)
}

/// A server's ping. A payload over 125 bytes is cut to what a control frame can carry.
#[must_use]
pub fn server_ping(payload: &[u8]) -> Bytes {
    server_frame(OpCode::Ping, control_payload(payload))
}

/// A server's pong. A payload over 125 bytes is cut to what a control frame can carry; a ping never has one.
#[must_use]
pub fn server_pong(payload: &[u8]) -> Bytes {
    server_frame(OpCode::Pong, control_payload(payload))
}

/// A server's close frame. A reason over 123 bytes is cut, between characters.
#[must_use]
pub fn server_close(code: u16, reason: &str) -> Bytes {
    let mut body = CloseBody::new();
    server_frame(OpCode::Close, body.fill(code, reason))
}

/// A server's close frame without a code.
#[must_use]
pub fn server_close_empty() -> Bytes {
    Bytes::from_static(&[0x88, 0])
}

fn server_frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let header = Header::whole(opcode, payload.len(), None).encode();
    // With exactly this capacity `Bytes` takes the vector over as it is.
    let mut frame = Vec::with_capacity(header.len() + payload.len());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// Appends an unmasked frame that is a message by itself to `out`.
pub fn encode_unmasked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    append(out, &Header::whole(opcode, payload.len(), None), payload);
}

/// Appends a message that is deflated already to `out`, in one frame; masked if there is a key.
pub fn encode_deflated(out: &mut Vec<u8>, opcode: OpCode, deflated: &[u8], mask: Option<[u8; 4]>) {
    let header = Header {
        form: PayloadForm::Deflated,
        ..Header::whole(opcode, deflated.len(), mask)
    };
    append(out, &header, deflated);
}

/// Appends a client's frame that is a message by itself to `out`, masked with `key`.
pub fn encode_masked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], key: [u8; 4]) {
    append(out, &Header::whole(opcode, payload.len(), Some(key)), payload);
}

/// Appends a client's close frame to `out`. A reason over 123 bytes is cut, between characters.
pub fn encode_masked_close(out: &mut Vec<u8>, code: u16, reason: &str, key: [u8; 4]) {
    let mut body = CloseBody::new();
    encode_masked(out, OpCode::Close, body.fill(code, reason), key);
}

/// Appends `header` and `payload`, masked if the header says so.
fn append(out: &mut Vec<u8>, header: &Header, payload: &[u8]) {
    let encoded = header.encode();
    out.reserve(encoded.len() + payload.len());
    out.extend_from_slice(&encoded);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = header.mask {
        mask::apply(&mut out[start..], key);
    }
}

/// One frame of a message that is sent in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Whether it ends the message.
    pub fin: Fin,
    /// The message's opcode on the first fragment, `Continuation` on the others.
    pub opcode: OpCode,
    /// Its share of the message.
    pub payload: &'a [u8],
}

impl Fragment<'_> {
    /// Appends the frame to `out`, masked if there is a key. A client takes a new key for each fragment.
    pub fn encode(&self, out: &mut Vec<u8>, mask: Option<[u8; 4]>) {
        let header = Header {
            fin: self.fin,
            opcode: self.opcode,
            form: PayloadForm::Plain,
            payload_bytes: self.payload.len(),
            mask,
        };
        append(out, &header, self.payload);
    }
}

/// Cuts a text or binary message into fragments of at most `fragment_bytes_max`; an empty one is one empty frame.
/// A text may be cut inside a character: the sequence goes on in the next fragment.
pub fn fragments(
    opcode: OpCode,
    payload: &[u8],
    fragment_bytes_max: NonZeroUsize,
) -> impl Iterator<Item = Fragment<'_>> {
    let mut rest = Some((opcode, payload));
    std::iter::from_fn(move || {
        let (opcode, payload) = rest.take()?;
        let (share, behind) = payload.split_at(payload.len().min(fragment_bytes_max.get()));
        let fin = if behind.is_empty() {
            Fin::Last
        } else {
            rest = Some((OpCode::Continuation, behind));
            Fin::More
        };
        Some(Fragment {
            fin,
            opcode,
            payload: share,
        })
    })
}

fn control_payload(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

/// Where the body of a close frame is put together, without an allocation.
struct CloseBody([u8; CONTROL_BYTES_MAX]);

impl CloseBody {
    const fn new() -> Self {
        Self([0; CONTROL_BYTES_MAX])
    }

    fn fill(&mut self, code: u16, reason: &str) -> &[u8] {
        let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
        let used = 2 + reason.len();
        self.0[..2].copy_from_slice(&code.to_be_bytes());
        self.0[2..used].copy_from_slice(reason.as_bytes());
        &self.0[..used]
    }
}
