//! The servers in `examples/servers`, and the mistakes that `BUG=name` puts into them: each is found by the cases that
//! `bugs.yaml` names, under a clause that it names, and none of those cases minds the server as it is. Of the whole suite
//! each fails exactly what its `known-failing.txt` lists.

mod bench;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use bench::{Bench, Bug, Strictness};

/// Servers at a time: each waits for its intervals longer than it works.
const SERVERS_MAX: usize = 4;

/// How often a bug is looked for: what two connections do at the same time shows a race most times, not every time.
/// How often a server without one is judged: what is red only beside everything else that is tested is not wrong.
const ATTEMPTS: usize = 3;

/// One kind of server after the other: more at a time would be too late for their own intervals.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn direct_over_express() {
    every_bug_is_found("direct-express");
}

#[test]
fn feed_over_fastapi() {
    every_bug_is_found("feed-fastapi");
}

#[test]
fn outbox_over_aiohttp() {
    every_bug_is_found("outbox-aiohttp");
}

#[test]
fn rooms_over_django() {
    every_bug_is_found("rooms-django");
}

#[test]
fn echo_over_ws() {
    every_bug_is_found("echo-ws");
}

#[test]
fn all_of_echo_over_ws() {
    the_whole_suite_knows("echo-ws", Strictness::Strict);
}

#[test]
fn all_of_direct_over_express() {
    the_whole_suite_knows("direct-express", Strictness::Strict);
}

#[test]
#[ignore = "takes minutes; `cargo xtask prove` runs it"]
fn all_of_feed_over_fastapi() {
    the_whole_suite_knows("feed-fastapi", Strictness::ByLevel);
}

#[test]
#[ignore = "takes minutes; `cargo xtask prove` runs it"]
fn all_of_outbox_over_aiohttp() {
    the_whole_suite_knows("outbox-aiohttp", Strictness::ByLevel);
}

#[test]
#[ignore = "takes minutes; `cargo xtask prove` runs it"]
fn all_of_rooms_over_django() {
    the_whole_suite_knows("rooms-django", Strictness::ByLevel);
}

/// A case that passes though it is listed is as red as one that fails and is not.
fn the_whole_suite_knows(server: &str, strictness: Strictness) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new(server);
    let judge = |_| bench.run_whole(strictness).err();
    let changed: Option<Vec<_>> = (0..ATTEMPTS).map(judge).collect();
    if let Some(printed) = changed {
        panic!("{}", printed.join("\n"));
    }
}

fn every_bug_is_found(server: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new(server);
    let bugs = bench.bugs();
    assert!(!bugs.is_empty(), "{server} has no bugs");
    let cases: BTreeSet<_> = bugs.iter().flat_map(|bug| bug.found_by.clone()).collect();
    let mut red: Vec<_> = cases.into_iter().collect();
    for _ in 0..ATTEMPTS {
        let cases = bench.run(None, &red).into_iter();
        red = cases
            .filter(|case| case.verdict != "passed")
            .map(|case| case.id)
            .collect();
        if red.is_empty() {
            break;
        }
    }
    let mut wrong: Vec<String> = red
        .into_iter()
        .map(|id| format!("{server} without a bug: {id} does not pass"))
        .collect();
    wrong.extend(hunted(&bench, &bugs));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was not found, or not under its clause.
fn hunted(bench: &Bench, bugs: &[Bug]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SERVERS_MAX {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let missed = missed_at_last(bench, bug);
                    wrong
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(missed);
                }
            });
        }
    });
    wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn missed_at_last(bench: &Bench, bug: &Bug) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..ATTEMPTS {
        left = missed(bench, bug);
        if left.is_empty() {
            break;
        }
    }
    left
}

fn missed(bench: &Bench, bug: &Bug) -> Vec<String> {
    let cases = bench.run(Some(&bug.id), &bug.found_by);
    let found = |wanted: &String| {
        let case = cases.iter().find(|case| case.id == *wanted);
        let case = case.unwrap_or_else(|| panic!("{}: {wanted} was not run", bug.id));
        if case.verdict != "failed" {
            return Some(format!("{}: {wanted} {}", bug.id, case.verdict));
        }
        let named = case.clauses.iter().any(|clause| bug.clauses.contains(clause));
        (!named).then(|| format!("{}: {wanted} failed under {:?}", bug.id, case.clauses))
    };
    bug.found_by.iter().filter_map(found).collect()
}
