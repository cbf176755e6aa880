//! Frames that are wrong on purpose: any bits, a length in any form, and one that need not be true.

use crate::mask;

/// Whether a raw frame carries a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// The mask bit is clear and there is no key.
    None,
    /// The mask bit is set, and the payload masked with this key.
    Key([u8; 4]),
}

/// How a raw frame writes its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LengthForm {
    /// The shortest that fits, as RFC 6455 wants it.
    Minimal,
    /// In 16 bits whatever it is; of a greater one the lower 16.
    Sixteen,
    /// In 64 bits whatever it is.
    SixtyFour,
}

/// A frame of any shape. What it says need not be allowed, or true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The highest bit of the first byte.
    pub fin: bool,
    /// The three reserved bits as a number: 4 is RSV1, 2 is RSV2, 1 is RSV3. Higher bits are ignored.
    pub rsv: u8,
    /// The four bits of the opcode. Higher bits are ignored.
    pub op: u8,
    /// Whether there is a mask.
    pub mask: Mask,
    /// How the length is written.
    pub length_form: LengthForm,
    /// The length that is written; `None`: that of `payload`.
    pub declared: Option<u64>,
    /// What follows the header, before it is masked.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// An ordinary final frame, from which a wrong one is made by changing a field.
    #[must_use]
    pub fn new(op: u8, mask: Mask, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            rsv: 0,
            op,
            mask,
            length_form: LengthForm::Minimal,
            declared: None,
            payload: payload.into(),
        }
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.fin) << 7 | (self.rsv & 0x07) << 4 | self.op & 0x0F);
        let mask_bit = match self.mask {
            Mask::None => 0,
            Mask::Key(_) => 0x80,
        };
        let declared = self.declared.unwrap_or(self.payload.len() as u64);
        match (self.length_form, declared) {
            (LengthForm::Minimal, 0..=125) => out.push(mask_bit | declared as u8),
            (LengthForm::Minimal, 126..=0xFFFF) | (LengthForm::Sixteen, _) => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(declared as u16).to_be_bytes());
            }
            (LengthForm::Minimal | LengthForm::SixtyFour, _) => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&declared.to_be_bytes());
            }
        }
        match self.mask {
            Mask::None => out.extend_from_slice(&self.payload),
            Mask::Key(key) => {
                out.extend_from_slice(&key);
                let start = out.len();
                out.extend_from_slice(&self.payload);
                mask::apply(&mut out[start..], key);
            }
        }
    }
}
