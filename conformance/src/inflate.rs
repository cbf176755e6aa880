//! Compressed messages as the judge reads them (RFC 7692): what the handshake agreed on, and whether what follows keeps
//! to it.
//!
//! It shares no code with `wire`, nor the library under it: the parameters are read and the messages inflated here anew,
//! strictly by what was agreed on, so that a server that refers too far back, or to a message it had promised to forget, is found out.

mod blocks;

use crate::head::Response;
use blocks::{Blocks, Malformed, Reach};

/// The most that is inflated of one message: a server that sends more is not under test but broken.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What every compressed message ends with, once it is put back.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// The largest window, in bits and in bytes.
const WINDOW_BITS_MAX: u8 = 15;
const WINDOW_BYTES_MAX: usize = 1 << WINDOW_BITS_MAX;

/// What the handshake says of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether a message may refer to earlier ones.
    pub context_takeover: bool,
    /// How far back, in bits.
    pub window_bits: u8,
}

/// What both directions agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// From the server.
    pub server: Terms,
    /// From the client.
    pub client: Terms,
}

impl Agreement {
    /// Read from the answer; `None` where permessage-deflate is not in it. Whether the answer is a right one is the
    /// business of those scenarios that are about it.
    #[must_use]
    pub fn read(response: &Response) -> Option<Self> {
        let mut elements = response
            .values("sec-websocket-extensions")
            .flat_map(|value| value.split(','))
            .map(|element| element.split(';').map(str::trim));
        let parameters: Vec<_> = elements
            .find_map(|mut parts| {
                let name = parts.next()?;
                name.eq_ignore_ascii_case("permessage-deflate").then_some(parts)
            })?
            .collect();
        let terms = |side: &str| {
            let takeover = format!("{side}_no_context_takeover");
            let window = format!("{side}_max_window_bits");
            let bits = parameters.iter().find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                let value = value.trim().trim_matches('"');
                (name.trim() == window).then(|| value.parse().ok()).flatten()
            });
            Terms {
                context_takeover: !parameters.contains(&takeover.as_str()),
                window_bits: bits.unwrap_or(WINDOW_BITS_MAX).clamp(8, WINDOW_BITS_MAX),
            }
        };
        Some(Self {
            server: terms("server"),
            client: terms("client"),
        })
    }
}

/// What a compressed message breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// It refers to a message before it, though none may be needed.
    Context,
    /// It refers further back than was agreed on.
    Window,
    /// Nobody can inflate it.
    Garbage,
}

/// Inflates the messages of one direction.
#[derive(Debug)]
pub struct Inflater {
    terms: Terms,
    /// The end of what was inflated so far: also what was to be forgotten, to tell what a message breaks.
    history: Vec<u8>,
}

impl Inflater {
    /// For a direction, from its first message on.
    #[must_use]
    pub const fn new(terms: Terms) -> Self {
        Self {
            terms,
            history: Vec::new(),
        }
    }

    /// The whole message.
    ///
    /// # Errors
    /// When it does not follow from what was agreed on.
    pub fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, Breach> {
        let before = self.history.len();
        let whole = [compressed, &TAIL].concat();
        let mut blocks = Blocks::new(&whole, &mut self.history, MESSAGE_BYTES_MAX);
        let read = blocks.read_all(TAIL.len());
        let Reach {
            distance_max,
            earlier_bytes,
        } = blocks.reach;
        let message = self.history.split_off(before);
        read.map_err(|Malformed| Breach::Garbage)?;
        self.history
            .extend_from_slice(&message[message.len().saturating_sub(WINDOW_BYTES_MAX)..]);
        let forgotten = self.history.len().saturating_sub(WINDOW_BYTES_MAX);
        self.history.drain(..forgotten);
        if !self.terms.context_takeover && earlier_bytes > 0 {
            return Err(Breach::Context);
        }
        if distance_max > 1 << self.terms.window_bits {
            return Err(Breach::Window);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Hello" of RFC 7692 7.2.3.1, and once more as a reference to it (7.2.3.2).
    const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    const AGAIN: &[u8] = &[0xF2, 0x00, 0x11, 0x00, 0x00];

    fn agreed(extensions: &str) -> Option<Agreement> {
        Agreement::read(&Response {
            status: 101,
            headers: vec![("Sec-WebSocket-Extensions".to_owned(), extensions.to_owned())],
            body: Vec::new(),
        })
    }

    fn terms(context_takeover: bool, window_bits: u8) -> Terms {
        Terms {
            context_takeover,
            window_bits,
        }
    }

    #[test]
    fn the_answer_says_what_holds() {
        assert_eq!(agreed("x-other"), None);
        let rows = [
            ("permessage-deflate", terms(true, 15), terms(true, 15)),
            (
                "x-other; a=1, Permessage-Deflate; server_no_context_takeover; client_max_window_bits=10",
                terms(false, 15),
                terms(true, 10),
            ),
            (
                "permessage-deflate;client_no_context_takeover;server_max_window_bits=\"9\"",
                terms(true, 9),
                terms(false, 15),
            ),
        ];
        for (answer, server, client) in rows {
            assert_eq!(agreed(answer), Some(Agreement { server, client }), "{answer}");
        }
    }

    #[test]
    fn a_promise_to_forget_is_kept_or_broken() {
        let mut kept = Inflater::new(terms(true, 15));
        let mut forgotten = Inflater::new(terms(false, 15));
        assert_eq!(kept.inflate(HELLO), Ok(b"Hello".to_vec()));
        assert_eq!(forgotten.inflate(HELLO), Ok(b"Hello".to_vec()));
        assert_eq!(kept.inflate(AGAIN), Ok(b"Hello".to_vec()));
        let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        assert_eq!(kept.inflate(&last), Ok(b"Hello".to_vec()));
        assert_eq!(kept.inflate(AGAIN), Ok(b"Hello".to_vec()));
        assert_eq!(forgotten.inflate(AGAIN), Err(Breach::Context));
        assert_eq!(forgotten.inflate(HELLO), Ok(b"Hello".to_vec()));
        assert_eq!(forgotten.inflate(&[0xFF; 9]), Err(Breach::Garbage));
        assert_eq!(forgotten.inflate(&HELLO[..4]), Err(Breach::Garbage));
        assert_eq!(Inflater::new(terms(true, 15)).inflate(&[0]), Ok(Vec::new()));
        assert_eq!(forgotten.inflate(&last), Ok(b"Hello".to_vec()));
    }

    #[test]
    fn a_reference_beyond_the_window_is_found() {
        // 1,500 bytes without a pattern, then the first of them again.
        let mut random = fastrand::Rng::with_seed(2);
        let mut message: Vec<u8> = (0..1_500).map(|_| random.u8(..)).collect();
        message.extend_from_within(..100);
        let compressed = compressed(&message);
        assert!(compressed.len() < message.len(), "it refers back");
        for takeover in [true, false] {
            for (bits, kept) in [(15, true), (11, true), (10, false), (9, false)] {
                let inflated = Inflater::new(terms(takeover, bits)).inflate(&compressed);
                let expected = if kept {
                    Ok(message.clone())
                } else {
                    Err(Breach::Window)
                };
                assert_eq!(inflated, expected, "{bits} bits");
            }
        }
    }

    /// As `wire` does it: here it is the judge's reading that is under test.
    fn compressed(message: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        let level = touchstone_wire::deflate::Level::new(9).unwrap();
        touchstone_wire::deflate::deflate_shared(
            touchstone_wire::deflate::WindowBits::MAX,
            level,
            message,
            &mut compressed,
        );
        compressed
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_was_compressed_is_read(words in proptest::collection::vec("[a-f]{1,9}|\\PC{0,5}", 0..400)) {
            let message = words.concat().into_bytes();
            let mut inflater = Inflater::new(terms(false, 15));
            for _ in 0..2 {
                proptest::prop_assert_eq!(inflater.inflate(&compressed(&message)), Ok(message.clone()));
            }
        }

        #[test]
        fn garbage_is_refused_and_never_more(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut inflater = Inflater::new(terms(true, 15));
            for _ in 0..2 {
                let refused = inflater.inflate(&bytes);
                proptest::prop_assert!(!matches!(refused, Err(Breach::Context | Breach::Window)));
            }
        }
    }
}
