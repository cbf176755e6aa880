//! The one place where the program prints: data to stdout, talk to stderr.
//!
//! `println!` ends a program with a panic when its reader has gone, as `head` has after its last line. Here a reader
//! that has had enough is no mistake.

use std::io::{ErrorKind, Write as _};

use crate::exit::Failure;

/// Prints what was asked for, as it is.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("could not write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// The same, and ends the line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    data(&format!("{text}\n"))
}

/// Says something about the work on stderr, as it is.
pub(crate) fn talk(text: &str) {
    // What cannot be said is no reason to end: the exit code still tells.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
