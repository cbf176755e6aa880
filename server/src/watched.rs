//! A store as the dialects call it: with a deadline, with failures on request, and with a note of whether it answers.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use touchstone_storage::{CreateError, StoreError};

use crate::faults::Faults;
use crate::metrics::Metrics;

/// How a call can fail.
pub(crate) trait Failure: From<StoreError> {
    /// The store's own failure, if it was one.
    fn of_store(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl Failure for CreateError {
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Taken { .. } => None,
            Self::Store(error) => Some(error),
        }
    }
}

/// A store, each call of which is to go through [`call`](Self::call).
#[derive(Debug)]
pub(crate) struct Watched<S> {
    store: S,
    faults: Arc<Faults>,
    metrics: Arc<Metrics>,
    deadline: Duration,
    away: AtomicBool,
}

impl<S> Watched<S> {
    /// A call that takes longer than `deadline` has failed (common/7d).
    pub(crate) fn new(store: S, faults: Arc<Faults>, metrics: Arc<Metrics>, deadline: Duration) -> Self {
        Self {
            store,
            faults,
            metrics,
            deadline,
            away: AtomicBool::new(false),
        }
    }

    /// Awaits a call of the store. One that has not begun by the deadline is never made; one that has may yet be done.
    pub(crate) async fn call<T, E: Failure>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let call = async {
            self.faults.store().await?;
            call.await
        };
        let begun = Instant::now();
        let called = tokio::time::timeout(self.deadline, call).await;
        self.metrics.store_calls.note(begun.elapsed());
        let Ok(done) = called else {
            let late = StoreError::Unavailable(format!("no answer within {:?}", self.deadline));
            self.note_away(&late);
            return Err(late.into());
        };
        match done.as_ref().err().and_then(Failure::of_store) {
            Some(error) => self.note_away(error),
            None if self.away.swap(false, Ordering::AcqRel) => {
                self.metrics.store_available.set(1);
                tracing::info!("the store is back");
            }
            None => {}
        }
        done
    }

    /// Whether the last call was answered in time.
    pub(crate) fn is_available(&self) -> bool {
        !self.away.load(Ordering::Acquire)
    }

    fn note_away(&self, error: &StoreError) {
        if !self.away.swap(true, Ordering::AcqRel) {
            self.metrics.store_unavailable.inc();
            self.metrics.store_available.set(0);
            tracing::warn!(%error, "the store is away");
        }
    }
}

impl<S> Deref for Watched<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}
