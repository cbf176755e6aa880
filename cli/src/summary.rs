//! The end of a run: its document on stdout, its verdict as an exit code.

pub(crate) use touchstone_report::terminal::Detail;
use touchstone_report::terminal::{Options, render};
use touchstone_report::{Document, Verdict};

use crate::exit::Failure;
use crate::{exit, print, terminal};

/// Prints the document, as much of it as `detail` says.
pub(crate) fn print(document: &Document, detail: Detail) -> Result<(), Failure> {
    let options = Options {
        columns: terminal::columns(),
        palette: terminal::palette(&std::io::stdout()),
        detail,
    };
    print::data(&render(document, options))
}

/// What the program ends with after a run of this verdict.
pub(crate) const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => exit::OK,
        Verdict::Failed | Verdict::Undecided => exit::JUDGED,
        Verdict::Interrupted => exit::INTERRUPTED,
    }
}
