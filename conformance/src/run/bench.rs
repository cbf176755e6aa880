//! What all cases of a run share: the system, the rules, the options, and how the target is set.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use touchstone_protocol::Dialect;
use touchstone_scenarios::duration::{self, full_name};
use touchstone_scenarios::rules::{ClauseId, Level, Rules};
use touchstone_sut::Sut;

use super::lateness::Lateness;
use super::{Options, preflight};
use crate::probe::Tried;
use crate::select::Case;

/// The workbench of a run.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) sut: Arc<Sut>,
    pub(crate) rules: &'static Rules,
    pub(crate) options: Options,
    /// How late the judge is on this machine.
    pub(crate) lateness: Arc<Lateness>,
    /// Makes unique ids differ between runs also where the seed does not: sessions of an earlier run may be kept.
    nonce: u64,
    /// What a look at the target found before the first case.
    in_the_way: Vec<Tried>,
    /// Only one case at a time brings a server back.
    reviving: tokio::sync::Mutex<()>,
}

impl Bench {
    pub(crate) fn new(sut: Arc<Sut>, rules: &'static Rules, options: Options) -> Self {
        let mut hasher = DefaultHasher::new();
        options.seed.hash(&mut hasher);
        SystemTime::now().hash(&mut hasher);
        Self {
            sut,
            rules,
            options,
            lateness: Arc::default(),
            nonce: hasher.finish(),
            in_the_way: Vec::new(),
            reviving: tokio::sync::Mutex::default(),
        }
    }

    /// The same, and what a look at the target found.
    pub(crate) fn knowing(self, in_the_way: Vec<Tried>) -> Self {
        Self { in_the_way, ..self }
    }

    /// What was found that is in the way of this case.
    pub(crate) fn in_the_way(&self, case: &Case) -> Option<String> {
        let found = self.in_the_way.iter();
        let mut met = found.filter(|tried| preflight::is_met_by(tried, case));
        met.next().map(preflight::sentence)
    }

    /// The same bench with another system on it.
    pub(crate) fn on(&self, sut: Arc<Sut>) -> Self {
        let (rules, nonce) = (self.rules, self.nonce);
        Self {
            sut,
            rules,
            options: self.options.clone(),
            lateness: Arc::clone(&self.lateness),
            nonce,
            in_the_way: self.in_the_way.clone(),
            reviving: tokio::sync::Mutex::default(),
        }
    }

    /// The same for second attempts: their unique ids are others.
    pub(crate) fn again(&self) -> Self {
        self.beside(Arc::clone(&self.sut), "again")
    }

    /// The same with unique ids of its own: the same case may run on both at once.
    pub(crate) fn beside(&self, sut: Arc<Sut>, salt: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.nonce, salt).hash(&mut hasher);
        Self {
            nonce: hasher.finish(),
            ..self.on(sut)
        }
    }

    /// Starts a server that a case has stopped, or that has died, where it is ours to start. A failure shows in the
    /// next case, which cannot reach it.
    pub(crate) async fn revive(&self) {
        let _one_at_a_time = self.reviving.lock().await;
        if self.sut.target().is_spawned() && !self.sut.is_running().await {
            // The next case says that it cannot reach the server, and where.
            let _still_gone = self.sut.restart().await;
        }
    }

    /// A unique id: the same within a trial, another one everywhere else. It has the shape of a UUID, which every
    /// dialect accepts where it wants an id.
    pub(crate) fn unique_id(&self, case: &Case, order: usize, name: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (self.nonce, &case.id, order, name).hash(&mut hasher);
        let mut random = fastrand::Rng::with_seed(hasher.finish());
        let bits = random.u128(..);
        format!(
            "{}-{:04x}-4{:03x}-{:04x}-{:012x}",
            self.mark_of(case, order),
            (bits >> 80) & 0xFFFF,
            (bits >> 64) & 0xFFF,
            0x8000 | ((bits >> 48) & 0x3FFF),
            bits & 0xFFFF_FFFF_FFFF
        )
    }

    /// What all unique ids of a trial begin with, and no other's do: eight hex digits.
    pub(crate) fn mark_of(&self, case: &Case, order: usize) -> String {
        let mut hasher = DefaultHasher::new();
        (self.nonce, &case.id, order).hash(&mut hasher);
        format!("{:08x}", hasher.finish() >> 32)
    }

    /// Texts that no report may show, with what it shows in their place.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let secrets = self.sut.secrets().into_iter();
        secrets
            .map(|secret| (secret.to_owned(), "<secret>".to_owned()))
            .collect()
    }

    /// A timing of the target, by the name a scenario uses.
    pub(crate) fn timing(&self, name: &str, dialect: Option<Dialect>) -> Option<Duration> {
        self.sut.target().timing(&full_name(name, dialect))
    }

    /// Works out a duration of the scenario.
    pub(crate) fn evaluate(
        &self,
        duration: &duration::Duration,
        dialect: Option<Dialect>,
    ) -> Result<Duration, duration::UnknownTiming> {
        duration.evaluate(&|name| self.timing(name, dialect))
    }

    /// A far edge, as far as patience moves it.
    pub(crate) fn stretched(&self, duration: Duration) -> Duration {
        duration.mul_f64(self.options.patience.max(1.0))
    }

    /// Level and sentence of a clause. A scenario of somebody's own protocol is its own clause, at level `must`.
    pub(crate) fn clause(&self, id: &ClauseId, case: &Case) -> (Level, String) {
        match self.rules.clause(id) {
            Some(clause) => (clause.basis.level(), clause.sentence.clone()),
            None => (Level::Must, case.scenario.title.clone()),
        }
    }
}
