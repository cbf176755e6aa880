//! Colours of the terminal. Whether there are any is the caller's decision (`NO_COLOR`, a pipe); nothing here asks.

use crate::document::Tone;

/// Paints pieces of text, or leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// No escape sequence at all.
    Plain,
    /// The sixteen colours, as the user's terminal theme defines them.
    Colour,
}

impl Palette {
    /// `text` in the colour of `tone`; neutral text stays as it is.
    #[must_use]
    pub fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Good => self.paint("32", text),
            Tone::Bad => self.paint("31", text),
            Tone::Warn => self.paint("33", text),
            Tone::Neutral => text.to_owned(),
        }
    }

    /// Headings and what matters most.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is there for those who look for it.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour if text.is_empty() => String::new(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_coloured_palette_escapes_and_only_what_has_a_tone() {
        assert_eq!(Palette::Plain.tone(Tone::Bad, "no"), "no");
        assert_eq!(Palette::Colour.tone(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Palette::Colour.tone(Tone::Neutral, "so"), "so");
        assert_eq!(Palette::Colour.strong(""), "");
    }
}
