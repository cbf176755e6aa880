//! Which messages, close codes and clauses a run has really seen: made from what crossed the wire.

mod document;
mod holes;

use std::collections::{BTreeMap, BTreeSet};

use touchstone_protocol::Dialect;
use touchstone_scenarios::rules::{
    ClauseId, Direction as RuleDirection, Folder, Level, MessageKind, Rules, SentBy, Shape,
};

pub use document::Share;
pub use holes::{Hole, HoleKind, Waiting};

use crate::frames::{Content, Message};
use crate::matching::{Environment, compare};
use crate::tap::{Direction, Record};

/// What a run has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Every kind of message of the dialects that were run, and how often it was seen.
    pub messages: Vec<MessageCoverage>,
    /// Every close code of these dialects, and others that were seen.
    pub close_codes: Vec<CloseCoverage>,
    /// Every clause, with the cases that looked at it and were judged.
    pub clauses: Vec<ClauseCoverage>,
}

/// A kind of message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageCoverage {
    /// Its dialect.
    pub dialect: Dialect,
    /// Its name in the rules.
    pub kind: String,
    /// Who sends it.
    pub direction: Direction,
    /// How often it was seen.
    pub seen: u64,
}

/// A close code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseCoverage {
    /// The dialect on whose connection.
    pub dialect: Dialect,
    /// The code.
    pub code: u16,
    /// Who may send it; `None` for a code that the rules do not name.
    pub sent_by: Option<SentBy>,
    /// How often the judge's client sent it.
    pub up: u64,
    /// How often the server sent it.
    pub down: u64,
    /// In which case it is used; empty for a code that the rules do not name.
    pub when: String,
    /// What the target has to have before it can be seen, and has not.
    pub needs: Option<String>,
}

impl CloseCoverage {
    /// How often it was seen from those who may send it. What the judge sends to provoke somebody covers nothing.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        match self.sent_by {
            Some(SentBy::Client) => self.up,
            Some(SentBy::Server) | None => self.down,
            Some(SentBy::Both) => self.up + self.down,
        }
    }

    /// Whether everybody who may send it has.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        match self.sent_by {
            Some(SentBy::Client) => self.up > 0,
            Some(SentBy::Server) => self.down > 0,
            Some(SentBy::Both) => self.up > 0 && self.down > 0,
            None => true,
        }
    }
}

/// A clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseCoverage {
    /// The clause.
    pub id: ClauseId,
    /// What it owes.
    pub level: Level,
    /// The rule in a sentence or a few.
    pub sentence: String,
    /// What the target has to have before any case can look at it, and has not.
    pub needs: Option<String>,
    /// The cases that looked at it and were judged.
    pub cases: Vec<String>,
    /// Why no case was judged that looks at it, if there are such cases.
    pub not_judged: Option<String>,
}

/// What a run knows of its cases, for [`Seen::coverage`].
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The case.
    pub case: &'a str,
    /// The clauses that it looks at.
    pub clauses: &'a [ClauseId],
    /// Why it was not judged; `None` if it was.
    pub not_judged: Option<&'a str>,
}

/// What one case has seen; runs add these up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    messages: BTreeMap<(Dialect, String, Direction), u64>,
    close_codes: BTreeMap<(Dialect, u16), Sightings>,
}

/// How often a close code was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sightings {
    /// Sent by the judge, some of them wrong on purpose.
    up: u64,
    /// Sent by the server.
    down: u64,
}

impl Seen {
    /// Adds what crossed one connection of a dialect.
    pub fn add(&mut self, dialect: Dialect, record: &Record, rules: &Rules) {
        let kinds = rules.dialect(dialect).map_or(&[][..], |folder| &folder.messages);
        for (direction, messages) in [(Direction::Up, &record.sent), (Direction::Down, &record.received)] {
            for message in messages {
                if let Some(kind) = kinds.iter().find(|kind| fits(kind, direction, message)) {
                    *self
                        .messages
                        .entry((dialect, kind.kind.clone(), direction))
                        .or_default() += 1;
                }
            }
        }
        if let Some(code) = record.client_close().and_then(|(close, _)| close.code) {
            self.close_codes.entry((dialect, code)).or_default().up += 1;
        }
        if let Some(code) = record.server_close().and_then(|(close, _)| close.code) {
            self.close_codes.entry((dialect, code)).or_default().down += 1;
        }
    }

    /// Adds what another case has seen.
    pub fn merge(&mut self, other: Self) {
        for (key, seen) in other.messages {
            *self.messages.entry(key).or_default() += seen;
        }
        for (key, seen) in other.close_codes {
            let own = self.close_codes.entry(key).or_default();
            own.up += seen.up;
            own.down += seen.down;
        }
    }

    /// What was seen beside what the rules of these dialects name. `has` says of a key of the target file whether the
    /// target has it.
    #[must_use]
    pub fn coverage<'a>(
        &self,
        dialects: &[Dialect],
        rules: &Rules,
        has: &dyn Fn(&str) -> bool,
        cases: impl Iterator<Item = Looked<'a>>,
    ) -> Coverage {
        let mut messages = Vec::new();
        let mut close_codes = Vec::new();
        for dialect in dialects {
            let folder = rules.dialect(*dialect);
            for kind in folder.into_iter().flat_map(|folder| &folder.messages) {
                let direction = way(kind.direction);
                let seen = self
                    .messages
                    .get(&(*dialect, kind.kind.clone(), direction))
                    .copied()
                    .unwrap_or(0);
                messages.push(MessageCoverage {
                    dialect: *dialect,
                    kind: kind.kind.clone(),
                    direction,
                    seen,
                });
            }
            close_codes.extend(self.close_codes_of(*dialect, folder, has));
        }
        let mut by_clause: BTreeMap<&ClauseId, Vec<String>> = BTreeMap::new();
        let mut not_judged: BTreeMap<&ClauseId, &str> = BTreeMap::new();
        for looked in cases {
            for clause in looked.clauses {
                match looked.not_judged {
                    None => by_clause.entry(clause).or_default().push(looked.case.to_owned()),
                    Some(why) => {
                        not_judged.entry(clause).or_insert(why);
                    }
                }
            }
        }
        let clauses = rules.clauses().filter(|clause| {
            clause.dialects.is_empty() || clause.dialects.iter().any(|dialect| dialects.contains(dialect))
        });
        let clauses = clauses.map(|clause| ClauseCoverage {
            id: clause.id.clone(),
            level: clause.basis.level(),
            sentence: clause.sentence.clone(),
            needs: clause.needs.clone().filter(|key| !has(key)),
            cases: by_clause.get(&clause.id).cloned().unwrap_or_default(),
            not_judged: not_judged
                .get(&clause.id)
                .filter(|_| !by_clause.contains_key(&clause.id))
                .map(|why| (*why).to_owned()),
        });
        Coverage {
            messages,
            close_codes,
            clauses: clauses.collect(),
        }
    }
}

impl Seen {
    /// The codes that the rules name, and those that the server sent besides, in their order.
    fn close_codes_of(
        &self,
        dialect: Dialect,
        folder: Option<&Folder>,
        has: &dyn Fn(&str) -> bool,
    ) -> Vec<CloseCoverage> {
        let named = folder.map_or(&[][..], |folder| &folder.close_codes);
        let sent = self
            .close_codes
            .iter()
            .filter(|((on, _), seen)| *on == dialect && seen.down > 0);
        let seen = sent.map(|((_, code), _)| *code);
        let codes: BTreeSet<u16> = named.iter().map(|known| known.code).chain(seen).collect();
        let covered = codes.into_iter().map(|code| {
            let known = named.iter().find(|known| known.code == code);
            let seen = self
                .close_codes
                .get(&(dialect, code))
                .copied()
                .unwrap_or_default();
            CloseCoverage {
                dialect,
                code,
                sent_by: known.map(|known| known.sent_by),
                up: seen.up,
                down: seen.down,
                when: known.map_or_else(String::new, |known| known.when.clone()),
                needs: known
                    .and_then(|known| known.needs.clone())
                    .filter(|key| !has(key)),
            }
        });
        covered.collect()
    }
}

fn way(direction: RuleDirection) -> Direction {
    match direction {
        RuleDirection::Up => Direction::Up,
        RuleDirection::Down => Direction::Down,
    }
}

fn fits(kind: &MessageKind, direction: Direction, message: &Message) -> bool {
    way(kind.direction) == direction
        && match (&kind.shape, &message.content) {
            (Shape::Empty, content) => content.is_empty(),
            (Shape::Text, Content::Text(_)) | (Shape::Binary, Content::Binary(_)) => true,
            (Shape::Json(matcher), Content::Text(_)) => {
                let environment = Environment {
                    answers: None,
                    variable: &|_| None,
                    timing: &|_| None,
                    epoch_seconds: 0.0,
                };
                let fits = |value| compare(matcher, value, &environment).mismatches.is_empty();
                message.json().is_some_and(fits)
            }
            (Shape::Text | Shape::Binary | Shape::Json(_), _) => false,
        }
}
