//! A run as a report: failures first, then every clause and what became of it, then what crossed the wire.

use std::collections::BTreeMap;

use touchstone_report::cases::{Case, Outcome, Suite, Suites};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Bar, Block, Cell, Column, Document, Section, Table, Tile, Tone, number};
use touchstone_scenarios::rules::ClauseId;

use crate::coverage::ClauseCoverage;
use crate::results::{CaseResult, Run};
use crate::tap::Direction;
use crate::verdict::CaseVerdict;

impl Run {
    /// The run as a report.
    #[must_use]
    pub fn document(&self) -> Document {
        let mut document = Document::new(format!("conform {}", self.target), self.verdict, self.headline())
            .fact("target", &self.target)
            .fact("started", rfc3339(self.started_at))
            .fact("duration", number::duration(self.duration))
            .fact("seed", self.seed.to_string())
            .fact("version", &self.tool.version);
        if let Some(commit) = &self.tool.commit {
            document = document.fact("commit", commit);
        }
        document.tiles = self.tiles();
        document.sections = vec![
            self.problems_section(),
            self.clauses_section(),
            self.wire_section(),
            self.second_attempts_section(),
            self.not_tried_section(),
            self.cases_section(),
        ];
        document.sections.retain(|section| !section.blocks.is_empty());
        document
    }

    /// The run as cases, for JUnit and TAP: a suite for each folder.
    #[must_use]
    pub fn suites(&self) -> Suites {
        let mut suites = Suites::new("touchstone conform", self.duration);
        for case in &self.cases {
            let name = case.scenario.split('/').next().unwrap_or(&case.scenario);
            let known = suites.suites.iter().position(|suite| suite.name == name);
            let index = known.unwrap_or_else(|| {
                let mut suite = Suite::new(name);
                suite.properties = vec![
                    ("target".to_owned(), self.target.clone()),
                    ("seed".to_owned(), self.seed.to_string()),
                ];
                suites.suites.push(suite);
                suites.suites.len() - 1
            });
            suites.suites[index].cases.push(suite_case(case));
        }
        suites
    }

    /// The answer in a sentence.
    #[must_use]
    pub fn headline(&self) -> String {
        let counts = self.counts();
        let words = [
            (CaseVerdict::Failed, "failed"),
            (CaseVerdict::CouldNotRun, "could not run"),
            (CaseVerdict::UnexpectedlyPassed, "passed though listed as failing"),
            (CaseVerdict::KnownFailing, "known failing"),
            (CaseVerdict::NonStrict, "non-strict"),
            (CaseVerdict::Informational, "informational"),
            (CaseVerdict::Skipped, "skipped"),
        ];
        let mut parts = vec![format!(
            "{} of {} cases passed",
            counts.of(CaseVerdict::Passed),
            counts.total()
        )];
        let rest = words
            .into_iter()
            .map(|(verdict, word)| (counts.of(verdict), word));
        parts.extend(
            rest.filter(|(count, _)| *count > 0)
                .map(|(count, word)| format!("{count} {word}")),
        );
        let again = self.second_attempts().count();
        if again > 0 {
            parts.push(format!("{again} judged by a second attempt"));
        }
        parts.join(", ")
    }

    fn tiles(&self) -> Vec<Tile> {
        let counts = self.counts();
        let of = |verdict| number::count(counts.of(verdict) as u64);
        let tone = |verdict, tone| {
            if counts.of(verdict) == 0 {
                Tone::Neutral
            } else {
                tone
            }
        };
        let broken = counts.of(CaseVerdict::CouldNotRun);
        let (covered, coverable) = self.covered_clauses();
        let seen_codes = self
            .coverage
            .close_codes
            .iter()
            .filter(|close| close.seen > 0)
            .count();
        let seen_messages = self
            .coverage
            .messages
            .iter()
            .filter(|message| message.seen > 0)
            .count();
        let share = |seen: usize, all: usize| if seen == all { Tone::Good } else { Tone::Warn };
        let codes = self
            .coverage
            .close_codes
            .iter()
            .filter(|close| close.seen > 0 || close.needs.is_none());
        let codes = codes.count();
        let mut tiles = vec![
            Tile::new("cases passed", of(CaseVerdict::Passed))
                .note(format!(
                    "of {} in {}",
                    counts.total(),
                    number::duration(self.duration)
                ))
                .tone(self.verdict.tone()),
            Tile::new("failed", of(CaseVerdict::Failed))
                .note(format!("{broken} could not run"))
                .tone(if broken > 0 {
                    Tone::Bad
                } else {
                    tone(CaseVerdict::Failed, Tone::Bad)
                }),
            Tile::new("skipped", of(CaseVerdict::Skipped))
                .note("not tried, so never passed")
                .tone(tone(CaseVerdict::Skipped, Tone::Warn)),
        ];
        if !self.is_of_a_dialect() {
            return tiles;
        }
        tiles.extend([
            Tile::new("clauses", number::count(covered as u64))
                .note(format!("of {coverable} that can be checked"))
                .tone(share(covered, coverable)),
            Tile::new("close codes seen", number::count(seen_codes as u64))
                .note(format!("of {codes}"))
                .tone(share(seen_codes, codes)),
            Tile::new("kinds of messages seen", number::count(seen_messages as u64))
                .note(format!("of {}", self.coverage.messages.len()))
                .tone(share(seen_messages, self.coverage.messages.len())),
        ]);
        tiles
    }

    /// Whether a case is about a dialect: others cover nothing of one.
    fn is_of_a_dialect(&self) -> bool {
        self.cases.iter().any(|case| case.dialect.is_some())
    }

    /// How many clauses some case looked at, and how many could be.
    #[must_use]
    pub fn covered_clauses(&self) -> (usize, usize) {
        let covered = self
            .coverage
            .clauses
            .iter()
            .filter(|clause| !clause.cases.is_empty())
            .count();
        let coverable = self
            .coverage
            .clauses
            .iter()
            .filter(|clause| is_coverable(clause))
            .count();
        (covered, coverable)
    }

    fn problems_section(&self) -> Section {
        let mut section = Section::new("What does not hold");
        let mut worst_first: Vec<_> = self
            .cases
            .iter()
            .filter(|case| !matches!(case.verdict, CaseVerdict::Passed | CaseVerdict::Skipped))
            .collect();
        worst_first.sort_by_key(worst_first_key);
        for case in worst_first {
            let summary = format!(
                "`{}` {}: {}",
                case.id,
                case.verdict.name().replace('_', " "),
                case.message()
            );
            section = section.with(Block::details(
                summary,
                tone(case.verdict),
                vec![Block::Code(case.failure_text())],
            ));
        }
        section
    }

    fn clauses_section(&self) -> Section {
        if self.coverage.clauses.is_empty() || !self.is_of_a_dialect() {
            return Section::new("Clauses");
        }
        let verdicts = self.clause_verdicts();
        let mut bar = Bar::new("clauses");
        let mut counts: BTreeMap<&'static str, (u64, Tone)> = BTreeMap::new();
        let mut table = Table::new([
            Column::text("clause"),
            Column::text("level"),
            Column::text("rule"),
            Column::number("cases"),
            Column::text("verdict"),
        ]);
        for clause in &self.coverage.clauses {
            let (word, tone) = clause_word(clause, verdicts.get(&clause.id).copied());
            counts.entry(word).or_insert((0, tone)).0 += 1;
            table.push([
                Cell::plain(&clause.id.0),
                Cell::plain(clause.level.name()),
                Cell::plain(&clause.sentence),
                Cell::number(clause.cases.len() as u64),
                Cell::new(word, tone),
            ]);
        }
        for (word, (count, tone)) in counts {
            bar = bar.part(word, count, tone);
        }
        Section::new("Clauses")
            .with(Block::Bar(bar))
            .with(Block::Table(table))
    }

    /// The worst that was found under each clause.
    fn clause_verdicts(&self) -> BTreeMap<ClauseId, CaseVerdict> {
        let mut verdicts = BTreeMap::new();
        for case in &self.cases {
            for finding in &case.findings {
                let worst: &mut CaseVerdict =
                    verdicts.entry(finding.clause.clone()).or_insert(finding.weight);
                *worst = (*worst).max(finding.weight);
            }
        }
        verdicts
    }

    fn wire_section(&self) -> Section {
        let mut section = Section::new("What crossed the wire");
        if !self.is_of_a_dialect() {
            return section;
        }
        if !self.coverage.messages.is_empty() {
            let mut table = Table::new([
                Column::text("dialect"),
                Column::text("message"),
                Column::text("direction"),
                Column::number("seen"),
            ]);
            for message in &self.coverage.messages {
                let direction = match message.direction {
                    Direction::Up => "client to server",
                    Direction::Down => "server to client",
                };
                table.push([
                    Cell::plain(message.dialect.name()),
                    Cell::plain(&message.kind),
                    Cell::plain(direction),
                    seen_cell(message.seen, None),
                ]);
            }
            section = section.with(Block::Table(table));
        }
        if !self.coverage.close_codes.is_empty() {
            let mut table = Table::new([
                Column::text("dialect"),
                Column::text("close code"),
                Column::text("when"),
                Column::number("seen"),
            ]);
            for close in &self.coverage.close_codes {
                table.push([
                    Cell::plain(close.dialect.name()),
                    Cell::plain(close.code.to_string()),
                    Cell::plain(&close.when),
                    seen_cell(close.seen, close.needs.as_deref()),
                ]);
            }
            section = section.with(Block::Table(table));
        }
        section
    }

    fn second_attempts_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("case"),
            Column::text("first attempt"),
            Column::number("the judge was late by"),
            Column::text("what was found"),
            Column::text("second attempt"),
        ]);
        for case in self.second_attempts() {
            let Some(first) = &case.first_attempt else {
                continue;
            };
            table.push([
                Cell::plain(format!("`{}`", case.id)),
                Cell::new(first.verdict.name().replace('_', " "), Tone::Neutral),
                Cell::plain(number::duration(first.late)),
                Cell::plain(first.message()),
                Cell::new(case.verdict.name().replace('_', " "), tone(case.verdict)),
            ]);
        }
        if table.rows.is_empty() {
            return Section::new("Tried again");
        }
        Section::new("Tried again")
            .with(Block::Text(SECOND_ATTEMPTS.to_owned()))
            .with(Block::Table(table))
    }

    fn not_tried_section(&self) -> Section {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for case in self
            .cases
            .iter()
            .filter(|case| case.verdict == CaseVerdict::Skipped)
        {
            by_reason
                .entry(case.reason.as_deref().unwrap_or_default())
                .or_default()
                .push(&case.id);
        }
        let mut section = Section::new("Not tried");
        for (reason, ids) in by_reason {
            let summary = format!("{} cases: {reason}", ids.len());
            section = section.with(Block::details(
                summary,
                Tone::Warn,
                vec![Block::Code(ids.join("\n"))],
            ));
        }
        section
    }

    fn cases_section(&self) -> Section {
        if self.cases.is_empty() {
            return Section::new("Cases");
        }
        let mut table = Table::new([
            Column::text("case"),
            Column::text("clause"),
            Column::text("level"),
            Column::text("verdict"),
            Column::text("checks"),
            Column::number("time"),
        ]);
        let mut worst_first: Vec<_> = self.cases.iter().collect();
        worst_first.sort_by_key(worst_first_key);
        for case in worst_first {
            table.push([
                // As its failure is headed, so that the row leads there.
                Cell::plain(format!("`{}`", case.id)),
                Cell::plain(&case.rule.0),
                Cell::plain(case.level.name()),
                Cell::new(case.verdict.name().replace('_', " "), tone(case.verdict)),
                Cell::plain(case.checks_text()),
                Cell::plain(number::duration(case.duration)),
            ]);
        }
        Section::new("Cases").with(Block::Table(table))
    }
}

/// What a reader has to know of them.
const SECOND_ATTEMPTS: &str = "The judge itself was late while these were tried, so what it saw says as much of the \
                               machine as of the server. Each was tried once more, when little else ran; that counts.";

/// What makes the run fail comes first; what is alike keeps its order.
fn worst_first_key(case: &&CaseResult) -> std::cmp::Reverse<(bool, CaseVerdict)> {
    std::cmp::Reverse((case.verdict.fails_the_run(), case.verdict))
}

/// A clause that something missing keeps from being checked is no hole.
fn is_coverable(clause: &ClauseCoverage) -> bool {
    clause.needs.is_none() || !clause.cases.is_empty()
}

fn clause_word(clause: &ClauseCoverage, verdict: Option<CaseVerdict>) -> (&'static str, Tone) {
    match (verdict, clause.cases.is_empty()) {
        (Some(verdict), _) => (word(verdict), tone(verdict)),
        (None, false) => ("holds", Tone::Good),
        (None, true) if clause.needs.is_some() => ("cannot be checked yet", Tone::Neutral),
        (None, true) => ("not checked", Tone::Warn),
    }
}

fn word(verdict: CaseVerdict) -> &'static str {
    match verdict {
        CaseVerdict::Passed => "holds",
        CaseVerdict::Failed => "failed",
        CaseVerdict::NonStrict => "non-strict",
        CaseVerdict::Informational => "informational",
        CaseVerdict::KnownFailing => "known failing",
        CaseVerdict::UnexpectedlyPassed => "unexpectedly passed",
        CaseVerdict::Skipped => "skipped",
        CaseVerdict::CouldNotRun => "could not run",
    }
}

fn tone(verdict: CaseVerdict) -> Tone {
    match verdict {
        CaseVerdict::Passed => Tone::Good,
        CaseVerdict::Failed | CaseVerdict::CouldNotRun | CaseVerdict::UnexpectedlyPassed => Tone::Bad,
        CaseVerdict::NonStrict | CaseVerdict::Skipped | CaseVerdict::KnownFailing => Tone::Warn,
        CaseVerdict::Informational => Tone::Neutral,
    }
}

fn seen_cell(seen: u64, needs: Option<&str>) -> Cell {
    match (seen, needs) {
        (0, Some(needs)) => Cell::plain(format!("needs {needs}")),
        (0, None) => Cell::warn("never"),
        (seen, _) => Cell::number(seen),
    }
}

/// Failed is a failure, could not run an error; lesser findings pass, with a property (design, "Verdicts and exit").
fn suite_case(case: &CaseResult) -> Case {
    let (message, text) = (case.message(), case.failure_text());
    let outcome = match case.verdict {
        CaseVerdict::Passed
        | CaseVerdict::NonStrict
        | CaseVerdict::Informational
        | CaseVerdict::KnownFailing => Outcome::Passed,
        CaseVerdict::Failed | CaseVerdict::UnexpectedlyPassed => Outcome::Failed { message, text },
        CaseVerdict::CouldNotRun => Outcome::Error { message, text },
        CaseVerdict::Skipped => Outcome::Skipped { reason: message },
    };
    let mut made = Case::new(&case.id, case.rule.0.clone(), case.duration, outcome)
        .property("level", case.level.name())
        .property("verdict", case.verdict.name());
    if let Some(first) = &case.first_attempt {
        made = made
            .property("first_attempt", first.verdict.name())
            .property("late_ms", first.late.as_millis().to_string());
    }
    if matches!(
        case.verdict,
        CaseVerdict::NonStrict | CaseVerdict::Informational | CaseVerdict::KnownFailing
    ) {
        made = made.property("finding", case.message());
    }
    made
}
