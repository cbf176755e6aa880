//! What all connections of a proxy share: the mutant, what it has been applied to, what it remembers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value};
use touchstone_protocol::Dialect;
use touchstone_scenarios::mutant::{Fault, Mutant, Rule, Way};
use touchstone_sut::Sut;

use super::deeds::{Memory, Plan, Unit, apply};
use super::http::HttpUnit;
use super::registry::Registry;
use super::rules::{Subject, is_turn, matches};
use super::tokens;

/// Tokens that are remembered: more than a run of all cases uses. The log that is to hold them is searched for each.
const TOKENS_MAX: usize = 4_096;

/// What is remembered of an [`Edit::Stale`](touchstone_scenarios::mutant::Edit::Stale), by rule, deed, edit and place.
type Stale = BTreeMap<((usize, usize, usize), String), Value>;

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct Crook {
    /// What stands behind the proxy.
    pub(super) sut: Arc<Sut>,
    /// Who is connected.
    pub(super) registry: Registry,
    mutant: Option<Arc<Mutant>>,
    connections: AtomicU64,
    touched: AtomicU64,
    /// How many units each rule was applied to.
    applied: Vec<AtomicU64>,
    /// Whether what each rule comes after has passed.
    awake: Vec<AtomicBool>,
    /// How many matched each rule, of what is counted over all connections.
    counts: Mutex<Vec<u32>>,
    stale: Mutex<Stale>,
    tokens: Mutex<Vec<String>>,
}

impl Crook {
    pub(super) fn new(sut: Arc<Sut>, mutant: Option<Arc<Mutant>>) -> Self {
        let crook = Self {
            sut,
            registry: Registry::default(),
            mutant,
            connections: AtomicU64::new(0),
            touched: AtomicU64::new(0),
            applied: Vec::new(),
            awake: Vec::new(),
            counts: Mutex::default(),
            stale: Mutex::default(),
            tokens: Mutex::default(),
        };
        let awake = crook
            .rules()
            .iter()
            .map(|rule| AtomicBool::new(rule.after.is_none()));
        let awake: Vec<_> = awake.collect();
        let rules = awake.len();
        Self {
            applied: (0..rules).map(|_| AtomicU64::new(0)).collect(),
            awake,
            counts: Mutex::new(vec![0; rules]),
            ..crook
        }
    }

    /// Whether nothing of what passes has to be understood.
    pub(super) fn is_straight(&self) -> bool {
        self.mutant.is_none()
    }

    /// The rules of the mutant; none if it is the launcher's.
    pub(super) fn rules(&self) -> &[Rule] {
        match self.mutant.as_deref().map(|mutant| &mutant.fault) {
            Some(Fault::Proxy(rules)) => rules,
            Some(Fault::Launcher(_)) | None => &[],
        }
    }

    /// Whether the mutant is about the connections of this dialect. What no dialect has at its path may be anybody's.
    pub(super) fn is_about(&self, dialect: Option<Dialect>) -> bool {
        let dialects = self.mutant.as_ref().map_or(&[][..], |mutant| &mutant.dialects);
        dialects.is_empty() || dialect.is_none_or(|dialect| dialects.contains(&dialect))
    }

    /// A number for a connection.
    pub(super) fn next_id(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }

    pub(super) fn applied(&self) -> Vec<u64> {
        let counts = self.applied.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub(super) fn tokens_seen(&self) -> Vec<String> {
        lock(&self.tokens).clone()
    }

    /// Remembers the tokens of a request.
    pub(super) fn note_tokens(&self, request: &HttpUnit) {
        for token in tokens::of(request) {
            let mut seen = lock(&self.tokens);
            if seen.len() < TOKENS_MAX && !seen.contains(&token) {
                seen.push(token);
            }
        }
    }

    /// Does what the rules say about something that passes; `None` if they say nothing. `counts` are those of the
    /// connection.
    pub(super) fn treat(
        &self,
        subject: Subject<'_>,
        way: Way,
        counts: &mut [u32],
        unit: impl FnOnce() -> Unit,
    ) -> Option<(Unit, Plan)> {
        let mut applying = Vec::new();
        for (number, rule) in self.rules().iter().enumerate() {
            // What wakes a rule is not what it is applied to.
            let awake = self.awake[number].load(Ordering::Relaxed);
            if !awake && rule.after.as_ref().is_some_and(|after| matches(after, subject)) {
                self.awake[number].store(true, Ordering::Relaxed);
            }
            if !awake || !matches(&rule.on, subject) {
                continue;
            }
            let count = if subject.is_counted_over_all() {
                let mut all = lock(&self.counts);
                all[number] = all[number].saturating_add(1);
                all[number]
            } else {
                counts[number] = counts[number].saturating_add(1);
                counts[number]
            };
            if is_turn(rule.which, count) {
                self.applied[number].fetch_add(1, Ordering::Relaxed);
                applying.push((number, rule.does.as_slice()));
            }
        }
        if applying.is_empty() {
            return None;
        }
        let (mut unit, mut plan) = (unit(), Plan::default());
        let before = unit.bytes();
        for rule in applying {
            apply(rule, way, &mut unit, &mut plan, self);
        }
        // A place that is not there is left alone: then nothing is broken yet.
        if plan != Plan::default() || unit.bytes() != before {
            self.touched.fetch_add(1, Ordering::Relaxed);
        }
        Some((unit, plan))
    }
}

impl Memory for Crook {
    fn before(&self, edit: (usize, usize, usize), place: &str, now: Value) -> Option<Value> {
        lock(&self.stale).insert((edit, place.to_owned()), now)
    }

    fn sign(&self, token: &str, claims: &Map<String, Value>) -> Option<String> {
        let of_mutant = self.mutant.as_ref().and_then(|mutant| mutant.dialects.first());
        let dialect = of_mutant.or(self.sut.target().dialects.first())?;
        self.sut.sign_again(*dialect, token, claims)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared
        .lock()
        .expect("what a proxy shares is never poisoned: no code panics while holding it")
}
