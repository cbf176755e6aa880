//! Ids of users and messages: 24 hexadecimal digits (direct/1f).

use std::fmt;

/// Digits of an id.
pub const ID_DIGITS: usize = 24;

/// An id of 24 hexadecimal digits, in lower case: so ids are compared without case and sent in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HexId([u8; ID_DIGITS]);

impl HexId {
    /// The id that `text` names, if it names one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_ascii(text.as_bytes())
    }

    /// The same for ASCII text.
    #[must_use]
    pub fn from_ascii(digits: &[u8]) -> Option<Self> {
        let mut digits: [u8; ID_DIGITS] = digits.try_into().ok()?;
        digits.make_ascii_lowercase();
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// The id whose digits are those of `number`, of which the lowest 96 bits count.
    #[must_use]
    pub fn from_number(number: u128) -> Self {
        let digit = |at: usize| b"0123456789abcdef"[(number >> (4 * (ID_DIGITS - 1 - at))) as usize & 0xF];
        Self(std::array::from_fn(digit))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are UTF-8")
    }
}

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "messages")]
impl serde::Serialize for HexId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_24_hexadecimal_digits_without_case() {
        let lower = "507f1f77bcf86cd799439abc";
        for text in [lower, "507F1F77BCF86CD799439ABC"] {
            assert_eq!(
                HexId::parse(text).map(|id| id.to_string()).as_deref(),
                Some(lower)
            );
        }
        let number = 0x507f_1f77_bcf8_6cd7_9943_9abc;
        assert_eq!(HexId::from_number(number).as_str(), lower);
        for text in [
            "",
            "507f1f77bcf86cd799439ab",
            "507f1f77bcf86cd799439abcd",
            "507f1f77bcf86cd799439abg",
            "507f1f77bcf86cd79943 abc",
            "507f1f77bcf86cd799439a\u{e9}",
        ] {
            assert_eq!(HexId::parse(text), None, "{text}");
        }
    }
}
