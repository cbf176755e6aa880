//! The clauses of the spec as data: `rules/<dialect>.yaml`, compiled in.
//!
//! `explain`, coverage, reports and the documents in `docs/dialects` are all made from here.

use std::fmt;

/// `echo/2a`, `common/6b`, `rfc6455/5.1-unmasked`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClauseId(pub String);

impl fmt::Display for ClauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// On what a clause rests (spec README, "Rules, clauses, basis, level").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The document, or the RFC with MUST, says so.
    Doc,
    /// The document shows or needs it, or the RFC says SHOULD.
    Implied,
    /// The document is silent; this is our decision.
    Ours,
}

/// What an alternate server owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Otherwise: failed.
    Must,
    /// Otherwise: non-strict.
    Should,
    /// Otherwise: informational.
    May,
}

impl Basis {
    /// The level that follows.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Doc => Level::Must,
            Self::Implied => Level::Should,
            Self::Ours => Level::May,
        }
    }
}

/// One clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Its address.
    pub id: ClauseId,
    /// On what it rests.
    pub basis: Basis,
    /// The rule in one sentence or a few.
    pub sentence: String,
    /// Why it matters to those who run or use a server.
    pub why: String,
    /// Known outcomes that are worse but understandable, in words.
    pub alternatives: Vec<String>,
}
