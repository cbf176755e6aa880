//! The clauses of the spec as data: `rules/<folder>.yaml`, compiled in.
//!
//! `explain`, coverage, reports and the documents in `docs/dialects` are all made from here. A file describes one
//! folder of scenarios: a dialect, `common`, `rfc6455` …

mod reading;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use touchstone_protocol::Dialect;

use crate::corpus;
use crate::diag::Diag;
use crate::habits::Habits;
use crate::scenario::Matcher;
use crate::source::{Source, Span};

/// `echo/2a`, `common/6b`, `rfc6455/5.1-unmasked`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClauseId(pub String);

impl ClauseId {
    /// What stands before the slash: the dialect, `common`, `rfc6455` …
    #[must_use]
    pub fn folder(&self) -> &str {
        self.0.split_once('/').map_or("", |(folder, _)| folder)
    }
}

impl fmt::Display for ClauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// On what a clause rests (spec README, "Rules, clauses, basis, level").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The document, or the RFC with MUST, says so.
    Doc,
    /// The document shows or needs it, or the RFC says SHOULD.
    Implied,
    /// The document is silent; this is our decision.
    Ours,
}

/// What an alternate server owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

    /// As the files write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Doc => "doc",
            Self::Implied => "implied",
            Self::Ours => "ours",
        }
    }
}

impl Level {
    /// As reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
    /// The dialects it applies to: a common clause names them, every other clause has its folder's.
    pub dialects: Vec<Dialect>,
    /// What a target has to have before any scenario can check it (`nodes`, `redis`, `durable` …), as scenarios write it
    /// under `requires:`: coverage tells by it a clause that nobody has covered from one that cannot be covered there.
    pub needs: Option<String>,
}

/// The rules of one folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// `echo`, `common`, `rfc6455`.
    pub name: String,
    /// The dialect it describes, if it is one's.
    pub dialect: Option<Dialect>,
    /// In the order of the file.
    pub clauses: Vec<Clause>,
    /// The kinds of messages of the dialect, for coverage and transcripts. The first that fits a message names it.
    pub messages: Vec<MessageKind>,
    /// The close codes of the dialect, for coverage.
    pub close_codes: Vec<CloseCodeUse>,
    /// What the dialect does by itself.
    pub habits: Habits,
}

/// A kind of message.
#[derive(Debug, Clone)]
pub struct MessageKind {
    /// Its name in reports: the value of `type` where the dialect has one.
    pub kind: String,
    /// Who sends it.
    pub direction: Direction,
    /// How it is known.
    pub shape: Shape,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    /// As reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How a kind of message is known.
#[derive(Debug, Clone)]
pub enum Shape {
    /// `match: MATCHER`: text that is JSON and matches.
    Json(Box<Matcher>),
    /// `text: any`: any text.
    Text,
    /// `text: empty`: a message without payload, text or binary.
    Empty,
    /// `binary: true`: any binary message.
    Binary,
}

/// A close code and what it means on this dialect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseCodeUse {
    /// The code.
    pub code: u16,
    /// Who may send it.
    pub sent_by: SentBy,
    /// In which case.
    pub when: String,
    /// What has to exist before a scenario can see it; as for [`Clause::needs`].
    pub needs: Option<String>,
}

/// Who sends a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SentBy {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Either.
    Both,
}

/// All rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Common first, then the dialects, then the RFCs.
    pub folders: Vec<Folder>,
    by_id: HashMap<ClauseId, (usize, usize)>,
}

impl Rules {
    /// Those that are compiled in.
    ///
    /// # Panics
    /// Never in a build whose tests pass: they read every rules file.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Rules> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::read(&corpus::rules_sources())
                .unwrap_or_else(|diags| panic!("the built-in rules are read by a test: {}", diags[0]))
        })
    }

    /// Reads one file a folder.
    ///
    /// # Errors
    /// The first mistake of each file, and every id that is there twice.
    pub fn read(sources: &[Arc<Source>]) -> Result<Self, Vec<Diag>> {
        let mut rules = Self::default();
        let mut diags = Vec::new();
        for source in sources {
            match reading::read_folder(source) {
                Ok((folder, places)) => rules.add(folder, &places, source, &mut diags),
                Err(diag) => diags.push(diag),
            }
        }
        if diags.is_empty() { Ok(rules) } else { Err(diags) }
    }

    fn add(&mut self, folder: Folder, places: &[Span], source: &Arc<Source>, diags: &mut Vec<Diag>) {
        let at = self.folders.len();
        for (index, clause) in folder.clauses.iter().enumerate() {
            if self.by_id.insert(clause.id.clone(), (at, index)).is_some() {
                let message = format!("the clause `{}` is there twice", clause.id);
                diags.push(Diag::new("duplicate-clause", source, places[index], message));
            }
        }
        for greeting in &folder.habits.greeting {
            if !self.by_id.contains_key(&greeting.clause.value) {
                let message = format!("there is no clause `{}`", greeting.clause.value);
                diags.push(Diag::new("unknown-clause", source, greeting.clause.span, message));
            }
        }
        self.folders.push(folder);
    }

    /// The clause of this id.
    #[must_use]
    pub fn clause(&self, id: &ClauseId) -> Option<&Clause> {
        let (folder, clause) = *self.by_id.get(id)?;
        Some(&self.folders[folder].clauses[clause])
    }

    /// The folder of a dialect: its messages, close codes and heartbeat.
    #[must_use]
    pub fn dialect(&self, dialect: Dialect) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.dialect == Some(dialect))
    }

    /// The folder of this name.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.name == name)
    }

    /// Every clause, folder by folder.
    pub fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.folders.iter().flat_map(|folder| folder.clauses.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rules, String> {
        let source = Source {
            path: "rules/x.yaml".to_owned(),
            text: text.to_owned(),
        };
        Rules::read(&[Arc::new(source)]).map_err(|diags| {
            diags
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        })
    }

    #[test]
    fn a_dialect_is_its_clauses_its_messages_and_its_codes() {
        let rules = read(
            "dialect: echo
clauses:
  - {id: echo/2a, basis: implied, rule: R., needs: token}
messages:
  - {type: bye, direction: down, match: {bye: true}}
  - {type: text, direction: up, text: any}
close_codes: [{code: 1001, sent_by: both, when: stop}]
heartbeat: {ts: {$type: string}}
strangers: []
",
        )
        .unwrap();
        let clause = rules.clause(&ClauseId("echo/2a".to_owned())).unwrap();
        assert_eq!(clause.dialects, [Dialect::Echo]);
        assert_eq!(
            (clause.basis.level(), clause.needs.as_deref()),
            (Level::Should, Some("token"))
        );
        let echo = rules.dialect(Dialect::Echo).unwrap();
        assert!(matches!(echo.messages[0].shape, Shape::Json(_)));
        assert!(matches!(echo.messages[1].shape, Shape::Text));
        assert!(echo.habits.heartbeat.is_some());
        assert_eq!(echo.close_codes[0].sent_by, SentBy::Both);
    }

    #[test]
    fn a_common_clause_is_for_the_dialects_it_names_or_for_all() {
        let rules = read("folder: common\nclauses: [{id: common/1a, basis: doc, rule: R.}]\n").unwrap();
        let clause = rules.clause(&ClauseId("common/1a".to_owned())).unwrap();
        assert_eq!(clause.dialects, Dialect::ALL);
    }

    #[test]
    fn mistakes_in_rules_have_a_place() {
        for (text, error) in [
            (
                "clauses: []\n",
                "rules/x.yaml:1:1: a rules file needs `dialect` or `folder`",
            ),
            (
                "dialect: ecko\nclauses: []\n",
                "rules/x.yaml:1:10: `ecko` is not a dialect (did you mean `echo`?)",
            ),
            (
                "folder: a\ndialect: echo\nclauses: []\n",
                "rules/x.yaml:1:9: a rules file has `dialect` or `folder`, not both",
            ),
            (
                "folder: a\nclauses: [{id: b/1, basis: doc, rule: R.}]\n",
                "rules/x.yaml:2:16: the clause `b/1` does not belong to `a` (its id begins with `a/`)",
            ),
            (
                "folder: a\nclauses: [{id: a/1, basis: doc, rule: R.}, {id: a/1, basis: doc, rule: R.}]\n",
                "rules/x.yaml:2:49: the clause `a/1` is there twice",
            ),
            (
                "folder: a\nclauses: [{id: a/1, basis: dog, rule: R.}]\n",
                "rules/x.yaml:2:28: unknown value `dog` (did you mean `doc`?)",
            ),
            (
                "folder: a\nclauses: []\nmessages: [{type: x, direction: up}]\n",
                "rules/x.yaml:3:19: it is not clear how to know the message `x` (it has exactly one of `match: …`, \
                 `text: any`, `text: empty`, `binary: true`)",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
    }

    #[test]
    fn the_builtin_rules_describe_every_dialect() {
        let rules = Rules::builtin();
        for dialect in Dialect::ALL {
            let folder = rules.dialect(*dialect).unwrap();
            assert!(
                !folder.clauses.is_empty() && !folder.messages.is_empty(),
                "{dialect}"
            );
        }
    }
}
