//! Which messages, close codes and clauses a run has really seen: made from what crossed the wire.

use std::collections::{BTreeMap, BTreeSet};

use touchstone_protocol::Dialect;
use touchstone_scenarios::rules::{
    ClauseId, Direction as RuleDirection, Folder, Level, MessageKind, Rules, Shape,
};

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
    /// How often it was seen, in either direction.
    pub seen: u64,
    /// In which case it is used; empty for a code that the rules do not name.
    pub when: String,
    /// What has to exist before it can be seen.
    pub needs: Option<String>,
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
    /// What has to exist before any case can look at it.
    pub needs: Option<String>,
    /// The cases that looked at it and were judged.
    pub cases: Vec<String>,
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

    /// What was seen beside what the rules of these dialects name. `judged`: the clauses that each case looked at.
    #[must_use]
    pub fn coverage<'a>(
        &self,
        dialects: &[Dialect],
        rules: &Rules,
        judged: impl Iterator<Item = (&'a str, &'a [ClauseId])>,
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
            close_codes.extend(self.close_codes_of(*dialect, folder));
        }
        let mut by_clause: BTreeMap<&ClauseId, Vec<String>> = BTreeMap::new();
        for (case, clauses) in judged {
            for clause in clauses {
                by_clause.entry(clause).or_default().push(case.to_owned());
            }
        }
        let clauses = rules.clauses().filter(|clause| {
            clause.dialects.is_empty() || clause.dialects.iter().any(|dialect| dialects.contains(dialect))
        });
        let clauses = clauses.map(|clause| ClauseCoverage {
            id: clause.id.clone(),
            level: clause.basis.level(),
            sentence: clause.sentence.clone(),
            needs: clause.needs.clone(),
            cases: by_clause.get(&clause.id).cloned().unwrap_or_default(),
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
    fn close_codes_of(&self, dialect: Dialect, folder: Option<&Folder>) -> Vec<CloseCoverage> {
        let named = folder.map_or(&[][..], |folder| &folder.close_codes);
        let sent = self
            .close_codes
            .iter()
            .filter(|((on, _), seen)| *on == dialect && seen.down > 0);
        let seen = sent.map(|((_, code), _)| *code);
        let codes: BTreeSet<u16> = named.iter().map(|known| known.code).chain(seen).collect();
        let covered = codes.into_iter().map(|code| {
            let known = named.iter().find(|known| known.code == code);
            CloseCoverage {
                dialect,
                code,
                seen: self
                    .close_codes
                    .get(&(dialect, code))
                    .map_or(0, |seen| seen.up + seen.down),
                when: known.map_or_else(String::new, |known| known.when.clone()),
                needs: known.and_then(|known| known.needs.clone()),
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
