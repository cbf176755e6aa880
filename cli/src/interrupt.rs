//! Ctrl-C: the first asks for an early end with a full report, the second ends at once.

use tokio::signal;
use tokio_util::sync::CancellationToken;

use crate::exit;

/// Runs `work`, which gets a token that the first Ctrl-C cancels. A second Ctrl-C drops the work and returns `None`:
/// whatever it started ends with it.
pub(crate) async fn or_interrupted<T>(work: impl AsyncFnOnce(CancellationToken) -> T) -> Option<T> {
    let stop = CancellationToken::new();
    let twice = async {
        interrupted().await;
        stop.cancel();
        interrupted().await;
    };
    tokio::select! {
        done = work(stop.clone()) => Some(done),
        () = twice => None,
    }
}

/// What a command that was interrupted twice ends with.
pub(crate) const fn at_once() -> exit::Outcome {
    Ok(exit::INTERRUPTED)
}

async fn interrupted() {
    if signal::ctrl_c().await.is_err() {
        // Without a handler there is nothing to wait for: Ctrl-C ends the program as the system does it.
        std::future::pending::<()>().await;
    }
}
