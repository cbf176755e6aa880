//! Whoever starts, stops and listens to a server, and what a crooked one of them does.
//!
//! Proves that cases which stop a server, start it again or read its log can fail: none of that passes a proxy.

use std::process::ExitStatus;
use std::sync::Arc;

use touchstone_scenarios::mutant::LauncherFault;

use crate::log::Log;
use crate::process::{Signal, StartError};
use crate::scratch::Scratch;

/// A launcher, honest unless told otherwise.
#[derive(Debug, Default)]
pub(crate) struct Launcher {
    fault: Option<LauncherFault>,
}

impl Launcher {
    /// One that is broken so.
    pub(crate) const fn with(fault: LauncherFault) -> Self {
        Self { fault: Some(fault) }
    }

    /// What takes in what the server writes: its log, or one that nobody reads.
    pub(crate) fn heard(&self, log: &Arc<Log>) -> Arc<Log> {
        match &self.fault {
            Some(LauncherFault::LogsNothing) => Arc::default(),
            Some(
                LauncherFault::LogsTokens
                | LauncherFault::EmptiesStore
                | LauncherFault::IgnoresSignals
                | LauncherFault::ExitsWith(_)
                | LauncherFault::KillsOnStop,
            )
            | None => Arc::clone(log),
        }
    }

    /// Somebody was given this token: he will use it.
    pub(crate) fn token_given(&self, token: &str, log: &Log) {
        if self.fault == Some(LauncherFault::LogsTokens) {
            let line = serde_json::json!({"level": "INFO", "event": "admitted", "token": token});
            log.push(line.to_string());
        }
    }

    /// What the server is sent when this signal is meant for it; nothing if it is not to hear of it.
    pub(crate) fn signal(&self, signal: Signal) -> Option<Signal> {
        match (signal, &self.fault) {
            (Signal::Term | Signal::Int, Some(LauncherFault::IgnoresSignals)) => None,
            (Signal::Term | Signal::Int, Some(LauncherFault::KillsOnStop)) => Some(Signal::Kill),
            (Signal::Kill | Signal::Term | Signal::Int, _) => Some(signal),
        }
    }

    /// With which status it is said to have ended. A server that was killed has none to change.
    pub(crate) fn exit(&self, status: ExitStatus) -> ExitStatus {
        match self.fault {
            Some(LauncherFault::ExitsWith(code)) if status.code().is_some() => exit_status(code),
            _ => status,
        }
    }

    /// Before the server is started again, while nothing of it runs.
    pub(crate) fn before_restart(&self, scratch: Option<&Scratch>) -> Result<(), StartError> {
        match (&self.fault, scratch) {
            (Some(LauncherFault::EmptiesStore), Some(scratch)) => scratch.empty_store(),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
fn exit_status(code: i32) -> ExitStatus {
    // As `wait` has it: the status in the second byte.
    std::os::unix::process::ExitStatusExt::from_raw((code & 0xFF) << 8)
}

#[cfg(windows)]
fn exit_status(code: i32) -> ExitStatus {
    std::os::windows::process::ExitStatusExt::from_raw(code.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_launcher_passes_everything_on() {
        let honest = Launcher::default();
        let log = Arc::new(Log::default());
        let before = log.mark();
        honest.token_given("a.b.c", &log);
        assert!(Arc::ptr_eq(&honest.heard(&log), &log));
        assert!(log.since(before).is_empty());
        for signal in [Signal::Term, Signal::Int, Signal::Kill] {
            assert_eq!(honest.signal(signal), Some(signal));
        }
        assert_eq!(honest.exit(exit_status(0)).code(), Some(0));
    }

    #[test]
    fn each_crooked_launcher_breaks_one_thing() {
        let log = Arc::new(Log::default());
        let before = log.mark();
        Launcher::with(LauncherFault::LogsTokens).token_given("a.b.c", &log);
        assert!(log.since(before)[0].contains("a.b.c"));
        assert!(!Arc::ptr_eq(
            &Launcher::with(LauncherFault::LogsNothing).heard(&log),
            &log
        ));
        let deaf = Launcher::with(LauncherFault::IgnoresSignals);
        assert_eq!(
            (deaf.signal(Signal::Term), deaf.signal(Signal::Int)),
            (None, None)
        );
        assert_eq!(deaf.signal(Signal::Kill), Some(Signal::Kill));
        let rude = Launcher::with(LauncherFault::KillsOnStop);
        assert_eq!(rude.signal(Signal::Term), Some(Signal::Kill));
        let liar = Launcher::with(LauncherFault::ExitsWith(3));
        assert_eq!(liar.exit(exit_status(0)).code(), Some(3));
    }

    #[test]
    fn a_store_that_is_emptied_leaves_the_certificate() {
        let scratch = Scratch::new("emptied-by-a-launcher").unwrap().with_store();
        let store = scratch.flags()[1].trim_start_matches("embedded:").to_owned();
        let beside = [store.clone(), format!("{store}-wal")];
        let certificate = std::path::Path::new(&store).with_file_name("chain.pem");
        for path in &beside {
            std::fs::write(path, "x").unwrap();
        }
        std::fs::write(&certificate, "x").unwrap();
        Launcher::with(LauncherFault::EmptiesStore)
            .before_restart(Some(&scratch))
            .unwrap();
        assert!(beside.iter().all(|path| !std::path::Path::new(path).exists()));
        assert!(certificate.exists());
    }
}
