//! The content of a message while it is being put together.

use crate::deflate::{Fault, Inflater};
use crate::text::{TextBuffer, growth};
use crate::violation::Violation;

#[derive(Debug)]
pub(super) enum Body {
    Text(TextBuffer),
    Binary(Vec<u8>),
}

impl Body {
    pub(super) fn text() -> Self {
        Self::Text(TextBuffer::default())
    }

    pub(super) const fn binary() -> Self {
        Self::Binary(Vec::new())
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Adds what arrived; `bytes_left` is what may still come, this included, and bounds the growth.
    pub(super) fn push(&mut self, arrived: &[u8], bytes_left: usize) -> Result<(), Violation> {
        match self {
            Self::Text(text) => text.push(arrived, bytes_left),
            Self::Binary(bytes) => {
                bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), arrived.len(), bytes_left));
                bytes.extend_from_slice(arrived);
                Ok(())
            }
        }
    }

    /// Adds what arrived of a compressed message.
    pub(super) fn inflate(&mut self, inflater: &mut Inflater, arrived: &[u8]) -> Result<(), Violation> {
        let room = inflater.room();
        let before = self.len();
        inflater
            .inflate(arrived, |inflated| {
                self.push(inflated, room - (self.len() - before))
            })
            .map_err(violation)
    }

    pub(super) fn finish(&self) -> Result<(), Violation> {
        match self {
            Self::Text(text) => text.finish(),
            Self::Binary(_) => Ok(()),
        }
    }
}

/// What the peer did wrong when its message cannot be inflated.
pub(super) fn violation(fault: Fault<Violation>) -> Violation {
    match fault {
        Fault::Garbage => Violation::NotInflatable,
        Fault::TooBig => Violation::TooBig,
        Fault::Refused(violation) => violation,
    }
}
