//! The task of a node that keeps its lease, makes up for what Redis has not heard, and counts out nodes that are no more.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::{Change, Inner, NewsKind, PresenceNews, Seat, new_name, read};
use crate::redis::link::LinkError;

/// Connections of a node that died, counted out by one script: less than a millisecond in which Redis does nothing else.
const REAPED_AT_ONCE: usize = 256;

/// What Redis says of the leases.
struct Leases {
    /// Under which name this node asked.
    node: Arc<str>,
    /// Whether this node has one.
    holds: bool,
    /// Nodes whose leases have run out.
    run_out: Vec<String>,
}

#[derive(Clone, Copy)]
enum Lease {
    Begin,
    Renew,
}

impl Inner {
    pub(super) async fn begin_lease(&self) -> Result<(), LinkError> {
        self.lease(Lease::Begin).await.map(|_| ())
    }

    /// Goes on until it is dropped. The lease is renewed beside all else: whoever takes his time to hear news does not make
    /// this node look dead.
    pub(super) async fn keep(&self) {
        // One is enough: what was not done in a turn is done in the next.
        let (found, turns) = mpsc::channel(1);
        tokio::join!(self.renew(found), self.act(turns));
    }

    async fn renew(&self, found: mpsc::Sender<Leases>) {
        let mut turns = interval(self.renew_every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Right away when Redis is back: it may have forgotten everything.
            let state = self.link.state();
            tokio::select! {
                _ = turns.tick() => {}
                changed = self.link.state_after(state) => match changed {
                    Some(state) if state.is_up() => {}
                    Some(_) => continue,
                    // The connection has been stopped, and so is this.
                    None => std::future::pending::<()>().await,
                },
            }
            // An error means that Redis is away; and a full channel that the last turn is still under way.
            if let Ok(leases) = self.lease(Lease::Renew).await {
                let _ = found.try_send(leases);
            }
        }
    }

    async fn act(&self, mut turns: mpsc::Receiver<Leases>) {
        while let Some(leases) = turns.recv().await {
            // An error means that Redis is away; what was not done is done in the next turn.
            let _ = self.turn(leases).await;
        }
    }

    async fn turn(&self, leases: Leases) -> Result<(), LinkError> {
        // Said of a name that this node has given up since, it says nothing.
        if !leases.holds && leases.node == self.own().node {
            self.begin_anew().await?;
        }
        self.make_up().await?;
        for node in leases.run_out {
            self.reap(&node).await?;
        }
        Ok(())
    }

    async fn lease(&self, lease: Lease) -> Result<Leases, LinkError> {
        let node = Arc::clone(&self.own().node);
        let mut script = self.scripts.lease.key(self.leases_key());
        script
            .arg(&*node)
            .arg(self.ttl.as_millis() as u64)
            .arg(match lease {
                Lease::Begin => "begin",
                Lease::Renew => "renew",
            });
        let mut said: Vec<String> = self.link.run_script(&script).await?;
        let holds = said.first().is_some_and(|holds| holds == "1");
        said.drain(..1.min(said.len()));
        said.retain(|other| **other != *node);
        Ok(Leases {
            node,
            holds,
            run_out: said,
        })
    }

    /// Begins a lease under another name, so that whoever counts out the old one does not count out the new, and counts
    /// everybody in again.
    async fn begin_anew(&self) -> Result<(), LinkError> {
        let (old, seats) = {
            let mut own = self.own();
            let old = std::mem::replace(&mut own.node, new_name());
            own.noted.clear();
            (old, own.seats.clone())
        };
        let counted_in = async {
            self.begin_lease().await?;
            let node = Arc::clone(&self.own().node);
            for (place, seats) in &seats {
                self.note_place(place, &node).await?;
                for seat in seats {
                    // Whoever has left meanwhile is not counted in again.
                    if !self.own().has(place, seat) {
                        continue;
                    }
                    if self.count_in(place, seat, &node).await? == Change::Member {
                        self.tell(place, seat, NewsKind::Came).await;
                    }
                    if !self.own().has(place, seat) && self.count_out(place, seat).await? == Change::Member {
                        self.tell(place, seat, NewsKind::Went).await;
                    }
                }
            }
            Ok(())
        };
        let done = counted_in.await;
        if done.is_err() {
            // So that the next turn begins anew once more.
            let mut own = self.own();
            own.node = old;
            own.noted.clear();
        }
        done
    }

    /// Counts out who left while Redis was away.
    async fn make_up(&self) -> Result<(), LinkError> {
        let owed: Vec<_> = self.own().owed.iter().cloned().collect();
        for (place, seat) in owed {
            // Its own call may be under way still; whichever comes first says what changed.
            let change = self.count_out(&place, &seat).await?;
            self.own().owed.remove(&(Arc::clone(&place), seat.clone()));
            if change == Change::Member {
                self.tell(&place, &seat, NewsKind::Went).await;
            }
        }
        Ok(())
    }

    /// Counts out everybody whom a node has counted in that is no more.
    async fn reap(&self, node: &str) -> Result<(), LinkError> {
        let places: Vec<String> = {
            let mut command = redis::cmd("SMEMBERS");
            command.arg(self.places_key(node));
            self.link.run(&command).await?
        };
        for place in places {
            loop {
                let mut script = self.scripts.reap.key(self.place_key(&place));
                script.arg(node).arg(REAPED_AT_ONCE);
                let mut gone: Vec<String> = self.link.run_script(&script).await?;
                let reaped: usize = gone.remove(0).parse().unwrap_or(0);
                for entry in gone {
                    if let Some((connection, member)) = entry.split_once(' ')
                        && let Some(connection) = read(connection)
                    {
                        let member = member.into();
                        let seat = Seat { member, connection };
                        self.tell(&place, &seat, NewsKind::Went).await;
                    }
                }
                if reaped < REAPED_AT_ONCE {
                    break;
                }
            }
        }
        // Only now: had this node died before, another one would have gone on.
        let mut command = redis::cmd("DEL");
        command.arg(self.places_key(node));
        self.link.run::<()>(&command).await?;
        let mut command = redis::cmd("ZREM");
        command.arg(self.leases_key()).arg(node);
        self.link.run(&command).await
    }

    async fn tell(&self, place: &str, seat: &Seat, kind: NewsKind) {
        let news = PresenceNews {
            place: place.to_owned(),
            member: (*seat.member).to_owned(),
            connection: seat.connection,
            kind,
        };
        // An error means that nobody wants to hear of it.
        let _ = self.news.send(news).await;
    }
}

impl super::Own {
    fn has(&self, place: &str, seat: &Seat) -> bool {
        self.seats.get(place).is_some_and(|seats| seats.contains(seat))
    }
}
