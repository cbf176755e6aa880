//! Events that wait for their users until somebody confirms them.

use std::future::Future;
use std::sync::Arc;

use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// An event to be kept. It begins as pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Unique over all stores and restarts.
    pub id: String,
    /// Whom it is for.
    pub user: String,
    /// What it is called; the store does not look at it.
    pub kind: String,
    /// What it says; the store does not look inside. Many events may say the same.
    pub data: Arc<str>,
    /// From when it is to be sent.
    pub scheduled_at: Timestamp,
    /// Nobody else claims it until then: whoever stores it hands it on himself. The epoch for one that anybody may.
    pub claimed_until: Timestamp,
}

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// It may not have arrived.
    Pending,
    /// It has arrived.
    Sent {
        /// When it was written to the connection whose peer confirmed it first.
        at: Timestamp,
    },
}

/// An event as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order in which events were stored; never given twice, not even after the event has gone.
    pub number: u64,
    /// As in [`NewEvent`].
    pub id: String,
    /// As in [`NewEvent`].
    pub user: String,
    /// As in [`NewEvent`].
    pub kind: String,
    /// As in [`NewEvent`].
    pub data: String,
    /// As in [`NewEvent`].
    pub scheduled_at: Timestamp,
    /// How far it is.
    pub state: EventState,
}

/// That an event has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// The event's number.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// Keeps events of users, apart by realm.
///
/// Guarantees of every implementation: storing several is all or nothing; an event is pending from when it is stored until
/// it is noted as arrived, and a pending one goes only with its user; of several calls of [`claim_events`](Self::claim_events), on
/// whatever node, at most one gets an event before the claim on it has run out.
pub trait Events: Send + Sync + 'static {
    /// Stores events. Returns their numbers, which rise.
    fn store_events(
        &self,
        realm: &str,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = Result<Vec<u64>, StoreError>> + Send;

    /// At most `limit` pending events of a user that are due at `now`, claimed or not: the oldest `scheduled_at` first,
    /// then as they were stored.
    fn pending_events(
        &self,
        realm: &str,
        user: &str,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// Claims for the caller, until `until`, at most `limit` pending events of these users that are due at `now` and not
    /// claimed. In the order of [`pending_events`](Self::pending_events), those of different users mixed.
    fn claim_events(
        &self,
        realm: &str,
        users: Vec<String>,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// Notes that events have arrived. For each the first note counts; one that has gone is no error.
    fn note_arrived(
        &self,
        realm: &str,
        arrived: Vec<Arrived>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// At most `limit` events of a user whose number comes after `after`, in the order in which they were stored.
    fn events(
        &self,
        realm: &str,
        user: &str,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// Removes all events of a user.
    fn remove_events(&self, realm: &str, user: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes at most `limit` events that have arrived and are not to be kept: their age counts from `scheduled_at`.
    /// Returns how many went.
    fn trim_events(
        &self,
        realm: &str,
        keep: Keep,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
