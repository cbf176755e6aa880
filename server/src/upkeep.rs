//! What goes on beside the connections: relays, heartbeats, sweeps, and what keeps sessions alive and saved.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use touchstone_storage::Inbox;

use crate::dialects::DialectServer;
use crate::lingering::{self, Lingers};
use crate::memory;
use crate::parts::RoomsServer;
use crate::relay::{self, Hears, Relays};
use crate::retention::{self, Retains};
use crate::route::Route;
use crate::shared::Shared;

/// Sweeps of the embedded store in the life of a session.
const SWEEPS_PER_TTL: u32 = 10;
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Looks for tokens that have run out in the time within which their connections are closed; more would be no earlier by
/// the clock of `exp`, which counts seconds.
const EXPIRY_ROUNDS: u32 = 5;
const EXPIRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Time between two times that memory is given back: it costs some milliseconds of a core.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(1);

/// It is given back so often after the last of a crowd was dropped.
const GIVE_BACK_ROUNDS: u64 = 3;

/// So many fewer connections over HTTP are a crowd that has gone: a request now and then is no reason to go through all
/// memory.
const HTTP_CROWD: usize = 256;

/// Looks for silent peers in the time in which one may be silent: so much of it is the most by which a close is late.
const IDLE_ROUNDS: u8 = 20;

/// The most there were of something since a crowd of them has gone.
#[derive(Debug, Default)]
struct Peak(usize);

impl Peak {
    /// Whether a crowd has gone, now that there are so many.
    fn has_gone(&mut self, now: usize) -> bool {
        let has_gone = self.0 >= now + HTTP_CROWD;
        self.0 = if has_gone { now } else { self.0.max(now) };
        has_gone
    }
}

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
        upkeep.end_expired(shared);
        upkeep.end_idle(shared);
        upkeep.give_memory_back(shared);
        if let Err(error) = shared.watch_relays().await {
            tracing::error!(%error, "nobody can find out whether what is published arrives");
        }
        if let Err(error) = shared.echo.dialect.listen().await {
            tracing::error!(%error, "broadcasts are not heard");
        }
        if let Err(error) = shared.feed.dialect.listen().await {
            tracing::error!(%error, "what feed tells everybody is not heard");
        }
        if let Err(error) = shared.direct.dialect.listen().await {
            tracing::error!(%error, "who comes and goes is not heard");
        }
        let inboxes = std::mem::take(&mut *shared.inboxes());
        upkeep.hand_on(&shared.echo, &shared.echo.dialect.relays, inboxes.echo);
        upkeep.hand_on(&shared.rooms, &shared.rooms.dialect.backing.relays, inboxes.rooms);
        upkeep.hand_on(
            &shared.outbox,
            &shared.outbox.dialect.backing.relays,
            inboxes.outbox,
        );
        upkeep.hand_on(&shared.feed, &shared.feed.dialect.backing.relays, inboxes.feed);
        upkeep.hand_on(
            &shared.direct,
            &shared.direct.dialect.backing.relays,
            inboxes.direct,
        );
        let feed = Arc::clone(&shared.feed.dialect);
        upkeep
            .others
            .spawn(|stop| async move { feed.tell_crowd(stop).await });
        upkeep.keep_rooms(&shared.rooms.dialect).await;
        if let Some(work) = inboxes.direct_work {
            let direct = Arc::clone(&shared.direct.dialect);
            upkeep
                .others
                .spawn(|stop| async move { direct.work(work, stop).await });
        }
        upkeep.linger(&shared.rooms.dialect);
        upkeep.linger(&shared.feed.dialect);
        upkeep.linger(&shared.direct.dialect);
        upkeep.send_events(shared);
        upkeep.retain(shared, &shared.rooms.dialect);
        upkeep.retain(shared, &shared.outbox.dialect);
        upkeep.retain(shared, &shared.feed.dialect);
        upkeep.retain(shared, &shared.direct.dialect);
        upkeep.beat(&shared.echo);
        upkeep.beat(&shared.feed);
        upkeep.beat(&shared.direct);
        upkeep
    }

    /// Hands on what arrives in a dialect's inboxes.
    fn hand_on<D: Hears>(&self, route: &Arc<Route<D>>, relays: &Relays, inboxes: Vec<Inbox>) {
        for inbox in inboxes {
            let (marks, dialect) = (Arc::clone(relays.marks()), Arc::clone(&route.dialect));
            let took = route.terms.metrics.fanning_out.clone();
            self.relay
                .spawn(|stop| async move { relay::run(&*dialect, inbox, &marks, &took, stop).await });
        }
    }

    /// What `rooms` does beside its connections.
    async fn keep_rooms(&self, rooms: &Arc<RoomsServer>) {
        if let Err(error) = rooms.listen().await {
            tracing::error!(%error, "orders of other nodes are not heard");
        }
        for errand in rooms.errands() {
            let rooms = Arc::clone(rooms);
            self.others
                .spawn(|stop| async move { rooms.run(errand, stop).await });
        }
    }

    /// Counts out who does not come back from a node that has stopped.
    fn linger<D: Lingers>(&self, dialect: &Arc<D>) {
        let dialect = Arc::clone(dialect);
        self.others.spawn(|stop| lingering::run(dialect, stop));
    }

    /// Sends a route's heartbeats.
    fn beat<D: DialectServer>(&self, route: &Arc<Route<D>>) {
        let Some(heartbeats) = &route.heartbeats else {
            return;
        };
        let (heartbeats, dialect) = (Arc::clone(heartbeats), Arc::clone(&route.dialect));
        self.others.spawn(|stop| async move {
            heartbeats
                .run(|| dialect.heartbeat(), |taken| dialect.note_sent(taken), stop)
                .await;
        });
    }

    /// Sweeps the outbox, records what has arrived from it, and finds out who does not answer.
    fn send_events(&self, shared: &Arc<Shared>) {
        let outbox = || Arc::clone(&shared.outbox.dialect);
        let (swept, recorded, watched) = (outbox(), outbox(), outbox());
        self.others
            .spawn(|stop| async move { swept.sweep_regularly(stop).await });
        self.others
            .spawn(|stop| async move { recorded.record_arrivals(stop).await });
        self.others
            .spawn(|stop| async move { watched.close_silent(stop).await });
    }

    /// Removes what a dialect need not keep any longer.
    fn retain<R: Retains>(&self, shared: &Arc<Shared>, dialect: &Arc<R>) {
        let (dialect, retention) = (Arc::clone(dialect), shared.config.retention);
        let clock = shared.echo.dialect.clock;
        self.others
            .spawn(|stop| async move { retention::run(&*dialect, retention, clock, stop).await });
    }

    /// Closes connections whose token has run out (common/3g).
    fn end_expired(&self, shared: &Arc<Shared>) {
        let (shared, clock) = (Arc::clone(shared), shared.echo.dialect.clock);
        let pause = (shared.config.auth.close_within / EXPIRY_ROUNDS).max(EXPIRY_PAUSE_MIN);
        self.others.spawn(|stop| async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_some()
            {
                let now = clock.now();
                for hub in shared.hubs() {
                    hub.for_each(|connection| connection.end_if_expired(now));
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    /// Closes connections whose peers say nothing for too long, where that is limited.
    fn end_idle(&self, shared: &Arc<Shared>) {
        let Some(idle) = shared.config.deadlines.idle else {
            return;
        };
        let shared = Arc::clone(shared);
        self.others.spawn(|stop| async move {
            let pause = idle / u32::from(IDLE_ROUNDS);
            while stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_some()
            {
                for hub in shared.hubs() {
                    hub.for_each(|connection| connection.end_if_idle(IDLE_ROUNDS));
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    /// Gives memory back after connections have come, whose greetings took some, and after they have gone: also what they
    /// hold until their TCP has ended, and their dialect has written its last.
    fn give_memory_back(&self, shared: &Arc<Shared>) {
        let shared = Arc::clone(shared);
        let rounds = shared.config.deadlines.close.as_secs() + GIVE_BACK_ROUNDS;
        self.others.spawn(|stop| async move {
            let (mut noticed, mut rounds_left) = (0, 0);
            let mut over_http = Peak::default();
            while stop
                .run_until_cancelled(tokio::time::sleep(GIVE_BACK_PAUSE))
                .await
                .is_some()
            {
                let moves = shared.comings_and_goings();
                let crowd_has_gone = over_http.has_gone(shared.http_connections());
                if moves != noticed || crowd_has_gone {
                    noticed = moves;
                    rounds_left = rounds;
                }
                if rounds_left > 0 {
                    rounds_left -= 1;
                    shared.forget_gone();
                    tidy_threads().await;
                    // It cannot fail, and nobody would be helped by knowing.
                    let _ = tokio::task::spawn_blocking(memory::give_back).await;
                }
            }
        });
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
                match swept.store().inner().sweep().await {
                    Ok(0) => {}
                    Ok(sessions) => tracing::warn!(
                        sessions,
                        "the embedded store was full: those that would run out first left it"
                    ),
                    Err(error) => tracing::warn!(%error, "sessions that have run out could not be removed"),
                }
            }
        });
    }

    /// Ends the relays: what is published from now on is not told here. Before the connections are told goodbye.
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

/// Has the threads of the runtime tidy up what they keep at hand. More tasks than threads: each of them keeps its thread
/// busy long enough for another thread to wake up and take the next.
async fn tidy_threads() {
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let tidying: JoinSet<()> = (0..4 * threads)
        .map(|_| async { memory::tidy_thread() })
        .collect();
    tidying.join_all().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_gone_once_however_slowly() {
        let mut peak = Peak::default();
        for (now, expected) in [
            (300, false),
            (200, false),
            (45, false),
            (44, true),
            (0, false),
            (255, false),
            (0, false),
            (256, false),
            (0, true),
            (0, false),
        ] {
            assert_eq!(peak.has_gone(now), expected, "{now}");
        }
    }
}
