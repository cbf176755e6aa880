//! How the program ends: the documented exit codes, and the one message that goes with each failure.

use std::process::ExitCode;

use touchstone_scenarios::diag::Diag;

use crate::terminal;

/// It ran and all that was judged holds.
pub(crate) const OK: u8 = 0;
/// It ran and something that was judged does not hold.
pub(crate) const JUDGED: u8 = 1;
/// The command line, a config or a scenario is wrong, or this machine refuses.
pub(crate) const USAGE: u8 = 2;
/// The target could not be reached, or a spawned one was not ready in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// Stopped from outside. It outweighs [`JUDGED`]: whatever was found until then is in the report, and the rest was never
/// tried.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command could not do its work, and with which code it ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// As it is shown, on stderr.
    pub(crate) shown: String,
}

impl Failure {
    /// The command line, a file or this machine is in the way.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::new(USAGE, error)
    }

    /// The system under test is not to be had.
    pub(crate) fn unreachable(error: impl ToString) -> Self {
        Self::new(UNREACHABLE, error)
    }

    /// It was stopped from outside before there was anything to report.
    pub(crate) fn interrupted(error: impl ToString) -> Self {
        Self::new(INTERRUPTED, error)
    }

    /// Files have mistakes: each is drawn with its place.
    pub(crate) fn mistakes(diags: &[Diag]) -> Self {
        let drawn: Vec<_> = diags
            .iter()
            .map(|diag| diag.render_within(terminal::paint(), terminal::columns()))
            .collect();
        Self {
            code: USAGE,
            shown: drawn.join("\n\n"),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "an error is handed over where it ends"
    )]
    fn new(code: u8, error: impl ToString) -> Self {
        Self {
            code,
            shown: format!("error: {}", error.to_string()),
        }
    }
}

/// What a command that did its work ends with.
pub(crate) type Outcome = Result<u8, Failure>;

/// The code for the shell.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
