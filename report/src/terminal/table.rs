//! Tables: which rows are shown, and how wide their columns are.

use super::{Detail, Writer, flat};
use crate::document::{Cell, Table, Tone};
use crate::text::{Span, fit, spans, width, wrap};

/// What a brief report shows of a longer table.
const BRIEF_ROWS_MAX: usize = 12;
/// A column is not squeezed below this while another can give way.
const COLUMN_WIDTH_KEPT: usize = 14;
/// A last column of words is wrapped if it is at least so wide …
const WRAPPED_WIDTH_MIN: usize = 20;
/// … into at most so many lines.
const WRAPPED_LINES_MAX: usize = 3;
/// What a column takes at the very least; a table with more columns than fit even then is cut at the right.
const COLUMN_WIDTH_MIN: usize = 2;

impl Writer {
    pub(super) fn table(&mut self, table: &Table, indent: usize) {
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
            let (texts, rest) = last_wrapped(texts, &shape);
            let painted: Vec<String> = row
                .iter()
                .zip(&texts)
                .zip(&shape)
                .map(|((cell, text), shape)| self.palette.tone(cell.tone, &aligned(text, *shape)))
                .collect();
            self.row(indent, &painted);
            let before = shape
                .iter()
                .rev()
                .skip(1)
                .map(|(width, _)| width + 2)
                .sum::<usize>();
            for line in rest {
                self.line(indent + before, &line);
            }
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
}

/// The cells of a row, and what the last one goes on with in lines of its own, where it is words and wider than its column.
fn last_wrapped(texts: &[String], shape: &[(usize, bool)]) -> (Vec<String>, Vec<String>) {
    let mut texts = texts.to_vec();
    let (Some(last), Some((columns, false))) = (texts.last_mut(), shape.last()) else {
        return (texts, Vec::new());
    };
    if width(last) <= *columns || *columns < WRAPPED_WIDTH_MIN {
        return (texts, Vec::new());
    }
    let lines = wrap(last, *columns);
    let (shown, left) = lines.split_at(lines.len().min(WRAPPED_LINES_MAX - 1));
    let mut shown = shown.to_vec();
    if !left.is_empty() {
        shown.push(fit(&left.join(" "), *columns).into_owned());
    }
    let rest = shown.split_off(1);
    *last = shown.swap_remove(0);
    (texts, rest)
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

/// The text of a cell after its sign. Backticks only cost room here: a column is code as a whole or not at all.
fn signed(cell: &Cell) -> String {
    let text = flat(&cell.text);
    let text: String = spans(&text).into_iter().map(Span::text).collect();
    match cell.tone {
        Tone::Neutral => text,
        Tone::Good | Tone::Bad | Tone::Warn => format!("{} {text}", cell.tone.sign()),
    }
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

    #[test]
    fn the_last_cell_goes_on_in_the_next_line() {
        let texts = |last: &str| vec!["a".to_owned(), last.to_owned()];
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        let (row, rest) = last_wrapped(&texts(words), &[(3, false), (20, false)]);
        assert_eq!(row, ["a", "one two three four"]);
        assert_eq!(rest, ["five six seven eight", "nine ten eleven twe…"]);
        for (last, shape) in [
            ("fits", [(3, false), (20, false)]),
            (words, [(3, false), (20, true)]),
            (words, [(3, false), (12, false)]),
        ] {
            assert_eq!(last_wrapped(&texts(last), &shape), (texts(last), vec![]));
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
}
