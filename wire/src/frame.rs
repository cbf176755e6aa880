//! The frame header of RFC 6455 5.2: what its bits are called, and the shortest way to write it.
//!
//! Headers that are wrong on purpose are written by [`RawFrame`](crate::raw::RawFrame); reading them strictly is the
//! [`Receiver`](crate::receive::Receiver)'s business.

/// The most bytes a header takes: two, a 64-bit length and a mask.
pub const HEADER_BYTES_MAX: usize = 14;

/// The most bytes the payload of a control frame may have (RFC 6455 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// The opcodes that RFC 6455 defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpCode {
    /// Goes on with a fragmented message.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The last frame of a side.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping, or comes unasked.
    Pong,
}

impl OpCode {
    /// The four bits of the header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// The opcode of the lower four bits; `None` for the reserved ones (3–7 and 11–15).
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0x0F {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Close, ping and pong: short, never fragmented, allowed between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

/// Whether a frame ends its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fin {
    /// The last frame of its message, or its only one.
    Last,
    /// Continuations follow.
    More,
}

/// Whether the message a frame begins is compressed: RSV1, once permessage-deflate is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadForm {
    /// The payload is the message.
    Plain,
    /// The payload is the message, deflated.
    Deflated,
}

/// The bit of a header's first byte that says so.
pub(crate) const RSV1: u8 = 0x40;

/// A header as a well-behaved side writes it: no reserved bits but for compression, the length in its shortest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub fin: Fin,
    /// What the frame is.
    pub opcode: OpCode,
    /// Whether the message is compressed; `Plain` on continuations and control frames.
    pub form: PayloadForm,
    /// Bytes of payload that follow the header.
    pub payload_bytes: usize,
    /// A client's mask; a server has none.
    pub mask: Option<[u8; 4]>,
}

impl Header {
    /// The header of a whole message, or of a control frame.
    #[must_use]
    pub const fn whole(opcode: OpCode, payload_bytes: usize, mask: Option<[u8; 4]>) -> Self {
        Self {
            fin: Fin::Last,
            opcode,
            form: PayloadForm::Plain,
            payload_bytes,
            mask,
        }
    }

    /// The header's bytes. Does not allocate.
    #[must_use]
    pub fn encode(&self) -> HeaderBytes {
        let fin = match self.fin {
            Fin::Last => 0x80,
            Fin::More => 0,
        };
        let form = match self.form {
            PayloadForm::Plain => 0,
            PayloadForm::Deflated => RSV1,
        };
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut header = HeaderBytes {
            bytes: [0; HEADER_BYTES_MAX],
            used: 0,
        };
        header.push(&[fin | form | self.opcode.bits()]);
        match (
            u8::try_from(self.payload_bytes),
            u16::try_from(self.payload_bytes),
        ) {
            (Ok(short @ 0..=125), _) => header.push(&[mask_bit | short]),
            (_, Ok(sixteen)) => {
                header.push(&[mask_bit | 126]);
                header.push(&sixteen.to_be_bytes());
            }
            (_, Err(_)) => {
                header.push(&[mask_bit | 127]);
                header.push(&(self.payload_bytes as u64).to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            header.push(&key);
        }
        header
    }
}

/// An encoded header, on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    used: u8,
}

impl HeaderBytes {
    fn push(&mut self, more: &[u8]) {
        let used = usize::from(self.used);
        self.bytes[used..used + more.len()].copy_from_slice(more);
        self.used += more.len() as u8;
    }

    /// The bytes to be written before the payload.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.used)]
    }
}

impl std::ops::Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_written_in_its_shortest_form() {
        let key = Some([1, 2, 3, 4]);
        type Row = (usize, Option<[u8; 4]>, &'static [u8]);
        let rows: &[Row] = &[
            (0, None, &[0x82, 0]),
            (125, None, &[0x82, 125]),
            (126, None, &[0x82, 126, 0, 126]),
            (65_535, None, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, None, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (0, key, &[0x82, 0x80, 1, 2, 3, 4]),
            (126, key, &[0x82, 0xFE, 0, 126, 1, 2, 3, 4]),
            (65_536, key, &[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]),
        ];
        for (payload_bytes, mask, expected) in rows {
            let header = Header::whole(OpCode::Binary, *payload_bytes, *mask).encode();
            assert_eq!(header.as_slice(), *expected, "{payload_bytes} {mask:?}");
        }
    }

    #[test]
    fn opcodes_are_those_of_the_rfc() {
        for bits in 0..16 {
            let defined = matches!(bits, 0..=2 | 8..=10);
            let opcode = OpCode::from_bits(bits);
            assert_eq!(opcode.is_some(), defined, "{bits}");
            if let Some(opcode) = opcode {
                assert_eq!(opcode.bits(), bits);
                assert_eq!(opcode.is_control(), bits >= 8);
            }
        }
    }
}
