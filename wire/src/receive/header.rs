//! Reading a header strictly: the checks in the order of its bytes, so that how it is cut does not change the verdict.

use super::{Binary, Compression, Role, Rules};
use crate::deflate::compressed_bytes_max;
use crate::frame::{CONTROL_BYTES_MAX, Fin, OpCode, PayloadForm, RSV1};
use crate::violation::Violation;

/// A header that passed every check.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    pub(super) fin: Fin,
    pub(super) opcode: OpCode,
    pub(super) form: PayloadForm,
    pub(super) payload_bytes: usize,
    pub(super) key: Option<[u8; 4]>,
}

impl FrameHead {
    /// Whether the payload is an event by itself, rather than a part of a message or something to inflate.
    pub(super) fn is_whole(&self) -> bool {
        self.fin == Fin::Last && self.opcode != OpCode::Continuation && self.form == PayloadForm::Plain
    }
}

/// What a header is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) role: Role,
    pub(super) rules: Rules,
    pub(super) compression: Compression,
    /// The message whose fragments are being joined, if one is: how they come, and how many bytes have come.
    pub(super) message: Option<(PayloadForm, usize)>,
}

impl Context {
    /// Reads the header at the start of `bytes`; `None` while it is incomplete and nothing is wrong with it yet.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Option<(FrameHead, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode, form) = self.first_byte(first)?;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        self.mask_bit(second)?;
        let Some((declared, length_end)) = length(second & 0x7F, &bytes[2..])? else {
            return Ok(None);
        };
        let payload_bytes = self.length(declared, opcode, form)?;
        let key_start = 2 + length_end;
        let (key, header_bytes) = match self.role {
            Role::Client => (None, key_start),
            Role::Server => match bytes.get(key_start..key_start + 4) {
                Some(&[a, b, c, d]) => (Some([a, b, c, d]), key_start + 4),
                Some(_) | None => return Ok(None),
            },
        };
        Ok(Some((
            FrameHead {
                fin,
                opcode,
                form,
                payload_bytes,
                key,
            },
            header_bytes,
        )))
    }

    #[inline]
    fn first_byte(&self, first: u8) -> Result<(Fin, OpCode, PayloadForm), Violation> {
        let form = match (first & 0x70, self.compression) {
            (0, _) => PayloadForm::Plain,
            (RSV1, Compression::PerMessage | Compression::Lasting) => PayloadForm::Deflated,
            (_, _) => return Err(Violation::ReservedBits),
        };
        let opcode = OpCode::from_bits(first).ok_or(Violation::ReservedOpcode)?;
        if form == PayloadForm::Deflated && !matches!(opcode, OpCode::Text | OpCode::Binary) {
            return Err(Violation::DeflatedOutOfPlace);
        }
        let fin = if first & 0x80 == 0 { Fin::More } else { Fin::Last };
        match (opcode, fin, self.message) {
            (OpCode::Close | OpCode::Ping | OpCode::Pong, Fin::More, _) => Err(Violation::FragmentedControl),
            (OpCode::Continuation, _, None) => Err(Violation::ContinuationWithoutStart),
            (OpCode::Text | OpCode::Binary, _, Some(_)) => Err(Violation::MessageInsideMessage),
            (OpCode::Close | OpCode::Ping | OpCode::Pong, Fin::Last, _)
            | (OpCode::Continuation, _, Some(_))
            | (OpCode::Text | OpCode::Binary, _, None) => Ok((fin, opcode, form)),
        }
    }

    fn mask_bit(&self, second: u8) -> Result<(), Violation> {
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => Err(Violation::Unmasked),
            (Role::Client, true) => Err(Violation::Masked),
            (Role::Server, true) | (Role::Client, false) => Ok(()),
        }
    }

    /// The limits, before anything of the frame is stored.
    #[inline]
    fn length(&self, declared: u64, opcode: OpCode, form: PayloadForm) -> Result<usize, Violation> {
        let payload_bytes = usize::try_from(declared).unwrap_or(usize::MAX);
        if opcode.is_control() {
            return if payload_bytes > CONTROL_BYTES_MAX {
                Err(Violation::LongControl)
            } else {
                Ok(payload_bytes)
            };
        }
        let (form, arrived) = self.message.unwrap_or((form, 0));
        let most = match form {
            PayloadForm::Plain => self.rules.message_bytes_max,
            PayloadForm::Deflated => compressed_bytes_max(self.rules.message_bytes_max),
        };
        if payload_bytes > most.saturating_sub(arrived) {
            return Err(Violation::TooBig);
        }
        match (opcode, self.rules.binary) {
            (OpCode::Binary, Binary::Refused) => Err(Violation::BinaryRefused),
            _ => Ok(payload_bytes),
        }
    }
}

/// The declared length, and how many bytes after the first two it took.
#[inline]
fn length(seven: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    match seven {
        126 => {
            let Some(bytes) = rest.first_chunk::<2>() else {
                return Ok(None);
            };
            let declared = u16::from_be_bytes(*bytes);
            if declared < 126 {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((u64::from(declared), 2)))
        }
        127 => {
            if rest.first().is_some_and(|highest| highest & 0x80 != 0) {
                return Err(Violation::LengthTopBit);
            }
            let Some(bytes) = rest.first_chunk::<8>() else {
                return Ok(None);
            };
            let declared = u64::from_be_bytes(*bytes);
            if declared <= u64::from(u16::MAX) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((declared, 8)))
        }
        short => Ok(Some((u64::from(short), 0))),
    }
}
