//! Short ways to build a [`Document`].

use crate::document::{
    Axis, Bar, Block, Cell, Column, Document, Mark, Part, Plot, Scale, Section, Series, Table, Tile, Tone,
    Verdict,
};
use crate::number;
use crate::text;

impl Verdict {
    /// The verdict as a word: `passed`, `failed`, `undecided`, `interrupted`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Undecided => "undecided",
            Self::Interrupted => "interrupted",
        }
    }

    /// How the verdict is to be taken.
    #[must_use]
    pub fn tone(self) -> Tone {
        match self {
            Self::Passed => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Undecided | Self::Interrupted => Tone::Warn,
        }
    }

    /// The worse of two. An interruption outweighs all: whatever was seen until then, the rest was
    /// never tried, and whoever interrupted knows why it ended.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self.severity() >= other.severity() {
            self
        } else {
            other
        }
    }

    /// The higher, the worse.
    pub(crate) fn severity(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Undecided => 1,
            Self::Failed => 2,
            Self::Interrupted => 3,
        }
    }
}

impl Tone {
    /// The sign that stands for the tone where colour cannot: `✔ ✘ ! ·`.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Good => "✔",
            Self::Bad => "✘",
            Self::Warn => "!",
            Self::Neutral => "·",
        }
    }

    /// The worse of two: bad, then warn, then good, then neutral.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self.severity() >= other.severity() {
            self
        } else {
            other
        }
    }

    fn severity(self) -> u8 {
        match self {
            Self::Neutral => 0,
            Self::Good => 1,
            Self::Warn => 2,
            Self::Bad => 3,
        }
    }
}

impl Document {
    /// A document without facts, tiles and sections yet.
    #[must_use]
    pub fn new(title: impl Into<String>, verdict: Verdict, headline: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            verdict,
            headline: headline.into(),
            facts: Vec::new(),
            tiles: Vec::new(),
            sections: Vec::new(),
        }
    }

    /// Adds a fact of the run.
    #[must_use]
    pub fn fact(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((label.into(), value.into()));
        self
    }

    /// Adds a tile.
    #[must_use]
    pub fn tile(mut self, tile: Tile) -> Self {
        self.tiles.push(tile);
        self
    }

    /// Adds a section.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }
}

impl Tile {
    /// A neutral tile without a note.
    #[must_use]
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            note: String::new(),
            tone: Tone::Neutral,
        }
    }

    /// With a second line.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// With a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl Section {
    /// An empty section whose anchor is made from its title.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        Self {
            id: text::slug(&title),
            title,
            blocks: Vec::new(),
        }
    }

    /// Adds a block.
    #[must_use]
    pub fn with(mut self, block: impl Into<Block>) -> Self {
        self.blocks.push(block.into());
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, paragraph: impl Into<String>) -> Self {
        self.with(Block::Text(paragraph.into()))
    }

    /// Adds something letter for letter.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        self.with(Block::Code(code.into()))
    }

    /// The worst tone found in any of its blocks.
    #[must_use]
    pub fn tone(&self) -> Tone {
        worst(&self.blocks)
    }
}

fn worst(blocks: &[Block]) -> Tone {
    blocks.iter().map(Block::tone).fold(Tone::Neutral, Tone::worse)
}

impl Block {
    /// Something folded until asked for.
    #[must_use]
    pub fn details(summary: impl Into<String>, tone: Tone, blocks: Vec<Self>) -> Self {
        Self::Details {
            summary: summary.into(),
            tone,
            blocks,
        }
    }

    /// The worst tone in it.
    #[must_use]
    pub fn tone(&self) -> Tone {
        match self {
            Self::Text(_) | Self::Code(_) | Self::Plot(_) => Tone::Neutral,
            Self::Table(table) => table
                .rows
                .iter()
                .flatten()
                .map(|cell| cell.tone)
                .fold(Tone::Neutral, Tone::worse),
            Self::Bar(bar) => bar
                .parts
                .iter()
                .filter(|part| part.count > 0)
                .map(|part| part.tone)
                .fold(Tone::Neutral, Tone::worse),
            Self::Details { tone, blocks, .. } => tone.worse(worst(blocks)),
        }
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<Plot> for Block {
    fn from(plot: Plot) -> Self {
        Self::Plot(plot)
    }
}

impl From<Bar> for Block {
    fn from(bar: Bar) -> Self {
        Self::Bar(bar)
    }
}

impl Table {
    /// A table without rows yet.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, filled up with empty cells, or cut, to the number of columns.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().collect();
        row.resize_with(self.columns.len(), || Cell::plain(""));
        self.rows.push(row);
    }

    /// The same for a chain of calls.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.push(cells);
        self
    }
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn text(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            numeric: false,
        }
    }

    /// A column of numbers, which lean right.
    #[must_use]
    pub fn number(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            numeric: true,
        }
    }
}

impl Cell {
    /// A cell with a tone of its own.
    #[must_use]
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// Only a fact.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Neutral)
    }

    /// A count, its thousands set apart.
    #[must_use]
    pub fn number(count: u64) -> Self {
        Self::plain(number::count(count))
    }

    /// As it should be.
    #[must_use]
    pub fn good(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Good)
    }

    /// Not as it should be.
    #[must_use]
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Bad)
    }

    /// Worth a look.
    #[must_use]
    pub fn warn(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Warn)
    }
}

impl Bar {
    /// A whole without parts yet.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            parts: Vec::new(),
        }
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, label: impl Into<String>, count: u64, tone: Tone) -> Self {
        self.parts.push(Part {
            label: label.into(),
            count,
            tone,
        });
        self
    }
}

impl Plot {
    /// Axes without curves yet; `xs` ascending.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, xs: Vec<f64>) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            xs,
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Says what begins at this x.
    #[must_use]
    pub fn mark(mut self, at: f64, label: impl Into<String>) -> Self {
        self.marks.push(Mark {
            at,
            label: label.into(),
        });
        self
    }

    /// Adds a curve.
    #[must_use]
    pub fn series(mut self, label: impl Into<String>, ys: Vec<Option<f64>>) -> Self {
        self.series.push(Series {
            label: label.into(),
            ys,
        });
        self
    }

    /// Adds a curve without gaps.
    #[must_use]
    pub fn curve(self, label: impl Into<String>, ys: impl IntoIterator<Item = f64>) -> Self {
        self.series(label, ys.into_iter().map(Some).collect())
    }
}

impl Axis {
    /// Divided evenly.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            scale: Scale::Linear,
        }
    }

    /// Divided by factors of ten; values of zero and less are not drawn.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            scale: Scale::Log,
        }
    }

    /// Divided so that 90 %, 99 %, 99.9 % are evenly spaced; values are q in `[0, 1)`.
    #[must_use]
    pub fn quantile(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            scale: Scale::Quantile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_long_as_the_columns() {
        let table = Table::new([Column::text("a"), Column::number("b")])
            .row([Cell::plain("only one")])
            .row([Cell::number(1_000), Cell::good("b"), Cell::bad("too many")]);
        assert!(table.rows.iter().all(|row| row.len() == 2));
        assert_eq!(table.rows[1][0].text, "1,000");
    }

    #[test]
    fn a_section_is_as_bad_as_its_worst_block() {
        let folded = Block::details(
            "folded",
            Tone::Good,
            vec![Table::new([Column::text("a")]).row([Cell::bad("x")]).into()],
        );
        assert_eq!(Section::new("s").text("words").tone(), Tone::Neutral);
        assert_eq!(
            Section::new("s")
                .with(
                    Bar::new("b")
                        .part("good", 1, Tone::Good)
                        .part("bad", 0, Tone::Bad)
                )
                .tone(),
            Tone::Good
        );
        assert_eq!(Section::new("s").with(folded).tone(), Tone::Bad);
    }
}
