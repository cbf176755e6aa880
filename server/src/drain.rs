//! Draining, for a rolling restart (common/6c): nobody new is let in, and those who are here are closed one after the
//! other, spread over a window, while the rest go on working.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use touchstone_protocol::Dialect;

use crate::connection::Connection;
use crate::hub::Hub;
use crate::shared::Shared;
use crate::stop::Parting;

/// Time between two rounds of closing: short, so that clients come back one by one and not in crowds.
const ROUND: Duration = Duration::from_millis(20);

/// Whether a route lets nobody new in. It never does again: what is drained is restarted.
#[derive(Debug, Default)]
pub(crate) struct Draining(AtomicBool);

impl Draining {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every route.
    Everything,
    /// Those of one dialect.
    Dialect(Dialect),
}

/// Begins a drain and returns how many connections it is going to close. They are closed over `window`, by a task that
/// ends early when the server stops.
pub(crate) fn begin(shared: &Arc<Shared>, scope: Scope, window: Duration) -> usize {
    let mut connections = Vec::new();
    for (hub, draining) in drained(shared, scope) {
        // Before its connections are counted: who comes later finds it shut.
        draining.begin();
        connections.extend(hub.present());
    }
    let count = connections.len();
    tracing::info!(?scope, connections = count, ?window, "draining");
    let errand = spread(Arc::clone(shared), connections, window);
    shared.errands.spawn(errand);
    count
}

fn drained(shared: &Shared, scope: Scope) -> Vec<(&Arc<Hub>, &Draining)> {
    let of = |dialect: &Dialect| match dialect {
        Dialect::Echo => (&shared.echo.hub, &shared.echo.draining),
        Dialect::Rooms => (&shared.rooms.hub, &shared.rooms.draining),
        Dialect::Outbox => (&shared.outbox.hub, &shared.outbox.draining),
        Dialect::Feed => (&shared.feed.hub, &shared.feed.draining),
        Dialect::Direct => (&shared.direct.hub, &shared.direct.draining),
    };
    match scope {
        Scope::Dialect(dialect) => vec![of(&dialect)],
        Scope::Everything => {
            let raw_echo = shared
                .raw_echo
                .as_ref()
                .map(|route| (&route.hub, &route.draining));
            Dialect::ALL.iter().map(of).chain(raw_echo).collect()
        }
    }
}

/// Closes `connections`, evenly over `window`.
async fn spread(shared: Arc<Shared>, connections: Vec<Arc<Connection>>, window: Duration) {
    let (begun, count) = (Instant::now(), connections.len());
    let mut left = connections.into_iter();
    while left.len() > 0 {
        let closed = count - left.len();
        let due = due(count, begun.elapsed(), window).saturating_sub(closed);
        for connection in left.by_ref().take(due) {
            let retry_after_seconds = shared.stopping.advice();
            connection.see_off(Parting::Restarting { retry_after_seconds });
        }
        let stopped = shared.ending.cancelled();
        if tokio::time::timeout(ROUND, stopped).await.is_ok() {
            return;
        }
    }
    tracing::info!(connections = count, "drained");
}

/// How many of `count` are to be closed once `elapsed` of the window is over: the first at once.
fn due(count: usize, elapsed: Duration, window: Duration) -> usize {
    if elapsed >= window {
        return count;
    }
    let share = elapsed.as_secs_f64() / window.as_secs_f64();
    ((count as f64 * share).ceil() as usize).clamp(1, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_spread_evenly_over_the_window() {
        let window = Duration::from_secs(10);
        for (count, millis, expected) in [
            (100, 0, 1),
            (100, 1_000, 10),
            (100, 5_001, 51),
            (100, 9_999, 100),
            (100, 20_000, 100),
            (1, 0, 1),
            (10_000, 20, 20),
        ] {
            let elapsed = Duration::from_millis(millis);
            assert_eq!(due(count, elapsed, window), expected, "{count} after {millis} ms");
        }
        assert_eq!(due(7, Duration::ZERO, Duration::ZERO), 7);
    }
}
