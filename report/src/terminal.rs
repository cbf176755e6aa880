//! A report as text of a given width: tiles, tables and plots small, the verdict as its last line, where the eye is.

use crate::document::{Bar, Block, Cell, Document, Plot, Table, Tone};
use crate::number;
use crate::palette::Palette;
use crate::plot::sparkline;
use crate::text::{Lines, fit, visible, width, wrap};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Of long tables what went wrong and the first rows; of what is folded only what went wrong.
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
/// A column is not squeezed below this while there is a wider one.
const COLUMN_WIDTH_MIN: usize = 6;
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
    for section in &document.sections {
        writer.blank();
        let title = fit(&visible(&section.title, Lines::Flatten), columns).into_owned();
        writer.line(0, &options.palette.strong(&title));
        for block in &section.blocks {
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
                for line in wrap(&flat(text), self.columns - indent) {
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
            self.line(indent, &self.palette.dim(&sentence));
        }
    }

    fn table(&mut self, table: &Table, indent: usize) {
        let rows = self.chosen(table);
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
        self.left_out(indent, table.rows.len() - rows.len(), "rows");
    }

    /// A table with more columns than the terminal has room for is cut at the right.
    fn row(&mut self, indent: usize, painted: &[String]) {
        let columns_max = (self.columns - indent + 2) / (COLUMN_MIN + 2);
        let painted = &painted[..painted.len().min(columns_max)];
        self.line(indent, &painted.join("  "));
    }

    /// All rows, or as many as a brief report has room for: first those that went wrong, all in their order.
    fn chosen<'t>(&self, table: &'t Table) -> Vec<&'t [Cell]> {
        let rows = || table.rows.iter().map(Vec::as_slice);
        if self.detail == Detail::Full || table.rows.len() <= BRIEF_ROWS_MAX {
            return rows().collect();
        }
        let went_wrong = |row: &[Cell]| row.iter().any(|cell| matches!(cell.tone, Tone::Bad | Tone::Warn));
        let wrong = rows().filter(|row| went_wrong(row)).count().min(BRIEF_ROWS_MAX);
        let mut free = [wrong, BRIEF_ROWS_MAX - wrong];
        rows()
            .filter(|row| {
                let free = &mut free[usize::from(!went_wrong(row))];
                let chosen = *free > 0;
                *free = free.saturating_sub(1);
                chosen
            })
            .collect()
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

/// What a column takes at the very least.
const COLUMN_MIN: usize = 2;

/// Takes columns from the widest until all fit into `room`; numbers are squeezed last, because a cut number is a wrong one.
fn squeeze(widths: &mut [usize], numeric: &[bool], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let candidate = |of_numbers: bool, least: usize| {
            (0..widths.len())
                .filter(|&at| numeric[at] == of_numbers && widths[at] > least)
                .max_by_key(|&at| widths[at])
        };
        let Some(widest) = candidate(false, COLUMN_WIDTH_MIN)
            .or_else(|| candidate(true, COLUMN_WIDTH_MIN))
            .or_else(|| candidate(false, COLUMN_MIN))
            .or_else(|| candidate(true, COLUMN_MIN))
        else {
            return;
        };
        widths[widest] -= 1;
    }
}

fn flat(text: &str) -> String {
    visible(text, Lines::Flatten).into_owned()
}

fn signed(cell: &Cell) -> String {
    match cell.tone {
        Tone::Neutral => flat(&cell.text),
        Tone::Good | Tone::Bad | Tone::Warn => format!("{} {}", cell.tone.sign(), flat(&cell.text)),
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
