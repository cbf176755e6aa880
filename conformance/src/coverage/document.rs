//! The matrix: what a run covered of the rules, and what it left.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use touchstone_report::cases::{Case, Outcome, Suite};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Block, Cell, Column, Document, Section, Table, Tile, Tone, Verdict, number};
use touchstone_scenarios::rules::Level;

use super::{ClauseCoverage, Coverage};
use crate::results::Run;
use crate::tap::Direction;

/// What coverage reports call themselves.
const SCHEMA: &str = "touchstone.coverage/1";

/// How much of something was covered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// What was.
    pub covered: usize,
    /// What could be on this target.
    pub coverable: usize,
}

impl Share {
    fn of(covered: impl Iterator<Item = bool>) -> Self {
        let mut share = Self::default();
        for is_covered in covered {
            share.covered += usize::from(is_covered);
            share.coverable += 1;
        }
        share
    }

    /// As it is to be taken.
    #[must_use]
    pub const fn tone(self) -> Tone {
        if self.covered == self.coverable {
            Tone::Good
        } else {
            Tone::Warn
        }
    }

    fn tile(self, label: &str) -> Tile {
        Tile::new(label, number::count(self.covered as u64))
            .note(format!("of {} that can be", self.coverable))
            .tone(self.tone())
    }

    fn cell(self) -> Cell {
        let text = format!("{}/{}", self.covered, self.coverable);
        match self {
            Self { coverable: 0, .. } => Cell::plain(""),
            Self { covered, coverable } if covered == coverable => Cell::plain(text),
            Self { .. } => Cell::warn(text),
        }
    }

    fn json(self) -> Value {
        json!({"covered": self.covered, "coverable": self.coverable})
    }
}

impl Coverage {
    /// Clauses that judged cases looked at.
    #[must_use]
    pub fn clause_share(&self) -> Share {
        share_of_clauses(self.clauses.iter())
    }

    /// Kinds of messages that crossed the wire in their direction.
    #[must_use]
    pub fn message_share(&self) -> Share {
        Share::of(self.messages.iter().map(|message| message.seen > 0))
    }

    /// Close codes of the rules that were seen from whoever may send them.
    #[must_use]
    pub fn close_code_share(&self) -> Share {
        let named = self.close_codes.iter().filter(|close| close.sent_by.is_some());
        let coverable = named.filter(|close| close.is_coverable());
        Share::of(coverable.map(super::CloseCoverage::is_covered))
    }

    /// What would be a failure each: the holes, as cases for JUnit.
    #[must_use]
    pub fn suite(&self) -> Suite {
        let mut suite = Suite::new("coverage");
        suite.cases = self
            .holes()
            .into_iter()
            .map(|hole| {
                let outcome = Outcome::Failed {
                    message: format!("the {} {} was not seen", hole.kind, hole.name),
                    text: hole.fill,
                };
                Case::new(hole.name, "coverage", std::time::Duration::ZERO, outcome)
            })
            .collect();
        suite
    }

    /// What was not covered, and what would fill it.
    #[must_use]
    pub fn holes_section(&self) -> Section {
        let holes = self.holes().into_iter().map(|hole| {
            let summary = format!("{} {}", hole.kind, hole.name);
            Block::details(
                summary,
                Tone::Bad,
                vec![Block::Text(format!("fill it: {}", hole.fill))],
            )
        });
        holes.fold(Section::new("Holes"), Section::with)
    }

    /// What this target cannot show.
    fn waiting_section(&self) -> Section {
        let section = Section::new("Not on this target, so no holes");
        let waiting = self.waiting();
        if waiting.is_empty() {
            return section;
        }
        let mut table = Table::new([Column::text("what"), Column::text("which"), Column::text("needs")]);
        for waiting in waiting {
            table.push([
                Cell::plain(waiting.kind.to_string()),
                Cell::plain(waiting.name),
                Cell::plain(waiting.needs),
            ]);
        }
        section.with(Block::Table(table))
    }

    fn matrix_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("rules"),
            Column::number("must"),
            Column::number("should"),
            Column::number("may"),
            Column::number("cases"),
            Column::number("to server"),
            Column::number("from server"),
            Column::number("close codes"),
        ]);
        let mut folders: Vec<&str> = Vec::new();
        for clause in &self.clauses {
            if !folders.contains(&clause.id.folder()) {
                folders.push(clause.id.folder());
            }
        }
        for folder in folders {
            table.push(self.matrix_row(folder));
        }
        Section::new("Matrix").with(Block::Table(table))
    }

    fn matrix_row(&self, folder: &str) -> [Cell; 8] {
        let clauses = || self.clauses.iter().filter(|clause| clause.id.folder() == folder);
        let of_level = |level| share_of_clauses(clauses().filter(|clause| clause.level == level)).cell();
        let cases: BTreeSet<&String> = clauses().flat_map(|clause| &clause.cases).collect();
        let messages = |direction| {
            let of_folder = self
                .messages
                .iter()
                .filter(|message| message.dialect.name() == folder && message.direction == direction);
            Share::of(of_folder.map(|message| message.seen > 0)).cell()
        };
        let codes = self.close_codes.iter().filter(|close| {
            close.dialect.name() == folder && close.sent_by.is_some() && close.is_coverable()
        });
        [
            Cell::plain(folder),
            of_level(Level::Must),
            of_level(Level::Should),
            of_level(Level::May),
            Cell::number(cases.len() as u64),
            messages(Direction::Up),
            messages(Direction::Down),
            Share::of(codes.map(super::CloseCoverage::is_covered)).cell(),
        ]
    }

    fn clauses_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("clause"),
            Column::text("level"),
            Column::number("cases"),
            Column::text("rule"),
        ]);
        for clause in &self.clauses {
            let cases = match (clause.cases.len(), &clause.needs) {
                (0, Some(needs)) => Cell::plain(format!("needs {needs}")),
                (0, None) => Cell::warn("none"),
                (cases, _) => Cell::good(number::count(cases as u64)),
            };
            table.push([
                Cell::plain(&clause.id.0),
                Cell::plain(clause.level.name()),
                cases,
                Cell::plain(&clause.sentence),
            ]);
        }
        Section::new("Clauses").with(Block::Table(table))
    }

    /// Kinds of messages with how often each crossed the wire.
    #[must_use]
    pub fn messages_table(&self) -> Table {
        let mut table = Table::new([
            Column::text("dialect"),
            Column::text("message"),
            Column::text("direction"),
            Column::number("seen"),
        ]);
        for message in &self.messages {
            let direction = match message.direction {
                Direction::Up => "client to server",
                Direction::Down => "server to client",
            };
            table.push([
                Cell::plain(message.dialect.name()),
                Cell::plain(&message.kind),
                Cell::plain(direction),
                seen_cell(message.seen > 0, message.seen, None),
            ]);
        }
        table
    }

    /// Close codes with how often each was seen from either side.
    #[must_use]
    pub fn close_codes_table(&self) -> Table {
        let mut table = Table::new([
            Column::text("dialect"),
            Column::text("close code"),
            Column::text("when"),
            Column::number("from server"),
            Column::number("from client"),
        ]);
        for close in &self.close_codes {
            use touchstone_scenarios::rules::SentBy::{Both, Client, Server};
            let needs = close.needs.as_deref();
            let cell = |owed: bool, seen| match owed {
                true => seen_cell(seen > 0, seen, needs),
                false if seen == 0 => Cell::plain("–"),
                false => Cell::number(seen),
            };
            table.push([
                Cell::plain(close.dialect.name()),
                Cell::plain(close.code.to_string()),
                Cell::plain(&close.when),
                cell(matches!(close.sent_by, Some(Server | Both)), close.down),
                cell(matches!(close.sent_by, Some(Client | Both)), close.up),
            ]);
        }
        table
    }
}

impl Run {
    /// The run's coverage as a report: it passed if there is no hole.
    #[must_use]
    pub fn coverage_document(&self) -> Document {
        let coverage = &self.coverage;
        let title = format!("coverage {}", self.target);
        let mut document = Document::new(title, self.coverage_verdict(), self.coverage_headline())
            .fact("target", &self.target)
            .fact("cases", self.headline())
            .fact("started", rfc3339(self.started_at))
            .fact("seed", self.seed.to_string())
            .tile(coverage.clause_share().tile("clauses"))
            .tile(coverage.message_share().tile("kinds of messages"))
            .tile(coverage.close_code_share().tile("close codes"));
        document.sections = vec![
            coverage.matrix_section(),
            coverage.holes_section(),
            coverage.waiting_section(),
            coverage.clauses_section(),
            Section::new("Messages").with(Block::Table(coverage.messages_table())),
            Section::new("Close codes").with(Block::Table(coverage.close_codes_table())),
        ];
        document.sections.retain(|section| !section.blocks.is_empty());
        document
    }

    /// The same as JSON.
    #[must_use]
    pub fn coverage_report_json(&self) -> Value {
        let coverage = &self.coverage;
        let holes = coverage.holes();
        let holes = holes
            .iter()
            .map(|hole| json!({"kind": hole.kind.name(), "name": hole.name, "fill": hole.fill}));
        let waiting = coverage.waiting();
        let waiting = waiting.iter().map(
            |waiting| json!({"kind": waiting.kind.name(), "name": waiting.name, "needs": waiting.needs}),
        );
        json!({
            "schema": SCHEMA,
            "tool": {"version": self.tool.version, "commit": self.tool.commit},
            "target": self.target,
            "started_at": rfc3339(self.started_at),
            "duration_ms": self.duration.as_secs_f64() * 1e3,
            "seed": self.seed,
            "verdict": self.coverage_verdict(),
            "only": self.only,
            "summary": {
                "cases": self.summary_json(),
                "clauses": coverage.clause_share().json(),
                "messages": coverage.message_share().json(),
                "close_codes": coverage.close_code_share().json(),
            },
            "coverage": coverage.to_json(),
            "holes": holes.collect::<Vec<_>>(),
            "waiting": waiting.collect::<Vec<_>>(),
        })
    }

    fn coverage_verdict(&self) -> Verdict {
        match (self.verdict, self.coverage.holes().is_empty()) {
            (Verdict::Interrupted, _) => Verdict::Interrupted,
            (Verdict::Passed | Verdict::Failed | Verdict::Undecided, true) => Verdict::Passed,
            (Verdict::Passed | Verdict::Failed | Verdict::Undecided, false) => Verdict::Failed,
        }
    }

    fn coverage_headline(&self) -> String {
        let part = if self.only.is_empty() {
            String::new()
        } else {
            format!(" (in a part of the suite: {})", self.only.join(" "))
        };
        match self.coverage.holes().len() {
            0 => format!("no hole: what can be seen on this target was seen{part}"),
            1 => format!("1 hole{part}"),
            holes => format!("{holes} holes{part}"),
        }
    }
}

fn share_of_clauses<'a>(clauses: impl Iterator<Item = &'a ClauseCoverage>) -> Share {
    let coverable = clauses.filter(|clause| clause.is_coverable());
    Share::of(coverable.map(|clause| !clause.cases.is_empty()))
}

fn seen_cell(covered: bool, seen: u64, needs: Option<&str>) -> Cell {
    match (covered, needs) {
        (true, _) => Cell::good(number::count(seen)),
        (false, Some(needs)) => Cell::plain(format!("needs {needs}")),
        (false, None) => Cell::warn("never"),
    }
}
