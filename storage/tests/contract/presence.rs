//! What every presence promises.

use touchstone_storage::{Change, ConnectionId, Presence};

/// The whole contract of presence.
pub(crate) async fn keeps(presence: impl Presence) {
    let (one, two, three) = (ConnectionId(1), ConnectionId(2), ConnectionId(3));
    let arrive = |member, connection| presence.arrive("place", member, connection);
    let depart = |member, connection| presence.depart("place", member, connection);
    assert_eq!(
        depart("ann", one).await.unwrap(),
        Change::ConnectionOnly,
        "never there"
    );
    assert_eq!(arrive("ann", one).await.unwrap(), Change::Member);
    assert_eq!(arrive("bob", two).await.unwrap(), Change::Member);
    assert_eq!(arrive("ann", three).await.unwrap(), Change::ConnectionOnly);
    assert_eq!(
        arrive("ann", three).await.unwrap(),
        Change::ConnectionOnly,
        "counted once"
    );

    let connections = async |member| presence.connections("place", member).await.unwrap();
    assert_eq!(connections("ann").await, [one, three], "in the order of arrival");
    assert_eq!(connections("eve").await, []);

    let latest = |limit| presence.latest("place", limit);
    let everybody = latest(10).await.unwrap();
    assert_eq!(
        everybody.members.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["ann", "bob"],
        "who connected last comes first"
    );
    let cut = latest(1).await.unwrap();
    assert_eq!((cut.members.len(), cut.total), (1, 2));
    let there = presence
        .are_present("place", &["bob", "eve", "ann"])
        .await
        .unwrap();
    assert_eq!(there, [true, false, true]);
    let elsewhere = presence.are_present("another place", &["ann"]).await.unwrap();
    assert_eq!(elsewhere, [false]);
    assert_eq!(presence.latest("another place", 10).await.unwrap().total, 0);

    assert_eq!(depart("ann", one).await.unwrap(), Change::ConnectionOnly);
    assert_eq!(
        depart("ann", one).await.unwrap(),
        Change::ConnectionOnly,
        "gone already"
    );
    assert_eq!(connections("ann").await, [three]);
    assert_eq!(depart("ann", three).await.unwrap(), Change::Member);
    assert_eq!(depart("bob", two).await.unwrap(), Change::Member);
    assert_eq!(latest(10).await.unwrap().total, 0);
}
