//! Several runs beside each other: clauses down, targets across.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use touchstone_report::{Bar, Block, Cell, Column, Document, Section, Table, Tile, Tone, Verdict, number};
use touchstone_scenarios::rules::{ClauseId, Level};

use crate::clause_states::{ClauseState, tone, word};
use crate::results::Run;
use crate::verdict::CaseVerdict;

/// What the documents call themselves.
const SCHEMA: &str = "touchstone.side-by-side/1";
/// So many of the cases that failed under a clause are named in a cell; the rest is counted.
const CASES_NAMED_MAX: usize = 3;

/// Runs beside each other.
#[derive(Debug)]
pub struct SideBySide {
    sides: Vec<Side>,
    rows: Vec<Row>,
}

/// A run, and what it is called here.
#[derive(Debug)]
struct Side {
    name: String,
    run: Run,
    states: BTreeMap<ClauseId, ClauseState>,
}

/// A clause that one of the runs is about.
#[derive(Debug)]
struct Row {
    clause: ClauseId,
    level: Level,
    sentence: String,
}

/// How much a document tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The clauses in which the targets differ.
    Differences,
    /// Those, then all clauses, then every failure with all that is known of it.
    Everything,
}

impl SideBySide {
    /// Puts runs beside each other, in this order. `name` tells runs of one target apart: the name of its file.
    #[must_use]
    pub fn new(runs: Vec<(String, Run)>) -> Self {
        let mut targets = HashSet::new();
        let distinct = runs.iter().all(|(_, run)| targets.insert(run.target.clone()));
        let rows = rows(runs.iter().map(|(_, run)| run));
        let side = |(name, run): (String, Run)| Side {
            name: if distinct { run.target.clone() } else { name },
            states: run.clause_states(),
            run,
        };
        Self {
            sides: runs.into_iter().map(side).collect(),
            rows,
        }
    }

    /// As a report.
    #[must_use]
    pub fn document(&self, extent: Extent) -> Document {
        let names: Vec<_> = self.sides.iter().map(|side| side.name.as_str()).collect();
        let title = format!("conform {}", names.join(" | "));
        let mut document = Document::new(title, self.verdict(), self.headline());
        for side in &self.sides {
            let label = format!("target {}", side.name);
            document = document
                .fact(label, format!("{}; {}", side.run.target, side.run.headline()))
                .tile(side.tile());
        }
        document.sections = vec![self.sums_section(), self.differences_section()];
        if extent == Extent::Everything {
            document.sections.push(
                Section::new("All clauses")
                    .with(Block::Table(self.table(self.rows.iter(), Sentences::Shown))),
            );
            document.sections.push(self.failures_section());
        }
        document.sections.retain(|section| !section.blocks.is_empty());
        document
    }

    /// As JSON: for each clause a cell for each target.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let targets = self.sides.iter().map(|side| {
            json!({
                "name": side.name,
                "target": side.run.target,
                "verdict": side.run.verdict,
                "started_at": touchstone_report::timestamp::rfc3339(side.run.started_at),
                "summary": side.run.summary_json(),
            })
        });
        let clauses = self.rows.iter().map(|row| {
            let cells = self.sides.iter().map(|side| match side.states.get(&row.clause) {
                Some(state) => json!({"verdict": state.verdict, "cases": state.cases}),
                None => json!({"verdict": null, "cases": []}),
            });
            json!({
                "id": row.clause.0,
                "level": row.level,
                "sentence": row.sentence,
                "differs": self.differs(row),
                "cells": cells.collect::<Vec<_>>(),
            })
        });
        json!({
            "schema": SCHEMA,
            "verdict": self.verdict(),
            "targets": targets.collect::<Vec<_>>(),
            "clauses": clauses.collect::<Vec<_>>(),
        })
    }

    fn verdict(&self) -> Verdict {
        let verdicts = self.sides.iter().map(|side| side.run.verdict);
        verdicts.fold(Verdict::Passed, Verdict::worse)
    }

    fn headline(&self) -> String {
        let differing = self.rows.iter().filter(|row| self.differs(row)).count();
        match differing {
            0 => format!("no difference in {} clauses", self.rows.len()),
            1 => format!("1 of {} clauses differs", self.rows.len()),
            _ => format!("{differing} of {} clauses differ", self.rows.len()),
        }
    }

    fn differs(&self, row: &Row) -> bool {
        let words: HashSet<_> = self.sides.iter().map(|side| side.word(&row.clause)).collect();
        words.len() > 1
    }

    fn sums_section(&self) -> Section {
        let bars = self.sides.iter().map(|side| side.bar(&self.rows));
        bars.fold(Section::new("Clauses"), |section, bar| {
            section.with(Block::Bar(bar))
        })
    }

    fn differences_section(&self) -> Section {
        let differing: Vec<_> = self.rows.iter().filter(|row| self.differs(row)).collect();
        let section = Section::new("Where they differ");
        if differing.is_empty() {
            return section;
        }
        section.with(Block::Table(self.table(differing.into_iter(), Sentences::Left)))
    }

    fn table<'a>(&self, rows: impl Iterator<Item = &'a Row>, sentences: Sentences) -> Table {
        let shown = sentences == Sentences::Shown;
        let mut columns = vec![Column::text("clause"), Column::text("level")];
        columns.extend(shown.then(|| Column::text("rule")));
        columns.extend(self.sides.iter().map(|side| Column::text(&side.name)));
        let mut table = Table::new(columns);
        for row in rows {
            let mut cells = vec![Cell::plain(&row.clause.0), Cell::plain(row.level.name())];
            cells.extend(shown.then(|| Cell::plain(&row.sentence)));
            cells.extend(self.sides.iter().map(|side| side.cell(&row.clause)));
            table.push(cells);
        }
        table
    }

    fn failures_section(&self) -> Section {
        let mut section = Section::new("What does not hold");
        for side in &self.sides {
            for case in &side.run.cases {
                if matches!(case.verdict, CaseVerdict::Passed | CaseVerdict::Skipped) {
                    continue;
                }
                let verdict = case.verdict.name().replace('_', " ");
                let summary = format!("`{}` {verdict} on {}: {}", case.id, side.name, case.message());
                section = section.with(Block::details(summary, tone(case.verdict), case.failure_blocks()));
            }
        }
        section
    }
}

/// Whether a table has the clauses' sentences.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sentences {
    Shown,
    Left,
}

impl Side {
    /// What became of a clause; why there is nothing, where there is nothing.
    fn word(&self, clause: &ClauseId) -> &'static str {
        if let Some(state) = self.states.get(clause) {
            return word(state.verdict);
        }
        let known = self.run.coverage.clauses.iter().find(|known| known.id == *clause);
        known.map_or("–", |known| known.absence())
    }

    fn cell(&self, clause: &ClauseId) -> Cell {
        let word = self.word(clause);
        let Some(state) = self.states.get(clause) else {
            return Cell::plain(word);
        };
        let named: Vec<_> = state.cases.iter().take(CASES_NAMED_MAX).cloned().collect();
        let left = state.cases.len() - named.len();
        let text = match (named.is_empty(), left) {
            (true, _) => word.to_owned(),
            (false, 0) => format!("{word}: {}", named.join(", ")),
            (false, left) => format!("{word}: {} +{left}", named.join(", ")),
        };
        Cell::new(text, tone(state.verdict))
    }

    fn tile(&self) -> Tile {
        let counts = self.run.counts();
        let passed = number::count(counts.of(CaseVerdict::Passed) as u64);
        Tile::new(&self.name, passed)
            .note(format!(
                "of {} cases passed, {} failed, {} skipped",
                counts.total(),
                counts.of(CaseVerdict::Failed),
                counts.of(CaseVerdict::Skipped)
            ))
            .tone(self.run.verdict.tone())
    }

    fn bar(&self, rows: &[Row]) -> Bar {
        let mut parts: BTreeMap<&'static str, (u64, Tone)> = BTreeMap::new();
        for row in rows {
            let tone = self
                .states
                .get(&row.clause)
                .map_or(Tone::Neutral, |state| tone(state.verdict));
            parts.entry(self.word(&row.clause)).or_insert((0, tone)).0 += 1;
        }
        let bar = Bar::new(&self.name);
        parts.into_iter().fold(bar, |bar, (word, (count, tone))| {
            let word = if word == "–" { "of other dialects" } else { word };
            bar.part(word, count, tone)
        })
    }
}

/// The clauses of all runs, each once, in the order in which the runs have them; then what cases without a dialect are
/// about.
fn rows<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Vec<Row> {
    let mut known = HashSet::new();
    let mut rows = Vec::new();
    let mut add = |clause: &ClauseId, level, sentence: &str| {
        if known.insert(clause.clone()) {
            rows.push(Row {
                clause: clause.clone(),
                level,
                sentence: sentence.to_owned(),
            });
        }
    };
    for run in runs.clone() {
        for clause in &run.coverage.clauses {
            add(&clause.id, clause.level, &clause.sentence);
        }
    }
    for run in runs {
        for case in &run.cases {
            add(&case.rule, case.level, &case.title);
        }
    }
    rows
}
