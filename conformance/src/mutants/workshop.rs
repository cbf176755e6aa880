//! Where the trials are made: many at once on one server, each through a proxy of its own, so that no trial can see what
//! is broken for another.
//!
//! A case that needs a server to itself gets one of a few that are kept for that, and what a launcher breaks one that
//! is started for it alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_scenarios::mutant::{Fault, LauncherFault, Mutant};
use touchstone_sut::Sut;

use super::Event;
use super::subject::{Subject, Watch};
use super::tally::{Purpose, Seen, Tally, Trial};
use crate::crooked::Proxy;
use crate::results::CaseResult;
use crate::run::bench::Bench;
use crate::run::run_apart;
use crate::select::Case;
use crate::verdict::CaseVerdict;

/// Servers that are started for cases which need one to themselves. These cases mostly wait.
const SERVERS_MAX: usize = 6;

/// Trials that one server is used for, where more can be started: what they leave behind, users and what these have
/// said, makes lists longer and longer until nothing that holds them passes in time.
const TRIALS_PER_SERVER_MAX: usize = 2_000;
/// Second attempts at once: so few that what made the judge late is not its own doing again.
const AGAIN_AT_ONCE_MAX: usize = 2;

/// What all lanes share.
pub(crate) struct Workshop {
    pub(crate) bench: Bench,
    pub(crate) cases: Vec<Case>,
    pub(crate) subjects: Vec<Subject>,
    /// With what a case is watched, by its position.
    pub(crate) watches: BTreeMap<usize, Arc<Watch>>,
    pub(crate) tally: Mutex<Tally>,
    /// Trials that say as much of this machine as of the server. Filled by lanes, emptied when they have ended.
    pub(crate) to_try_again: Mutex<Vec<Trial>>,
    /// How many trials have been begun: what makes the unique ids of each its own.
    pub(crate) begun: AtomicU64,
    /// Keep what every failure says.
    pub(crate) trace: bool,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) stop: CancellationToken,
}

/// Trials that wait for a lane.
type Queue = Arc<Mutex<VecDeque<Trial>>>;

/// On which server a lane makes its trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the one that is there, beside others.
    Shared,
    /// On the one that is there, when no other lane is left.
    Alone,
    /// On one of its own.
    Own,
}

/// Which attempt a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    /// The judge was late in the first. There is no third.
    Second,
}

impl Workshop {
    /// Makes these trials, except those that others make needless meanwhile. Those in which the judge was late are made
    /// again when the others have ended, a few at once. Ends early when told to stop.
    pub(crate) async fn make(self: &Arc<Self>, trials: Vec<Trial>, at_once: usize) {
        self.attempt(trials, at_once, Attempt::First).await;
        let again = std::mem::take(&mut *lock(&self.to_try_again));
        if !again.is_empty() {
            self.attempt(again, at_once.min(AGAIN_AT_ONCE_MAX), Attempt::Second)
                .await;
        }
    }

    async fn attempt(self: &Arc<Self>, trials: Vec<Trial>, at_once: usize, attempt: Attempt) {
        let alone = |trial: &Trial| self.cases[trial.case].scenario.alone || self.fault_of(trial).is_some();
        let (alone, together): (Vec<_>, Vec<_>) = trials.into_iter().partition(alone);
        let own_lanes = if self.bench.sut.target().is_spawned() {
            SERVERS_MAX.min(at_once).min(alone.len())
        } else {
            0
        };
        let alone = Queue::new(Mutex::new(alone.into()));
        let shared = &self.bench.sut;
        let mut watching = JoinSet::new();
        let lateness = Arc::clone(&self.bench.lateness);
        // Until the trials are made: it is ended by being dropped.
        watching.spawn(async move { lateness.watch().await });
        let mut lanes = JoinSet::new();
        for _ in 0..own_lanes {
            let own = (Arc::clone(shared), Place::Own);
            lanes.spawn(Arc::clone(self).lane(Arc::clone(&alone), own, attempt));
        }
        for portion in together.chunks(TRIALS_PER_SERVER_MAX) {
            self.make_together(portion, at_once, attempt).await;
        }
        lanes.join_all().await;
        // What is left: there is no server that could be had alone, so the shared one is, now.
        let alone_now = (Arc::clone(shared), Place::Alone);
        Arc::clone(self).lane(alone, alone_now, attempt).await;
    }

    /// Makes these side by side, on a server that has seen no others where one can be started.
    async fn make_together(self: &Arc<Self>, trials: &[Trial], at_once: usize, attempt: Attempt) {
        let target = self.bench.sut.target();
        let fresh = if target.is_spawned() {
            // Without it the one that is there has to do.
            Sut::start(target.clone()).await.ok().map(Arc::new)
        } else {
            None
        };
        let shared = fresh.as_ref().unwrap_or(&self.bench.sut);
        let queue = Queue::new(Mutex::new(trials.iter().copied().collect()));
        let mut lanes = JoinSet::new();
        for _ in 0..at_once.max(1) {
            let shared = (Arc::clone(shared), Place::Shared);
            lanes.spawn(Arc::clone(self).lane(Arc::clone(&queue), shared, attempt));
        }
        lanes.join_all().await;
        if let Some(server) = fresh.and_then(Arc::into_inner) {
            server.shut_down().await;
        }
    }

    async fn lane(self: Arc<Self>, queue: Queue, (shared, place): (Arc<Sut>, Place), attempt: Attempt) {
        let mut own = None;
        while let Some(trial) = self.next(&queue, place).await {
            let seen = match (self.fault_of(&trial), place) {
                (Some(fault), Place::Own) => self.with_launcher(&trial, fault).await,
                (None, Place::Own) => {
                    if own.is_none() {
                        let started = Sut::start(self.bench.sut.target().clone()).await;
                        own = started.ok().map(Arc::new);
                    }
                    let Some(server) = &own else {
                        // It and what follows is tried on the shared server at the end.
                        lock(&queue).push_front(trial);
                        return;
                    };
                    let seen = self.on(server, &trial).await;
                    // What a case that went wrong has left behind must not be laid to the next mutant's charge.
                    if seen.result.verdict != CaseVerdict::Passed
                        && let Some(left) = own.take().and_then(Arc::into_inner)
                    {
                        left.shut_down().await;
                    }
                    seen
                }
                // A launcher's mutant is tried where servers can be started; elsewhere its subject needs `spawn`.
                (_, Place::Shared | Place::Alone) => self.on(&shared, &trial).await,
            };
            if attempt == Attempt::First && self.deserves_another(&trial, &seen) {
                lock(&self.to_try_again).push(trial);
            } else {
                self.record(trial, seen).await;
            }
        }
        if let Some(server) = own.and_then(Arc::into_inner) {
            server.shut_down().await;
        }
    }

    async fn next(&self, queue: &Queue, place: Place) -> Option<Trial> {
        if place == Place::Shared {
            // A busy machine gets fewer trials at once, and not later ones.
            let keeping_up = self.bench.lateness.caught_up();
            self.stop.run_until_cancelled(keeping_up).await?;
        }
        while !self.stop.is_cancelled() {
            let trial = lock(queue).pop_front()?;
            if !lock(&self.tally).makes_needless(&trial, &self.subjects, &self.cases) {
                return Some(trial);
            }
        }
        None
    }

    fn mutant_of(&self, trial: &Trial) -> Option<&Arc<Mutant>> {
        match trial.purpose {
            Purpose::Watch => self.watches.get(&trial.case).map(|watch| &watch.mutant),
            Purpose::Control { .. }
            | Purpose::EachCase
            | Purpose::Name(_)
            | Purpose::AnyCase
            | Purpose::Scenario => trial.subject.map(|subject| &self.subjects[subject].mutant),
        }
    }

    /// Which of the watched subjects were met.
    fn met(&self, trial: &Trial, by_rule: &[u64]) -> BTreeMap<usize, bool> {
        let mut met = BTreeMap::new();
        if let (Purpose::Watch, Some(watch)) = (trial.purpose, self.watches.get(&trial.case)) {
            for (owner, count) in watch.owners.iter().zip(by_rule) {
                *met.entry(*owner).or_insert(false) |= *count > 0;
            }
        }
        met
    }

    fn fault_of(&self, trial: &Trial) -> Option<&LauncherFault> {
        match &self.mutant_of(trial)?.fault {
            Fault::Launcher(fault) => Some(fault),
            Fault::Proxy(_) => None,
        }
    }

    /// On a server that a crooked launcher starts for this trial.
    async fn with_launcher(&self, trial: &Trial, fault: &LauncherFault) -> Seen {
        match Sut::start_crookedly(self.bench.sut.target().clone(), *fault).await {
            Err(error) => self.not_made(trial, &format!("no server could be started: {error}")),
            Ok(server) => {
                let server = Arc::new(server);
                let mut seen = self.through(&server, trial, None).await;
                seen.touched = true;
                if let Some(server) = Arc::into_inner(server) {
                    server.shut_down().await;
                }
                seen
            }
        }
    }

    async fn on(&self, server: &Arc<Sut>, trial: &Trial) -> Seen {
        self.through(server, trial, self.mutant_of(trial).cloned()).await
    }

    async fn through(&self, server: &Arc<Sut>, trial: &Trial, mutant: Option<Arc<Mutant>>) -> Seen {
        let case = &self.cases[trial.case];
        let proxy = match Proxy::start(Arc::clone(server), mutant).await {
            Ok(proxy) => proxy,
            Err(error) => return self.not_made(trial, &format!("no proxy could be started: {error}")),
        };
        let view = Arc::new(server.through(proxy.addresses().to_vec()));
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let bench = Arc::new(self.bench.beside(view, number));
        let result = run_apart(&bench, case, &self.stop).await.result;
        if case.scenario.alone || result.verdict == CaseVerdict::CouldNotRun {
            bench.revive().await;
        }
        drop(bench);
        let touched = proxy.touched() > 0;
        let met = self.met(trial, &proxy.touched_by_rule());
        proxy.shut_down().await;
        Seen { result, touched, met }
    }

    /// Whether the judge was late, and what was seen is not what a mutant does.
    fn deserves_another(&self, trial: &Trial, seen: &Seen) -> bool {
        let is_noticed = |subject: usize| seen.notices(&self.subjects[subject]);
        seen.result.deserves_another() && !trial.subject.is_some_and(is_noticed)
    }

    /// A trial that this machine did not allow.
    fn not_made(&self, trial: &Trial, why: &str) -> Seen {
        let bench = self.bench.on(Arc::clone(&self.bench.sut));
        let outcome = crate::run::could_not_run(&bench, &self.cases[trial.case], why.to_owned());
        Seen {
            result: outcome.result,
            touched: false,
            met: BTreeMap::new(),
        }
    }

    async fn record(&self, trial: Trial, seen: Seen) {
        let killed = {
            let mut tally = lock(&self.tally);
            let first = tally.add(&trial, &seen, &self.subjects, self.trace);
            first.then(|| tally.killed())
        };
        let CaseResult { id, verdict, .. } = seen.result;
        let mutant = trial.subject.map(|subject| self.subjects[subject].id.clone());
        let event = Event::Tried {
            case: id,
            verdict,
            mutant,
            killed,
        };
        // Nobody listens any more: the results are returned all the same.
        let _unheard = self.events.send(event).await;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
