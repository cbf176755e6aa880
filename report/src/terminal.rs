//! A report as text of a given width: tiles, tables and plots small, the verdict as its last line, where the eye is.

use crate::document::{Bar, Block, Cell, Document, Plot, Table, Tone};
use crate::number;
use crate::palette::Palette;
use crate::sparkline::sparkline;
use crate::text::{Lines, PARAGRAPH_CHARACTERS_MAX, Span, cut, fit, spans, visible, width, wrap};

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
/// What a brief report shows of a longer table.
const BRIEF_ROWS_MAX: usize = 12;
/// What a brief report shows of a longer transcript.
const BRIEF_LINES_MAX: usize = 30;
/// A column is not squeezed below this while another can give way.
const COLUMN_WIDTH_KEPT: usize = 14;
/// What a column takes at the very least; a table with more columns than fit even then is cut at the right.
const COLUMN_WIDTH_MIN: usize = 2;
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
            let label = padded(&fit(&label, label_width), label_width);
            let value = fit(&value, self.columns - 4 - label_width).into_owned();
            self.line(2, &format!("{}  {value}", self.palette.dim(&label)));
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
            let note = fit(
                &note,
                (self.columns - 8).saturating_sub(label_width + value_width),
            )
            .into_owned();
            let sign = self.palette.tone(tone, tone.sign());
            let value = self.palette.strong(&value);
            self.line(
                2,
                &format!("{sign} {label}  {gap}{value}  {}", self.palette.dim(&note)),
            );
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

    fn table(&mut self, table: &Table, indent: usize) {
        let (rows, others) = self.chosen(table);
        let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(signed).collect()).collect();
        let titles: Vec<String> = table.columns.iter().map(|column| flat(&column.title)).collect();
        let mut widths: Vec<usize> = titles.iter().map(|title| width(title)).collect();
        for row in &cells {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let numeric: Vec<bool> = table.columns.iter().map(|column| column.numeric).collect();
        squeeze(
            &mut widths,
            &numeric,
            (self.columns - indent).saturating_sub(2 * titles.len().saturating_sub(1)),
        );
        let shape: Vec<(usize, bool)> = widths.into_iter().zip(numeric).collect();

        let heading: Vec<String> = titles
            .iter()
            .zip(&shape)
            .map(|(title, shape)| self.palette.dim(&aligned(title, *shape)))
            .collect();
        self.row(indent, &heading);
        for (row, texts) in rows.iter().zip(&cells) {
            let painted: Vec<String> = row
                .iter()
                .zip(texts)
                .zip(&shape)
                .map(|((cell, text), shape)| self.palette.tone(cell.tone, &aligned(text, *shape)))
                .collect();
            self.row(indent, &painted);
        }
        self.left_out(indent, table.rows.len() - rows.len(), others);
    }

    /// A table with more columns than the terminal has room for is cut at the right.
    fn row(&mut self, indent: usize, painted: &[String]) {
        let columns_max = (self.columns - indent + 2) / (COLUMN_WIDTH_MIN + 2);
        let painted = &painted[..painted.len().min(columns_max)];
        self.line(indent, &painted.join("  "));
    }

    /// All rows, or those a brief report has room for, and what to call the others.
    fn chosen<'t>(&self, table: &'t Table) -> (Vec<&'t [Cell]>, &'static str) {
        let rows = || table.rows.iter().map(Vec::as_slice);
        if self.detail == Detail::Full || table.rows.len() <= BRIEF_ROWS_MAX {
            return (rows().collect(), "rows");
        }
        let has = |row: &[Cell], tones: &[Tone]| row.iter().any(|cell| tones.contains(&cell.tone));
        if !rows().any(|row| has(row, &[Tone::Good, Tone::Warn, Tone::Bad])) {
            return (rows().take(BRIEF_ROWS_MAX).collect(), "rows");
        }
        let wrong: Vec<&[Cell]> = rows().filter(|row| has(row, &[Tone::Bad, Tone::Warn])).collect();
        let others = if wrong.len() <= BRIEF_ROWS_MAX {
            "rows, nothing wrong in them"
        } else {
            "rows"
        };
        (wrong.into_iter().take(BRIEF_ROWS_MAX).collect(), others)
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

/// Takes columns from the widest until all fit into `room`. The first column, which names the row, and numbers, of which
/// a part is a wrong one, are squeezed only when the others are small.
fn squeeze(widths: &mut [usize], numeric: &[bool], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let widest = |least: usize, may: &dyn Fn(usize) -> bool| {
            (0..widths.len())
                .filter(|&at| may(at) && widths[at] > least)
                .max_by_key(|&at| widths[at])
        };
        let Some(widest) = widest(COLUMN_WIDTH_KEPT, &|at| at > 0 && !numeric[at])
            .or_else(|| widest(COLUMN_WIDTH_KEPT, &|at| !numeric[at]))
            .or_else(|| widest(COLUMN_WIDTH_MIN, &|at| !numeric[at]))
            .or_else(|| widest(COLUMN_WIDTH_MIN, &|_| true))
        else {
            return;
        };
        widths[widest] -= 1;
    }
}

fn flat(text: &str) -> String {
    visible(text, Lines::Flatten).into_owned()
}

/// The text of a cell after its sign. Backticks only cost room here: a column is code as a whole or not at all.
fn signed(cell: &Cell) -> String {
    let text = flat(&cell.text);
    let text: String = spans(&text).into_iter().map(Span::text).collect();
    match cell.tone {
        Tone::Neutral => text,
        Tone::Good | Tone::Bad | Tone::Warn => format!("{} {text}", cell.tone.sign()),
    }
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

fn aligned(text: &str, (columns, numeric): (usize, bool)) -> String {
    let text = fit(text, columns);
    let gap = " ".repeat(columns.saturating_sub(width(&text)));
    if numeric {
        format!("{gap}{text}")
    } else {
        format!("{text}{gap}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{hostile, sample};
    use crate::{Column, Verdict};

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
    fn names_and_numbers_are_squeezed_last() {
        for (widths, numeric, room, expected) in [
            ([20, 50, 10], [false, false, true], 60, [20, 30, 10]),
            ([20, 50, 10], [false, false, true], 40, [16, 14, 10]),
            ([20, 50, 10], [false, false, true], 20, [5, 5, 10]),
            ([20, 50, 10], [false, false, true], 9, [2, 2, 5]),
        ] {
            let mut widths = widths;
            squeeze(&mut widths, &numeric, room);
            assert_eq!(widths, expected, "in {room}");
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
