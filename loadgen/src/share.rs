//! Shares as people write them.

use serde::{Deserialize, Serialize};

/// A share, written `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(f64);

impl Share {
    /// Everyone.
    #[must_use]
    pub const fn all() -> Self {
        Self(1.0)
    }

    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self(0.0)
    }

    /// This share of `count`, rounded.
    #[must_use]
    pub fn of(self, count: u32) -> u32 {
        (f64::from(count) * self.0).round() as u32
    }

    /// In millionths.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.of(1_000_000)
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.strip_suffix('%')
            .and_then(|number| number.trim_end().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| format!("`{text}` is not a share, write for example 25%"))
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        format!("{}%", share.0 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_share_says_what_would_be_one() {
        for text in ["", "25", "101%", "-1%", "x%", "NaN%"] {
            let error = Share::try_from(text.to_owned()).unwrap_err();
            assert_eq!(error, format!("`{text}` is not a share, write for example 25%"));
        }
    }

    #[test]
    fn a_share_of_a_crowd_is_a_whole_number() {
        let quarter = Share::try_from("25%".to_owned()).unwrap();
        assert_eq!([quarter.of(2_000), quarter.of(10), quarter.of(1)], [500, 3, 0]);
        assert_eq!(String::from(quarter), "25%");
    }
}
