//! What a run has not covered although it could have, by name, and what would fill it.

use std::fmt;

use touchstone_scenarios::rules::SentBy;

use super::{ClauseCoverage, CloseCoverage, Coverage, MessageCoverage};
use crate::tap::Direction;

/// Something that the rules name and no case has seen, though nothing that the target lacks stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// What it is.
    pub kind: HoleKind,
    /// Which one: `echo/2a`, `new_message on direct`, `1008 on direct`.
    pub name: String,
    /// What would fill it.
    pub fill: String,
}

/// What can be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoleKind {
    /// A clause that no judged case looked at.
    Clause,
    /// A kind of message that did not cross the wire in its direction.
    Message,
    /// A close code that was not seen from whoever may send it.
    CloseCode,
}

impl HoleKind {
    /// Its key in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clause => "clause",
            Self::Message => "message",
            Self::CloseCode => "close_code",
        }
    }
}

impl fmt::Display for HoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clause => "clause",
            Self::Message => "message",
            Self::CloseCode => "close code",
        })
    }
}

/// Something that this target cannot show: no hole until it has what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it is.
    pub kind: HoleKind,
    /// Which one.
    pub name: String,
    /// What the target lacks, as `needs:` of the rules says it.
    pub needs: String,
}

impl Coverage {
    /// Everything that could have been covered and was not: clauses, then messages, then close codes.
    #[must_use]
    pub fn holes(&self) -> Vec<Hole> {
        let clauses = self.clauses.iter().filter_map(ClauseCoverage::hole);
        let messages = self.messages.iter().filter_map(MessageCoverage::hole);
        let close_codes = self.close_codes.iter().filter_map(CloseCoverage::hole);
        clauses.chain(messages).chain(close_codes).collect()
    }

    /// What cannot be covered on this target.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let clauses = self.clauses.iter().filter(|clause| clause.cases.is_empty());
        let clauses = clauses.filter_map(|clause| {
            Some(Waiting {
                kind: HoleKind::Clause,
                name: clause.id.0.clone(),
                needs: clause.needs.clone()?,
            })
        });
        let codes = self.close_codes.iter().filter(|close| !close.is_covered());
        let codes = codes.filter_map(|close| {
            Some(Waiting {
                kind: HoleKind::CloseCode,
                name: close.name(),
                needs: close.needs.clone()?,
            })
        });
        clauses.chain(codes).collect()
    }
}

impl ClauseCoverage {
    /// Whether a case could look at it on this target, or did.
    #[must_use]
    pub const fn is_coverable(&self) -> bool {
        self.needs.is_none() || !self.cases.is_empty()
    }

    /// Why nothing became of it, where no case was about it.
    #[must_use]
    pub const fn absence(&self) -> &'static str {
        match self.needs {
            Some(_) => "cannot be checked here",
            None => "not checked",
        }
    }

    fn hole(&self) -> Option<Hole> {
        (self.cases.is_empty() && self.is_coverable()).then(|| Hole {
            kind: HoleKind::Clause,
            name: self.id.0.clone(),
            fill: match &self.not_judged {
                Some(why) => format!("its cases were not judged: {why}"),
                None => format!(
                    "a scenario with `rule: {}`, or with a step or field under this clause",
                    self.id
                ),
            },
        })
    }
}

impl MessageCoverage {
    fn hole(&self) -> Option<Hole> {
        let Self { dialect, kind, .. } = self;
        (self.seen == 0).then(|| match self.direction {
            Direction::Up => Hole {
                kind: HoleKind::Message,
                name: format!("{kind}, to the server, on {dialect}"),
                fill: format!("a scenario of {dialect} that sends `{kind}`"),
            },
            Direction::Down => Hole {
                kind: HoleKind::Message,
                name: format!("{kind}, from the server, on {dialect}"),
                fill: format!("a scenario of {dialect} that makes the server send `{kind}`, and expects it"),
            },
        })
    }
}

impl CloseCoverage {
    /// Whether it was seen, or could be on this target.
    #[must_use]
    pub const fn is_coverable(&self) -> bool {
        self.needs.is_none() || self.is_covered()
    }

    fn name(&self) -> String {
        format!("{} on {}", self.code, self.dialect)
    }

    fn hole(&self) -> Option<Hole> {
        if self.is_covered() || !self.is_coverable() {
            return None;
        }
        let Self {
            dialect, code, when, ..
        } = self;
        let by_server = || {
            format!(
                "a scenario of {dialect} in which the server closes, with `closed: {{code: {code}}}`: {when}"
            )
        };
        let by_client = || {
            format!(
                "a scenario of {dialect} in which the client closes, with `close: {{code: {code}}}`: {when}"
            )
        };
        let fill = match self.sent_by? {
            SentBy::Server => by_server(),
            SentBy::Client => by_client(),
            SentBy::Both if self.down == 0 => by_server(),
            SentBy::Both => by_client(),
        };
        Some(Hole {
            kind: HoleKind::CloseCode,
            name: self.name(),
            fill,
        })
    }
}
