//! Inflating messages, never by more than their limit.

use super::{Half, TAIL, Takeover, WindowBits};
use flate2::{Decompress, FlushDecompress, Status};

/// What is inflated at a time, and so the most that is inflated beyond a limit.
const CHUNK_BYTES: usize = 4 * 1024;

/// An empty last block. A stream that takes it for one was at the end of a block.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// About the heap that one inflater holds: the window, and zlib's tables.
pub const INFLATER_BYTES: usize = 48 * 1024;

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault<E> {
    /// The bytes are not the Deflate stream that was agreed on.
    #[error("the message cannot be inflated")]
    Garbage,
    /// The message is longer than it may be. It was not inflated further.
    #[error("the inflated message is over its limit")]
    TooBig,
    /// Whoever takes the inflated bytes has refused them.
    #[error("refused: {0}")]
    Refused(E),
}

/// The receiving side of one direction. After a fault it is good for nothing but [`reset`](Self::reset).
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    window: WindowBits,
    memory: Memory,
    /// Where in the current Deflate stream it is.
    place: Place,
    /// What the current message may still come to.
    room: usize,
}

/// What is remembered between two messages.
#[derive(Debug)]
enum Memory {
    None,
    /// The last window of what was inflated, for the one case in which zlib forgets it: a peer that ends a message with a
    /// last block (RFC 7692 7.2.3.4).
    Window(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing was fed yet, or a last block has just ended the stream before.
    Start,
    Inside,
}

impl Inflater {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new(half: Half) -> Self {
        let window = match half.takeover {
            // The full window understands every smaller one, and only it is reset without allocating.
            Takeover::Dropped => WindowBits::MAX,
            Takeover::Kept => half.window.max(WindowBits::COMPRESS_MIN),
        };
        Self {
            stream: Decompress::new_with_window_bits(false, window.bits()),
            window,
            memory: match half.takeover {
                Takeover::Dropped => Memory::None,
                Takeover::Kept => Memory::Window(Vec::new()),
            },
            place: Place::Start,
            room: 0,
        }
    }

    /// What it was made for.
    #[must_use]
    pub const fn takeover(&self) -> Takeover {
        match self.memory {
            Memory::None => Takeover::Dropped,
            Memory::Window(_) => Takeover::Kept,
        }
    }

    /// Bytes the current message may still come to.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.stream.reset(false);
        self.place = Place::Start;
        if let Memory::Window(window) = &mut self.memory {
            window.clear();
        }
    }

    /// A message begins that may be inflated to `bytes_max`.
    pub fn begin(&mut self, bytes_max: usize) {
        self.room = bytes_max;
        match self.memory {
            Memory::Window(_) => {}
            Memory::None => self.reset(),
        }
    }

    /// Inflates what has arrived of a message and gives it to `take`, piece by piece. May be called with any share of it.
    ///
    /// # Errors
    /// The first thing that is wrong. What was inflated before it has been given to `take`.
    pub fn inflate<E>(
        &mut self,
        mut compressed: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), Fault<E>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let (taken_before, given_before) = (self.stream.total_in(), self.stream.total_out());
            // One byte more than there is room for is enough to know that it is too much.
            let chunk = &mut chunk[..CHUNK_BYTES.min(self.room.saturating_add(1))];
            let status = self.stream.decompress(compressed, chunk, FlushDecompress::None);
            let taken = (self.stream.total_in() - taken_before) as usize;
            let given = (self.stream.total_out() - given_before) as usize;
            compressed = &compressed[taken..];
            if taken > 0 {
                self.place = Place::Inside;
            }
            if given > self.room {
                return Err(Fault::TooBig);
            }
            self.room -= given;
            self.remember(&chunk[..given]);
            take(&chunk[..given]).map_err(Fault::Refused)?;
            // What came out before the garbage goes first: how the bytes are cut must not change what is found wrong.
            match status.map_err(|_| Fault::Garbage)? {
                Status::StreamEnd => {
                    self.start_anew()?;
                    if compressed.is_empty() {
                        return Ok(());
                    }
                }
                Status::Ok | Status::BufError if given == chunk.len() => {}
                Status::Ok | Status::BufError if compressed.is_empty() => return Ok(()),
                Status::Ok | Status::BufError if taken == 0 => return Err(Fault::Garbage),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// The last byte of the message has been inflated: puts back what the sender left away.
    ///
    /// # Errors
    /// If the message ends in the middle of something.
    pub fn finish<E>(&mut self) -> Result<(), Fault<E>> {
        if self.place == Place::Start {
            return Ok(());
        }
        // The tail is the rest of an empty block: anything that comes out of it was cut off.
        let nothing = |inflated: &[u8]| if inflated.is_empty() { Ok(()) } else { Err(()) };
        let cut_off = |_| Fault::Garbage;
        self.inflate(&TAIL, nothing).map_err(cut_off)?;
        match self.memory {
            Memory::Window(_) => Ok(()),
            Memory::None => {
                self.inflate(&LAST_BLOCK, nothing).map_err(cut_off)?;
                match self.place {
                    Place::Start => Ok(()),
                    Place::Inside => Err(Fault::Garbage),
                }
            }
        }
    }

    /// A last block has ended the stream; the next one goes on with the same window.
    fn start_anew<E>(&mut self) -> Result<(), Fault<E>> {
        self.stream.reset(false);
        self.place = Place::Start;
        match &self.memory {
            Memory::Window(window) if !window.is_empty() => {
                self.stream.set_dictionary(window).map_err(|_| Fault::Garbage)?;
            }
            Memory::Window(_) | Memory::None => {}
        }
        Ok(())
    }

    fn remember(&mut self, inflated: &[u8]) {
        let Memory::Window(window) = &mut self.memory else {
            return;
        };
        let kept = self.window.bytes();
        let inflated = &inflated[inflated.len().saturating_sub(kept)..];
        let forgotten = (window.len() + inflated.len()).saturating_sub(kept);
        window.drain(..forgotten);
        window.reserve_exact(inflated.len());
        window.extend_from_slice(inflated);
    }
}
