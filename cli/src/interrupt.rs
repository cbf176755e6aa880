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

/// A signal that asks for something and does not end the program, where there are signals.
pub(crate) struct Request {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Request {
    /// SIGUSR1, by which a drain is begun. From here on it no longer ends the program.
    pub(crate) fn to_drain() -> Result<Self, Failure> {
        #[cfg(unix)]
        return Self::listen(tokio::signal::unix::SignalKind::user_defined1());
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// SIGHUP, by which files are read again. From here on it no longer ends the program.
    pub(crate) fn to_reload() -> Result<Self, Failure> {
        #[cfg(unix)]
        return Self::listen(tokio::signal::unix::SignalKind::hangup());
        #[cfg(not(unix))]
        Ok(Self {})
    }

    #[cfg(unix)]
    fn listen(kind: tokio::signal::unix::SignalKind) -> Result<Self, Failure> {
        let signal = tokio::signal::unix::signal(kind)
            .map_err(|error| Failure::usage(format!("this machine gives no signals: {error}")))?;
        Ok(Self { signal })
    }

    /// Resolves when it comes.
    pub(crate) async fn received(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
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
