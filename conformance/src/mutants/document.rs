//! A matrix as a report: what survived first, then scenarios that notice nothing, then every mutant and who noticed.

use std::collections::BTreeMap;
use std::time::Duration;

use touchstone_report::cases::{Case, Outcome, Suite, Suites};
use touchstone_report::timestamp::rfc3339;
use touchstone_report::{Block, Cell, Column, Document, Section, Table, Tile, Tone, number};

use super::results::{Fate, Matrix, MutantResult};
use super::subject::folder_of;

/// Of a list in a line of a report so many are shown; all are in the JSON.
const LISTED_MAX: usize = 8;

impl Matrix {
    /// The matrix as a report.
    #[must_use]
    pub fn document(&self) -> Document {
        let title = format!("conform mutants {}", self.target);
        let mut document = Document::new(title, self.verdict, self.headline())
            .fact("target", &self.target)
            .fact("started", rfc3339(self.started_at))
            .fact("duration", number::duration(self.duration))
            .fact("extent", self.extent.name())
            .fact("seed", self.seed.to_string())
            .fact("version", &self.tool.version);
        if let Some(commit) = &self.tool.commit {
            document = document.fact("commit", commit);
        }
        document.tiles = self.tiles();
        document.sections = vec![
            self.dialects_section(),
            self.control_section(),
            self.survivors_section(),
            self.names_section(),
            self.scenarios_section(),
            self.not_tried_section(),
            self.mutants_section(),
        ];
        document.sections.retain(|section| !section.blocks.is_empty());
        document
    }

    /// The answer in a sentence.
    #[must_use]
    pub fn headline(&self) -> String {
        let killed = self.count(|mutant| mutant.fate == Fate::Killed);
        let mut parts = vec![format!("{killed} of {} mutants killed", self.mutants.len())];
        let counted = [
            (self.count(|mutant| mutant.fate.is_survival()), "survived"),
            (
                self.count(|mutant| matches!(mutant.fate, Fate::NotTried(_))),
                "not tried",
            ),
            (
                self.count(MutantResult::is_wrongly_named),
                "named a case that does not notice",
            ),
            (self.scenarios_without_kill.len(), "scenarios without a kill"),
        ];
        let told = counted.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(told.map(|(count, words)| format!("{count} {words}")));
        parts.push(format!(
            "control {} of {} green",
            self.control.green, self.control.runs
        ));
        parts.join(", ")
    }

    fn count(&self, is_meant: impl Fn(&MutantResult) -> bool) -> usize {
        self.mutants.iter().filter(|mutant| is_meant(mutant)).count()
    }

    fn tiles(&self) -> Vec<Tile> {
        let survived = self.count(|mutant| mutant.fate.is_survival());
        let idle = self.scenarios_without_kill.len();
        let tone = |bad: bool| if bad { Tone::Bad } else { Tone::Good };
        let whole = self.control.green == self.control.runs;
        vec![
            Tile::new(
                "killed",
                self.count(|mutant| mutant.fate == Fate::Killed).to_string(),
            )
            .note(format!("of {} mutants", self.mutants.len()))
            .tone(self.verdict.tone()),
            Tile::new("survived", survived.to_string())
                .note("nobody noticed")
                .tone(tone(survived > 0)),
            Tile::new("scenarios without a kill", idle.to_string()).tone(tone(idle > 0)),
            Tile::new(
                "control",
                format!("{} of {}", self.control.green, self.control.runs),
            )
            .note(format!("green, {} cases", self.control.cases))
            .tone(tone(!whole)),
            Tile::new("trials", number::count(self.trials as u64))
                .note(format!("in {}", number::duration(self.duration))),
        ]
    }

    fn dialects_section(&self) -> Section {
        let mut groups: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for mutant in &self.mutants {
            let counts = groups.entry(&mutant.dialect).or_default();
            counts[0] += 1;
            match mutant.fate {
                Fate::Killed => counts[1] += 1,
                Fate::Survived | Fate::Untouched => counts[2] += 1,
                Fate::NotTried(_) => counts[3] += 1,
            }
        }
        let mut table = Table::new([
            Column::text("dialect"),
            Column::number("mutants"),
            Column::number("killed"),
            Column::number("survived"),
            Column::number("not tried"),
        ]);
        for (group, [all, killed, survived, not_tried]) in groups {
            let counted = |count: u64, tone| {
                let tone = if count == 0 { Tone::Neutral } else { tone };
                Cell::new(number::count(count), tone)
            };
            table.push([
                Cell::plain(group),
                Cell::number(all),
                Cell::new(
                    number::count(killed),
                    if killed == all { Tone::Good } else { Tone::Neutral },
                ),
                counted(survived, Tone::Bad),
                counted(not_tried, Tone::Warn),
            ]);
        }
        Section::new("Mutants").with(Block::Table(table))
    }

    fn control_section(&self) -> Section {
        let mut section = Section::new("Failed with nothing broken");
        for failure in &self.control.not_green {
            let summary = format!("`{}` in run {}: {}", failure.case, failure.run, failure.message);
            let text = vec![Block::Code(failure.text.clone())];
            section = section.with(Block::details(summary, Tone::Bad, text));
        }
        section
    }

    fn survivors_section(&self) -> Section {
        let mut section = Section::new("Survived");
        for mutant in self.mutants.iter().filter(|mutant| mutant.fate.is_survival()) {
            let summary = format!("`{}`: {}", mutant.id, mutant.breaks);
            let text = vec![Block::Code(mutant.story())];
            section = section.with(Block::details(summary, Tone::Bad, text));
        }
        section
    }

    fn names_section(&self) -> Section {
        let mut table = Table::new([Column::text("mutant"), Column::text("named, and does not notice")]);
        let wrong = self
            .mutants
            .iter()
            .filter(|mutant| !mutant.wrong_names.is_empty());
        for mutant in wrong {
            table.push([Cell::plain(&mutant.id), Cell::bad(mutant.wrong_names.join(", "))]);
        }
        let section = Section::new("Wrong names");
        if table.rows.is_empty() {
            section
        } else {
            section.with(Block::Table(table))
        }
    }

    fn scenarios_section(&self) -> Section {
        let section = Section::new("Scenarios without a kill");
        if self.scenarios_without_kill.is_empty() {
            return section;
        }
        let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for scenario in &self.scenarios_without_kill {
            folders.entry(folder_of(scenario)).or_default().push(scenario);
        }
        folders.into_iter().fold(section, |section, (folder, scenarios)| {
            let summary = format!("{folder}: {}", scenarios.len());
            let text = vec![Block::Code(scenarios.join("\n"))];
            section.with(Block::details(summary, Tone::Bad, text))
        })
    }

    fn not_tried_section(&self) -> Section {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for mutant in &self.mutants {
            if let Fate::NotTried(why) = &mutant.fate {
                reasons.entry(why).or_default().push(&mutant.id);
            }
        }
        reasons
            .into_iter()
            .fold(Section::new("Not tried"), |section, (why, ids)| {
                let summary = format!("{} mutants: {why}", ids.len());
                let text = vec![Block::Code(ids.join("\n"))];
                section.with(Block::details(summary, Tone::Warn, text))
            })
    }

    fn mutants_section(&self) -> Section {
        let mut table = Table::new([
            Column::text("mutant"),
            Column::text("breaks"),
            Column::text("fate"),
            Column::number("kills"),
            Column::text("killed by"),
        ]);
        for mutant in &self.mutants {
            table.push([
                Cell::plain(&mutant.id),
                Cell::plain(&mutant.breaks),
                Cell::new(mutant.fate.name().replace('_', " "), tone(&mutant.fate)),
                Cell::number(mutant.killed_by.len() as u64),
                Cell::plain(shortened(&mutant.killed_by)),
            ]);
        }
        Section::new("Every mutant").with(Block::Table(table))
    }

    /// The matrix as cases, for JUnit: a suite for each dialect, a case for each mutant; one more for the scenarios.
    #[must_use]
    pub fn suites(&self) -> Suites {
        let mut suites = Suites::new("touchstone conform mutants", self.duration);
        for mutant in &self.mutants {
            let known = suites
                .suites
                .iter()
                .position(|suite| suite.name == mutant.dialect);
            let index = known.unwrap_or_else(|| {
                let mut suite = Suite::new(&mutant.dialect);
                suite.properties = vec![
                    ("target".to_owned(), self.target.clone()),
                    ("seed".to_owned(), self.seed.to_string()),
                ];
                suites.suites.push(suite);
                suites.suites.len() - 1
            });
            suites.suites[index].cases.push(mutant_case(mutant));
        }
        let mut control = Suite::new("control");
        control.cases = self
            .control
            .not_green
            .iter()
            .map(|failure| {
                let (message, text) = (failure.message.clone(), failure.text.clone());
                let class = format!("run {}", failure.run);
                Case::new(
                    &failure.case,
                    class,
                    Duration::ZERO,
                    Outcome::Failed { message, text },
                )
            })
            .collect();
        let mut idle = Suite::new("scenarios without a kill");
        idle.cases = self
            .scenarios_without_kill
            .iter()
            .map(|scenario| {
                let message = "no mutant makes it fail".to_owned();
                let text = format!("{scenario} was tried with every mutant of its dialects and noticed none");
                let class = folder_of(scenario);
                Case::new(scenario, class, Duration::ZERO, Outcome::Failed { message, text })
            })
            .collect();
        let told = [control, idle];
        suites
            .suites
            .extend(told.into_iter().filter(|suite| !suite.cases.is_empty()));
        suites
    }
}

impl MutantResult {
    /// Whether its file names who does not notice. Of a survivor every name is wrong, and it is told as one.
    fn is_wrongly_named(&self) -> bool {
        !self.fate.is_survival() && !self.wrong_names.is_empty()
    }

    /// What was tried with it and came of it, line by line.
    #[must_use]
    pub fn story(&self) -> String {
        let mut lines = vec![
            format!("breaks   {}", self.breaks),
            format!("clauses  {}", self.clauses.join(", ")),
        ];
        let met = match (&self.fate, self.touched) {
            (Fate::Untouched, _) => "what it breaks never came by: it broke nothing".to_owned(),
            (_, touched) => format!("what it breaks came by in {touched}"),
        };
        lines.push(format!("tried    {} cases; {met}", self.tried));
        if !self.wrong_names.is_empty() {
            lines.push(format!("named    {}", self.wrong_names.join(", ")));
        }
        for caught in self.by_catch.iter().take(LISTED_MAX) {
            let clauses = caught.clauses.join(", ");
            lines.push(format!(
                "failed   {} under {clauses}, which it does not name",
                caught.case
            ));
        }
        if let Some(left @ 1..) = self.by_catch.len().checked_sub(LISTED_MAX) {
            lines.push(format!("         … and {left} more"));
        }
        if !self.could_not_run.is_empty() {
            let cases = shortened(&self.could_not_run);
            lines.push(format!("not run  {cases}: it broke what they prepare"));
        }
        lines.join("\n")
    }
}

fn tone(fate: &Fate) -> Tone {
    match fate {
        Fate::Killed => Tone::Good,
        Fate::Survived | Fate::Untouched => Tone::Bad,
        Fate::NotTried(_) => Tone::Warn,
    }
}

fn shortened(ids: &[String]) -> String {
    let shown = ids
        .iter()
        .take(LISTED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match ids.len().checked_sub(LISTED_MAX) {
        Some(left @ 1..) => format!("{shown} and {left} more"),
        _ => shown,
    }
}

fn mutant_case(mutant: &MutantResult) -> Case {
    let wrong = || format!("named and does not notice: {}", mutant.wrong_names.join(", "));
    let outcome = match &mutant.fate {
        Fate::Killed if mutant.wrong_names.is_empty() => Outcome::Passed,
        Fate::Killed => Outcome::Failed {
            message: wrong(),
            text: mutant.story(),
        },
        Fate::Survived | Fate::Untouched => Outcome::Failed {
            message: format!("nobody noticed: {}", mutant.breaks),
            text: mutant.story(),
        },
        Fate::NotTried(_) if !mutant.wrong_names.is_empty() => Outcome::Failed {
            message: wrong(),
            text: mutant.story(),
        },
        Fate::NotTried(why) => Outcome::Skipped { reason: why.clone() },
    };
    Case::new(&mutant.id, mutant.clauses.join(" "), Duration::ZERO, outcome)
        .property("fate", mutant.fate.name())
        .property("killed_by", mutant.killed_by.join(" "))
}
