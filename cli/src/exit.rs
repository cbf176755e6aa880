//! How the program ends: the documented exit codes, and the one message that goes with each failure.

use std::process::ExitCode;

/// It ran and all that was judged holds.
pub(crate) const OK: u8 = 0;
/// It ran and something that was judged does not hold.
pub(crate) const JUDGED: u8 = 1;
/// The command line, a config or a scenario is wrong, or this machine refuses.
pub(crate) const USAGE: u8 = 2;
/// The target could not be reached, or a spawned one was not ready in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// Stopped from outside.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command could not do its work, and with which code it ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// The command line, a file or this machine is in the way.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an error is handed over where it ends"
    )]
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
        }
    }

    /// The system under test is not to be had.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an error is handed over where it ends"
    )]
    pub(crate) fn unreachable(message: impl ToString) -> Self {
        Self {
            code: UNREACHABLE,
            message: message.to_string(),
        }
    }
}

/// What a command that did its work ends with.
pub(crate) type Outcome = Result<u8, Failure>;

/// The code for the shell.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
