//! What is going on, on stderr: a line that is drawn over on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use touchstone_report::progress::Progress as Line;
use touchstone_report::{Palette, Tone};

use crate::{print, terminal};

/// A terminal is drawn over no more often: more is only flicker.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// Without a terminal, lines that come closer together are left out: a CI log is read by people.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// Back to the first column, and the line empty.
const CLEAR: &str = "\r\x1b[2K";

/// A piece of long work.
pub(crate) struct Progress {
    line: Line,
    began: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
    palette: Palette,
}

impl Progress {
    /// Work called `phase`, of `total` steps if anybody knows.
    pub(crate) fn new(phase: &str, total: Option<u64>) -> Self {
        let stderr = std::io::stderr();
        Self {
            line: Line {
                phase: phase.to_owned(),
                done: 0,
                total,
                elapsed: Duration::ZERO,
                notes: Vec::new(),
            },
            began: Instant::now(),
            shown: None,
            on_terminal: stderr.is_terminal(),
            palette: terminal::palette(&stderr),
        }
    }

    /// `done` steps are done, and these are worth saying.
    pub(crate) fn at(&mut self, done: u64, notes: Vec<(Tone, String)>) {
        self.line.done = done;
        self.line.notes = notes;
        let interval = if self.on_terminal {
            REDRAW_INTERVAL
        } else {
            LINE_INTERVAL
        };
        let is_last = self.line.total == Some(done);
        if is_last || self.shown.is_none_or(|shown| shown.elapsed() >= interval) {
            self.show();
        }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, text: &str) {
        if self.on_terminal {
            print::talk(CLEAR);
        }
        print::talk(&format!("{text}\n"));
        if self.on_terminal {
            self.show();
        }
    }

    /// The work is over: a terminal gets its line back.
    pub(crate) fn finish(&mut self) {
        if self.on_terminal {
            print::talk(CLEAR);
        }
    }

    fn show(&mut self) {
        self.line.elapsed = self.began.elapsed();
        self.shown = Some(Instant::now());
        // The last column stays free: a full line would wrap, and could not be drawn over.
        let line = self.line.line(terminal::columns() - 1, self.palette);
        if self.on_terminal {
            print::talk(&format!("{CLEAR}{line}"));
        } else {
            print::talk(&format!("{line}\n"));
        }
    }
}
