//! Keys: compared in constant time, never shown.

use std::fmt;

/// A key that never shows in a log, an error or a debug print.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the key over.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(key.into().into_boxed_slice())
    }

    /// The key itself, for who signs or checks with it.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `offered` is the key. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn matches(&self, offered: &[u8]) -> bool {
        let differing = self
            .0
            .iter()
            .zip(offered)
            .fold(0, |seen, (ours, theirs)| seen | (ours ^ theirs));
        std::hint::black_box(differing) == 0 && self.0.len() == offered.len() && !self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_matches_and_it_is_never_printed() {
        let key = Secret::new("open sesame");
        assert!(key.matches(b"open sesame"));
        for wrong in ["", "open", "open sesame!", "Open sesame"] {
            assert!(!key.matches(wrong.as_bytes()), "{wrong}");
        }
        assert!(!Secret::new("").matches(b""), "an empty key opens nothing");
        assert!(!format!("{key:?}").contains("sesame"));
    }
}
