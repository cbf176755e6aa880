//! A report as text of a given width: tiles, tables and plots small, the verdict as its last line, where the eye is.

mod table;

use crate::document::{Bar, Block, Document, Plot, Tone};
use crate::number;
use crate::palette::Palette;
use crate::sparkline::sparkline;
use crate::text::{Lines, PARAGRAPH_CHARACTERS_MAX, cut, fit, visible, width, wrap};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What is to be seen at a glance: facts, tiles and the verdict, no section.
    Glance,
    /// Of long tables what went wrong, or the first rows of one that judges nothing; of what is folded only what went
    /// wrong.
    Brief,
    /// Everything.
    Full,
}

/// How a report is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; less than 40 count as 40.
    pub columns: usize,
    /// Colours or none.
    pub palette: Palette,
    /// How much is shown.
    pub detail: Detail,
}

/// Narrower than this no table can be read.
const COLUMNS_MIN: usize = 40;
/// What a brief report shows of a longer transcript.
const BRIEF_LINES_MAX: usize = 30;
/// A longer fact or note is a payload; its start is enough.
const NOTE_CHARACTERS_MAX: usize = 300;
/// Columns of a plot.
const SPARKLINE_COLUMNS: usize = 40;

/// `document` as lines that end in `\n`, none wider than the terminal; the verdict is the last one.
#[must_use]
pub fn render(document: &Document, options: Options) -> String {
    let columns = options.columns.max(COLUMNS_MIN);
    let mut writer = Writer {
        text: String::new(),
        columns,
        palette: options.palette,
        detail: options.detail,
    };
    writer.title(document);
    writer.facts(document);
    writer.tiles(document);
    let sections = if options.detail == Detail::Glance {
        &[][..]
    } else {
        &document.sections
    };
    for section in sections {
        writer.blank();
        let title = fit(&visible(&section.title, Lines::Flatten), columns).into_owned();
        writer.line(0, &options.palette.strong(&title));
        for (at, block) in section.blocks.iter().enumerate() {
            // Tables and transcripts need air around them, sentences and curves stay together.
            let airy =
                |block: &Block| matches!(block, Block::Table(_) | Block::Details { .. } | Block::Code(_));
            if at > 0 && (airy(block) || airy(&section.blocks[at - 1])) {
                writer.blank();
            }
            writer.block(block, 2);
        }
    }
    writer.verdict(document);
    writer.text
}

struct Writer {
    text: String,
    columns: usize,
    palette: Palette,
    detail: Detail,
}

impl Writer {
    fn line(&mut self, indent: usize, painted: &str) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(painted);
        // Alignment leaves blanks at the end; nobody wants to copy them.
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn title(&mut self, document: &Document) {
        let title = fit(&visible(&document.title, Lines::Flatten), self.columns).into_owned();
        self.line(0, &self.palette.strong(&title));
    }

    fn facts(&mut self, document: &Document) {
        let facts: Vec<_> = document
            .facts
            .iter()
            .map(|(label, value)| (flat(label), flat(value)))
            .collect();
        let label_width = facts
            .iter()
            .map(|(label, _)| width(label))
            .max()
            .unwrap_or(0)
            .min(self.columns / 3);
        for (label, value) in facts {
            let value = lines_of(&value, self.columns - 4 - label_width);
            for (at, value) in value.iter().enumerate() {
                let label = if at == 0 { label.as_str() } else { "" };
                let label = padded(&fit(label, label_width), label_width);
                self.line(2, &format!("{}  {value}", self.palette.dim(&label)));
            }
        }
    }

    fn tiles(&mut self, document: &Document) {
        if document.tiles.is_empty() {
            return;
        }
        self.blank();
        let tiles: Vec<_> = document
            .tiles
            .iter()
            .map(|t| (t.tone, flat(&t.label), flat(&t.value), flat(&t.note)))
            .collect();
        let label_width = tiles
            .iter()
            .map(|(_, label, ..)| width(label))
            .max()
            .unwrap_or(0)
            .min(self.columns / 3);
        let value_width = tiles
            .iter()
            .map(|(_, _, value, _)| width(value))
            .max()
            .unwrap_or(0)
            .min(self.columns / 3);
        for (tone, label, value, note) in tiles {
            let label = padded(&fit(&label, label_width), label_width);
            let value = fit(&value, value_width).into_owned();
            let gap = " ".repeat(value_width - width(&value));
            let sign = self.palette.tone(tone, tone.sign());
            let value = self.palette.strong(&value);
            let mut start = format!("{sign} {label}  {gap}{value}");
            let taken = label_width + value_width + 6;
            for note in lines_of(&note, self.columns - 2 - taken) {
                self.line(2, &format!("{start}  {}", self.palette.dim(&note)));
                start = " ".repeat(taken - 2);
            }
        }
    }

    fn block(&mut self, block: &Block, indent: usize) {
        match block {
            Block::Text(text) => {
                for line in wrap(&cut(&flat(text), PARAGRAPH_CHARACTERS_MAX), self.columns - indent) {
                    self.line(indent, &line);
                }
            }
            Block::Code(code) => self.code(code, indent),
            Block::Table(table) => self.table(table, indent),
            Block::Plot(plot) => self.plot(plot, indent),
            Block::Bar(bar) => self.bar(bar, indent),
            Block::Details {
                summary,
                tone,
                blocks,
            } => {
                let summary = fit(&flat(summary), self.columns - indent - 2).into_owned();
                self.line(
                    indent,
                    &format!("{} {summary}", self.palette.tone(*tone, tone.sign())),
                );
                if self.detail == Detail::Full || *tone == Tone::Bad {
                    // Deep nesting must not push the text off the screen.
                    let deeper = (indent + 2).min(self.columns / 4);
                    blocks.iter().for_each(|block| self.block(block, deeper));
                }
            }
        }
    }

    fn code(&mut self, code: &str, indent: usize) {
        let code = visible(code, Lines::Keep).replace('\t', "    ");
        let lines: Vec<&str> = code.lines().collect();
        let shown = if self.detail == Detail::Brief {
            lines.len().min(BRIEF_LINES_MAX)
        } else {
            lines.len()
        };
        for line in &lines[..shown] {
            let line = fit(line, self.columns - indent - 2).into_owned();
            self.line(indent, &format!("{} {line}", self.palette.dim("│")));
        }
        self.left_out(indent, lines.len() - shown, "lines");
    }

    fn left_out(&mut self, indent: usize, count: usize, of_what: &str) {
        if count > 0 {
            let sentence = format!("… and {} more {of_what}", number::count(count as u64));
            let sentence = fit(&sentence, self.columns - indent).into_owned();
            self.line(indent, &self.palette.dim(&sentence));
        }
    }

    fn plot(&mut self, plot: &Plot, indent: usize) {
        let title = fit(&flat(&plot.title), self.columns - indent).into_owned();
        self.line(indent, &title);
        let labels: Vec<String> = plot.series.iter().map(|series| flat(&series.label)).collect();
        let label_width = labels
            .iter()
            .map(|label| width(label))
            .max()
            .unwrap_or(0)
            .min(self.columns / 4);
        let room = (self.columns - indent)
            .saturating_sub(label_width + 4)
            .min(SPARKLINE_COLUMNS);
        for (series, label) in plot.series.iter().zip(labels) {
            let label = padded(&fit(&label, label_width), label_width);
            let line = match sparkline(plot, series, room) {
                None => format!("{label}  nothing was measured"),
                Some(spark) => {
                    let left =
                        (self.columns - indent - 2).saturating_sub(label_width + 4 + width(&spark.line));
                    format!("{label}  {}  {}", spark.line, fit(&spark.range, left))
                }
            };
            self.line(indent + 2, &line);
        }
    }

    fn bar(&mut self, bar: &Bar, indent: usize) {
        let mut words = vec![format!("{}:", flat(&bar.label))];
        for part in bar.parts.iter().filter(|part| part.count > 0) {
            words.push(format!(
                "{} {} {}",
                part.tone.sign(),
                number::count(part.count),
                flat(&part.label)
            ));
        }
        let line = fit(&words.join("  "), self.columns - indent).into_owned();
        self.line(indent, &line);
    }

    fn verdict(&mut self, document: &Document) {
        self.blank();
        let tone = document.verdict.tone();
        let start = format!("{} {}", tone.sign(), document.verdict.word().to_uppercase());
        let headline = flat(&document.headline);
        let headline = cut(&headline, PARAGRAPH_CHARACTERS_MAX);
        let mut lines = wrap(&headline, self.columns - width(&start) - 2).into_iter();
        let first = lines.next().unwrap_or_default();
        // One line where it fits; where it does not, the rest goes before it, so that the verdict stays the last line.
        let rest: Vec<String> = lines.collect();
        if rest.is_empty() {
            self.line(
                0,
                &format!(
                    "{}  {first}",
                    self.palette.strong(&self.palette.tone(tone, &start))
                ),
            );
        } else {
            for line in wrap(&headline, self.columns) {
                self.line(0, &line);
            }
            self.line(0, &self.palette.strong(&self.palette.tone(tone, &start)));
        }
    }
}

fn flat(text: &str) -> String {
    visible(text, Lines::Flatten).into_owned()
}

/// One line at least.
fn lines_of(text: &str, columns: usize) -> Vec<String> {
    let mut lines = wrap(&cut(text, NOTE_CHARACTERS_MAX), columns);
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{hostile, sample};
    use crate::{Cell, Column, Table, Verdict};

    fn at(columns: usize, palette: Palette, detail: Detail) -> Options {
        Options {
            columns,
            palette,
            detail,
        }
    }

    #[test]
    fn a_report_at_eighty_columns() {
        insta::assert_snapshot!(render(&sample(), at(80, Palette::Plain, Detail::Full)));
    }

    #[test]
    fn a_brief_report_shows_what_went_wrong() {
        insta::assert_snapshot!(render(&sample(), at(60, Palette::Plain, Detail::Brief)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_it_says() {
        for document in [sample(), hostile()] {
            for columns in [0, 40, 57, 80, 200] {
                for detail in [Detail::Brief, Detail::Full] {
                    let text = render(&document, at(columns, Palette::Plain, detail));
                    for line in text.lines() {
                        assert!(width(line) <= columns.max(40), "{columns} {detail:?}: {line:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_palette_writes_escape_sequences() {
        let plain = render(&hostile(), at(80, Palette::Plain, Detail::Full));
        assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{plain:?}");
        let coloured = render(&sample(), at(80, Palette::Colour, Detail::Full));
        let codes = coloured
            .split('\u{1b}')
            .skip(1)
            .map(|code| code.split('m').next().unwrap());
        assert!(
            codes
                .into_iter()
                .all(|code| ["[0", "[1", "[2", "[31", "[32", "[33"].contains(&code)),
            "{coloured:?}"
        );
        let mut bare = coloured;
        for code in ["0", "1", "2", "31", "32", "33"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        let trimmed = |text: &str| {
            text.lines()
                .map(|line| line.trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            trimmed(&bare),
            trimmed(&render(&sample(), at(80, Palette::Plain, Detail::Full)))
        );
    }

    #[test]
    fn the_verdict_is_the_last_line() {
        for (headline, last) in [
            ("all hold", "✔ PASSED  all hold"),
            (&"all hold ".repeat(20), "✔ PASSED"),
        ] {
            let text = render(
                &Document::new("t", Verdict::Passed, headline),
                at(80, Palette::Plain, Detail::Full),
            );
            assert_eq!(text.lines().last(), Some(last));
            assert!(text.ends_with('\n'));
        }
    }

    #[test]
    fn facts_and_notes_are_told_to_their_end() {
        let document = Document::new("t", Verdict::Passed, "ok")
            .fact("workload", "rooms of a chat, few large and many small")
            .tile(crate::Tile::new("sessions", "60").note("none failed, 3 closed unexpectedly"));
        let text = render(&document, at(40, Palette::Plain, Detail::Glance));
        for lines in [
            "\n  workload  rooms of a chat, few large\n            and many small\n",
            "\n  · sessions  60  none failed, 3 closed\n                  unexpectedly\n",
        ] {
            assert!(text.contains(lines), "{text}");
        }
    }

    #[test]
    fn a_long_table_without_judgement_shows_its_first_rows() {
        let mut table = Table::new([Column::number("n")]);
        (0..50).for_each(|n| table.push([Cell::number(n)]));
        let section = crate::Section::new("s").with(table);
        let document = Document::new("t", Verdict::Passed, "ok").section(section);
        let text = render(&document, at(80, Palette::Plain, Detail::Brief));
        assert!(text.contains("\n  11\n  … and 38 more rows\n"), "{text}");
    }
}
