//! Every target, given bytes that are made up: of no kind, and of the kind it is for.

mod frames;
mod messages;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use touchstone_fuzz_targets::TARGETS;

use messages::Dialect;

/// How long a failure is looked into, beside the case that is under way.
const SHRINK_MILLIS_MAX: u32 = 30_000;

/// What a target is given, and how often: one that is served takes a hundred times as long.
fn inputs(target: &str) -> (u32, BoxedStrategy<Vec<u8>>) {
    match target {
        "receiver" | "handshake" | "inflate" => (600, frames::input().boxed()),
        "decoders" => (1_500, messages::one_of_any().boxed()),
        "echo" => (250, messages::several(Dialect::Echo).boxed()),
        "rooms" => (350, messages::several(Dialect::Rooms).boxed()),
        "outbox" => (200, messages::several(Dialect::Outbox).boxed()),
        "feed" => (200, messages::several(Dialect::Feed).boxed()),
        "direct" => (350, messages::several(Dialect::Direct).boxed()),
        "requests" => (1_500, messages::request().boxed()),
        unknown => panic!("{unknown} has no inputs"),
    }
}

fn check(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(other, _)| *other == name)
        .expect("it is a target");
    let (cases, inputs) = inputs(name);
    let config = ProptestConfig {
        cases,
        // Who waits in vain for an answer waits long.
        max_shrink_time: SHRINK_MILLIS_MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let found = TestRunner::new(config).run(&inputs, |input| {
        target(&input);
        Ok(())
    });
    if let Err(TestError::Fail(why, input)) = found {
        let text = String::from_utf8_lossy(&input);
        panic!("{name}: {why}\ninput: {text:?}\nin bytes: {input:02x?}");
    }
}

/// A test for each target, so that they run side by side.
macro_rules! tests {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn each_target_has_a_test() {
            let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(targets, [$(stringify!($name)),*]);
        }
    };
}

tests!(
    receiver, handshake, inflate, decoders, echo, rooms, outbox, feed, direct, requests
);
