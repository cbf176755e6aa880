//! A server that is killed, goes away and comes back, or is behind a network that cuts and delays.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use touchstone_storage::{
    Accounts, Channels, NewChannel, NewPost, Postgres, PostgresOptions, Posts, StoreError, Timestamp, Window,
};

use crate::server::{self, Fsync, Server};
use crate::{node, own, parsed};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost_when_the_server_is_killed() {
    let mut server = Server::start(Fsync::On);
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
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while own.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
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

/// Stands between a store and its server.
struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    _tasks: JoinSet<()>,
}

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Clear,
    /// Every connection is reset, and none is taken.
    Cut,
    /// Nothing arrives, and nobody is told.
    Silent,
}

impl Proxy {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, seen) = watch::channel(Weather::Clear);
        let mut tasks = JoinSet::new();
        let behind = server.port();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (front, _) = listener.accept().await.unwrap();
                connections.spawn(pass(front, behind, seen.clone()));
            }
        });
        Self {
            port,
            weather,
            _tasks: tasks,
        }
    }

    fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn pass(mut front: TcpStream, behind: u16, weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let mut back = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
    let (mut from_front, mut to_front) = front.split();
    let (mut from_back, mut to_back) = back.split();
    let mut changes = weather.clone();
    // The end of a direction is the end of all.
    tokio::select! {
        () = pass_on(&mut from_front, &mut to_back, weather.clone()) => {}
        () = pass_on(&mut from_back, &mut to_front, weather) => {}
        _ = changes.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

/// Until an end, or until the weather has changed over something that it swallowed.
async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
) {
    let mut bytes = [0; 4_096];
    loop {
        match from.read(&mut bytes).await {
            Err(_) | Ok(0) => return,
            Ok(_) if *weather.borrow() == Weather::Silent => {
                // An error means that the test is over.
                let _ = weather.wait_for(|weather| *weather != Weather::Silent).await;
                return;
            }
            Ok(length) if to.write_all(&bytes[..length]).await.is_err() => return,
            Ok(_) => {}
        }
    }
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
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while own.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
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
