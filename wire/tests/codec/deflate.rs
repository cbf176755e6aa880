//! Compressed messages: what goes in comes out, whatever was agreed on and however it is cut, and nothing is inflated
//! beyond its limit.

use crate::heard::{Heard, Hearing, LIMIT, RULES, hear_by};
use proptest::prelude::*;
use touchstone_wire::deflate::{
    Deflater, Half, Level, Takeover, WindowBits, compressed_bytes_max, deflate_shared,
};
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};
use touchstone_wire::{OpCode, Receiver, Role, Rules, Violation, encode_deflated};

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// RSV1 as [`RawFrame`] counts it.
const RSV1: u8 = 4;

const ALONE: Half = Half {
    takeover: Takeover::Dropped,
    window: WindowBits::MAX,
};

const LASTING: Half = Half {
    takeover: Takeover::Kept,
    window: WindowBits::MAX,
};

/// "Hello" as RFC 7692 7.2.3.1 compresses it.
const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

fn frame(rsv: u8, op: u8, payload: &[u8]) -> RawFrame {
    RawFrame {
        rsv,
        ..RawFrame::new(op, Mask::Key(KEY), payload)
    }
}

fn unfinished(rsv: u8, op: u8, payload: &[u8]) -> RawFrame {
    RawFrame {
        fin: false,
        ..frame(rsv, op, payload)
    }
}

fn bytes(frames: &[RawFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

/// What a server hears, in one piece and byte by byte: the same.
fn hear(half: Half, frames: &[RawFrame]) -> Hearing {
    hear_within(RULES, half, frames)
}

fn hear_within(rules: Rules, half: Half, frames: &[RawFrame]) -> Hearing {
    let bytes = bytes(frames);
    let receiver = || Receiver::with_deflate(Role::Server, rules, half);
    let whole = hear_by(receiver(), [&bytes[..]]);
    assert_eq!(hear_by(receiver(), bytes.chunks(1)), whole, "{bytes:02x?}");
    whole
}

fn text(text: &str) -> Heard {
    Heard::Text(text.to_owned())
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflate_shared(WindowBits::MAX, Level::FASTEST, message, &mut out);
    out
}

#[test]
fn the_examples_of_the_rfc() {
    // 7.2.3.1 to 7.2.3.6; the second in 7.2.3.2 refers to the first.
    type Row = (Half, &'static [&'static [u8]], &'static [&'static str]);
    let rows: &[Row] = &[
        (ALONE, &[HELLO], &["Hello"]),
        (ALONE, &[HELLO, HELLO], &["Hello", "Hello"]),
        (
            LASTING,
            &[HELLO, &[0xF2, 0x00, 0x11, 0x00, 0x00]],
            &["Hello", "Hello"],
        ),
        (
            ALONE,
            &[&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]],
            &["Hello"],
        ),
        (
            ALONE,
            &[&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]],
            &["Hello"],
        ),
        (
            ALONE,
            &[&[
                0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
            ]],
            &["Hello"],
        ),
        (ALONE, &[&[0x00]], &[""]),
        (LASTING, &[&[0x00], HELLO, &[0x00]], &["", "Hello", ""]),
    ];
    for (half, messages, expected) in rows {
        let frames: Vec<_> = messages.iter().map(|message| frame(RSV1, 1, message)).collect();
        let expected: Vec<_> = expected.iter().map(|message| text(message)).collect();
        assert_eq!(hear(*half, &frames), (expected, None), "{messages:02x?}");
    }
}

#[test]
fn hello_is_compressed_as_in_the_rfc() {
    assert_eq!(deflated(b"Hello"), HELLO);
    assert_eq!(deflated(b""), [0]);
}

#[test]
fn a_last_block_ends_a_message_but_not_the_memory() {
    // With FINAL set, and the empty block behind it that keeps the tail in order (7.2.3.4); then a reference to it.
    let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
    let bare = &last[..7];
    let reference = [0xF2, 0x00, 0x11, 0x00, 0x00];
    for first in [&last[..], bare] {
        let frames = [frame(RSV1, 1, first), frame(RSV1, 1, &reference)];
        let expected = (vec![text("Hello"), text("Hello")], None);
        assert_eq!(hear(LASTING, &frames), expected, "{first:02x?}");
    }
    // Without a memory there is nothing to refer to.
    let frames = [frame(RSV1, 1, &last), frame(RSV1, 1, &reference)];
    assert_eq!(
        hear(ALONE, &frames),
        (vec![text("Hello")], Some(Violation::NotInflatable))
    );
}

#[test]
fn compressed_and_plain_messages_and_control_frames_mix() {
    for half in [ALONE, LASTING] {
        let frames = [
            frame(0, 1, b"plain"),
            frame(RSV1, 1, HELLO),
            unfinished(RSV1, 2, &HELLO[..3]),
            frame(0, 9, b"ping"),
            unfinished(0, 0, b""),
            frame(0, 0, &HELLO[3..]),
            unfinished(0, 1, b"pl"),
            frame(0, 0, b"ain"),
            frame(0, 1, b""),
            frame(RSV1, 1, HELLO),
            frame(0, 8, &1000_u16.to_be_bytes()),
        ];
        let expected = vec![
            text("plain"),
            text("Hello"),
            Heard::Ping(b"ping".to_vec()),
            Heard::Binary(b"Hello".to_vec()),
            text("plain"),
            text(""),
            text("Hello"),
            Heard::Close(Some((1000, String::new()))),
        ];
        assert_eq!(hear(half, &frames), (expected, None));
    }
}

#[test]
fn rsv1_out_of_place_is_a_violation() {
    let rows = [
        (vec![frame(RSV1, 9, b"")], Violation::DeflatedOutOfPlace),
        (vec![frame(RSV1, 10, b"")], Violation::DeflatedOutOfPlace),
        (vec![frame(RSV1, 8, b"")], Violation::DeflatedOutOfPlace),
        (
            vec![unfinished(RSV1, 1, HELLO), frame(RSV1, 0, b"")],
            Violation::DeflatedOutOfPlace,
        ),
        (
            vec![unfinished(0, 1, b"a"), frame(RSV1, 0, b"")],
            Violation::DeflatedOutOfPlace,
        ),
        (vec![frame(RSV1 | 2, 1, HELLO)], Violation::ReservedBits),
        (vec![frame(2, 1, b"")], Violation::ReservedBits),
        (vec![frame(1, 1, b"")], Violation::ReservedBits),
        (vec![frame(RSV1, 3, b"")], Violation::ReservedOpcode),
    ];
    for (frames, expected) in rows {
        assert_eq!(hear(ALONE, &frames), (vec![], Some(expected)), "{frames:?}");
    }
    let plain = Receiver::new(Role::Server, RULES);
    let bytes = bytes(&[frame(RSV1, 1, HELLO)]);
    assert_eq!(
        hear_by(plain, [&bytes[..]]),
        (vec![], Some(Violation::ReservedBits))
    );
}

#[test]
fn what_cannot_be_inflated_is_a_violation() {
    let mut cut_off = deflated(&b"something that is long enough to be cut in the middle".repeat(4));
    cut_off.truncate(cut_off.len() / 2);
    for garbage in [
        // A reserved kind of block.
        &[0x07][..],
        // A stored block whose length is not confirmed.
        &[0x00, 0x05, 0x00, 0x00, 0x00],
        // A stored block with less in it than it declares.
        &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48],
        // The beginning of a block's tables, of which nothing comes out before they are whole.
        &[0x04],
        &[0x04, 0x00],
        // A reference to before the beginning.
        &[0xF2, 0x00, 0x11, 0x00, 0x00],
        b"",
        &cut_off,
        &[0xFF; 40],
    ] {
        let expected = if garbage.is_empty() {
            // Nothing at all is an empty message: its tail alone is a whole block.
            (vec![Heard::Binary(vec![])], None)
        } else {
            (vec![], Some(Violation::NotInflatable))
        };
        assert_eq!(
            hear(ALONE, &[frame(RSV1, 2, garbage)]),
            expected,
            "{garbage:02x?}"
        );
    }
}

#[test]
fn inflated_text_is_checked_as_early_as_it_can_be() {
    let mut bad = vec![b'a'; 400];
    bad[200] = 0xFF;
    let compressed = deflated(&bad);
    let frames = [unfinished(RSV1, 1, &compressed)];
    assert_eq!(hear(ALONE, &frames), (vec![], Some(Violation::TextNotUtf8)));
    let mut cut = deflated("ä".as_bytes());
    assert_eq!(hear(ALONE, &[frame(RSV1, 1, &cut)]), (vec![text("ä")], None));
    cut = deflated(&"ä".as_bytes()[..1]);
    assert_eq!(
        hear(ALONE, &[frame(RSV1, 1, &cut)]),
        (vec![], Some(Violation::TextNotUtf8))
    );
}

#[test]
fn what_came_out_before_the_garbage_is_judged_first() {
    // Two bytes that are no text, then a reserved kind of block.
    let garbage = [0x00, 0x02, 0x00, 0xFD, 0xFF, 0xFF, 0xFF, 0x07];
    assert_eq!(
        hear(ALONE, &[frame(RSV1, 1, &garbage)]),
        (vec![], Some(Violation::TextNotUtf8))
    );
    assert_eq!(
        hear(ALONE, &[frame(RSV1, 2, &garbage)]),
        (vec![], Some(Violation::NotInflatable))
    );
}

#[test]
fn a_message_is_inflated_to_its_limit_and_not_beyond() {
    for op in [1, 2] {
        for (length, refused) in [(LIMIT, false), (LIMIT + 1, true), (100 * LIMIT, true)] {
            let frames = [frame(RSV1, op, &deflated(&vec![b'a'; length]))];
            let (heard, violation) = hear(ALONE, &frames);
            assert_eq!(violation, refused.then_some(Violation::TooBig), "{length}");
            assert_eq!(heard.len(), usize::from(!refused));
        }
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    // 64 MiB in 640 KiB. It is refused in its first fragment, and the receiver keeps nothing.
    let bomb = deflated(&vec![0; 64 << 20]);
    let rules = Rules {
        message_bytes_max: 1 << 20,
        ..RULES
    };
    let mut receiver = Receiver::with_deflate(Role::Server, rules, ALONE);
    let mut arrived = bytes(&[unfinished(RSV1, 2, &bomb)]);
    let mut given = 0;
    let violation = arrived.chunks_mut(100).find_map(|piece| {
        given += piece.len();
        let step = receiver.next(piece);
        step.err()
    });
    assert_eq!(violation, Some(Violation::TooBig));
    assert!(given < 20_000, "known after {given} of {} bytes", bomb.len());
    assert_eq!(receiver.heap_bytes(), 0);
}

#[test]
fn blocks_that_hold_nothing_have_an_end() {
    // An empty block over and over: nothing comes out, and yet the message is refused once it is long enough.
    let empty = [0x00, 0x00, 0x00, 0xFF, 0xFF];
    let most = compressed_bytes_max(LIMIT);
    let mut payload = empty.repeat(most / empty.len());
    payload.push(0);
    payload.truncate(most);
    let frames = [
        unfinished(RSV1, 2, &payload),
        frame(0, 0, &payload[payload.len() - 200..]),
    ];
    assert_eq!(hear(ALONE, &frames), (vec![], Some(Violation::TooBig)));
    let declared = RawFrame {
        declared: Some(most as u64 + 1),
        length_form: LengthForm::Minimal,
        ..frame(RSV1, 2, b"")
    };
    assert_eq!(hear(ALONE, &[declared]), (vec![], Some(Violation::TooBig)));
}

#[test]
fn an_incompressible_message_may_be_as_long_as_any() {
    let mut random = fastrand::Rng::with_seed(11);
    let rules = Rules {
        message_bytes_max: 100_000,
        ..RULES
    };
    let message: Vec<u8> = (0..rules.message_bytes_max).map(|_| random.u8(..)).collect();
    let compressed = deflated(&message);
    assert!(compressed.len() > message.len(), "{}", compressed.len());
    let bytes = bytes(&[frame(RSV1, 2, &compressed)]);
    let receiver = Receiver::with_deflate(Role::Server, rules, ALONE);
    assert_eq!(
        hear_by(receiver, bytes.chunks(4_000)),
        (vec![Heard::Binary(message)], None)
    );
}

fn half() -> impl Strategy<Value = Half> {
    (prop::bool::ANY, 8..=15_u8).prop_map(|(kept, bits)| Half {
        takeover: if kept { Takeover::Kept } else { Takeover::Dropped },
        window: WindowBits::new(bits).unwrap(),
    })
}

/// Messages with something to compress, within themselves and from one to the next, and over more than a small window.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(prop_oneof!["[a-d]{1,12}", "\\PC{0,6}"], 0..60)
        .prop_map(|words| words.concat().into_bytes());
    let long = ("[a-z]{3,40}", 1..400_usize).prop_map(|(word, times)| word.repeat(times).into_bytes());
    let random = prop::collection::vec(any::<u8>(), 0..3_000);
    prop_oneof![4 => words, 2 => long, 1 => random]
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Deflated,
}

proptest! {
    #[test]
    fn what_is_compressed_is_heard_however_it_is_cut(
        half in half(),
        level in (1..=9_u8).prop_map(|level| Level::new(level).unwrap()),
        messages in prop::collection::vec((message(), prop_oneof![Just(Form::Plain), Just(Form::Deflated)]), 1..12),
        fragment_bytes in 1..5_000_usize,
        piece_bytes in 1..3_000_usize,
    ) {
        let rules = Rules { message_bytes_max: 20_000, ..RULES };
        let mut deflater = Deflater::new(half, level);
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (message, form) in messages {
            let (rsv, payload) = match form {
                Form::Plain => (0, message.clone()),
                Form::Deflated => {
                    let mut payload = Vec::new();
                    deflater.deflate(&message, &mut payload);
                    (RSV1, payload)
                }
            };
            let op = if std::str::from_utf8(&message).is_ok() { 1 } else { 2 };
            let fragments = payload.chunks(fragment_bytes).count().max(1);
            for at in 0..fragments {
                let share = &payload[(at * fragment_bytes).min(payload.len())..];
                let first = at == 0;
                RawFrame {
                    fin: at + 1 == fragments,
                    ..frame(if first { rsv } else { 0 }, if first { op } else { 0 }, &share[..share.len().min(fragment_bytes)])
                }
                .encode(&mut stream);
            }
            expected.push(match String::from_utf8(message) {
                Ok(text) => Heard::Text(text),
                Err(error) => Heard::Binary(error.into_bytes()),
            });
        }
        let receiver = Receiver::with_deflate(Role::Server, rules, half);
        prop_assert_eq!(hear_by(receiver, stream.chunks(piece_bytes)), (expected, None));
    }

    #[test]
    fn garbage_is_refused_or_heard_but_always_the_same(
        half in half(),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
        cut in 1..50_usize,
    ) {
        let frames: Vec<_> = payloads.iter().map(|payload| frame(RSV1, 2, payload)).collect();
        let bytes = bytes(&frames);
        let receiver = || Receiver::with_deflate(Role::Server, RULES, half);
        let (heard, violation) = hear_by(receiver(), [&bytes[..]]);
        for message in &heard {
            if let Heard::Binary(message) = message {
                prop_assert!(message.len() <= LIMIT);
            }
        }
        prop_assert!(violation.is_none_or(|violation| matches!(violation, Violation::NotInflatable | Violation::TooBig)));
        prop_assert_eq!(hear_by(receiver(), bytes.chunks(cut)), (heard, violation));
    }

    #[test]
    fn a_changed_bit_never_passes_the_limit(
        message in message(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut payload = deflated(&message);
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        let (heard, _) = hear(ALONE, &[frame(RSV1, 2, &payload)]);
        for message in heard {
            prop_assert!(matches!(message, Heard::Binary(bytes) if bytes.len() <= LIMIT));
        }
    }
}

#[test]
fn a_deflated_frame_is_marked() {
    for mask in [None, Some(KEY)] {
        let mut out = Vec::new();
        encode_deflated(&mut out, OpCode::Text, HELLO, mask);
        let mut expected = Vec::new();
        let mask = mask.map_or(Mask::None, Mask::Key);
        RawFrame {
            rsv: RSV1,
            ..RawFrame::new(1, mask, HELLO)
        }
        .encode(&mut expected);
        assert_eq!(out, expected);
    }
}
