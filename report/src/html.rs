//! A report as one HTML file: no network, no dependency, readable without JavaScript.
//!
//! The style sheet, the template and the few lines of script (a filter for long tables) are compiled in. Every text is
//! escaped by the template engine; only the plots are inserted as they are, and those escape their own text. A content
//! security policy forbids the page to load anything, whatever it holds.

use std::collections::HashSet;

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use crate::build::unused;
use crate::document::{Bar, Block, Cell, Document, Plot, Section, Table, Tile, Tone};
use crate::number;
use crate::plot::{self, COLOURS};
use crate::text::{Lines, PARAGRAPH_CHARACTERS_MAX, Span, cut, cut_lines, slug, spans, visible};

/// The page could not be made: a template and this module disagree.
#[derive(Debug, thiserror::Error)]
#[error("the HTML report cannot be made: {0}")]
pub struct Unrenderable(#[from] minijinja::Error);

/// A cell, a heading or a summary longer than this is a payload; its start is enough.
const LINE_CHARACTERS_MAX: usize = 500;
/// A longer line of a transcript is a payload; its start is enough.
const CODE_LINE_CHARACTERS_MAX: usize = 4_000;
/// Tables from here on scroll in a frame of their own and can be filtered.
const LONG_TABLE_ROWS: usize = 16;
/// So many failures of a section are unfolded from the start; more would bury the rest.
const UNFOLDED_MAX: usize = 2;

/// `document` as a complete HTML page.
pub fn render(document: &Document) -> Result<String, Unrenderable> {
    let mut environment = Environment::new();
    // The name ends in `.html`, which switches the escaping on.
    environment.add_template("report.html", include_str!("html/report.html"))?;
    let mut page = Page {
        anchors: HashSet::new(),
        unfolded: 0,
    };
    let verdict = document.verdict;
    let report = Report {
        style: include_str!("html/style.css"),
        script: include_str!("html/filter.js"),
        title: line(&document.title),
        verdict: VerdictView {
            word: verdict.word(),
            tone: verdict.tone(),
            sign: verdict.tone().sign(),
        },
        headline: inline(&document.headline),
        facts: document
            .facts
            .iter()
            .map(|(label, value)| (line(label), inline(value)))
            .collect(),
        tiles: document.tiles.iter().map(tile_view).collect(),
        tile_columns: tile_columns(document.tiles.len()),
        sections: document
            .sections
            .iter()
            .map(|section| page.section(section))
            .collect(),
    };
    Ok(environment.get_template("report.html")?.render(Serde(report))?)
}

/// All that the template is given.
#[derive(Serialize)]
struct Report {
    style: &'static str,
    script: &'static str,
    title: String,
    verdict: VerdictView,
    headline: Vec<Piece>,
    facts: Vec<(String, Vec<Piece>)>,
    tiles: Vec<TileView>,
    tile_columns: usize,
    sections: Vec<SectionView>,
}

#[derive(Serialize)]
struct VerdictView {
    word: &'static str,
    tone: Tone,
    sign: &'static str,
}

#[derive(Serialize)]
struct TileView {
    label: String,
    value: String,
    note: Vec<Piece>,
    tone: Tone,
    sign: &'static str,
}

#[derive(Serialize)]
struct SectionView {
    id: String,
    title: String,
    tone: Tone,
    sign: &'static str,
    blocks: Vec<View>,
}

/// A block, made ready for the template.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum View {
    Text {
        words: Vec<Piece>,
    },
    Code {
        code: String,
    },
    Table {
        columns: Vec<ColumnView>,
        rows: Vec<RowView>,
        long: bool,
    },
    Plots {
        plots: Vec<PlotView>,
    },
    Bar {
        label: String,
        parts: Vec<PartView>,
    },
    Details {
        id: String,
        summary: Vec<Piece>,
        tone: Tone,
        sign: &'static str,
        open: bool,
        blocks: Vec<View>,
    },
}

/// Words or code within a line.
#[derive(Serialize)]
struct Piece {
    text: String,
    code: bool,
}

#[derive(Serialize)]
struct ColumnView {
    title: String,
    numeric: bool,
}

#[derive(Serialize)]
struct RowView {
    tone: Tone,
    cells: Vec<CellView>,
}

#[derive(Serialize)]
struct CellView {
    words: Vec<Piece>,
    tone: Tone,
    sign: &'static str,
    class: &'static str,
}

#[derive(Serialize)]
struct PlotView {
    title: String,
    svg: Option<String>,
    legend: Vec<(usize, String)>,
}

#[derive(Serialize)]
struct PartView {
    label: String,
    count: u64,
    shown: String,
    tone: Tone,
    sign: &'static str,
}

/// What a page must know while it is made: which anchors are taken, how many failures lie open.
struct Page {
    anchors: HashSet<String>,
    unfolded: usize,
}

impl Page {
    fn section(&mut self, section: &Section) -> SectionView {
        let id = unused(&mut self.anchors, &slug(&section.id));
        self.unfolded = 0;
        let blocks = self.blocks(&section.blocks, &id);
        let tone = section.tone();
        SectionView {
            id,
            title: line(&section.title),
            tone,
            sign: tone.sign(),
            blocks,
        }
    }

    fn blocks(&mut self, blocks: &[Block], section: &str) -> Vec<View> {
        let mut views: Vec<View> = Vec::new();
        for block in blocks {
            let view = match block {
                Block::Text(text) => View::Text {
                    words: pieces(&cut(&visible(text, Lines::Flatten), PARAGRAPH_CHARACTERS_MAX)),
                },
                Block::Code(code) => View::Code {
                    code: cut_lines(&visible(code, Lines::Keep), CODE_LINE_CHARACTERS_MAX).into_owned(),
                },
                Block::Table(table) => table_view(table),
                Block::Plot(plot) => {
                    // Plots that follow each other stand side by side.
                    if let Some(View::Plots { plots }) = views.last_mut() {
                        plots.push(plot_view(plot));
                        continue;
                    }
                    View::Plots {
                        plots: vec![plot_view(plot)],
                    }
                }
                Block::Bar(bar) => bar_view(bar),
                Block::Details {
                    summary,
                    tone,
                    blocks,
                } => self.details(summary, *tone, blocks, section),
            };
            views.push(view);
        }
        views
    }

    fn details(&mut self, summary: &str, tone: Tone, blocks: &[Block], section: &str) -> View {
        let id = unused(&mut self.anchors, &format!("{section}-{}", slug(summary)));
        let open = tone == Tone::Bad && self.unfolded < UNFOLDED_MAX;
        self.unfolded += usize::from(open);
        let blocks = self.blocks(blocks, section);
        View::Details {
            id,
            summary: inline(summary),
            tone,
            sign: tone.sign(),
            open,
            blocks,
        }
    }
}

/// Columns that leave no tile alone in the last row: seven tiles are four and three.
fn tile_columns(tiles: usize) -> usize {
    const COLUMNS_MAX: usize = 6;
    let rows = tiles.div_ceil(COLUMNS_MAX).max(1);
    tiles.div_ceil(rows).max(3)
}

fn tile_view(tile: &Tile) -> TileView {
    TileView {
        label: line(&tile.label),
        value: line(&tile.value),
        note: inline(&tile.note),
        tone: tile.tone,
        sign: tile.tone.sign(),
    }
}

fn table_view(table: &Table) -> View {
    let columns = table.columns.iter().map(|column| ColumnView {
        title: line(&column.title),
        numeric: column.numeric,
    });
    let rows = table.rows.iter().map(|row| RowView {
        tone: row.iter().map(|cell| cell.tone).fold(Tone::Neutral, Tone::worse),
        cells: row
            .iter()
            .zip(&table.columns)
            .map(|(cell, column)| cell_view(cell, column.numeric))
            .collect(),
    });
    View::Table {
        columns: columns.collect(),
        rows: rows.collect(),
        long: table.rows.len() >= LONG_TABLE_ROWS,
    }
}

fn cell_view(cell: &Cell, numeric: bool) -> CellView {
    let sign = if cell.tone == Tone::Neutral {
        ""
    } else {
        cell.tone.sign()
    };
    // Words must neither break where they need not nor be squeezed into a tower.
    let class = match cell.text.chars().count() {
        _ if numeric => "number",
        0..=24 => "short",
        25..=40 => "",
        _ => "long",
    };
    CellView {
        words: inline(&cell.text),
        tone: cell.tone,
        sign,
        class,
    }
}

fn plot_view(plot: &Plot) -> PlotView {
    let legend = plot
        .series
        .iter()
        .enumerate()
        .map(|(at, series)| (at % COLOURS, line(&series.label)));
    PlotView {
        title: line(&plot.title),
        svg: plot::svg(plot),
        legend: legend.collect(),
    }
}

fn bar_view(bar: &Bar) -> View {
    let parts = bar
        .parts
        .iter()
        .filter(|part| part.count > 0)
        .map(|part| PartView {
            label: line(&part.label),
            count: part.count,
            shown: number::count(part.count),
            tone: part.tone,
            sign: part.tone.sign(),
        });
    View::Bar {
        label: line(&bar.label),
        parts: parts.collect(),
    }
}

fn line(text: &str) -> String {
    cut(&visible(text, Lines::Flatten), LINE_CHARACTERS_MAX).into_owned()
}

fn inline(text: &str) -> Vec<Piece> {
    pieces(&line(text))
}

fn pieces(text: &str) -> Vec<Piece> {
    spans(text)
        .into_iter()
        .map(|span| match span {
            Span::Words(words) => Piece {
                text: words.to_owned(),
                code: false,
            },
            Span::Code(code) => Piece {
                text: code.to_owned(),
                code: true,
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{hostile, sample};
    use crate::{Axis, Column, Verdict};

    /// Elements that have no end tag.
    const VOID: [&str; 3] = ["meta", "link", "input"];

    /// A tag as written: `p class="x"`, `/p`.
    fn tags(html: &str) -> Vec<&str> {
        let mut tags = Vec::new();
        let mut rest = html;
        while let Some((_, after)) = rest.split_once('<') {
            let (tag, tail) = after.split_once('>').expect("every tag ends");
            tags.push(tag);
            // What is inside of these is no markup, until their end tag.
            rest = match tag {
                "script" | "style" => {
                    let end = tail.find(&format!("</{tag}>")).expect("a raw element ends");
                    &tail[end..]
                }
                _ => tail,
            };
        }
        tags
    }

    /// Checks that what is opened is closed, in order, and that attributes are quoted; answers how often each element occurs.
    fn well_formed(html: &str) -> std::collections::BTreeMap<String, usize> {
        let mut open: Vec<&str> = Vec::new();
        let mut count = std::collections::BTreeMap::new();
        for tag in tags(html) {
            if tag == "!doctype html" {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(
                    open.pop(),
                    Some(name),
                    "</{name}> closes something else, open are {open:?}"
                );
                continue;
            }
            let name = tag.split([' ', '/']).next().unwrap();
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric()),
                "{tag:?} is no element"
            );
            assert_eq!(
                tag.matches('"').count() % 2,
                0,
                "{tag:?} has an attribute without end"
            );
            *count.entry(name.to_owned()).or_insert(0) += 1;
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "never closed");
        count
    }

    #[test]
    fn the_page_is_well_formed_and_holds_all_parts() {
        let html = render(&sample()).unwrap();
        let count = well_formed(&html);
        for (element, expected) in [
            ("h1", 1),
            ("h2", 2),
            ("section", 2),
            ("nav", 1),
            ("main", 1),
            ("table", 1),
            ("th", 4),
            ("td", 56),
            ("details", 2),
            ("figure", 2),
            ("script", 1),
            ("style", 1),
        ] {
            assert_eq!(count.get(element), Some(&expected), "<{element}>");
        }
        for part in [
            "✘",
            "<strong>Failed</strong>",
            "12 &#x2f; 14",
            r##"<a href="#conformance">"##,
            r#"<th scope="col" class="number">time</th>"#,
            r#"<details id="conformance-echo-3a-plain-an-empty-message-is-answered" class="bad" open>"#,
            "Nothing was measured.",
        ] {
            assert!(html.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let html = render(&hostile()).unwrap();
        let count = well_formed(&html);
        assert_eq!(count.get("script"), Some(&1));
        assert_eq!(count.get("img"), None);
        assert!(
            !html.contains("<!--") && !html.contains("onerror=y>"),
            "a comment or an element came through"
        );
        assert!(html.contains("{{ 7*7 }}"), "text is not a template");
        assert!(html.chars().all(|c| "\n\t".contains(c) || !c.is_control()));
        assert!(!html.contains('\u{202e}'));
        let longest = html.split('<').map(str::len).max();
        assert!(
            longest < Some(20_000),
            "a payload of 100,000 characters is not for reading: {longest:?}"
        );
    }

    #[test]
    fn nothing_refers_to_a_network() {
        let html = render(&sample()).unwrap();
        for reference in [
            "http:", "https:", "//", "@import", "url(", "src=", "<iframe", "<object", "<form",
        ] {
            let found = html
                .match_indices(reference)
                .filter(|(at, _)| !html[..*at].ends_with("\n"))
                .count();
            assert_eq!(found, 0, "{reference}");
        }
        let links: Vec<&str> = html
            .split("href=\"")
            .skip(1)
            .map(|link| link.split('"').next().unwrap())
            .collect();
        assert!(
            !links.is_empty()
                && links
                    .iter()
                    .all(|link| link.starts_with('#') || *link == "data:,"),
            "{links:?}"
        );
    }

    #[test]
    fn every_anchor_exists_once_and_every_link_has_one() {
        for document in [
            sample(),
            hostile(),
            Document::join("twice", vec![sample(), sample()]),
        ] {
            let html = render(&document).unwrap();
            let values = |attribute: &str| -> Vec<String> {
                html.split(attribute)
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap().to_owned())
                    .collect()
            };
            let ids = values(" id=\"");
            let unique: HashSet<&String> = ids.iter().collect();
            assert_eq!(unique.len(), ids.len(), "{ids:?}");
            assert!(values("href=\"#").iter().all(|link| ids.contains(link)));
        }
    }

    #[test]
    fn only_the_first_failures_lie_open() {
        let failure = || Block::details("it fails", Tone::Bad, Vec::new());
        let section = (0..5).fold(Section::new("s"), |section, _| section.with(failure()));
        let html = render(&Document::new("t", Verdict::Failed, "h").section(section)).unwrap();
        assert_eq!(html.matches(" open>").count(), UNFOLDED_MAX);
    }

    #[test]
    fn tiles_never_leave_one_alone_in_its_row() {
        let columns: Vec<usize> = [0, 1, 4, 6, 7, 8, 12, 13].into_iter().map(tile_columns).collect();
        assert_eq!(columns, [3, 3, 4, 6, 4, 4, 6, 5]);
    }

    #[test]
    fn long_tables_can_be_filtered_and_plots_stand_side_by_side() {
        let table = |rows: u64| {
            (0..rows).fold(Table::new([Column::number("n")]), |table, n| {
                table.row([Cell::number(n)])
            })
        };
        let plot =
            || Plot::new("p", Axis::linear("x"), Axis::linear("y"), vec![0.0, 1.0]).curve("c", [1.0, 2.0]);
        let section = Section::new("s")
            .with(table(15))
            .with(table(16))
            .with(plot())
            .with(plot())
            .text("between")
            .with(plot());
        let html = render(&Document::new("t", Verdict::Passed, "h").section(section)).unwrap();
        assert_eq!(html.matches(r#"class="table long""#).count(), 1);
        assert_eq!(html.matches(r#"class="plots""#).count(), 2);
        assert!(!html.contains("<nav"), "one section needs no list of sections");
    }
}
