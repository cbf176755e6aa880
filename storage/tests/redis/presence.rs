//! Presence over Redis.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touchstone_storage::redis::{
    LinkTerms, NewsKind, PresenceNews, PresenceTerms, Redis, RedisPresence, RedisUrl,
};
use touchstone_storage::{Change, ConnectionId, Presence};

use crate::contract;
use crate::support::proxy::{Mode, Proxy};
use crate::support::server::{Cluster, Memory, Server};

const ONE: ConnectionId = ConnectionId(1);
const TWO: ConnectionId = ConnectionId(2);

/// A node, which dies when it is dropped.
struct Node {
    presence: RedisPresence,
    news: Receiver<PresenceNews>,
    link: Redis,
    _stop: DropGuard,
}

async fn node(url: RedisUrl, ttl: Duration) -> Node {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let link_terms = LinkTerms {
        heartbeat: Duration::from_millis(50),
        patience: Duration::from_millis(50),
        pause_max: Duration::from_millis(50),
        connect_deadline: Duration::from_secs(5),
        ..LinkTerms::default()
    };
    let link = Redis::open(url, link_terms, &tasks, stop.clone()).await.unwrap();
    let terms = PresenceTerms {
        namespace: "touchstone".to_owned(),
        ttl,
        renew_every: Duration::from_millis(100),
    };
    let opened = RedisPresence::open(link.clone(), terms, &tasks, stop.clone()).await;
    let (presence, news) = opened.unwrap();
    Node {
        presence,
        news,
        link,
        _stop: stop.drop_guard(),
    }
}

/// Nobody's lease runs out while a test takes its time.
const LONG: Duration = Duration::from_secs(600);
/// A lease that is lost soon.
const SHORT: Duration = Duration::from_secs(1);

async fn next(node: &mut Node) -> PresenceNews {
    let next = tokio::time::timeout(Duration::from_secs(30), node.news.recv()).await;
    next.expect("it is told").expect("the node lives")
}

fn news(member: &str, connection: ConnectionId, kind: NewsKind) -> PresenceNews {
    PresenceNews {
        place: "place".to_owned(),
        member: member.to_owned(),
        connection,
        kind,
    }
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_server_and_leaves_nothing_behind() {
    let server = Server::start(Memory::Lost);
    let node = node(server.url(), LONG).await;
    contract::presence::keeps(node.presence.clone()).await;
    let mut keys: Vec<String> = server.ask(&["KEYS", "*{*"]);
    keys.sort();
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn it_keeps_the_contract_on_a_cluster() {
    let cluster = Cluster::start();
    contract::presence::keeps(node(cluster.url(), LONG).await.presence.clone()).await;
}

#[tokio::test]
async fn a_member_is_there_as_long_as_any_node_has_him() {
    let server = Server::start(Memory::Lost);
    let (a, b) = (node(server.url(), LONG).await, node(server.url(), LONG).await);
    assert_eq!(a.presence.arrive("place", "ann", ONE).await, Ok(Change::Member));
    assert_eq!(
        b.presence.arrive("place", "ann", TWO).await,
        Ok(Change::ConnectionOnly)
    );
    assert_eq!(b.presence.connections("place", "ann").await, Ok(vec![ONE, TWO]));
    assert_eq!(
        a.presence.depart("place", "ann", ONE).await,
        Ok(Change::ConnectionOnly)
    );
    // Another node may count out what this one has counted in.
    assert_eq!(a.presence.depart("place", "ann", TWO).await, Ok(Change::Member));
    assert_eq!(
        b.presence.depart("place", "ann", TWO).await,
        Ok(Change::ConnectionOnly)
    );
}

#[tokio::test]
async fn a_node_that_died_is_counted_out_and_that_is_told_once() {
    let server = Server::start(Memory::Lost);
    let dead = node(server.url(), SHORT).await;
    let (mut b, mut c) = (node(server.url(), LONG).await, node(server.url(), LONG).await);
    for member in 0..600 {
        let connection = ConnectionId(100 + member);
        dead.presence
            .arrive("place", &format!("m {member}"), connection)
            .await
            .unwrap();
    }
    dead.presence.arrive("place", "ann", ONE).await.unwrap();
    b.presence.arrive("place", "ann", TWO).await.unwrap();
    drop(dead);
    let mut gone = Vec::new();
    while gone.len() < 600 {
        let told = tokio::select! {
            told = next(&mut b) => told,
            told = next(&mut c) => told,
        };
        assert_eq!(told.kind, NewsKind::Went);
        gone.push(told.member);
    }
    gone.sort();
    gone.dedup();
    assert_eq!(gone.len(), 600, "each once");
    assert!(!gone.contains(&"ann".to_owned()), "another node has her");
    assert_eq!(c.presence.connections("place", "ann").await, Ok(vec![TWO]));
    assert_eq!(c.presence.latest("place", 9).await.unwrap().total, 1);
    b.presence.depart("place", "ann", TWO).await.unwrap();
    assert!(b.news.try_recv().is_err() && c.news.try_recv().is_err());
}

#[tokio::test]
async fn after_redis_forgot_everything_everybody_is_counted_in_again() {
    let mut server = Server::start(Memory::Lost);
    let mut a = node(server.url(), LONG).await;
    a.presence.arrive("place", "ann", ONE).await.unwrap();
    a.presence.arrive("place", "bob", TWO).await.unwrap();
    server.kill();
    while a.link.state().is_up() {
        a.link.state_after(a.link.state()).await.unwrap();
    }
    let departed = a.presence.depart("place", "bob", TWO).await;
    assert!(departed.is_err(), "{departed:?}");
    let arrived = a.presence.arrive("place", "eve", ConnectionId(3)).await;
    assert!(arrived.is_err(), "{arrived:?}");
    server.start_again();
    assert_eq!(next(&mut a).await, news("ann", ONE, NewsKind::Came));
    let b = node(server.url(), LONG).await;
    assert_eq!(
        b.presence.are_present("place", &["ann", "bob", "eve"]).await,
        Ok(vec![true, false, false])
    );
}

#[tokio::test]
async fn who_left_while_redis_was_away_is_counted_out_afterwards() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let mut a = node(proxy.url(), LONG).await;
    a.presence.arrive("place", "ann", ONE).await.unwrap();
    proxy.set(Mode::Cut);
    let departed = a.presence.depart("place", "ann", ONE).await;
    assert!(departed.is_err(), "{departed:?}");
    proxy.set(Mode::Passing);
    assert_eq!(next(&mut a).await, news("ann", ONE, NewsKind::Went));
    assert_eq!(a.presence.latest("place", 1).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_node_that_was_cut_off_for_too_long_counts_in_again_who_is_still_there() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let (mut a, mut b) = (node(proxy.url(), SHORT).await, node(server.url(), LONG).await);
    a.presence.arrive("place", "ann", ONE).await.unwrap();
    proxy.set(Mode::Cut);
    assert_eq!(next(&mut b).await, news("ann", ONE, NewsKind::Went));
    proxy.set(Mode::Passing);
    assert_eq!(next(&mut a).await, news("ann", ONE, NewsKind::Came));
    assert_eq!(b.presence.connections("place", "ann").await, Ok(vec![ONE]));
    assert_eq!(a.presence.depart("place", "ann", ONE).await, Ok(Change::Member));
}
