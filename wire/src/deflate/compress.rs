//! Compressing messages.

use super::{Half, Level, TAIL, Takeover, WindowBits};
use flate2::{Compress, Compression, FlushCompress, Status};

/// Room that is always left behind what is expected: with less zlib would repeat the mark that ends a flush.
const SLACK_BYTES: usize = 64;

/// The sending side of one direction.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    level: Level,
    takeover: Takeover,
}

impl Deflater {
    /// At the beginning of a connection. A window below [`WindowBits::COMPRESS_MIN`] is taken for that.
    #[must_use]
    pub fn new(half: Half, level: Level) -> Self {
        let bits = half.window.max(WindowBits::COMPRESS_MIN).bits();
        Self {
            stream: Compress::new_with_window_bits(Compression::new(u32::from(level.0)), false, bits),
            level,
            takeover: half.takeover,
        }
    }

    /// How hard it tries.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Appends one compressed message to `out`, as it goes into frames with RSV1 on the first.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        match self.takeover {
            Takeover::Kept => {}
            Takeover::Dropped => self.stream.reset(),
        }
        if message.is_empty() {
            // A stream that has nothing to say says nothing; RFC 7692 7.2.3.6 has this for it.
            out.push(0);
            return;
        }
        out.reserve(message.len() / 2 + SLACK_BYTES);
        let start = self.stream.total_in();
        loop {
            let taken = (self.stream.total_in() - start) as usize;
            let status = self
                .stream
                .compress_vec(&message[taken..], out, FlushCompress::Sync)
                .expect("a raw stream without a dictionary takes any bytes");
            debug_assert_ne!(status, Status::StreamEnd, "only a finish ends it");
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(message.len() - taken + SLACK_BYTES);
        }
        debug_assert!(out.ends_with(&TAIL), "a flush ends with an empty block");
        out.truncate(out.len() - TAIL.len());
    }
}
