//! Memory that connections share because they need it only for a moment: per thread one buffer to read into, and one
//! to put answers together in.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Bytes read at once. Several messages of a busy peer fit; a longer message is joined by the receiver.
const READ_BYTES: usize = 16 << 10;

/// A scratch buffer that has grown beyond this is not kept.
const SCRATCH_KEPT_BYTES: usize = 256 << 10;

thread_local! {
    static READ: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static FRAMES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static DEFLATED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer to read into, borrowed from the thread for one turn. Held over a wait it goes along with its task, and
/// the thread makes itself another.
#[derive(Debug)]
pub(super) struct ReadBuffer(Option<Box<[u8]>>);

impl ReadBuffer {
    pub(super) fn take() -> Self {
        Self(Some(
            READ.take()
                .unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice()),
        ))
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
            .as_deref()
            .expect("the buffer is there until it is dropped")
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
            .as_deref_mut()
            .expect("the buffer is there until it is dropped")
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        // An error means that the thread is ending, and the buffer with it.
        let _ = READ.try_with(|spare| spare.set(self.0.take()));
    }
}

/// An empty buffer with capacity, borrowed from the thread.
#[derive(Debug)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    purpose: Purpose,
}

/// A message is put together, and deflated, while the frames of its turn are: each has a buffer of its own.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Frames,
    Text,
    Deflated,
}

impl Purpose {
    fn spare(self) -> &'static LocalKey<Cell<Vec<u8>>> {
        match self {
            Self::Frames => &FRAMES,
            Self::Text => &TEXT,
            Self::Deflated => &DEFLATED,
        }
    }
}

impl Scratch {
    /// To collect frames in.
    pub(super) fn for_frames() -> Self {
        Self::take(Purpose::Frames)
    }

    /// To write the text of one message into.
    pub(super) fn for_text() -> Self {
        Self::take(Purpose::Text)
    }

    /// To deflate one message into.
    pub(super) fn for_deflated() -> Self {
        Self::take(Purpose::Deflated)
    }

    fn take(purpose: Purpose) -> Self {
        Self {
            bytes: purpose.spare().take(),
            purpose,
        }
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.bytes.capacity() <= SCRATCH_KEPT_BYTES {
            self.bytes.clear();
            let bytes = std::mem::take(&mut self.bytes);
            // An error means that the thread is ending, and the buffer with it.
            let _ = self.purpose.spare().try_with(|spare| spare.set(bytes));
        }
    }
}
