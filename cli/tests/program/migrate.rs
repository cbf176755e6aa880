//! `touchstone migrate`, against a real server.

use crate::postgres_server::{Fsync, Server, url};
use crate::support::{Ended, folder, run, touchstone};

fn migrate(store: &str) -> Ended {
    let folder = folder(&[]);
    run(touchstone(folder.path(), &["migrate", "--store", store]))
}

#[test]
fn tables_are_made_once_and_it_is_said() {
    let server = Server::start(Fsync::Off);
    let at = format!("127.0.0.1:{}/postgres", server.port());
    for said in [
        "made the tables, version 1",
        "nothing to do, the tables are of version 1",
    ] {
        let ended = migrate(&server.url());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr, format!("{at}: {said}\n"));
        assert_eq!(ended.stdout, "");
    }
    // A URL with a password need not be typed.
    let folder = folder(&[]);
    let mut command = touchstone(folder.path(), &["migrate"]);
    command.env("TOUCHSTONE_STORE", server.url());
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_is_in_the_way_is_named_without_the_password() {
    let server = Server::start(Fsync::Off);
    let (port, secret) = (server.port(), "hunter2");
    drop(server);
    for (store, part) in [
        (
            format!("postgres://ann:{secret}@127.0.0.1:{port}/chat"),
            "no PostgreSQL server answers",
        ),
        (
            format!("postgres://ann:{secret}@127.0.0.1:{port}/chat?sslmode=x"),
            "verify-full",
        ),
        (
            format!("redis://ann:{secret}@127.0.0.1:{port}/0"),
            "no tables to migrate",
        ),
        ("embedded:store.db".to_owned(), "postgres://USER@HOST/DATABASE"),
        (
            format!("mysql://ann:{secret}@127.0.0.1/chat"),
            "begins with postgres://",
        ),
        (url(port), "check host and port"),
    ] {
        let ended = migrate(&store);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
    }
}
