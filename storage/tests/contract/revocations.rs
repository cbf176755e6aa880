//! What every store of revoked tokens promises.

use touchstone_storage::{Revocations, Timestamp};

/// The whole contract of revocations.
pub(crate) async fn keeps(store: impl Revocations) {
    let at = Timestamp::from_millis;
    assert!(!store.is_revoked("here", "one").await.unwrap());
    store.revoke("here", "one", at(100), at(500)).await.unwrap();
    store.revoke("here", "one", at(100), at(400)).await.unwrap();
    store.revoke("here", "two", at(399), at(900)).await.unwrap();
    for (realm, token, revoked) in [
        ("here", "one", true),
        ("here", "two", true),
        ("here", "three", false),
        ("there", "one", false),
    ] {
        assert_eq!(
            store.is_revoked(realm, token).await.unwrap(),
            revoked,
            "{realm}, {token}"
        );
    }
}
