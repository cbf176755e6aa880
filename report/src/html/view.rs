//! What the template is given: a document whose texts are made safe and cut, and whose plots are drawn.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::document::{Bar, Block, Cell, Document, Plot, Section, Table, Tile, Tone};
use crate::join::unused;
use crate::number;
use crate::plot::{self, COLOURS};
use crate::text::{Lines, PARAGRAPH_CHARACTERS_MAX, Span, cut, cut_lines, slug, spans, visible};

/// A cell, a heading or a summary longer than this is a payload; its start is enough.
const LINE_CHARACTERS_MAX: usize = 500;
/// A longer line of a transcript is a payload; its start is enough.
const CODE_LINE_CHARACTERS_MAX: usize = 4_000;
/// Tables from here on scroll in a frame of their own and can be filtered.
const LONG_TABLE_ROWS: usize = 16;
/// So many failures of a section are unfolded from the start; more would bury the rest.
pub(super) const UNFOLDED_MAX: usize = 2;

/// All that the template is given.
#[derive(Serialize)]
pub(super) struct Report {
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

impl Report {
    /// Everything `document` says, made safe, cut and laid out.
    pub(super) fn new(document: &Document) -> Self {
        let mut page = Page {
            anchors: HashSet::new(),
            unfolded: 0,
        };
        let verdict = document.verdict;
        let mut report = Self {
            style: include_str!("style.css"),
            script: include_str!("filter.js"),
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
        let anchors = anchors_by_code(report.sections.iter().flat_map(|section| &section.blocks));
        report
            .sections
            .iter_mut()
            .for_each(|section| link(&mut section.blocks, &anchors));
        report
    }
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
    /// The anchor of what is folded under the same name.
    link: Option<String>,
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

/// The anchors of all that is folded under a summary that begins with code, by that code; the first of equal ones.
fn anchors_by_code<'v>(views: impl Iterator<Item = &'v View>) -> HashMap<String, String> {
    let mut anchors = HashMap::new();
    for view in views {
        let View::Details {
            id, summary, blocks, ..
        } = view
        else {
            continue;
        };
        if let Some(Piece { text, code: true }) = summary.first() {
            anchors.entry(text.clone()).or_insert_with(|| id.clone());
        }
        for (code, anchor) in anchors_by_code(blocks.iter()) {
            anchors.entry(code).or_insert(anchor);
        }
    }
    anchors
}

/// Links every cell that is nothing but code to what is folded under it.
fn link(views: &mut [View], anchors: &HashMap<String, String>) {
    for view in views {
        match view {
            View::Table { rows, .. } => {
                for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
                    if let [Piece { text, code: true }] = cell.words.as_slice() {
                        cell.link = anchors.get(text).cloned();
                    }
                }
            }
            View::Details { blocks, .. } => link(blocks, anchors),
            View::Text { .. } | View::Code { .. } | View::Plots { .. } | View::Bar { .. } => {}
        }
    }
}

/// Columns that leave no tile alone in the last row: seven tiles are four and three.
pub(super) fn tile_columns(tiles: usize) -> usize {
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
        link: None,
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
