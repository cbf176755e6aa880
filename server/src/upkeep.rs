//! What goes on beside the connections: heartbeats, broadcasts, sweeps, and what keeps sessions alive and saved.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shared::Shared;

/// Sweeps of the embedded store in the life of a session.
const SWEEPS_PER_TTL: u32 = 10;
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The tasks beside the connections. Owned by [`Server::run`](crate::Server::run), which ends them.
pub(crate) struct Upkeep {
    relay: Crew,
    others: Crew,
}

/// Tasks that end together.
#[derive(Default)]
struct Crew {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Crew {
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        self.tracker.spawn(task(self.stop.clone()));
    }

    /// Tells them to end and waits for it. False if that took longer than until `patience`.
    async fn end(&self, patience: Instant) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout_at(patience, self.tracker.wait())
            .await
            .is_ok()
    }
}

impl Upkeep {
    /// Starts all of it.
    pub(crate) async fn start(shared: &Arc<Shared>) -> Self {
        let upkeep = Self {
            relay: Crew::default(),
            others: Crew::default(),
        };
        upkeep.keep_sessions(shared);
        match shared.echo.dialect.subscribe().await {
            Ok(broadcasts) => {
                let route = Arc::clone(&shared.echo);
                upkeep
                    .relay
                    .spawn(|stop| async move { route.dialect.relay(broadcasts, &route.hub, stop).await });
            }
            Err(error) => tracing::error!(%error, "broadcasts are not heard"),
        }
        if let Some(heartbeats) = &shared.echo.heartbeats {
            let (heartbeats, echo) = (Arc::clone(heartbeats), Arc::clone(&shared.echo.dialect));
            upkeep.others.spawn(|stop| async move {
                let sent = |taken| {
                    echo.metrics.messages_sent.inc_by(taken);
                };
                heartbeats.run(|| echo.heartbeat(), sent, stop).await;
            });
        }
        upkeep
    }

    fn keep_sessions(&self, shared: &Arc<Shared>) {
        let sessions = || Arc::clone(&shared.echo.dialect.sessions);
        let (mended, kept_up, swept) = (sessions(), sessions(), sessions());
        self.others.spawn(|stop| async move { mended.mend(stop).await });
        self.others
            .spawn(|stop| async move { kept_up.keep_up(stop).await });
        let pause = (shared.config.echo.session_ttl / SWEEPS_PER_TTL).max(SWEEP_PAUSE_MIN);
        self.others.spawn(|stop| async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_some()
            {
                let store = swept.store().inner();
                store.sweep();
                let sessions = store.take_crowded_out();
                if sessions > 0 {
                    tracing::warn!(
                        sessions,
                        "the embedded store was full: those that would run out first left it"
                    );
                }
            }
        });
    }

    /// Sees to it that broadcasts which were accepted so far reach the connections. Before these are told goodbye.
    pub(crate) async fn end_relay(&self, patience: Instant) {
        if !self.relay.end(patience).await {
            tracing::warn!("broadcasts were not handed on in time");
        }
    }

    /// Ends the rest. After the last connection.
    pub(crate) async fn end(self, patience: Instant) {
        if !self.others.end(patience).await {
            tracing::warn!("the grace period is over before the upkeep has ended");
        }
    }
}
