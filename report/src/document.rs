//! What a report says, before it is decided how it looks.
//!
//! `conformance` and `loadgen` turn their results into a [`Document`]; the renderers beside this module turn it into
//! HTML, Markdown and terminal text. A document holds finished words and numbers: nothing is computed after it.
//!
//! Any text may be hostile: it came from a scenario, a payload or a foreign server. Renderers make it safe, callers
//! need not. In [`Block::Text`], [`Details`](Block::Details) summaries and cells, words between backticks are shown as code.
//! A cell that is nothing but code leads to the `Details` whose summary begins with the same code, where there is one.

/// The outcome of a run, as every JSON report and every exit code knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was judged holds.
    Passed,
    /// Something that was judged does not.
    Failed,
    /// It ran, but what was seen does not decide.
    Undecided,
    /// Stopped from outside; what was seen until then is in the report.
    Interrupted,
}

/// How a fact is to be taken; renderers choose colour and sign from it, never from the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Worth a look.
    Warn,
    /// Only a fact.
    Neutral,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Document {
    /// What was run against what.
    pub title: String,
    /// The one answer.
    pub verdict: Verdict,
    /// The answer in a sentence.
    pub headline: String,
    /// Facts of the run in order: target, version, seed, start, duration.
    pub facts: Vec<(String, String)>,
    /// The few numbers to see at a glance.
    pub tiles: Vec<Tile>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// A number to see at a glance.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Tile {
    /// What it is.
    pub label: String,
    /// The number with its unit.
    pub value: String,
    /// A second line: of how many, in which window.
    pub note: String,
    /// How it is to be taken.
    pub tone: Tone,
}

/// A titled part.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Section {
    /// Anchor: lower case, dashes.
    pub id: String,
    /// Heading.
    pub title: String,
    /// In order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Letter for letter: a transcript, a diff, a command.
    Code(String),
    /// A table.
    Table(Table),
    /// A plot over time or over quantiles.
    Plot(Plot),
    /// How a whole divides: verdicts of cases, what a coverage reached.
    Bar(Bar),
    /// Folded until asked for.
    Details {
        /// The line that is always shown.
        summary: String,
        /// How it is to be taken.
        tone: Tone,
        /// What unfolds.
        blocks: Vec<Block>,
    },
}

/// Rows under columns.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Table {
    /// Headings.
    pub columns: Vec<Column>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// A heading and which way its cells lean.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Column {
    /// Heading.
    pub title: String,
    /// Numbers lean right.
    pub numeric: bool,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// How it is to be taken.
    pub tone: Tone,
}

/// A whole and its parts, drawn to scale.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Bar {
    /// What the whole is.
    pub label: String,
    /// In order; empty parts are not shown.
    pub parts: Vec<Part>,
}

/// A part of a [`Bar`].
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Part {
    /// What it is.
    pub label: String,
    /// How many of the whole.
    pub count: u64,
    /// How it is to be taken.
    pub tone: Tone,
}

/// Curves over one x axis.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Plot {
    /// Caption.
    pub title: String,
    /// What x is.
    pub x: Axis,
    /// What y is.
    pub y: Axis,
    /// The x of every point, ascending.
    pub xs: Vec<f64>,
    /// One curve each; `ys` as long as `xs`, `None` where nothing was measured.
    pub series: Vec<Series>,
    /// What begins where, ascending: phases of a run.
    pub marks: Vec<Mark>,
}

/// A place on the x axis of a [`Plot`] from which on something else happens.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Mark {
    /// Where it begins.
    pub at: f64,
    /// What begins.
    pub label: String,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Axis {
    /// With its unit.
    pub label: String,
    /// Linear, logarithmic, or quantiles as `1/(1-q)`.
    pub scale: Scale,
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By factors of ten.
    Log,
    /// Quantiles: 50 %, 90 %, 99 %, 99.9 % evenly spaced; values are q in [0, 1).
    Quantile,
}

/// A curve.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Its points.
    pub ys: Vec<Option<f64>>,
}
