//! The built-in server on the stores that are not its own: real ones, under the cases that are about what is kept.

use crate::postgres_server::{Fsync, Server as Postgres};
use crate::redis_server::{Memory, Server as Redis};
use crate::support::{folder, run, touchstone};

/// Cases in which something is stored and found again, by whoever else asks or after a kill of the server.
const CASES: [&str; 8] = [
    "common/9b*",
    "echo/6*",
    "echo/7*",
    "rooms/3*",
    "outbox/6*",
    "direct/4*",
    "direct/8*",
    "feed/http-messages*",
];

fn keeps_what_it_is_told(store: &str) {
    let folder = folder(&[]);
    let flags = ["--strict", "--jobs", "8", "--patience", "3", "--store", store];
    let arguments = [&["conform", "run"][..], &CASES, &flags].concat();
    let ended = run(touchstone(folder.path(), &arguments));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn redis_keeps_what_it_is_told() {
    let redis = Redis::start(Memory::AppendedAlways);
    keeps_what_it_is_told(&format!("redis://127.0.0.1:{}/0", redis.port()));
}

#[test]
fn postgresql_keeps_what_it_is_told() {
    let postgres = Postgres::start(Fsync::Off);
    let folder = folder(&[]);
    let made = run(touchstone(
        folder.path(),
        &["migrate", "--store", &postgres.url()],
    ));
    assert_eq!(made.code, Some(0), "{made:?}");
    keeps_what_it_is_told(&postgres.url());
}

#[test]
fn what_is_wrong_with_a_store_is_said_without_the_password() {
    let folder = folder(&[]);
    let cases = [
        ("postgres://ann:hunter2@/chat", "names no host"),
        ("redis://ann:hunter2@127.0.0.1:0", "is not a port"),
        ("mysql://ann:hunter2@127.0.0.1/chat", "write embedded:"),
        ("redis://ann:hunter2@127.0.0.1:1/0", "cannot be reached"),
    ];
    for (store, part) in cases {
        let ended = run(touchstone(folder.path(), &["serve", "--dev", "--store", store]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    let mistaken = [
        "backup",
        "--store",
        "mysql://ann:hunter2@127.0.0.1/chat",
        "--to",
        "copy.db",
    ];
    let ended = run(touchstone(folder.path(), &mistaken));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}
