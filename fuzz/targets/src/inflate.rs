//! Compression: any bytes inflated, and any bytes there and back.

use std::convert::Infallible;

use touchstone_wire::deflate::{Deflater, Fault, Half, Inflater, Level, Takeover, WindowBits};

use crate::take;

/// Small, so that the limit is met.
const MESSAGE_BYTES_MAX: usize = 3_000;

/// Inflates the input as two messages, whole and byte by byte, and compresses and inflates it.
pub fn inflate(mut input: &[u8]) {
    let setting = take(&mut input);
    let level = Level::new(1 + take(&mut input) % 9).expect("1 to 9");
    let half = Half {
        takeover: if setting & 1 == 0 {
            Takeover::Dropped
        } else {
            Takeover::Kept
        },
        window: WindowBits::new(8 + (setting >> 1 & 7)).expect("8 to 15"),
    };
    let (first, second) = input.split_at(input.len() / 2);
    let mut whole = Inflater::new(half);
    let mut bytewise = Inflater::new(half);
    for message in [first, second] {
        let inflated = message_of(&mut whole, message, message.len().max(1), MESSAGE_BYTES_MAX);
        assert_eq!(message_of(&mut bytewise, message, 1, MESSAGE_BYTES_MAX), inflated);
        if inflated.is_err() {
            break;
        }
    }
    let mut deflater = Deflater::new(half, level);
    let mut inflater = Inflater::new(half);
    for message in [first, second, input] {
        let mut compressed = Vec::new();
        deflater.deflate(message, &mut compressed);
        let inflated = message_of(&mut inflater, &compressed, 7, message.len());
        assert_eq!(inflated.as_deref(), Ok(message));
    }
}

fn message_of(
    inflater: &mut Inflater,
    compressed: &[u8],
    piece_bytes: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, Fault<Infallible>> {
    let mut message = Vec::new();
    inflater.begin(bytes_max);
    for piece in compressed.chunks(piece_bytes) {
        inflater.inflate(piece, |inflated| {
            message.extend_from_slice(inflated);
            Ok(())
        })?;
    }
    inflater.finish()?;
    assert!(message.len() <= bytes_max, "{} bytes", message.len());
    Ok(message)
}
