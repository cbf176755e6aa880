//! Sessions in Redis.

use std::sync::Arc;
use std::time::Duration;

use redis::FromRedisValue;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touchstone_storage::redis::{LinkTerms, Redis, RedisSessions, RedisUrl};
use touchstone_storage::{Absent, EmbeddedLimits, Entry, SessionStore, Settlement, Timestamp};

use crate::contract;
use crate::support::server::{Cluster, Memory, Server};

const TTL: Duration = Duration::from_secs(3_600);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_123);

async fn open(states: RedisUrl, messages: RedisUrl, limits: EmbeddedLimits) -> (RedisSessions, DropGuard) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let link = async |url| {
        let opened = Redis::open(url, LinkTerms::default(), &tasks, stop.clone());
        opened.await.unwrap()
    };
    let (states, messages) = (link(states).await, link(messages).await);
    let sessions = RedisSessions::new(states, messages, TTL, limits);
    (sessions, stop.clone().drop_guard())
}

/// The same server, another database.
fn database(server: &Server, number: u32) -> RedisUrl {
    format!("{}/{number}", server.url()).parse().unwrap()
}

#[tokio::test]
async fn they_keep_the_contract_in_one_database() {
    let server = Server::start(Memory::Lost);
    let (sessions, _stop) = open(server.url(), server.url(), EmbeddedLimits::default()).await;
    contract::session_store(Arc::new(sessions), TTL, async |passed| server.age(passed)).await;
}

#[tokio::test]
async fn they_keep_the_contract_on_two_servers() {
    let (one, other) = (Server::start(Memory::Lost), Server::start(Memory::Lost));
    let (sessions, _stop) = open(one.url(), other.url(), EmbeddedLimits::default()).await;
    let pass = async |passed| {
        one.age(passed);
        other.age(passed);
    };
    contract::session_store(Arc::new(sessions), TTL, pass).await;
}

#[tokio::test]
async fn they_keep_the_contract_on_a_cluster() {
    let cluster = Cluster::start();
    let (sessions, _stop) = open(cluster.url(), cluster.url(), EmbeddedLimits::default()).await;
    let pass = async |passed| cluster.servers().iter().for_each(|server| server.age(passed));
    contract::session_store(Arc::new(sessions), TTL, pass).await;
}

#[tokio::test]
async fn redis_cli_finds_what_is_documented_under_the_documented_keys() {
    let server = Server::start(Memory::Lost);
    let (sessions, _stop) = open(server.url(), database(&server, 3), EmbeddedLimits::default()).await;
    sessions
        .advance("s 1", Some(r#"{"content":"a"}"#), AT)
        .await
        .unwrap();
    sessions.advance("s 1", None, AT).await.unwrap();
    let state: String = server.ask(&["GET", "session:s 1"]);
    assert_eq!(state, r#"{"count":2,"last_activity":1700000000.123}"#);
    let mut other = server.connection();
    let _: () = redis::cmd("SELECT").arg(3).query(&mut other).unwrap();
    let messages = redis::cmd("LRANGE")
        .arg("session:s 1:messages")
        .arg(0)
        .arg(-1)
        .query::<Vec<String>>(&mut other);
    assert_eq!(messages.unwrap(), [r#"{"content":"a"}"#]);
    let whole = TTL.as_millis() as i64;
    let left: i64 = server.ask(&["PTTL", "session:s 1"]);
    assert!((whole - 60_000..=whole).contains(&left), "{left}");
    let left = redis::cmd("PTTL").arg("session:s 1:messages").query(&mut other);
    let left = i64::from_redis_value(left.unwrap()).unwrap();
    assert!((whole - 60_000..=whole).contains(&left), "{left}");

    // What another program has written is a session as well; what is none is not overwritten.
    let _: () = server.ask(&["SET", "session:theirs", r#"{"last_activity": 5, "count": 41}"#]);
    assert_eq!(sessions.advance("theirs", None, AT).await, Ok(42));
    let _: () = server.ask(&["SET", "session:broken", "hello"]);
    assert!(sessions.advance("broken", None, AT).await.is_err());
    assert!(sessions.load("broken").await.is_err());
    assert_eq!(server.ask::<String>(&["GET", "session:broken"]), "hello");
}

#[tokio::test]
async fn of_too_many_entries_the_oldest_go() {
    let server = Server::start(Memory::Lost);
    let limits = EmbeddedLimits {
        entries_per_session_max: 3,
        entry_bytes_per_session_max: 10_000,
        ..EmbeddedLimits::default()
    };
    let (sessions, _stop) = open(server.url(), server.url(), limits).await;
    for entry in ["a", "b", "c", "d"] {
        sessions.advance("s", Some(entry), AT).await.unwrap();
    }
    assert_eq!(
        sessions.entries("s").await.unwrap(),
        ["b".into(), "c".into(), "d".into()] as [Entry; 3]
    );
    let large: [Entry; 2] = ["x".repeat(9_000).into(), "y".repeat(12_000).into()];
    let settlement = Settlement {
        count_min: 9,
        at: AT,
        entries: &large,
        absent: Absent::Leave,
    };
    assert_eq!(sessions.settle("s", settlement).await, Ok(Some(9)));
    assert_eq!(sessions.entries("s").await.unwrap(), large[1..]);
}

#[tokio::test]
async fn what_was_counted_is_still_counted_after_redis_was_killed() {
    let mut server = Server::start(Memory::AppendedAlways);
    let (sessions, _stop) = open(server.url(), server.url(), EmbeddedLimits::default()).await;
    for count in 1..=50 {
        assert_eq!(sessions.advance("s", Some("entry"), AT).await, Ok(count));
    }
    server.kill();
    server.start_again();
    // The first call may find that the old connection is gone.
    let mut count = sessions.advance("s", Some("entry"), AT).await;
    while count.is_err() {
        count = sessions.advance("s", Some("entry"), AT).await;
    }
    assert_eq!(count, Ok(51));
    assert_eq!(sessions.entries("s").await.unwrap().len(), 51);
}
