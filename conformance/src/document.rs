//! A run as a report: failures first, then every clause and what became of it, then what crossed the wire.

use std::collections::BTreeMap;

use touchstone_report::cases::{Case, Outcome, Suite, Suites};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Bar, Block, Cell, Column, Document, Section, Table, Tile, Tone, number};

use crate::clause_states::{tone, word};
use crate::results::{CaseResult, Run};
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
        let shares = [
            ("clauses", self.coverage.clause_share(), "that can be checked"),
            ("close codes seen", self.coverage.close_code_share(), ""),
            ("kinds of messages seen", self.coverage.message_share(), ""),
        ];
        tiles.extend(shares.into_iter().map(|(label, share, of)| {
            Tile::new(label, number::count(share.covered as u64))
                .note(format!("of {} {of}", share.coverable).trim_end())
                .tone(share.tone())
        }));
        tiles
    }

    /// Whether a case is about a dialect: others cover nothing of one.
    fn is_of_a_dialect(&self) -> bool {
        self.cases.iter().any(|case| case.dialect.is_some())
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
            section = section.with(Block::details(summary, tone(case.verdict), case.failure_blocks()));
        }
        section
    }

    fn clauses_section(&self) -> Section {
        if self.coverage.clauses.is_empty() || !self.is_of_a_dialect() {
            return Section::new("Clauses");
        }
        let states = self.clause_states();
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
            let (word, tone) = match states.get(&clause.id) {
                Some(state) => (word(state.verdict), tone(state.verdict)),
                None if clause.needs.is_some() => (clause.absence(), Tone::Neutral),
                None => (clause.absence(), Tone::Warn),
            };
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

    fn wire_section(&self) -> Section {
        let mut section = Section::new("What crossed the wire");
        if !self.is_of_a_dialect() {
            return section;
        }
        if !self.coverage.messages.is_empty() {
            section = section.with(Block::Table(self.coverage.messages_table()));
        }
        if !self.coverage.close_codes.is_empty() {
            section = section.with(Block::Table(self.coverage.close_codes_table()));
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
