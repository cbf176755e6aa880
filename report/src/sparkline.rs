//! A curve as one line of block characters, for terminals and Markdown.

use crate::document::{Plot, Series};
use crate::number;
use crate::ruler::{Anchor, Ruler};
use crate::text::{Lines, visible};

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
    use crate::document::Axis;

    #[test]
    fn a_sparkline_is_as_high_as_its_highest_values() {
        let plot = Plot::new("p", Axis::linear("x"), Axis::linear("ms"), vec![0.0; 6])
            .series("c", vec![Some(0.0), Some(4.0), None, None, Some(8.0), Some(1.0)]);
        let spark = sparkline(&plot, &plot.series[0], 3).unwrap();
        assert_eq!((spark.line.as_str(), spark.range.as_str()), ("▅ █", "0 … 8 (ms)"));
        assert!(sparkline(&plot, &plot.series[0], 0).is_none());
    }
}
