//! What the terminal can show: its width, and whether colours are wanted.

use std::io::IsTerminal;

use touchstone_report::Palette;
use touchstone_scenarios::diag::Paint;

/// Columns where nobody can tell: what every terminal has.
const COLUMNS: usize = 80;

/// Colours for `stream`: only on a terminal, and not where `NO_COLOR` is set (no-color.org).
pub(crate) fn palette(stream: &impl IsTerminal) -> Palette {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stream.is_terminal() && !refused {
        Palette::Colour
    } else {
        Palette::Plain
    }
}

/// The same, for diagnostics on stderr.
pub(crate) fn paint() -> Paint {
    match palette(&std::io::stderr()) {
        Palette::Plain => Paint::Plain,
        Palette::Colour => Paint::Colour,
    }
}

/// Columns of the terminal on stderr, or of any terminal.
#[cfg(unix)]
pub(crate) fn columns() -> usize {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: `size` is a valid winsize that outlives the call, which fails where there is no terminal.
    let asked = unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    if asked == 0 && size.ws_col > 0 {
        usize::from(size.ws_col)
    } else {
        COLUMNS
    }
}

/// Columns of any terminal.
#[cfg(not(unix))]
pub(crate) fn columns() -> usize {
    COLUMNS
}
