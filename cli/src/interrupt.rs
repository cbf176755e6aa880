//! Being told to stop: by Ctrl-C, or by whoever manages processes.

use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// Runs `work`, which gets a token that the first signal cancels: it ends early, with a full report. The second signal
/// drops the work, and whatever it started ends with it.
pub(crate) async fn or_interrupted<T>(
    work: impl AsyncFnOnce(CancellationToken) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let twice = async {
        signals.received().await;
        stop.cancel();
        signals.received().await;
    };
    tokio::select! {
        done = work(stop.clone()) => done,
        () = twice => Err(Failure::interrupted("interrupted twice: there is no report")),
    }
}

/// SIGUSR1, where there are signals: it is how a drain is begun.
pub(crate) struct DrainSignal {
    #[cfg(unix)]
    usr1: tokio::signal::unix::Signal,
}

impl DrainSignal {
    /// From here on it no longer ends the program.
    pub(crate) fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let refused = |error| Failure::usage(format!("this machine gives no signals: {error}"));
            let usr1 = signal(SignalKind::user_defined1()).map_err(refused)?;
            Ok(Self { usr1 })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Resolves when it comes.
    pub(crate) async fn received(&mut self) {
        #[cfg(unix)]
        if self.usr1.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

/// SIGTERM and SIGINT, or Ctrl-C where there are no signals.
pub(crate) struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on they no longer end the program by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let refused = |error| Failure::usage(format!("this machine gives no signals: {error}"));
            let term = signal(SignalKind::terminate()).map_err(refused)?;
            let int = signal(SignalKind::interrupt()).map_err(refused)?;
            Ok(Self { term, int })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Resolves when one of them comes.
    pub(crate) async fn received(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler there is nothing to wait for: Ctrl-C ends the program as the system does it.
            std::future::pending::<()>().await;
        }
    }
}
