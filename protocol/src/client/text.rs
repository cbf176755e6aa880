//! What the client halves share: texts and ids borrowed from what is heard, and both written into what is said.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Stamp;

/// A string; borrowed where it has no escapes. (`Option<Cow<str>>` alone would always copy: serde borrows through a newtype
/// only.)
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl Text<'_> {
    /// The stamp of a content, where there is one.
    pub(crate) fn stamp(content: Option<&Self>) -> Option<Stamp> {
        Stamp::read(&content?.0)
    }
}

/// An id, which is opaque: a string, a number, or whatever else a server makes of it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Id<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Id<'a> {
    /// A string's content, and of anything else how it is written.
    pub(crate) fn text(self) -> Cow<'a, str> {
        let raw = self.0.get();
        let quoted = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match quoted {
            Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
            Some(_) => serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
            None => Cow::Borrowed(raw),
        }
    }

    /// Keeps it in `place`, whose memory is used again.
    pub(crate) fn keep(self, place: &mut String) {
        place.clear();
        place.push_str(&self.text());
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn json_string(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                write!(json, "\\u{:04x}", u32::from(character)).expect("a String takes everything");
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// Appends `text` as it may stand in a path segment or in the value of a query.
pub(crate) fn percent_encoded(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_its_string_says_or_how_it_is_written() {
        for (json, expected) in [
            (r#""a-1""#, "a-1"),
            (r#""a\u002d\"1""#, "a-\"1"),
            ("17", "17"),
            ("{}", "{}"),
            (r#""""#, ""),
        ] {
            let id: Id<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(id.text(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_written_as_json_is_read_back() {
        let text = "a \"quoted\" \\ line\n\u{1} \u{1f600}";
        let mut json = String::new();
        json_string(text, &mut json);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn a_segment_holds_nothing_that_a_path_or_a_query_would_read() {
        let mut encoded = String::new();
        percent_encoded("a-Z_0.~/?&=+ %\u{e9}", &mut encoded);
        assert_eq!(encoded, "a-Z_0.~%2F%3F%26%3D%2B%20%25%C3%A9");
    }
}
