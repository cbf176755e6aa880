//! Stories in one line each: `+` a connection opens, `-` it ends, `s` a message is sent, `3=7` an answer to message 3 with count 7.

use super::*;
use proptest::strategy::Strategy as _;

const DEADLINE: Nanos = 5_000;

/// The protocol's third act, when it was meant to be done.
fn asked(at: Nanos) -> Asked {
    Asked {
        act: 2,
        timing: Timing {
            intended: at,
            sent: at,
        },
    }
}

fn told(story: &str) -> Sender {
    let mut sender = Sender::default();
    for (now, event) in (0..).zip(story.split_whitespace()) {
        match event {
            "+" => sender.opened(),
            "-" => sender.ended(),
            "s" => sender.sent(asked(now), DEADLINE),
            answer => {
                let (sequence, count) = answer.split_once('=').expect("`sequence=count`");
                sender.answer(
                    sequence.parse().unwrap(),
                    Some(count.parse().unwrap()),
                    now,
                    DEADLINE,
                );
            }
        }
    }
    sender
}

/// `received lost duplicated reordered unconfirmed`.
#[track_caller]
fn check(name: &str, story: &str, expected: [u64; 5]) {
    let totals = told(story).totals();
    let Totals {
        received,
        lost,
        duplicated,
        reordered,
        unconfirmed,
        ..
    } = totals;
    assert_eq!(
        [received, lost, duplicated, reordered, unconfirmed],
        expected,
        "{name}: {story}\n{totals:?}"
    );
    assert_eq!(totals.expected, received + lost, "{name}");
}

#[test]
fn on_a_connection_that_stayed_up() {
    check("all answered", "+ s s s 1=1 2=2 3=3", [3, 0, 0, 0, 0]);
    check("one counted and not answered", "+ s s s 1=1 3=3", [2, 1, 0, 0, 0]);
    check(
        "one neither counted nor answered",
        "+ s s s 1=1 3=2",
        [2, 0, 0, 0, 1],
    );
    check(
        "two of three counted and not answered",
        "+ s s s s s 1=1 5=4",
        [2, 2, 0, 0, 1],
    );
    check("the first counted and not answered", "+ s s 2=2", [1, 1, 0, 0, 0]);
    check(
        "the last not answered: nothing tells whether it was counted",
        "+ s s 1=1",
        [1, 0, 0, 0, 1],
    );
    check("two swapped", "+ s s s 1=1 3=3 2=2", [3, 0, 0, 1, 0]);
    check("swapped and counted so", "+ s s s 1=1 3=2 2=3", [3, 0, 0, 1, 0]);
    check("three turned round", "+ s s s 3=3 2=2 1=1", [3, 0, 0, 2, 0]);
    check("an answer twice", "+ s s 1=1 1=1 2=2", [2, 0, 1, 0, 0]);
    check(
        "an answer twice, counted twice",
        "+ s s 1=1 1=2 2=3",
        [2, 0, 1, 0, 0],
    );
    check(
        "an answer twice, the second after the next",
        "+ s s 1=1 2=3 1=2",
        [2, 0, 1, 0, 0],
    );
    check(
        "the latest answer twice, its second number below its first",
        "+ s s 1=1 2=3 2=2",
        [2, 0, 1, 0, 0],
    );
    check(
        "a number that nobody's message explains",
        "+ s s 1=1 2=3",
        [2, 1, 0, 0, 0],
    );
    check(
        "a count that does not start at 1 is only a base",
        "+ s s 1=41 2=42",
        [2, 0, 0, 0, 0],
    );
    check("nor does one from 0 go back", "+ s s 1=0 2=1", [2, 0, 0, 0, 0]);
}

#[test]
fn after_a_resume() {
    check("nothing in flight", "+ s 1=1 - + s 2=2", [2, 0, 0, 0, 0]);
    check("one in flight, counted", "+ s s 1=1 - + s 3=3", [2, 0, 0, 0, 1]);
    check(
        "one in flight, not counted",
        "+ s s 1=1 - + s 3=2",
        [2, 0, 0, 0, 1],
    );
    check(
        "three in flight, two counted",
        "+ s s s s 1=1 - + s 5=4",
        [2, 0, 0, 0, 3],
    );
    check(
        "one more counted than was in flight",
        "+ s s 1=1 - + s 3=4",
        [2, 1, 0, 0, 1],
    );
    check(
        "one in flight, and counted after the next one",
        "+ s s 1=1 - + s 3=2 s 4=4",
        [3, 0, 0, 0, 1],
    );
    check(
        "an excuse is good for one number",
        "+ s s 1=1 - + s 3=3 s 4=5",
        [3, 1, 0, 0, 1],
    );
    check(
        "and not for what was sent on this connection and skipped",
        "+ s s 1=1 - + s 3=3 s s 5=5",
        [3, 1, 0, 0, 1],
    );
    check(
        "and not for what was sent on this connection",
        "+ s s 1=1 - + s 3=2 s s 5=4",
        [3, 1, 0, 0, 1],
    );
    check(
        "what was lost before stays lost",
        "+ s s s 1=1 3=3 - + s 4=4",
        [3, 1, 0, 0, 0],
    );
    check(
        "in flight over two drops",
        "+ s s 1=1 - + s - + s 4=4",
        [2, 0, 0, 0, 2],
    );
    check(
        "nothing heard before the first drop",
        "+ s - + s 2=2",
        [1, 0, 0, 0, 1],
    );
    check("told after all", "+ s s 1=1 - + 2=2 s 3=3", [3, 0, 0, 0, 0]);
    check(
        "an attempt that never stood ends nothing",
        "+ s s 1=1 - - + s 3=3",
        [2, 0, 0, 0, 1],
    );
}

#[test]
fn a_count_that_went_back() {
    check("to the start", "+ s s s 1=1 2=2 3=3 - + s 4=1", [1, 3, 0, 0, 0]);
    check("by one", "+ s s s 1=1 2=2 3=3 - + s 4=3", [3, 1, 0, 0, 0]);
    check(
        "and goes on from there",
        "+ s s 1=1 2=2 - + s s 3=1 4=2",
        [2, 2, 0, 0, 0],
    );
    check("on a live connection", "+ s s s 1=1 2=2 3=1", [1, 2, 0, 0, 0]);
    check("the same number again", "+ s s 1=1 2=1", [1, 1, 0, 0, 0]);
    check(
        "only answered messages are taken back",
        "+ s s s 1=1 3=3 - + s 4=1",
        [1, 3, 0, 0, 0],
    );
    check(
        "not those that were only in flight",
        "+ s s 1=1 - + s 3=3 - + s 4=1",
        [1, 2, 0, 0, 1],
    );
}

#[test]
fn no_number_a_server_may_give_is_too_large_or_too_small() {
    for (name, story, received) in [
        ("the largest first", "+ s s s 1=18446744073709551615 2=1 3=2", 2),
        ("the largest last", "+ s s 1=1 2=18446744073709551615", 2),
        (
            "the largest twice",
            "+ s s 1=18446744073709551615 2=18446744073709551615",
            1,
        ),
        (
            "one below it later",
            "+ s s s 1=1 3=18446744073709551615 2=18446744073709551614",
            3,
        ),
        ("nothing", "+ s s s 1=0 2=1 3=0", 1),
    ] {
        let totals = told(story).totals();
        assert_eq!(totals.received, received, "{name}: {story}\n{totals:?}");
        let mut all = totals;
        all.add(&totals);
        assert_eq!(all.received, 2 * received, "{name}: two such sessions");
    }
}

#[test]
fn an_answer_to_nothing_is_foreign_and_changes_nothing() {
    let mut sender = told("+ s 1=1");
    let before = sender.totals();
    for sequence in [0, 2, u32::MAX] {
        assert_eq!(sender.answer(sequence, Some(2), 9, DEADLINE), Answered::Foreign);
    }
    assert_eq!(sender.totals(), before);
}

#[test]
fn an_answer_after_its_deadline_is_late_and_after_twice_of_it_its_times_are_forgotten() {
    let mut sender = Sender::default();
    sender.opened();
    for sent in [0, 1, 2, 3 * DEADLINE] {
        sender.sent(asked(sent), DEADLINE);
    }
    let rows = [
        (
            4,
            3 * DEADLINE + DEADLINE,
            Answered::First(Some(asked(3 * DEADLINE))),
            0,
        ),
        (1, 3 * DEADLINE, Answered::First(None), 1),
    ];
    for (sequence, now, expected, late) in rows {
        assert_eq!(sender.answer(sequence, None, now, DEADLINE), expected);
        assert_eq!(sender.totals().late, late);
    }
    let mut prompt = Sender::default();
    prompt.opened();
    prompt.sent(asked(0), DEADLINE);
    prompt.answer(1, None, DEADLINE + 1, DEADLINE);
    assert_eq!(prompt.totals().late, 1, "one nanosecond after the deadline");
}

#[test]
fn what_is_unanswered_is_known_per_connection() {
    let rows = [
        ("+", 0),
        ("+ s s", 2),
        ("+ s s 1=1", 1),
        ("+ s s - +", 0),
        ("+ s s - + s s s 4=3", 2),
        ("+ s s s 3=3", 2),
    ];
    for (story, expected) in rows {
        assert_eq!(told(story).unanswered(), expected, "{story}");
    }
}

/// What happens between a session and a server that counts in order and may swallow answers, and may not reorder them.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// The session sends.
    Send,
    /// The server takes the next message and answers it.
    Answer,
    /// The server takes the next message, counts it and does not answer.
    Swallow,
    /// The session hears the next answer, so many times.
    Hear(u8),
    /// The connection ends. Of what was under way the server still counts so many; nobody hears of it.
    Drop(u8),
}

/// The truth: what the server did and what the session can know of it.
#[derive(Default)]
struct Truth {
    count: u64,
    /// Sent on this connection and not taken yet.
    under_way: VecDeque<u32>,
    /// Answered and not heard yet.
    answers: VecDeque<(u32, u64)>,
    /// Swallowed on this connection, after the last message whose answer was heard.
    swallowed: Vec<u32>,
    lost: u64,
    heard: u64,
    repeated: u64,
}

impl Truth {
    fn happens(&mut self, happens: Happens, sender: &mut Sender) {
        match happens {
            Happens::Send => {
                self.under_way.push_back(sender.next_sequence());
                sender.sent(asked(0), DEADLINE);
            }
            Happens::Answer | Happens::Swallow => {
                let Some(sequence) = self.under_way.pop_front() else {
                    return;
                };
                self.count += 1;
                match happens {
                    Happens::Swallow => self.swallowed.push(sequence),
                    _ => self.answers.push_back((sequence, self.count)),
                }
            }
            Happens::Hear(times) => {
                let Some((sequence, count)) = self.answers.pop_front() else {
                    return;
                };
                for _ in 0..times {
                    sender.answer(sequence, Some(count), 0, DEADLINE);
                }
                self.heard += 1;
                self.repeated += u64::from(times - 1);
                // Only an answer to a later message of the same connection shows that one was swallowed.
                self.lost += self
                    .swallowed
                    .iter()
                    .filter(|swallowed| **swallowed < sequence)
                    .count() as u64;
                self.swallowed.retain(|swallowed| *swallowed > sequence);
            }
            Happens::Drop(counted) => {
                self.count += u64::from(counted).min(self.under_way.len() as u64);
                self.under_way.clear();
                self.answers.clear();
                self.swallowed.clear();
                sender.ended();
                sender.opened();
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]
    #[test]
    fn whatever_a_server_that_keeps_order_swallows_or_drops_lost_is_exact(
        story in proptest::collection::vec(
            proptest::prop_oneof![
                5 => proptest::strategy::Just(Happens::Send),
                4 => proptest::strategy::Just(Happens::Answer),
                1 => proptest::strategy::Just(Happens::Swallow),
                4 => (1_u8..3).prop_map(Happens::Hear),
                1 => (0_u8..4).prop_map(Happens::Drop),
            ],
            0..80,
        )
    ) {
        let (mut truth, mut sender) = (Truth::default(), Sender::default());
        sender.opened();
        for happens in story {
            truth.happens(happens, &mut sender);
        }
        let totals = sender.totals();
        proptest::prop_assert_eq!(totals.lost, truth.lost);
        proptest::prop_assert_eq!(totals.received, truth.heard);
        proptest::prop_assert_eq!(totals.duplicated, truth.repeated);
        proptest::prop_assert_eq!(totals.reordered, 0);
        proptest::prop_assert_eq!(totals.sent, totals.expected + totals.unconfirmed);
    }
}
