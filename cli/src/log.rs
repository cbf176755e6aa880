//! The log of `serve`: to stderr, as text or JSON.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Begins to log what `filter` lets through.
pub(crate) fn to_stderr(format: LogFormat, filter: &str) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter).expect("the filter was tried when it was read"))
        .with_writer(std::io::stderr)
        // It would complain on stderr, and panic if nobody reads that either.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    // A panic is caught where it happened, and logged like anything else: not as plain text between lines of JSON.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}
