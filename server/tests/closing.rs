//! Who ends TCP, and when: after both close frames the server, a silent peer's close frame is waited for only so long, and
//! where none can come it is not waited for at all. Time stands still, so nothing here is a matter of speed.

mod support;

use std::time::Duration;

use support::raw::{Frame, Raw, frame};
use support::{Running, config, start};
use tokio::task::AbortHandle;
use touchstone_server::{Config, Limits};

/// How long the server waits for the answer to its close frame.
const PATIENCE: Duration = Duration::from_secs(1);

/// And how long a peer must be silent to have answered by something that cannot be told from other bytes.
const QUIET: Duration = Duration::from_millis(200);

const TICK: Duration = Duration::from_millis(1);

/// Stops the clock of a test that began with `start_paused`, which otherwise leaps ahead as soon as nothing is to be done.
struct StoppedClock(AbortHandle);

impl StoppedClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the task waits for nothing and owns nothing; it ends with the test"
    )]
    fn new() -> Self {
        // Not for ever: then the waits of a test whose server hangs come to their end.
        let begun = std::time::Instant::now();
        let never_idle = async move {
            while begun.elapsed() < support::PATIENCE {
                tokio::task::yield_now().await;
            }
        };
        Self(tokio::spawn(never_idle).abort_handle())
    }
}

impl Drop for StoppedClock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Text that makes `echo` close 1007, because it came as a binary message and is no text.
fn no_text() -> Vec<u8> {
    frame(2, &[0xFF])
}

fn close(code: u16) -> Vec<u8> {
    frame(8, &code.to_be_bytes())
}

fn code(frame: &Frame) -> Option<u16> {
    match (frame.opcode, &frame.payload[..]) {
        (8, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

async fn echo_is_closed(server: &Running, path: &str, said: &[u8], expected: u16) -> Raw {
    let mut client = Raw::connect(server.address, path).await;
    client.send(said).await;
    assert_eq!(code(&client.hear().await), Some(expected), "{path}");
    client
}

/// The server has done all that it does at this moment: others are served after what was there before.
async fn settled(server: &Running) {
    server.request("GET /healthz", "").await;
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_tcp_once_its_close_frame_is_answered() {
    let _clock = StoppedClock::new();
    let server = start(config());
    let too_long = format!("/ws/chat/?session={}", "x".repeat(129));
    let cut_in_two = frame(1, b"cut in two");
    let (half, other_half) = cut_in_two.split_at(9);
    for (path, said, expected, then_said) in [
        (too_long.as_str(), &b""[..], 1008, &b""[..]),
        ("/ws/chat/", &no_text(), 1007, &frame(1, b"not heard")),
        ("/ws/chat/", &[&no_text(), half].concat(), 1007, other_half),
    ] {
        let mut client = echo_is_closed(&server, path, said, expected).await;
        settled(&server).await;
        assert!(!client.has_ended().await, "{path}: TCP goes on until the answer");
        client.send(&[then_said, &close(expected)].concat()).await;
        settled(&server).await;
        assert!(client.has_ended().await, "{path}: with the answer TCP ends");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_waited_for_only_so_long() {
    let _clock = StoppedClock::new();
    let server = start(Config {
        limits: Limits {
            connections: 1,
            ..Limits::default()
        },
        ..config()
    });
    let mut silent = echo_is_closed(&server, "/ws/chat/", &no_text(), 1007).await;
    let _held_open = silent.keep_open();
    tokio::time::advance(PATIENCE - TICK).await;
    settled(&server).await;
    assert!(!silent.has_ended().await);
    tokio::time::advance(2 * TICK).await;
    settled(&server).await;
    assert!(silent.has_ended().await);
    // It was silent all the while, so nothing of it is under way, and it does not get as long once more.
    let next = Raw::handshake(server.address, "/ws/chat/").await;
    assert!(next.starts_with("HTTP/1.1 101"), "{next}");
}

#[tokio::test(start_paused = true)]
async fn where_no_answer_can_come_none_is_waited_for() {
    let _clock = StoppedClock::new();
    let server = start(config());
    for (said, expected) in [
        (close(1000), 1000),
        // Both in one read: the answer is there before the question.
        ([no_text(), close(1007)].concat(), 1007),
        // Not masked, so nobody knows where the next frame begins.
        (vec![0x81, 0], 1002),
    ] {
        let mut client = echo_is_closed(&server, "/ws/chat/", &said, expected).await;
        settled(&server).await;
        assert!(client.has_ended().await, "{expected}");
    }
    let mut leaving = Raw::connect(server.address, "/ws/chat/").await;
    leaving.send(&no_text()).await;
    leaving.end_writing().await;
    assert_eq!(code(&leaving.hear().await), Some(1007));
    settled(&server).await;
    assert!(
        leaving.has_ended().await,
        "who has ended his side says nothing more"
    );
}

#[tokio::test(start_paused = true)]
async fn behind_a_message_that_is_refused_the_answer_is_what_comes_before_a_silence() {
    let _clock = StoppedClock::new();
    let server = start(config());
    // Four times as much as there may be; the client goes on sending for a while before it sees that it is in vain.
    let too_big = frame(2, &[0; 256 << 10]);
    let (some, more) = too_big.split_at(1_000);
    let mut client = echo_is_closed(&server, "/ws/chat/", some, 1009).await;
    for piece in more.chunks(100_000) {
        tokio::time::advance(QUIET - TICK).await;
        settled(&server).await;
        assert!(!client.has_ended().await, "it was not silent for long enough");
        client.send(piece).await;
        settled(&server).await;
    }
    client.send(&close(1009)).await;
    settled(&server).await;
    tokio::time::advance(QUIET + TICK).await;
    settled(&server).await;
    assert!(client.has_ended().await);
}

#[tokio::test(start_paused = true)]
async fn who_never_falls_silent_is_not_waited_for_any_longer() {
    let _clock = StoppedClock::new();
    let server = start(config());
    let mut babbler = echo_is_closed(&server, "/ws/chat/", &frame(2, &[0; 70_000])[..1_000], 1009).await;
    let mut rounds = 0;
    while !babbler.has_ended().await {
        tokio::time::advance(QUIET / 2).await;
        babbler.send(b"babble").await;
        settled(&server).await;
        rounds += 1;
    }
    assert_eq!(QUIET / 2 * rounds, PATIENCE);
}
