//! A server that is killed, goes away and comes back, or is behind a network that cuts and delays.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;
use touchstone_storage::{
    Account, Accounts, Channels, NewChannel, NewPost, Postgres, PostgresOptions, Posts, StoreError,
    Timestamp, Window,
};

use crate::proxy::{Proxy, Weather};
use crate::server::{self, Fsync, Server};
use crate::{Own, node, own, parsed};

const REALM: &str = "rooms:acme";

fn post(id: String) -> NewPost {
    NewPost {
        realm: REALM.into(),
        channel: "a".into(),
        id,
        author: "ann".into(),
        text: "x".repeat(200),
        at: Timestamp::from_millis(1_000),
    }
}

async fn make_channel(store: &Postgres) {
    let channel = NewChannel {
        realm: REALM.into(),
        id: "a".to_owned(),
        name: None,
        members: vec!["ann".to_owned()],
    };
    store.create_channels(vec![channel]).await.unwrap();
}

async fn kept(store: &Postgres) -> BTreeSet<String> {
    let all = Window {
        posts: 100_000,
        readers: 0,
    };
    let view = store.view(REALM, "a", "ann", all).await.unwrap();
    let view = view.expect("a member");
    let numbers: Vec<_> = view.posts.iter().map(|post| post.sequence).collect();
    assert_eq!(numbers, (1..=view.sequence).collect::<Vec<_>>(), "no gap");
    view.posts.into_iter().map(|post| post.id).collect()
}

/// Reads until the store answers again. Every attempt waits for the server's own answer, or its refusal.
async fn back(store: &Postgres) {
    for _ in 0..1_000 {
        if store.tenant("rooms", "acme").await.is_ok() {
            return;
        }
    }
    panic!("the store does not come back");
}

/// Until somebody waits for what `own` has locked.
async fn waits_for_a_lock(own: &Own) {
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while own.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost_when_the_server_is_killed() {
    // Who runs the server has bought speed by this; a store has to overrule it.
    let careless = |_: &Path| vec!["synchronous_commit=off".to_owned()];
    let mut server = Server::start_with(Fsync::On, careless);
    let store = node(&server).await;
    assert_eq!(store.caution(), None);
    make_channel(&store).await;
    let mut confirmed = BTreeSet::new();
    for round in 0..2 {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut writing = JoinSet::new();
        for writer in 0..16 {
            let (store, tell) = (store.clone(), tell.clone());
            writing.spawn(async move {
                for number in 0.. {
                    let id = format!("{round} {writer} {number}");
                    match store.say(vec![post(id.clone())]).await {
                        // The test has stopped listening: it is over.
                        Ok(_) => drop(tell.send(id)),
                        Err(StoreError::Unavailable(_)) => return,
                    }
                }
            });
        }
        drop(tell);
        // In the middle of everything.
        for _ in 0..300 {
            confirmed.insert(told.recv().await.expect("they write on"));
        }
        server.kill();
        while let Some(id) = told.recv().await {
            confirmed.insert(id);
        }
        writing.join_all().await;
        server.start_again();
        back(&store).await;
        let kept = kept(&store).await;
        let lost: Vec<_> = confirmed.difference(&kept).collect();
        assert!(
            lost.is_empty(),
            "{} of {} lost: {lost:?}",
            lost.len(),
            confirmed.len()
        );
    }
}

#[tokio::test]
async fn many_confirmations_share_a_commit_and_stay_in_order() {
    let server = Server::start(Fsync::On);
    let store = node(&server).await;
    make_channel(&store).await;
    let own = own(&server).await;
    // Nothing is flushed while this transaction holds the channel: what is asked for meanwhile piles up.
    own.batch_execute("BEGIN; LOCK TABLE rooms_acme.channels IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut saying = JoinSet::new();
    let first = store.clone();
    saying.spawn(async move { first.say(vec![post("first".to_owned())]).await.unwrap() });
    waits_for_a_lock(&own).await;
    let others = (0..100).map(|number| {
        let store = store.clone();
        async move { store.say(vec![post(number.to_string())]).await.unwrap() }
    });
    // Each is handed in before the next.
    let mut others: Vec<_> = others.map(Box::pin).collect();
    let handed_in = std::future::poll_fn(|context| {
        for other in &mut others {
            assert!(other.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    });
    handed_in.await;
    own.batch_execute("COMMIT").await.unwrap();
    let mut numbers = saying.join_all().await.concat();
    for other in others {
        numbers.extend(other.await);
    }
    assert_eq!(
        numbers,
        (1..=101).map(Some).collect::<Vec<_>>(),
        "in the order in which they were asked"
    );
    let commits = "SELECT count(DISTINCT xmin::text) FROM rooms_acme.posts";
    let commits: i64 = own.query_one(commits, &[]).await.unwrap().get(0);
    assert_eq!(commits, 2, "the first alone, all others together");
}

#[tokio::test]
async fn what_its_caller_gave_up_before_it_began_is_never_begun() {
    let server = Server::start(Fsync::Off);
    let store = node(&server).await;
    make_channel(&store).await;
    let own = own(&server).await;
    own.batch_execute("BEGIN; LOCK TABLE rooms_acme.channels IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut saying = JoinSet::new();
    let first = store.clone();
    saying.spawn(async move { first.say(vec![post("first".to_owned())]).await.unwrap() });
    waits_for_a_lock(&own).await;
    let mut given_up = Box::pin(store.say(vec![post("given up".to_owned())]));
    let looked = std::future::poll_fn(|context| std::task::Poll::Ready(given_up.as_mut().poll(context)));
    assert!(looked.await.is_pending());
    drop(given_up);
    own.batch_execute("COMMIT").await.unwrap();
    saying.join_all().await;
    let said = store.say(vec![post("last".to_owned())]).await.unwrap();
    assert_eq!(said, [Some(2)]);
}

#[tokio::test]
async fn one_write_that_cannot_be_done_leaves_those_beside_it_alone() {
    let server = Server::start(Fsync::Off);
    let store = node(&server).await;
    make_channel(&store).await;
    let say = |id: &str| store.say(vec![post(id.to_owned())]);
    // The id is unique in the channel.
    let (one, twice, last) = tokio::join!(say("one"), say("one"), say("last"));
    assert_eq!((one.unwrap(), last.unwrap()), (vec![Some(1)], vec![Some(2)]));
    let refused = twice.expect_err("it is there already").to_string();
    assert!(refused.contains("duplicate key"), "{refused}");
}

/// A node that has its server behind the proxy, on tables that are there.
async fn node_behind(proxy: &Proxy, deadline: Duration) -> Postgres {
    let options = PostgresOptions {
        deadline,
        ..PostgresOptions::default()
    };
    let url = parsed(&server::url(proxy.port));
    // On a busy machine a short deadline may pass before anything is wrong.
    for _ in 0..100 {
        if let Ok(store) = Postgres::open(&url, options).await {
            return store;
        }
    }
    panic!("the store cannot be opened");
}

#[tokio::test]
async fn a_cut_is_told_at_once_and_over_when_the_network_is_back() {
    let server = Server::start(Fsync::Off);
    let proxy = Proxy::before(&server).await;
    make_channel(&node(&server).await).await;
    let store = node_behind(&proxy, Duration::from_secs(60)).await;
    let own = own(&server).await;
    own.batch_execute("BEGIN; LOCK TABLE rooms_acme.channels IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let saying = store.say(vec![post("cut off".to_owned())]);
    let cut = async {
        waits_for_a_lock(&own).await;
        proxy.turns(Weather::Cut);
    };
    let (said, ()) = tokio::join!(saying, cut);
    assert!(said.is_err(), "nobody knows whether it was done");
    assert!(store.say(vec![post("refused".to_owned())]).await.is_err());
    assert!(store.tenant("rooms", "acme").await.is_err());
    own.batch_execute("COMMIT").await.unwrap();
    proxy.turns(Weather::Clear);
    back(&store).await;
    let said = store.say(vec![post("after".to_owned())]).await.unwrap();
    let kept = kept(&store).await;
    assert!(kept.contains("after") && !kept.contains("refused"), "{kept:?}");
    assert_eq!(said, [Some(kept.len() as u64)]);
}

#[tokio::test]
async fn silence_ends_by_the_deadline_and_holds_nobody_up() {
    let server = Server::start(Fsync::Off);
    let proxy = Proxy::before(&server).await;
    let other = node(&server).await;
    make_channel(&other).await;
    let store = node_behind(&proxy, Duration::from_secs(1)).await;
    proxy.turns(Weather::Silent);
    let (said, looked) = tokio::join!(
        store.say(vec![post("into the void".to_owned())]),
        store.tenant("rooms", "acme")
    );
    for error in [
        said.expect_err("silence").to_string(),
        looked.expect_err("silence").to_string(),
    ] {
        assert!(error.contains("no answer within 1s"), "{error}");
    }
    // Another node does not wait for what the lost one may hold.
    let said = other.say(vec![post("other".to_owned())]).await.unwrap();
    assert_eq!(said, [Some(1)]);
    proxy.turns(Weather::Clear);
    back(&store).await;
    let kept = kept(&other).await;
    assert_eq!(
        kept,
        BTreeSet::from(["other".to_owned()]),
        "what nobody waits for is not done later"
    );
}

#[tokio::test]
async fn a_server_that_is_restarted_is_found_again() {
    let mut server = Server::start(Fsync::Off);
    let store = node(&server).await;
    make_channel(&store).await;
    server.kill();
    let refused = store
        .say(vec![post("refused".to_owned())])
        .await
        .expect_err("it is away");
    assert!(matches!(refused, StoreError::Unavailable(_)));
    assert!(store.account(REALM, "1").await.is_err());
    server.start_again();
    back(&store).await;
    store.say(vec![post("after".to_owned())]).await.unwrap();
    assert_eq!(kept(&store).await, BTreeSet::from(["after".to_owned()]));
}

#[tokio::test]
async fn far_away_a_transaction_is_one_way_and_many_share_it() {
    let server = Server::start(Fsync::Off);
    let proxy = Proxy::before(&server).await;
    make_channel(&node(&server).await).await;
    let store = node_behind(&proxy, Duration::from_secs(60)).await;
    // The first time statements are prepared.
    store.say(vec![post("first".to_owned())]).await.unwrap();
    proxy.turns(Weather::Slow);
    let before = proxy.turns.count();
    store.say(vec![post("second".to_owned())]).await.unwrap();
    assert_eq!(
        proxy.turns.count() - before,
        1,
        "begin, locks, schema, statement and commit"
    );
    let before = proxy.turns.count();
    let many = (0..100).map(|number| store.say(vec![post(number.to_string())]));
    let mut saying = many.map(Box::pin).collect::<Vec<_>>();
    std::future::poll_fn(|context| {
        saying.retain_mut(|one| one.as_mut().poll(context).is_pending());
        match saying.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    let ways = proxy.turns.count() - before;
    assert!(ways <= 2, "{ways} ways for a hundred messages");
}

#[tokio::test]
async fn a_call_that_is_given_up_in_the_middle_leaves_nothing_to_the_next() {
    let server = Server::start(Fsync::Off);
    let store = node(&server).await;
    let options = PostgresOptions {
        readers: 1,
        ..PostgresOptions::default()
    };
    let url = parsed(&server.url());
    let ann = |name: &str| Account {
        id: "1".to_owned(),
        username: name.to_owned(),
        ..Account::default()
    };
    store.create_accounts(REALM, vec![ann("of acme")]).await.unwrap();
    store
        .create_accounts("direct", vec![ann("of direct")])
        .await
        .unwrap();
    let store = Postgres::open(&url, options).await.unwrap();
    let username = async |realm: &str| {
        let found = store.account(realm, "1").await.unwrap();
        found.map(|account| account.username)
    };
    for looks in 1..12 {
        let mut given_up = Box::pin(store.account(REALM, "1"));
        for _ in 0..looks {
            let looked = std::future::poll_fn(|context| {
                std::task::Poll::Ready(given_up.as_mut().poll(context).is_ready())
            });
            if looked.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(given_up);
        assert_eq!(
            username("direct").await.as_deref(),
            Some("of direct"),
            "after {looks} looks"
        );
        assert_eq!(
            username(REALM).await.as_deref(),
            Some("of acme"),
            "after {looks} looks"
        );
    }
}
