//! The one pattern language for names: to run, to skip, to list as known failing.
//!
//! A name is `folder/file`, with `@dialect` where a common case runs on several and `[row]` where a table makes
//! cases: `common/5a-too-large@echo[binary]`. `*` stands for anything within one component, `**` for anything;
//! everything else is itself. A pattern that names neither dialect nor row means all of them. That a pattern matches
//! nothing is an error, which the caller reports: it knows all the names.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

/// A pattern over names.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: String,
    matches: Regex,
}

/// A pattern that can match no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing.
    #[error("an empty pattern matches nothing; `**` matches everything")]
    Empty,
    /// More than a name can hold.
    #[error("the pattern has {0} characters; at most {PATTERN_CHARS_MAX}")]
    TooLong(usize),
}

/// Longest pattern: far more than the longest name.
const PATTERN_CHARS_MAX: usize = 1_000;

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        let pattern = pattern.trim();
        let length = pattern.chars().count();
        if length == 0 {
            return Err(GlobError::Empty);
        }
        if length > PATTERN_CHARS_MAX {
            return Err(GlobError::TooLong(length));
        }
        let matches = Regex::new(&expression(pattern))
            .expect("an escaped text with wildcards between is a regular expression of bounded size");
        Ok(Self {
            pattern: pattern.to_owned(),
            matches,
        })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

impl Glob {
    /// Whether the pattern means the case of this name. Also true for the name of its scenario, so that a caller can
    /// select scenarios first and rows later.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (without_row, row) = name.split_at(name.find('[').unwrap_or(name.len()));
        let id = without_row.split_once('@').map_or(without_row, |(id, _)| id);
        self.matches.is_match(name)
            || self.matches.is_match(without_row)
            || self.matches.is_match(id)
            || (without_row != id && self.matches.is_match(&format!("{id}{row}")))
    }

    /// The part of the pattern that names scenarios: what it says without row.
    ///
    /// A pattern with a row matches only names that have one; this tells which scenarios have to be opened for it.
    #[must_use]
    pub fn scenarios(&self) -> Self {
        match self.pattern.split_once('[') {
            Some((id, _)) => id.parse().unwrap_or_else(|_| self.clone()),
            None => self.clone(),
        }
    }
}

fn expression(pattern: &str) -> String {
    let mut out = String::from(r"(?s)\A");
    let mut in_row = false;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => out.push_str(".*"),
            // The name of a row is one component, whatever is in it.
            '*' if in_row => out.push_str(r"[^\]]*"),
            '*' => out.push_str(r"[^/\[@]*"),
            other => {
                in_row = (in_row || other == '[') && other != ']';
                out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4])));
            }
        }
    }
    out.push_str(r"\z");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_names_that_it_should() {
        let names = [
            "echo/2a-verbatim[a word]",
            "echo/2a-verbatim[a/b]",
            "echo/2b-grows",
            "common/5a-too-large@echo[binary]",
            "rfc6455/deep/er",
        ];
        for (pattern, meant) in [
            ("**", &[0, 1, 2, 3, 4][..]),
            ("*", &[]),
            ("echo/*", &[0, 1, 2]),
            ("echo/2a*", &[0, 1]),
            ("echo/2a-verbatim", &[0, 1]),
            ("echo/2a-verbatim[a word]", &[0]),
            ("echo/2a-verbatim[a*]", &[0, 1]),
            ("*/2?-*", &[]),
            ("common/**", &[3]),
            ("common/5a-too-large", &[3]),
            ("common/5a-*@echo", &[3]),
            ("common/5a-*@rooms", &[]),
            ("common/5a-too-large[binary]", &[3]),
            ("common/5a-too-large@echo[b*]", &[3]),
            ("**[binary]", &[3]),
            ("**@echo", &[3]),
            ("rfc6455/*", &[]),
            ("rfc6455/**", &[4]),
            ("rfc6455/*/er", &[4]),
            ("echo", &[]),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            let found: Vec<usize> = (0..names.len()).filter(|at| glob.matches(names[*at])).collect();
            assert_eq!(found, meant, "{pattern}");
        }
    }

    #[test]
    fn the_scenarios_of_a_pattern_are_those_that_hold_its_rows() {
        for (pattern, scenario) in [
            ("echo/2a[x]", "echo/2a"),
            ("**[x]", "anything/at-all"),
            ("echo/*", "echo/2b"),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            assert!(glob.scenarios().matches(scenario), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_can_mean_nothing_is_refused() {
        assert_eq!("  ".parse::<Glob>().unwrap_err(), GlobError::Empty);
        assert_eq!(
            "x".repeat(1_001).parse::<Glob>().unwrap_err(),
            GlobError::TooLong(1_001)
        );
    }
}
