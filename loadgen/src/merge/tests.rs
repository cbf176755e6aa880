//! Parts of a run, written as reports and merged, against the whole.

use super::*;
use crate::ledger::Timing;
use crate::ledger::To;
use crate::ledger::book::{Book, CountedPage, number};
use crate::ledger::delivery::{Inbox, Outbox};
use crate::ledger::reckon::tests::{play, terms};
use crate::ledger::reckon::{CatchUp, HeardPage, Member, SentPage};
use crate::record::{ErrorKind, Latency, Recorder, Sample};
use proptest::prelude::*;
use serde_json::json;

const MS: u64 = 1_000_000;

/// A report with nothing but what every report has.
fn bare() -> Value {
    json!({
        "schema": "touchstone.load/1",
        "tool": {"version": "0.1.0"},
        "target": "ws://127.0.0.1:1",
        "started_at": "2026-01-01T00:00:00.000Z",
        "duration_ms": 10_000,
        "seed": 1,
        "verdict": "passed",
        "workload": {"name": "talk", "dialect": "rooms", "sessions": 6},
        "phases": [{"name": "steady", "start_ms": 0, "end_ms": 10_000}],
        "summary": {"sessions": {}},
        "delivery": {},
    })
}

fn summary(book: Book) -> Summary {
    let mut summary = Summary::from_json(&bare()).unwrap();
    summary.ledger = vec![book];
    summary.reckon_anew();
    summary
}

/// Writes and reads, as a report goes from one process to another.
fn merged(parts: &[Summary]) -> Result<Summary, MergeError> {
    let reports: Vec<_> = (1..)
        .zip(parts)
        .map(|(number, part)| {
            let text = part.to_json().to_string();
            (format!("part{number}.json"), serde_json::from_str(&text).unwrap())
        })
        .collect();
    merge(&reports)
}

/// The part of `whole` that has every `of`th session.
fn part(whole: &Book, index: u32, of: u32) -> Book {
    let is_here = |session: u64| number(session) % of == index;
    let mut part = Book::new(whole.run, whole.terms);
    let sent = whole.sent.iter().filter(|page| is_here(page.member.session));
    let heard = whole.heard.iter().filter(|page| is_here(page.member.session));
    (part.sent, part.heard) = (sent.cloned().collect(), heard.cloned().collect());
    part
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_parts_of_a_run_merge_into_the_whole(seed: u64, sessions in 1_usize..8, parts in 1_u32..4, away_is_an_excuse: bool) {
        let catch_up = if away_is_an_excuse { CatchUp::Impossible } else { CatchUp::Possible };
        let (_, sent, heard) = play(seed, sessions);
        let mut book = Book::new(0xfeed_beef_cafe, terms(catch_up));
        (book.sent, book.heard) = (sent, heard);
        let whole = summary(book.clone());
        let split: Vec<_> = (0..parts).map(|index| summary(part(&book, index, parts))).collect();
        let merged = merged(&split).unwrap();
        prop_assert_eq!(merged.delivery, whole.delivery);
        prop_assert_eq!(merged.beside, whole.beside);
        prop_assert_eq!(merged.to_json(), whole.to_json());
    }
}

fn of_room(place: u32) -> Member {
    Member {
        session: u64::from(place),
        group: 0,
        place,
    }
}

#[test]
fn what_is_lost_between_two_processes_only_the_whole_tells() {
    let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
    inbox.ready(0);
    outbox.sent(MS, To::OthersOfGroup);
    outbox.confirmed(1);
    let mut sender = Book::new(1, terms(CatchUp::Impossible));
    sender.sent = vec![SentPage {
        member: of_room(0),
        outbox,
    }];
    let mut recipient = Book::new(1, terms(CatchUp::Impossible));
    recipient.heard = vec![HeardPage {
        member: of_room(1),
        inbox,
    }];
    let parts = [sender, recipient].map(|book| {
        let mut summary = summary(book);
        summary.judge_all(&["delivery.lost == 0".parse().unwrap()], false);
        summary
    });
    assert!(parts.iter().all(|part| part.verdict == Verdict::Passed));
    let merged_parts = merged(&parts).unwrap();
    assert_eq!(
        (merged_parts.delivery.lost, merged_parts.verdict),
        (1, Verdict::Failed)
    );
    // Another run's sessions have nothing to do with it.
    let mut other = parts[1].clone();
    other.ledger[0].run = 2;
    assert_eq!(merged(&[parts[0].clone(), other]).unwrap().delivery.lost, 0);
}

#[test]
fn histograms_counts_and_seconds_are_added_up() {
    let mut whole = Recorder::default();
    let parts: Vec<_> = (0..3_u64)
        .map(|index| {
            let mut recorder = Recorder::default();
            for value in 0..500 {
                let sample = Sample {
                    timing: Timing { intended: 0, sent: 0 },
                    answered: (value * 3 + index) * MS,
                };
                recorder.sample(Latency::Answer, sample);
                recorder.sent(sample.timing);
            }
            whole.merge(&recorder);
            whole.second.merge(&recorder.second);
            let mut part = Summary::from_json(&bare()).unwrap();
            let mut book = Book::new(5, terms(CatchUp::Impossible));
            book.counted.push(CountedPage {
                session: index as u32,
                sent: 4,
                confirmed: vec![(1, 2)],
            });
            (book.counted_totals.sent, book.counted_totals.lost) = (4, 1);
            part.ledger = vec![book];
            part.measured[Latency::Answer as usize].1 = recorder.measured(Latency::Answer).clone();
            part.send_lag = recorder.send_lag.clone();
            part.errors.add(ErrorKind::Closed, index);
            part.sessions.attempted = 10;
            part.generator.saturated = index == 1;
            part.generator.reasons = vec!["starved".to_owned(); (index % 2) as usize];
            part.series = vec![Figures::from(&recorder.next_second(7))];
            part.judge_all(
                &[
                    "answer.p99 < 10s".parse().unwrap(),
                    "sessions.attempted == 30".parse().unwrap(),
                ],
                false,
            );
            part
        })
        .collect();
    let whole_second = whole.next_second(21);
    let all = merged(&parts).unwrap();
    let (own, expected) = (all.latency(Latency::Answer), whole.measured(Latency::Answer));
    assert_eq!(own.latency.histogram(), expected.latency.histogram());
    assert_eq!(own.service_time.histogram(), expected.service_time.histogram());
    assert_eq!(all.send_lag.histogram(), whole.send_lag.histogram());
    assert_eq!((all.delivery.sent, all.delivery.lost), (12, 3));
    assert_eq!(
        (all.errors.of(ErrorKind::Closed), all.sessions.attempted),
        (3, 30)
    );
    assert_eq!(all.plan.sessions, 6, "each part tells of all");
    assert_eq!(
        (all.series.len(), all.series[0].sent, all.series[0].connected),
        (1, 1_500, 21)
    );
    let second = all.series[0].interval(Latency::Answer).unwrap();
    assert_eq!(
        *second,
        *Figures::from(&whole_second).interval(Latency::Answer).unwrap()
    );
    assert_eq!(all.generator.reasons, ["starved"]);
    let verdicts: Vec<_> = all.thresholds.iter().map(|judged| judged.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Undecided, Verdict::Passed],
        "one that is starved spoils what is measured in time"
    );
}

#[test]
fn what_does_not_belong_together_is_refused_with_file_and_key() {
    let with = |path: &str, value: Value| {
        let mut report = summary(part(&Book::new(1, terms(CatchUp::Impossible)), 0, 1)).to_json();
        *report.pointer_mut(path).unwrap() = value;
        report
    };
    let page = json!([{"run": 0, "sender": 3, "sent": 1, "confirmed": [[1, 1]]}]);
    let rows = [
        (
            "/schema",
            json!("touchstone.load/2"),
            "b.json: `/schema` is `touchstone.load/2`, but must be `touchstone.load/1`",
        ),
        (
            "/seed",
            json!(2),
            "b.json: `seed` is `2`, but in a.json it is `1`: they do not belong together",
        ),
        (
            "/workload/name",
            json!("walk"),
            "b.json: `workload.name` is `walk`, but in a.json it is `talk`: they do not belong together",
        ),
        (
            "/delivery",
            json!({"lost": "x"}),
            "b.json: `/delivery/lost` is a text, but must be a whole number",
        ),
        (
            "/latency",
            json!({"answer": {"histogram": "AAAA"}}),
            "b.json: `/latency/answer/histogram` is no HDR histogram",
        ),
        (
            "/ledger",
            json!([{"run": 4}]),
            "b.json: `/ledger/0/run` is 4, but `/runs` has fewer",
        ),
        (
            "/ledger",
            json!([{"run": 0, "sender": 1, "tag": 0, "group": 0, "place": 0, "log": "/w==", "confirmed": []}]),
            "b.json: `/ledger/0/log` no log of sends",
        ),
        (
            "/ledger",
            page.clone(),
            "b.json: session 3 of the same run is in another report as well: is one of them given twice?",
        ),
        (
            "/runs/0/deadline_ms",
            json!(7),
            "b.json: another report of the same run has another `deadline_ms` or `catch_up`",
        ),
    ];
    for (path, value, expected) in rows {
        let reports = [
            ("a.json".to_owned(), with("/ledger", page.clone())),
            ("b.json".to_owned(), with(path, value)),
        ];
        let error = merge(&reports).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(merge(&[]).unwrap_err().to_string(), "there is no report to merge");
}
