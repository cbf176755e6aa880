//! A report as GitHub-flavoured Markdown: for a pull request comment or a step summary, both of which have a limit.
//!
//! Nothing in a report can become markup, mention a person or refer to an issue. What does not fit is left out from
//! the end of a table, or as a whole block, and a sentence at the end says what.

use std::fmt::Write as _;

use crate::document::{Bar, Block, Cell, Document, Plot, Table, Tone};
use crate::number;
use crate::sparkline::sparkline;
use crate::text::{Lines, PARAGRAPH_CHARACTERS_MAX, Span, cut, cut_lines, spans, visible};

/// What GitHub takes as a job's step summary: 1 MiB.
pub const STEP_SUMMARY_BYTES_MAX: usize = 1_048_576;
/// What GitHub takes as a comment: 65,536 characters; in bytes it is never more.
pub const COMMENT_BYTES_MAX: usize = 65_536;

/// A cell longer than this makes a table unreadable.
const CELL_CHARACTERS_MAX: usize = 300;
/// A longer line of a transcript is a payload; its start is enough.
const CODE_LINE_CHARACTERS_MAX: usize = 500;
/// Of a title that is named among what was left out; so all of them fit into [`CLOSING_BYTES`].
const TITLE_CHARACTERS_MAX: usize = 40;
/// Kept free for the sentences that say what was left out.
const CLOSING_BYTES: usize = 2_048;
/// Columns of a plot.
const SPARKLINE_COLUMNS: usize = 60;

/// `document` in at most `bytes_max` bytes, but never less than its title, verdict and headline.
#[must_use]
pub fn render(document: &Document, bytes_max: usize) -> String {
    let mut text = opening(document);
    let mut left_out = Vec::new();
    let mut room = bytes_max.saturating_sub(text.len() + CLOSING_BYTES);
    for section in &document.sections {
        let heading = format!("\n## {}\n", inline(&section.title));
        let mut body = String::new();
        let mut missing = 0;
        for block in &section.blocks {
            let free = room.saturating_sub(heading.len() + body.len());
            let piece = whole_or_cut(block, free);
            missing += piece.missing;
            body.push_str(&piece.text);
        }
        if missing > 0 {
            left_out.push((section.title.as_str(), missing));
        }
        if !body.is_empty() {
            room -= heading.len() + body.len();
            text.push_str(&heading);
            text.push_str(&body);
        }
    }
    text.push_str(&closing(&left_out, bytes_max));
    text
}

fn opening(document: &Document) -> String {
    let sign = sign(document.verdict.tone());
    let mut text = format!("# {}\n\n", inline(&document.title));
    writeln!(
        text,
        "{sign} **{}** {}",
        capital(document.verdict.word()),
        inline(&document.headline)
    )
    .expect(STRING);
    if !document.tiles.is_empty() {
        text.push_str("\n| | | |\n|---|--:|---|\n");
        for tile in &document.tiles {
            let (label, value, note) = (inline(&tile.label), inline(&tile.value), inline(&tile.note));
            writeln!(
                text,
                "| {} {label} | **{value}** | {note} |",
                self::sign(tile.tone)
            )
            .expect(STRING);
        }
    }
    if !document.facts.is_empty() {
        let facts: Vec<String> = document
            .facts
            .iter()
            .map(|(label, value)| format!("{}: {}", inline(label), inline(value)))
            .collect();
        writeln!(text, "\n<sub>{}</sub>", facts.join(" · ")).expect(STRING);
    }
    text
}

/// Why writing to a `String` is expected to succeed.
const STRING: &str = "writing to a string does not fail";

/// More sections than this are not named one by one.
const NAMED_MAX: usize = 5;

fn closing(left_out: &[(&str, usize)], bytes_max: usize) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let mut places: Vec<String> = left_out
        .iter()
        .take(NAMED_MAX)
        .map(|(title, missing)| {
            format!(
                "{} from “{}”",
                pieces(*missing),
                inline(&cut(title, TITLE_CHARACTERS_MAX))
            )
        })
        .collect();
    let unnamed: usize = left_out.iter().skip(NAMED_MAX).map(|(_, missing)| missing).sum();
    if unnamed > 0 {
        places.push(format!(
            "{} from {} more sections",
            pieces(unnamed),
            left_out.len() - NAMED_MAX
        ));
    }
    let limit = number::bytes(bytes_max as u64);
    format!(
        "\n> Left out to stay within {limit}: {}. The HTML and JSON reports hold everything.\n",
        places.join(", ")
    )
}

fn pieces(count: usize) -> String {
    match count {
        1 => "1 row or block".to_owned(),
        _ => format!("{} rows or blocks", number::count(count as u64)),
    }
}

/// What of a block fits, and how many rows or blocks of it do not.
struct Piece {
    text: String,
    missing: usize,
}

fn whole_or_cut(block: &Block, room: usize) -> Piece {
    if let Block::Table(table) = block {
        return fitting_rows(table, room);
    }
    let text = whole(block);
    if text.len() <= room {
        Piece { text, missing: 0 }
    } else {
        Piece {
            text: String::new(),
            missing: 1,
        }
    }
}

fn whole(block: &Block) -> String {
    match block {
        Block::Text(words) => format!("\n{}\n", paragraph(words)),
        Block::Code(code) => fenced(code),
        Block::Table(table) => fitting_rows(table, usize::MAX).text,
        Block::Plot(plot) => lines_of(plot),
        Block::Bar(bar) => legend(bar),
        Block::Details {
            summary,
            tone,
            blocks,
        } => {
            let inner: String = blocks.iter().map(whole).collect();
            let summary = summary_of(summary);
            format!(
                "\n<details><summary>{} {summary}</summary>\n{inner}\n</details>\n",
                sign(*tone)
            )
        }
    }
}

fn fitting_rows(table: &Table, room: usize) -> Piece {
    let titles: Vec<String> = table.columns.iter().map(|column| inline(&column.title)).collect();
    let rules: Vec<&str> = table
        .columns
        .iter()
        .map(|column| if column.numeric { "--:" } else { "---" })
        .collect();
    let mut text = format!("\n| {} |\n| {} |\n", titles.join(" | "), rules.join(" | "));
    let mut shown = 0;
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let line = format!("| {} |\n", cells.join(" | "));
        if text.len() + line.len() > room {
            break;
        }
        text.push_str(&line);
        shown += 1;
    }
    let missing = table.rows.len() - shown;
    if shown == 0 && missing > 0 {
        text.clear();
    }
    Piece { text, missing }
}

fn cell(cell: &Cell) -> String {
    match cell.tone {
        Tone::Neutral => inline(&cell.text),
        Tone::Good | Tone::Bad | Tone::Warn => format!("{} {}", sign(cell.tone), inline(&cell.text)),
    }
}

/// GitHub draws these in colour; a bare `!` would vanish between words.
fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✅",
        Tone::Bad => "❌",
        Tone::Warn => "⚠️",
        Tone::Neutral => "·",
    }
}

/// A fence longer than any run of backticks inside it cannot be closed from there.
fn fenced(code: &str) -> String {
    let code = visible(code, Lines::Keep);
    let code = cut_lines(&code, CODE_LINE_CHARACTERS_MAX);
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("\n{fence}text\n{}\n{fence}\n", code.trim_end_matches('\n'))
}

fn lines_of(plot: &Plot) -> String {
    let label_width = plot
        .series
        .iter()
        .map(|series| crate::text::width(&series.label))
        .max()
        .unwrap_or(0)
        .min(30);
    let mut lines = String::new();
    for series in &plot.series {
        let label = visible(&series.label, Lines::Flatten);
        let label = crate::text::fit(&label, label_width);
        let gap = " ".repeat(label_width - crate::text::width(&label));
        let line = match sparkline(plot, series, SPARKLINE_COLUMNS) {
            Some(spark) => format!("{}  {}", spark.line, spark.range),
            None => "nothing was measured".to_owned(),
        };
        writeln!(lines, "{label}{gap}  {line}").expect(STRING);
    }
    format!(
        "\n{} ({})\n{}",
        inline(&plot.title),
        inline(&plot.x.label),
        fenced(&lines)
    )
}

fn legend(bar: &Bar) -> String {
    let parts: Vec<String> = bar
        .parts
        .iter()
        .filter(|part| part.count > 0)
        .map(|part| {
            format!(
                "{} {} {}",
                sign(part.tone),
                number::count(part.count),
                inline(&part.label)
            )
        })
        .collect();
    format!("\n**{}:** {}\n", inline(&bar.label), parts.join(", "))
}

fn inline(text: &str) -> String {
    inline_whole(&cut(text, CELL_CHARACTERS_MAX))
}

/// A line of its own, whose start could begin a list, a rule or a heading: a zero-width space keeps it from doing so.
fn paragraph(text: &str) -> String {
    let line = inline_whole(&cut(text, PARAGRAPH_CHARACTERS_MAX));
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = digits.len() < line.len() && digits.starts_with(['.', ')']);
    if numbered || line.starts_with(['-', '+', '=']) {
        format!("\u{200b}{line}")
    } else {
        line
    }
}

/// One line in which nothing is markup but `code` between backticks.
fn inline_whole(text: &str) -> String {
    let text = visible(text, Lines::Flatten);
    spans(text.trim())
        .into_iter()
        .map(|span| match span {
            Span::Words(words) => escaped(words),
            Span::Code(code) => code_element(code),
        })
        .collect()
}

/// Inside a table even code must have its pipes escaped; an element with entities works everywhere.
fn code_element(code: &str) -> String {
    format!("<code>{}</code>", entities(code))
}

/// Characters that mean something to Markdown, each behind a backslash; those of HTML as entities.
fn escaped(words: &str) -> String {
    let mut escaped = String::with_capacity(words.len() + 8);
    for c in words.replace("://", "\u{200b}://").chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // A zero-width space keeps GitHub from mentioning people and linking issues; above, addresses.
            '@' | '#' => {
                escaped.push(c);
                escaped.push('\u{200b}');
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A summary is an HTML element: there, backslashes do not escape, and entities do not keep from mentioning.
fn summary_of(text: &str) -> String {
    let flat = visible(text, Lines::Flatten);
    spans(&cut(&flat, CELL_CHARACTERS_MAX))
        .into_iter()
        .map(|span| match span {
            Span::Words(words) => entities(words)
                .replace("&#64;", "@\u{200b}")
                .replace("&#35;", "#\u{200b}"),
            Span::Code(code) => code_element(code),
        })
        .collect()
}

/// Every character that means something to HTML or Markdown as an entity; addresses do not become links.
fn entities(text: &str) -> String {
    const HARMLESS: &str = ".,-/()\"'?%;:";
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() && !HARMLESS.contains(c) {
            write!(escaped, "&#{};", u32::from(c)).expect(STRING);
        } else {
            escaped.push(c);
        }
    }
    escaped.replace("://", "&#58;//")
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), characters.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{hostile, sample};
    use crate::{Column, Section, Verdict};

    #[test]
    fn a_report_for_a_pull_request() {
        insta::assert_snapshot!(render(&sample(), STEP_SUMMARY_BYTES_MAX));
    }

    #[test]
    fn a_report_stays_within_its_limit_and_says_what_it_left_out() {
        for limit in [2_000, 2_500, 3_000, 4_000, COMMENT_BYTES_MAX] {
            let text = render(&sample(), limit);
            assert!(text.len() <= limit, "{} bytes, {limit} allowed", text.len());
            let whole = text.len() == render(&sample(), usize::MAX).len();
            assert_eq!(
                text.contains("Left out to stay within"),
                !whole,
                "{limit}: {text}"
            );
        }
        let cut = render(&sample(), 2_500);
        assert!(cut.contains("rows or blocks from “Conformance”"), "{cut}");
    }

    #[test]
    fn all_sections_share_one_limit() {
        for title in ["Part", crate::samples::HOSTILE] {
            let document = (0..9).fold(Document::new("t", Verdict::Passed, "ok"), |document, _| {
                document.section(Section::new(title).code("words\n".repeat(4_000)))
            });
            let text = render(&document, COMMENT_BYTES_MAX);
            assert!(text.len() <= COMMENT_BYTES_MAX, "{} bytes", text.len());
            assert_eq!(text.matches("\n## ").count(), 2, "two of 24 KB each fit into 64");
            assert!(
                text.contains("2 rows or blocks from 2 more sections"),
                "{}",
                &text[text.len() - 900..]
            );
        }
    }

    #[test]
    fn a_long_table_is_cut_at_a_row() {
        let mut table = Table::new([Column::text("case")]);
        (0..10_000).for_each(|at| table.push([Cell::plain(format!("case {at}"))]));
        let document = Document::new("t", Verdict::Passed, "ok").section(Section::new("All").with(table));
        let text = render(&document, COMMENT_BYTES_MAX);
        let shown = text
            .lines()
            .filter(|line| line.starts_with("| case ") && line.ends_with('|'))
            .count()
            - 1;
        assert!(text.len() <= COMMENT_BYTES_MAX && shown > 1_000);
        let missing = number::count(10_000 - shown as u64);
        assert!(text.ends_with(&format!("Left out to stay within 64 KiB: {missing} rows or blocks from “All”. The HTML and JSON reports hold everything.\n")), "{}", &text[text.len() - 200..]);
    }

    #[test]
    fn hostile_text_is_no_markup() {
        let text = render(&hostile(), STEP_SUMMARY_BYTES_MAX);
        for (nth, line) in outside_of_fences(&text).into_iter().enumerate() {
            for markup in [
                "<script", "<img", "<!--", "@someone", "#1 ", "https://", "\u{1b}", "\u{202e}", "\0",
            ] {
                assert!(!line.contains(markup), "line {nth} has {markup:?}: {line}");
            }
        }
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let tables: Vec<&str> = text.lines().filter(|line| line.starts_with("| ❌ ")).collect();
        assert_eq!(tables.len(), 2);
        assert!(tables.iter().all(|line| cells(line) == 4), "{tables:?}");
    }

    /// The lines that Markdown reads as markup: a fence closes only with as many backticks as it began with.
    fn outside_of_fences(text: &str) -> Vec<&str> {
        let mut fence: Option<&str> = None;
        let mut outside = Vec::new();
        for line in text.lines() {
            match fence {
                Some(open) if line == open => fence = None,
                Some(_) => {}
                None if line.starts_with("```") => fence = Some(line.trim_end_matches("text")),
                None => outside.push(line),
            }
        }
        assert_eq!(fence, None, "a fence is never closed");
        outside
    }

    #[test]
    fn a_line_begins_no_list_and_a_number_stays_a_number() {
        for (text, expected) in [
            ("1. first", "\u{200b}1. first"),
            ("- dash", "\u{200b}- dash"),
            ("4 messages", "4 messages"),
            ("snake_case *bold*", "snake\\_case \\*bold\\*"),
            ("run `a|b` now", "run <code>a&#124;b</code> now"),
        ] {
            assert_eq!(paragraph(text), expected);
        }
        assert_eq!(inline("4.1 ms"), "4.1 ms");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced("a ```` b"), "\n`````text\na ```` b\n`````\n");
    }
}
