//! Plots as SVG that needs no script, and as one line of block characters.
//!
//! Positions, ticks and paths are layout; the numbers themselves come finished. Colours and fonts belong to the
//! page's style sheet (`.s0` to `.s5`); curves also differ by their dashes.

use std::fmt::Write as _;

use crate::document::{Axis, Plot, Scale, Series};
use crate::number;
use crate::text::{Lines, visible};

/// Size of the drawing in its own units; it scales with the page.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;
/// A page tells this many curves apart by colour.
pub(crate) const COLOURS: usize = 6;
/// Columns that show their values when pointed at: finer ones could not be hit.
const HOVER_COLUMNS_MAX: usize = 120;
/// More labelled ticks than this crowd an axis.
const TICKS_MAX: usize = 7;

/// An axis laid out: where values go, and which of them are labelled.
struct Ruler {
    scale: Scale,
    /// In the scale's own units, which are even on paper.
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Ruler {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, anchor: Anchor) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter_map(|value| even(axis.scale, value)) {
            low = low.min(value);
            high = high.max(value);
        }
        // Nothing to draw, or a span that no number can hold.
        if low > high || !(high - low).is_finite() {
            return None;
        }
        match axis.scale {
            Scale::Linear => Some(Self::linear(low, high, anchor)),
            Scale::Log => Some(Self::log(low, high)),
            Scale::Quantile => Some(Self::quantile(high)),
        }
    }

    fn linear(mut low: f64, mut high: f64, anchor: Anchor) -> Self {
        if anchor == Anchor::Zero && low >= 0.0 {
            low = 0.0;
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            high = if high == 0.0 { 1.0 } else { high + high.abs() * 0.5 };
        }
        let step = nice_step((high - low) / (TICKS_MAX - 1) as f64);
        if anchor == Anchor::Zero {
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last)
            .map(|n| n as f64 * step)
            .map(|value| (value, number::tick(value)))
            .collect();
        Self {
            scale: Scale::Linear,
            low,
            high,
            ticks,
        }
    }

    fn log(low: f64, high: f64) -> Self {
        let (mut low, mut high) = (low, high);
        // Whole decades where there are several, halves and fifths of one where there are few.
        let steps: &[f64] = if high - low > 2.5 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let marks: Vec<f64> = ((low.floor() as i32 - 1)..=(high.ceil() as i32 + 1))
            .flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()))
            .collect();
        low = marks
            .iter()
            .copied()
            .filter(|mark| *mark <= low + 1e-9)
            .fold(f64::NEG_INFINITY, f64::max);
        high = marks
            .iter()
            .copied()
            .filter(|mark| *mark >= high - 1e-9 && *mark > low)
            .fold(f64::INFINITY, f64::min);
        let within: Vec<f64> = marks
            .into_iter()
            .filter(|mark| (low - 1e-9..=high + 1e-9).contains(mark))
            .collect();
        let every = within.len().div_ceil(TICKS_MAX);
        let ticks = within
            .into_iter()
            .step_by(every)
            .map(|mark| (mark, number::tick(rounded(10f64.powf(mark)))))
            .collect();
        Self {
            scale: Scale::Log,
            low,
            high,
            ticks,
        }
    }

    fn quantile(high: f64) -> Self {
        let high = high.max(1.0);
        let named = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.999_99, "99.999 %"),
            (0.999_999, "99.9999 %"),
        ];
        let ticks = named
            .into_iter()
            .filter_map(|(q, name)| Some((even(Scale::Quantile, q)?, name.to_owned())))
            .filter(|(at, _)| *at <= high + 1e-9)
            .collect();
        Self {
            scale: Scale::Quantile,
            low: 0.0,
            high,
            ticks,
        }
    }

    /// Where `value` is between the ends, 0 to 1.
    fn place(&self, value: f64) -> Option<f64> {
        even(self.scale, value).map(|value| self.share(value))
    }

    fn share(&self, even: f64) -> f64 {
        ((even - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Whether a linear axis begins at zero: heights are compared by their length, so y does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Zero,
    Data,
}

/// A value in units that are even on paper; `None` where the scale has no place for it.
fn even(scale: Scale, value: f64) -> Option<f64> {
    let even = match scale {
        Scale::Linear => value,
        Scale::Log if value > 0.0 => value.log10(),
        Scale::Quantile if (0.0..1.0).contains(&value) => (1.0 / (1.0 - value)).log10(),
        Scale::Log | Scale::Quantile => return None,
    };
    even.is_finite().then_some(even)
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * 0.999_999)
        .unwrap_or(10.0);
    factor * power
}

/// `0.1 + 0.2` is not what an axis should say.
fn rounded(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor() - 3.0);
    (value / power).round() * power
}

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
            // Labels are about seven units a character; one that would touch its neighbour is left out, and the last
            // one must not leave the drawing.
            let long = label.chars().count() as f64 * 7.0;
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
            r#"<text class="label" x="0" y="13">{}</text>"#,
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
            Scale::Quantile => format!("{} %", number::tick(x * 100.0)),
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

/// A curve in one line.
pub(crate) struct Spark {
    /// `▁▂▅█`, blank where nothing was measured.
    pub(crate) line: String,
    /// From where to where it goes: `1.2 … 8.4 (ms)`.
    pub(crate) range: String,
}

/// A curve of `plot` as a line of at most `columns` block characters, each as high as the highest value in it; on the
/// plot's own y axis, so that its curves compare. `None` where nothing was measured.
pub(crate) fn sparkline(plot: &Plot, series: &Series, columns: usize) -> Option<Spark> {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let measured = plot
        .series
        .iter()
        .flat_map(|series| series.ys.iter().copied().flatten());
    let y = Ruler::new(&plot.y, measured, Anchor::Zero)?;
    let drawn = |value: &f64| y.place(*value).is_some();
    let values = || series.ys.iter().copied().flatten().filter(drawn);
    let (low, high) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    if low > high || columns == 0 {
        return None;
    }
    let per_column = series.ys.len().div_ceil(columns).max(1);
    let line = series
        .ys
        .chunks(per_column)
        .map(|chunk| {
            let highest = chunk
                .iter()
                .copied()
                .flatten()
                .filter(drawn)
                .fold(f64::NEG_INFINITY, f64::max);
            let share = highest.is_finite().then(|| y.place(highest)).flatten();
            share.map_or(' ', |share| BLOCKS[((share * 8.0) as usize).min(7)])
        })
        .collect();
    let range = format!(
        "{} … {} ({})",
        number::decimal(low),
        number::decimal(high),
        visible(&plot.y.label, Lines::Flatten)
    );
    Some(Spark { line, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ruler: Option<Ruler>) -> Vec<String> {
        ruler.map_or_else(Vec::new, |ruler| {
            ruler.ticks.into_iter().map(|(_, label)| label).collect()
        })
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (axis, values, expected) in [
            (
                Axis::linear("y"),
                vec![0.0, 4_410.0],
                vec!["0", "1,000", "2,000", "3,000", "4,000", "5,000"],
            ),
            (
                Axis::linear("y"),
                vec![0.0, 0.3],
                vec!["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"],
            ),
            (
                Axis::linear("y"),
                vec![0.0],
                vec!["0", "0.2", "0.4", "0.6", "0.8", "1"],
            ),
            (
                Axis::linear("y"),
                vec![-3.0, 3.0],
                vec!["-3", "-2", "-1", "0", "1", "2", "3"],
            ),
            (
                Axis::log("y"),
                vec![0.344, 13.2],
                vec!["0.2", "0.5", "1", "2", "5", "10", "20"],
            ),
            (
                Axis::log("y"),
                vec![0.001, 1_000.0],
                vec!["0.001", "0.01", "0.1", "1", "10", "100", "1,000"],
            ),
            (Axis::log("y"), vec![5.0], vec!["5", "10"]),
            (
                Axis::quantile("y"),
                vec![0.5, 0.999],
                vec!["0 %", "50 %", "90 %", "99 %", "99.9 %"],
            ),
            (Axis::linear("y"), vec![f64::NAN, f64::INFINITY], vec![]),
            (Axis::log("y"), vec![0.0, -1.0], vec![]),
            (Axis::quantile("y"), vec![1.0], vec![]),
        ] {
            let found = labels(Ruler::new(&axis, values.iter().copied(), Anchor::Zero));
            assert_eq!(found, expected, "{:?} {values:?}", axis.scale);
        }
    }

    #[test]
    fn values_beyond_reason_draw_no_endless_axis() {
        for values in [
            vec![1e-300, 1e300],
            vec![f64::MIN, f64::MAX],
            vec![1e300, 1.000_000_000_000_1e300],
            vec![1e18, 1e18 + 256.0],
        ] {
            for axis in [Axis::linear("y"), Axis::log("y")] {
                assert!(
                    labels(Ruler::new(&axis, values.iter().copied(), Anchor::Data)).len() <= 10,
                    "{values:?}"
                );
            }
        }
    }

    #[test]
    fn quantiles_are_evenly_spaced_by_nines() {
        let ruler = Ruler::new(&Axis::quantile("q"), [0.0, 0.999].into_iter(), Anchor::Data).unwrap();
        let places: Vec<String> = [0.0, 0.9, 0.99, 0.999]
            .iter()
            .map(|q| format!("{:.3}", ruler.place(*q).unwrap()))
            .collect();
        assert_eq!(places, ["0.000", "0.333", "0.667", "1.000"]);
    }

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
    fn pointing_shows_values_but_not_at_every_one_of_thousands() {
        let xs: Vec<f64> = (0..5_000).map(f64::from).collect();
        let plot = Plot::new("p", Axis::linear("x"), Axis::linear("y"), xs.clone()).curve("c", xs);
        assert!(svg(&plot).unwrap().matches("<title>").count() <= HOVER_COLUMNS_MAX);
    }

    #[test]
    fn a_sparkline_is_as_high_as_its_highest_values() {
        let plot = Plot::new("p", Axis::linear("x"), Axis::linear("ms"), vec![0.0; 6])
            .series("c", vec![Some(0.0), Some(4.0), None, None, Some(8.0), Some(1.0)]);
        let spark = sparkline(&plot, &plot.series[0], 3).unwrap();
        assert_eq!((spark.line.as_str(), spark.range.as_str()), ("▅ █", "0 … 8 (ms)"));
        assert!(sparkline(&plot, &plot.series[0], 0).is_none());
    }
}
