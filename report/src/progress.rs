//! One line that says how far a run is; drawn over and over on a terminal, or written once a second elsewhere.

use std::time::Duration;

use crate::document::Tone;
use crate::number;
use crate::palette::Palette;
use crate::text::{Lines, fit, visible, width};

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done: `conform`, `load`.
    pub phase: String,
    /// How much of `total` is done.
    pub done: u64,
    /// Of how much; `None` where nobody knows.
    pub total: Option<u64>,
    /// Since the phase began.
    pub elapsed: Duration,
    /// What else is worth saying, in order: `2 failed`, `12,345 messages/s`.
    pub notes: Vec<(Tone, String)>,
}

impl Progress {
    /// The line, at most `columns_max` wide: `conform  ███████▌        57/118  3.2 s  2 failed`.
    ///
    /// What does not fit is left out from the end, colour only where `palette` has any.
    #[must_use]
    pub fn line(&self, columns_max: usize, palette: Palette) -> String {
        let phase = visible(&self.phase, Lines::Flatten);
        let mut line = fit(&phase, columns_max).into_owned();
        let mut taken = width(&line);
        line = palette.strong(&line);
        let mut pieces: Vec<(Tone, String)> = Vec::new();
        match self.total {
            Some(total) => {
                pieces.push((Tone::Neutral, bar(self.done, total)));
                pieces.push((
                    Tone::Neutral,
                    format!("{}/{}", number::count(self.done), number::count(total)),
                ));
            }
            None => pieces.push((Tone::Neutral, number::count(self.done))),
        }
        pieces.push((Tone::Neutral, number::duration(tenths(self.elapsed))));
        pieces.extend(
            self.notes
                .iter()
                .map(|(tone, note)| (*tone, visible(note, Lines::Flatten).into_owned())),
        );
        for (tone, piece) in pieces {
            if taken + 2 + width(&piece) > columns_max {
                break;
            }
            taken += 2 + width(&piece);
            line.push_str("  ");
            line.push_str(&palette.tone(tone, &piece));
        }
        line
    }
}

/// A line that changes ten times a second needs no finer clock.
fn tenths(elapsed: Duration) -> Duration {
    Duration::from_millis(elapsed.as_millis() as u64 / 100 * 100)
}

/// Columns of the bar.
const BAR_COLUMNS: u64 = 16;

/// A bar of [`BAR_COLUMNS`], to the eighth of a column; full only when all is done.
fn bar(done: u64, total: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = match total {
        0 => 0,
        _ => u128::from(done.min(total)) * u128::from(BAR_COLUMNS) * 8 / u128::from(total),
    };
    let eighths = usize::try_from(eighths).expect("at most eight times the columns of a bar");
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS[eighths % 8]);
    bar.push_str(&" ".repeat(BAR_COLUMNS as usize - width(&bar)));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, total: Option<u64>) -> Progress {
        Progress {
            phase: "conform".into(),
            done,
            total,
            elapsed: Duration::from_millis(3_249),
            notes: vec![
                (Tone::Bad, "2 failed".into()),
                (Tone::Neutral, "12,345 messages/s".into()),
            ],
        }
    }

    #[test]
    fn a_line_says_how_far_and_drops_what_does_not_fit() {
        let line = |done, total, columns| progress(done, total).line(columns, Palette::Plain);
        assert_eq!(
            line(59, Some(118), 80),
            "conform  ████████          59/118  3.2 s  2 failed  12,345 messages/s"
        );
        assert_eq!(
            line(118, Some(118), 50),
            "conform  ████████████████  118/118  3.2 s"
        );
        assert_eq!(line(1_200, None, 30), "conform  1,200  3.2 s");
        assert_eq!(line(0, Some(0), 4), "con…");
        for columns in 0..90 {
            assert!(width(&line(59, Some(118), columns)) <= columns);
        }
    }

    #[test]
    fn colour_only_where_asked() {
        assert!(
            progress(1, None)
                .line(80, Palette::Colour)
                .contains("\u{1b}[31m2 failed")
        );
        assert!(!progress(1, None).line(80, Palette::Plain).contains('\u{1b}'));
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!(bar(1, 1), "█".repeat(16));
        assert_eq!(bar(7, 1), "█".repeat(16));
        assert!(bar(999_999, 1_000_000).ends_with('▉'));
    }
}
