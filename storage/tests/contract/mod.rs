//! What every backend must do, as sentences. A backend's own test file says how to make one and how time passes.

pub(crate) mod accounts;
pub(crate) mod bus;
pub(crate) mod channels;
pub(crate) mod conversations;
pub(crate) mod dialogues;
pub(crate) mod events;
pub(crate) mod presence;
pub(crate) mod resources;
pub(crate) mod revocations;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use touchstone_storage::{Absent, Entry, SessionStore, Settlement, Timestamp};

const EARLY: Timestamp = Timestamp::from_millis(1_700_000_000_123);
const LATE: Timestamp = Timestamp::from_millis(1_700_000_009_000);

/// The whole contract of a session store. `ttl` is how long it keeps a session; `pass` lets that much time go by.
pub(crate) async fn session_store<S, P>(store: Arc<S>, ttl: Duration, pass: impl Fn(Duration) -> P)
where
    S: SessionStore,
    P: Future<Output = ()>,
{
    counting_starts_at_one_and_goes_on(&*store).await;
    counts_taken_at_once_are_all_different(&store).await;
    entries_are_kept_in_order_with_their_count(&*store).await;
    a_settlement_never_lowers_the_count(&*store).await;
    a_settlement_makes_a_session_only_when_asked(&*store).await;
    a_removed_session_was_never_there(&*store).await;
    the_time_counts_from_the_last_write(&*store, ttl, &pass).await;
    a_renewed_session_is_kept_and_a_missing_one_not_made(&*store, ttl, &pass).await;
}

async fn counting_starts_at_one_and_goes_on(store: &impl SessionStore) {
    assert_eq!(store.load("counted").await.unwrap(), None);
    assert_eq!(store.advance("counted", None, EARLY).await.unwrap(), 1);
    assert_eq!(store.advance("counted", None, LATE).await.unwrap(), 2);
    let session = store.load("counted").await.unwrap().expect("it was just written");
    assert_eq!((session.count, session.last_activity), (2, LATE));
    assert!(session.remaining <= session.ttl && session.remaining > session.ttl / 2);
    assert_eq!(
        store.load("another").await.unwrap(),
        None,
        "sessions don't share their count"
    );
}

async fn counts_taken_at_once_are_all_different<S: SessionStore>(store: &Arc<S>) {
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(store);
        writers.spawn(async move {
            let mut counts = Vec::new();
            for _ in 0..50 {
                counts.push(store.advance("shared", None, EARLY).await.unwrap());
            }
            counts
        });
    }
    let mut counts = writers.join_all().await.concat();
    counts.sort_unstable();
    assert_eq!(counts, (1..=400).collect::<Vec<u64>>());
}

async fn entries_are_kept_in_order_with_their_count(store: &impl SessionStore) {
    assert!(store.entries("kept").await.unwrap().is_empty());
    store.advance("kept", Some("one"), EARLY).await.unwrap();
    store.advance("kept", None, EARLY).await.unwrap();
    let more: [Entry; 2] = ["two \u{1F980}".into(), "".into()];
    let settlement = Settlement {
        count_min: 0,
        at: EARLY,
        entries: &more,
        absent: Absent::Leave,
    };
    assert_eq!(store.settle("kept", settlement).await.unwrap(), Some(2));
    store.advance("kept", Some("three"), EARLY).await.unwrap();
    let expected: [Entry; 4] = ["one".into(), "two \u{1F980}".into(), "".into(), "three".into()];
    assert_eq!(store.entries("kept").await.unwrap(), expected);
}

async fn a_settlement_never_lowers_the_count(store: &impl SessionStore) {
    let settle = |count_min, at| {
        store.settle(
            "settled",
            Settlement {
                count_min,
                at,
                entries: &[],
                absent: Absent::Create,
            },
        )
    };
    assert_eq!(settle(7, LATE).await.unwrap(), Some(7));
    assert_eq!(settle(3, EARLY).await.unwrap(), Some(7));
    let session = store.load("settled").await.unwrap().expect("it was just written");
    assert_eq!((session.count, session.last_activity), (7, LATE));
    assert_eq!(store.advance("settled", None, LATE).await.unwrap(), 8);
}

async fn a_settlement_makes_a_session_only_when_asked(store: &impl SessionStore) {
    let settle = |absent| {
        store.settle(
            "absent",
            Settlement {
                count_min: 4,
                at: EARLY,
                entries: &[],
                absent,
            },
        )
    };
    assert_eq!(settle(Absent::Leave).await.unwrap(), None);
    assert_eq!(store.load("absent").await.unwrap(), None);
    assert_eq!(settle(Absent::Create).await.unwrap(), Some(4));
}

async fn a_removed_session_was_never_there(store: &impl SessionStore) {
    store.advance("removed", Some("one"), EARLY).await.unwrap();
    assert!(store.remove("removed").await.unwrap());
    assert!(
        !store.remove("removed").await.unwrap(),
        "the second time there is nothing to remove"
    );
    assert_eq!(store.load("removed").await.unwrap(), None);
    assert!(store.entries("removed").await.unwrap().is_empty());
    assert_eq!(store.advance("removed", None, EARLY).await.unwrap(), 1);
    assert!(store.entries("removed").await.unwrap().is_empty());
}

async fn the_time_counts_from_the_last_write<P: Future<Output = ()>>(
    store: &impl SessionStore,
    ttl: Duration,
    pass: &impl Fn(Duration) -> P,
) {
    store.advance("timed", Some("one"), EARLY).await.unwrap();
    pass(ttl * 3 / 4).await;
    store.advance("timed", Some("two"), EARLY).await.unwrap();
    pass(ttl * 3 / 4).await;
    let session = store
        .load("timed")
        .await
        .unwrap()
        .expect("it was written within its time");
    assert!(session.remaining <= ttl / 2, "reading does not renew");
    assert_eq!(
        store.entries("timed").await.unwrap().len(),
        2,
        "entries live as long as the state"
    );
    pass(ttl / 2).await;
    assert_eq!(store.load("timed").await.unwrap(), None);
    assert!(store.entries("timed").await.unwrap().is_empty());
    assert!(!store.remove("timed").await.unwrap());
    assert_eq!(store.advance("timed", None, EARLY).await.unwrap(), 1);
}

async fn a_renewed_session_is_kept_and_a_missing_one_not_made<P: Future<Output = ()>>(
    store: &impl SessionStore,
    ttl: Duration,
    pass: &impl Fn(Duration) -> P,
) {
    store.advance("renewed", Some("one"), EARLY).await.unwrap();
    for _ in 0..2 {
        pass(ttl * 3 / 4).await;
        store
            .renew(&["renewed".into(), "never made".into()])
            .await
            .unwrap();
    }
    let session = store
        .load("renewed")
        .await
        .unwrap()
        .expect("it was renewed within its time");
    assert_eq!(
        (session.count, session.last_activity),
        (1, EARLY),
        "a renewal writes nothing else"
    );
    assert_eq!(store.entries("renewed").await.unwrap().len(), 1);
    assert_eq!(store.load("never made").await.unwrap(), None);
}
