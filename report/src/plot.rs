//! Plots as SVG that needs no script.
//!
//! Positions, ticks and paths are layout; the numbers themselves come finished. Colours and fonts belong to the
//! page's style sheet (`.s0` to `.s5`); curves also differ by their dashes.

use std::fmt::Write as _;

use crate::document::{Plot, Scale, Series};
use crate::number;
use crate::ruler::{Anchor, Ruler};
use crate::text::{Lines, visible};

/// Size of the drawing in its own units; it scales with the page.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;
/// About how wide a character of a label is.
const CHARACTER: f64 = 7.0;
/// A page tells this many curves apart by colour.
pub(crate) const COLOURS: usize = 6;
/// Columns that show their values when pointed at: finer ones could not be hit.
const HOVER_COLUMNS_MAX: usize = 120;

/// The plot as an `<svg>` element, or `None` where nothing was measured. All text in it is escaped.
pub(crate) fn svg(plot: &Plot) -> Option<String> {
    let x = Ruler::new(&plot.x, plot.xs.iter().copied(), Anchor::Data)?;
    let measured = plot
        .series
        .iter()
        .flat_map(|series| series.ys.iter().copied().flatten());
    let y = Ruler::new(&plot.y, measured, Anchor::Zero)?;
    let mut drawing = Drawing {
        plot,
        x,
        y,
        svg: String::with_capacity(16 * 1_024),
    };
    drawing.draw().expect("writing to a string does not fail");
    Some(drawing.svg)
}

struct Drawing<'a> {
    plot: &'a Plot,
    x: Ruler,
    y: Ruler,
    svg: String,
}

impl Drawing<'_> {
    fn draw(&mut self) -> std::fmt::Result {
        let title = escaped(&self.plot.title);
        write!(
            self.svg,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">"#
        )?;
        self.grid()?;
        self.marks()?;
        for (at, series) in self.plot.series.iter().enumerate() {
            let path = self.path(series);
            write!(self.svg, r#"<path class="curve s{}" d="{path}"/>"#, at % COLOURS)?;
        }
        self.hover()?;
        self.svg.push_str("</svg>");
        Ok(())
    }

    fn grid(&mut self) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut last_label_end = f64::NEG_INFINITY;
        for (value, label) in &self.x.ticks {
            let at = left_to_right(self.x.share(*value));
            write!(self.svg, r#"<path class="grid" d="M{at:.1} {TOP}V{bottom}"/>"#)?;
            // One that would touch its neighbour is left out, and the last one must not leave the drawing.
            let long = label.chars().count() as f64 * CHARACTER;
            let (anchor, at) = if at + long / 2.0 > WIDTH {
                ("y", WIDTH)
            } else {
                ("x", at)
            };
            let start = if anchor == "y" { at - long } else { at - long / 2.0 };
            if start > last_label_end + 4.0 {
                let y = bottom + 16.0;
                let label = escaped(label);
                write!(
                    self.svg,
                    r#"<text class="{anchor}" x="{at:.1}" y="{y:.1}">{label}</text>"#
                )?;
                last_label_end = start + long;
            }
        }
        for (value, label) in &self.y.ticks {
            let at = bottom_to_top(self.y.share(*value));
            write!(self.svg, r#"<path class="grid" d="M{LEFT} {at:.1}H{right}"/>"#)?;
            write!(
                self.svg,
                r#"<text class="y" x="{:.1}" y="{:.1}">{}</text>"#,
                LEFT - 8.0,
                at + 4.0,
                escaped(label)
            )?;
        }
        write!(
            self.svg,
            r#"<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>"#
        )?;
        write!(
            self.svg,
            r#"<text class="label" x="0" y="10">{}</text>"#,
            escaped(&self.plot.y.label)
        )?;
        let middle = (LEFT + right) / 2.0;
        write!(
            self.svg,
            r#"<text class="label x" x="{middle}" y="{:.1}">{}</text>"#,
            HEIGHT - 6.0,
            escaped(&self.plot.x.label)
        )
    }

    /// A line where something begins, and what it is; a name that would touch the one before is left out.
    fn marks(&mut self) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut last_label_end = f64::NEG_INFINITY;
        let (Some(first), Some(last)) = (self.plot.xs.first(), self.plot.xs.last()) else {
            return Ok(());
        };
        for (nth, mark) in self.plot.marks.iter().enumerate() {
            // What is over before the first point is nowhere in the drawing.
            let next = self.plot.marks.get(nth + 1);
            let is_within = mark.at <= *last && next.is_none_or(|next| next.at > *first);
            let Some(share) = self.x.place(mark.at).filter(|_| is_within) else {
                continue;
            };
            let at = left_to_right(share);
            write!(self.svg, r#"<path class="mark" d="M{at:.1} {TOP}V{bottom}"/>"#)?;
            let long = mark.label.chars().count() as f64 * CHARACTER;
            let start = at.min(right - long);
            if start > last_label_end + 4.0 {
                let label = escaped(&mark.label);
                write!(
                    self.svg,
                    r#"<text class="mark" x="{start:.1}" y="{:.1}">{label}</text>"#,
                    TOP - 3.0
                )?;
                last_label_end = start + long;
            }
        }
        Ok(())
    }

    /// The curve, broken where nothing was measured; a point alone becomes a short stroke, which round caps make a dot.
    fn path(&self, series: &Series) -> String {
        let mut path = String::new();
        let mut pen = Pen::Up;
        for (x, y) in self.plot.xs.iter().zip(&series.ys) {
            let place = self.x.place(*x).zip(y.and_then(|y| self.y.place(y)));
            let Some((x, y)) = place.map(|(x, y)| (left_to_right(x), bottom_to_top(y))) else {
                pen.lift(&mut path);
                continue;
            };
            let letter = if pen == Pen::Up { 'M' } else { 'L' };
            write!(path, "{letter}{x:.1} {y:.1}").expect("writing to a string does not fail");
            pen = if pen == Pen::Up { Pen::Dot } else { Pen::Line };
        }
        pen.lift(&mut path);
        path
    }

    /// Invisible columns over the drawing; pointing at one shows its values.
    fn hover(&mut self) -> std::fmt::Result {
        let placed: Vec<(usize, f64)> = (0..self.plot.xs.len())
            .filter_map(|at| Some((at, left_to_right(self.x.place(self.plot.xs[at])?))))
            .collect();
        let every = placed.len().div_ceil(HOVER_COLUMNS_MAX).max(1);
        let placed: Vec<(usize, f64)> = placed.into_iter().step_by(every).collect();
        let height = HEIGHT - BOTTOM - TOP;
        for (nth, (at, middle)) in placed.iter().enumerate() {
            let start = if nth == 0 {
                LEFT
            } else {
                (placed[nth - 1].1 + middle) / 2.0
            };
            let end = placed
                .get(nth + 1)
                .map_or(WIDTH - RIGHT, |(_, next)| (next + middle) / 2.0);
            write!(
                self.svg,
                r#"<g class="at"><rect x="{start:.1}" y="{TOP}" width="{:.1}" height="{height}"/><path d="M{middle:.1} {TOP}v{height}"/><title>{}</title></g>"#,
                (end - start).max(0.0),
                escaped(&self.values(*at)),
            )?;
        }
        Ok(())
    }

    fn values(&self, at: usize) -> String {
        let x = self.plot.xs[at];
        let mut values = match self.plot.x.scale {
            Scale::Quantile => {
                // As many digits as there are nines, so that neighbours in the tail differ.
                let nines = (1.0 / (1.0 - x)).log10().ceil().clamp(0.0, 12.0) as usize;
                format!("{} %", number::trimmed(&format!("{:.nines$}", x * 100.0)))
            }
            Scale::Linear | Scale::Log => format!("{}: {}", self.plot.x.label, number::tick(x)),
        };
        for series in &self.plot.series {
            let y = series
                .ys
                .get(at)
                .copied()
                .flatten()
                .map_or(number::MISSING.to_owned(), number::decimal);
            write!(values, "\n{}: {y}", series.label).expect("writing to a string does not fail");
        }
        values
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pen {
    Up,
    Dot,
    Line,
}

impl Pen {
    fn lift(&mut self, path: &mut String) {
        if *self == Self::Dot {
            path.push_str("h0.01");
        }
        *self = Self::Up;
    }
}

fn left_to_right(share: f64) -> f64 {
    LEFT + share * (WIDTH - RIGHT - LEFT)
}

fn bottom_to_top(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
}

/// Made visible and escaped for elements and quoted attributes.
fn escaped(text: &str) -> String {
    visible(text, Lines::Keep)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Axis;

    #[test]
    fn a_curve_is_broken_where_nothing_was_measured() {
        let plot = Plot::new(
            "p",
            Axis::linear("x"),
            Axis::linear("y"),
            vec![0.0, 1.0, 2.0, 3.0],
        )
        .series("c", vec![Some(1.0), None, Some(0.0), Some(2.0)]);
        let svg = svg(&plot).unwrap();
        assert!(
            svg.contains(r#"<path class="curve s0" d="M52.0 116.0h0.01M314.7 206.0L446.0 26.0"/>"#),
            "{svg}"
        );
        assert!(svg.contains("<title>x: 1\nc: –</title>"), "{svg}");
    }

    #[test]
    fn what_begins_is_marked_where_it_does_and_named_where_there_is_room() {
        let plot = Plot::new("p", Axis::linear("s"), Axis::linear("y"), vec![0.0, 10.0])
            .curve("c", [1.0, 2.0])
            .mark(-1.0, "before")
            .mark(0.0, "ramp")
            .mark(0.5, "steady")
            .mark(5.0, "<storm>")
            .mark(10.0, "drain")
            .mark(11.0, "after the end");
        let svg = svg(&plot).unwrap();
        assert_eq!(svg.matches(r#"<path class="mark""#).count(), 4);
        assert!(svg.contains(r#"<path class="mark" d="M249.0 26V206"/>"#), "{svg}");
        let named: Vec<_> = svg
            .split(r#"<text class="mark""#)
            .skip(1)
            .map(|rest| rest.split(['>', '<']).nth(1).unwrap())
            .collect();
        assert_eq!(named, ["ramp", "&lt;storm&gt;", "drain"]);
    }

    #[test]
    fn neighbours_in_the_tail_differ() {
        let plot = Plot::new(
            "p",
            Axis::quantile("q"),
            Axis::linear("y"),
            vec![0.5, 0.9999, 0.99993],
        )
        .curve("c", [1.0; 3]);
        let svg = svg(&plot).unwrap();
        for title in ["<title>50 %\nc: 1</title>", "<title>99.99 %", "<title>99.993 %"] {
            assert!(svg.contains(title), "{title} in {svg}");
        }
    }

    #[test]
    fn pointing_shows_values_but_not_at_every_one_of_thousands() {
        let xs: Vec<f64> = (0..5_000).map(f64::from).collect();
        let plot = Plot::new("p", Axis::linear("x"), Axis::linear("y"), xs.clone()).curve("c", xs);
        assert!(svg(&plot).unwrap().matches("<title>").count() <= HOVER_COLUMNS_MAX);
    }
}
