//! How results look: terminal, HTML, Markdown, JUnit, TAP. Knows neither load nor conformance, and computes nothing:
//! callers bring finished words and numbers as a [`Document`] or as [`Suites`](cases::Suites).
//!
//! | wanted | call |
//! |---|---|
//! | one offline HTML file | [`html::render`] |
//! | a pull request comment, a step summary | [`markdown::render`] |
//! | text for a terminal | [`terminal::render`] |
//! | JUnit XML, TAP 14 | [`junit::render`], [`tap::render`] |
//! | `12.4 ms`, `99.98 %`, `2,000` | [`number`] |
//! | `2024-01-01T12:00:00.000Z` | [`timestamp`] |
//! | a line of progress | [`progress::Progress::line`] |
//!
//! Every renderer is a pure function; printing and writing files is left to the caller.

mod build;
pub mod cases;
pub mod document;
pub mod html;
mod join;
pub mod junit;
pub mod markdown;
pub mod number;
pub mod palette;
mod plot;
pub mod progress;
mod ruler;
#[cfg(test)]
mod samples;
mod sparkline;
pub mod tap;
pub mod terminal;
mod text;
pub mod timestamp;

pub use document::{
    Axis, Bar, Block, Cell, Column, Document, Mark, Part, Plot, Scale, Section, Series, Table, Tile, Tone,
    Verdict,
};
pub use palette::Palette;
pub use text::hanging;
