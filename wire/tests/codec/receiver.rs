//! What a receiver accepts, and every violation with its code.

use crate::heard::{Heard, LIMIT, RULES, hear, hear_bytewise, hear_whole};
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};
use touchstone_wire::{Binary, Event, Receiver, Role, Rules, Violation};

const KEY: Mask = Mask::Key([0x37, 0xfa, 0x21, 0x3d]);

/// A client's frame, masked.
fn frame(op: u8, payload: &[u8]) -> RawFrame {
    RawFrame::new(op, KEY, payload)
}

/// The same, and more are to come.
fn unfinished(op: u8, payload: &[u8]) -> RawFrame {
    RawFrame {
        fin: false,
        ..frame(op, payload)
    }
}

fn close(code: u16, reason: &[u8]) -> RawFrame {
    frame(8, &[&code.to_be_bytes(), reason].concat())
}

fn bytes(frames: &[RawFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.encode(&mut bytes);
    }
    bytes
}

fn text(text: &str) -> Heard {
    Heard::Text(text.to_owned())
}

#[test]
fn the_examples_of_rfc_6455_5_7() {
    let long = |count: usize| Heard::Binary(vec![7; count]);
    let binary = |header: &[u8], count: usize| [header, &vec![7; count]].concat();
    let rules = Rules {
        message_bytes_max: 65_536,
        binary: Binary::Accepted,
    };
    let rows: Vec<(Role, Vec<u8>, Vec<Heard>)> = vec![
        (
            Role::Client,
            b"\x81\x05\x48\x65\x6c\x6c\x6f".to_vec(),
            vec![text("Hello")],
        ),
        (
            Role::Server,
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![text("Hello")],
        ),
        (
            Role::Client,
            b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f".to_vec(),
            vec![text("Hello")],
        ),
        (
            Role::Client,
            b"\x89\x05\x48\x65\x6c\x6c\x6f".to_vec(),
            vec![Heard::Ping(b"Hello".to_vec())],
        ),
        (
            Role::Server,
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![Heard::Pong(b"Hello".to_vec())],
        ),
        (Role::Client, binary(b"\x82\x7e\x01\x00", 256), vec![long(256)]),
        (
            Role::Client,
            binary(b"\x82\x7f\0\0\0\0\0\x01\0\0", 65_536),
            vec![long(65_536)],
        ),
    ];
    for (role, bytes, expected) in rows {
        assert_eq!(hear(role, rules, [&bytes[..]]), (expected.clone(), None));
        assert_eq!(hear(role, rules, bytes.chunks(1)), (expected, None));
    }
}

#[test]
fn what_is_accepted() {
    let rows: Vec<(&str, Vec<RawFrame>, Vec<Heard>)> = vec![
        ("an empty text", vec![frame(1, b"")], vec![text("")]),
        (
            "an empty binary",
            vec![frame(2, b"")],
            vec![Heard::Binary(vec![])],
        ),
        (
            "a full control frame",
            vec![frame(9, &[1; 125])],
            vec![Heard::Ping(vec![1; 125])],
        ),
        (
            "the limit",
            vec![frame(2, &[1; LIMIT])],
            vec![Heard::Binary(vec![1; LIMIT])],
        ),
        (
            "the limit over fragments",
            vec![unfinished(2, &[1; LIMIT - 10]), frame(0, &[1; 10])],
            vec![Heard::Binary(vec![1; LIMIT])],
        ),
        (
            "fragments with control frames between",
            vec![
                unfinished(1, b"a"),
                frame(9, b"p"),
                unfinished(0, b"b"),
                frame(10, b""),
                frame(0, b"c"),
            ],
            vec![Heard::Ping(b"p".to_vec()), Heard::Pong(vec![]), text("abc")],
        ),
        (
            "empty fragments",
            vec![unfinished(1, b""), unfinished(0, b""), frame(0, b"")],
            vec![text("")],
        ),
        (
            "a character over three fragments",
            vec![unfinished(1, b"\xE2"), unfinished(0, b"\x82"), frame(0, b"\xAC")],
            vec![text("€")],
        ),
        (
            "a close inside a message",
            vec![unfinished(1, b"a"), frame(8, b"")],
            vec![Heard::Close(None)],
        ),
        (
            "nothing after a close",
            vec![frame(8, b""), frame(1, b"late"), frame(3, b"")],
            vec![Heard::Close(None)],
        ),
        (
            "a close with a full reason",
            vec![close(4000, &[b'r'; 123])],
            vec![Heard::Close(Some((4000, "r".repeat(123))))],
        ),
    ];
    for (name, frames, expected) in rows {
        let bytes = bytes(&frames);
        assert_eq!(
            hear_whole(Role::Server, &bytes),
            (expected.clone(), None),
            "{name}"
        );
        assert_eq!(
            hear_bytewise(Role::Server, &bytes),
            (expected, None),
            "{name}, byte by byte"
        );
    }
}

/// Name, frames, and the violation that they end in.
type Row = (&'static str, Vec<RawFrame>, Violation);

fn broken_headers() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        (
            "fragmented close",
            vec![unfinished(8, b"")],
            Violation::FragmentedControl,
        ),
        (
            "fragmented ping",
            vec![unfinished(9, b"")],
            Violation::FragmentedControl,
        ),
        (
            "fragmented pong",
            vec![unfinished(10, b"")],
            Violation::FragmentedControl,
        ),
        ("long close", vec![frame(8, &[b'x'; 126])], Violation::LongControl),
        ("long ping", vec![frame(9, &[0; 126])], Violation::LongControl),
        ("long pong", vec![frame(10, &[0; 70_000])], Violation::LongControl),
        (
            "continuation first",
            vec![frame(0, b"a")],
            Violation::ContinuationWithoutStart,
        ),
        (
            "unfinished continuation first",
            vec![unfinished(0, b"a")],
            Violation::ContinuationWithoutStart,
        ),
        (
            "continuation after a message",
            vec![frame(1, b"a"), frame(0, b"b")],
            Violation::ContinuationWithoutStart,
        ),
        (
            "text inside a text",
            vec![unfinished(1, b"a"), frame(1, b"b")],
            Violation::MessageInsideMessage,
        ),
        (
            "binary inside a text",
            vec![unfinished(1, b"a"), unfinished(2, b"b")],
            Violation::MessageInsideMessage,
        ),
        (
            "unmasked text",
            vec![RawFrame::new(1, Mask::None, "a")],
            Violation::Unmasked,
        ),
        (
            "unmasked close",
            vec![RawFrame::new(8, Mask::None, "")],
            Violation::Unmasked,
        ),
        (
            "over the limit",
            vec![frame(2, &[0; LIMIT + 1])],
            Violation::TooBig,
        ),
        (
            "over the limit in sum",
            vec![unfinished(2, &[0; LIMIT]), frame(0, b"a")],
            Violation::TooBig,
        ),
        (
            "declares too much",
            vec![RawFrame {
                declared: Some(u64::MAX >> 1),
                ..frame(2, b"")
            }],
            Violation::TooBig,
        ),
    ];
    for rsv in 1..8 {
        rows.push((
            "reserved bits",
            vec![RawFrame {
                rsv,
                ..frame(1, b"a")
            }],
            Violation::ReservedBits,
        ));
        rows.push((
            "reserved bits",
            vec![RawFrame {
                rsv,
                ..frame(9, b"a")
            }],
            Violation::ReservedBits,
        ));
    }
    for op in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        rows.push(("reserved opcode", vec![frame(op, b"")], Violation::ReservedOpcode));
    }
    for (length_form, short) in [
        (LengthForm::Sixteen, 0),
        (LengthForm::Sixteen, 125),
        (LengthForm::SixtyFour, 0),
        (LengthForm::SixtyFour, 125),
        (LengthForm::SixtyFour, 126),
        (LengthForm::SixtyFour, 65_535),
    ] {
        let long_winded = RawFrame {
            length_form,
            ..frame(2, &vec![0; short])
        };
        rows.push((
            "length not minimal",
            vec![long_winded],
            Violation::LengthNotMinimal,
        ));
    }
    for declared in [1 << 63, u64::MAX, (1 << 63) | 5] {
        rows.push((
            "top bit",
            vec![RawFrame {
                declared: Some(declared),
                ..frame(1, b"hello")
            }],
            Violation::LengthTopBit,
        ));
    }
    rows
}

fn broken_payloads() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        (
            "close of one byte",
            vec![frame(8, b"\x03")],
            Violation::CloseOneByte,
        ),
        (
            "close reason",
            vec![close(1000, b"\xFF")],
            Violation::CloseReasonNotUtf8,
        ),
        (
            "close reason cut off",
            vec![close(1000, b"\xE2\x82")],
            Violation::CloseReasonNotUtf8,
        ),
        ("bad text", vec![frame(1, b"a\xFF")], Violation::TextNotUtf8),
        (
            "text that ends inside a character",
            vec![frame(1, b"a\xE2\x82")],
            Violation::TextNotUtf8,
        ),
        (
            "surrogate",
            vec![frame(1, b"\xED\xA0\x80")],
            Violation::TextNotUtf8,
        ),
        (
            "bad text over fragments",
            vec![unfinished(1, b"\xE2"), frame(0, b"\x28")],
            Violation::TextNotUtf8,
        ),
        (
            "fragments that end inside a character",
            vec![unfinished(1, b"a"), frame(0, b"\xE2\x82")],
            Violation::TextNotUtf8,
        ),
        (
            "bad text in a fragment, its message unfinished",
            vec![unfinished(1, b"ok \xF5")],
            Violation::TextNotUtf8,
        ),
    ];
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        rows.push(("close code", vec![close(code, b"because")], Violation::CloseCode));
    }
    rows
}

#[test]
fn every_violation_of_a_client() {
    for (name, frames, expected) in broken_headers().into_iter().chain(broken_payloads()) {
        let good = bytes(&[frame(1, b"before")]);
        let bytes = [good, bytes(&frames)].concat();
        let (heard, end) = hear_whole(Role::Server, &bytes);
        assert_eq!(end, Some(expected), "{name}");
        assert_eq!(heard[0], text("before"), "{name}");
        assert_eq!(
            hear_bytewise(Role::Server, &bytes),
            (heard, end),
            "{name}, byte by byte"
        );
    }
}

#[test]
fn a_client_refuses_masked_frames() {
    let masked = bytes(&[frame(1, b"a")]);
    assert_eq!(
        hear_whole(Role::Client, &masked),
        (vec![], Some(Violation::Masked))
    );
    let plain = bytes(&[RawFrame::new(1, Mask::None, "a")]);
    assert_eq!(hear_whole(Role::Client, &plain), (vec![text("a")], None));
}

#[test]
fn binary_is_refused_on_the_header_of_its_first_frame() {
    let rules = Rules {
        binary: Binary::Refused,
        ..RULES
    };
    let refused = (vec![], Some(Violation::BinaryRefused));
    for first in [
        frame(2, b"abc"),
        unfinished(2, b"abc"),
        frame(2, b""),
        frame(2, &[0; LIMIT]),
    ] {
        let bytes = bytes(&[first]);
        assert_eq!(hear(Role::Server, rules, [&bytes[..]]), refused);
        let header = if bytes[1] & 0x7F < 126 {
            &bytes[..2]
        } else {
            &bytes[..4]
        };
        assert_eq!(
            hear(Role::Server, rules, [header]),
            refused,
            "the header is enough"
        );
    }
    let too_big = bytes(&[frame(2, &[0; LIMIT + 1])]);
    assert_eq!(
        hear(Role::Server, rules, [&too_big[..]]),
        (vec![], Some(Violation::TooBig))
    );
}

#[test]
fn violations_have_their_codes() {
    for violation in Violation::ALL {
        let expected = match violation {
            Violation::BinaryRefused => 1003,
            Violation::TextNotUtf8 | Violation::CloseReasonNotUtf8 | Violation::NotInflatable => 1007,
            Violation::TooBig => 1009,
            _ => 1002,
        };
        assert_eq!(violation.close_code(), expected, "{violation}");
        assert!(violation.reason().len() <= 123, "fits into a close frame");
    }
}

#[test]
fn bad_text_fails_at_its_byte_in_an_unfinished_frame() {
    let mut whole = bytes(&[RawFrame {
        declared: Some(900),
        ..frame(1, b"good \xE2\x82\x28")
    }]);
    let bad = whole.pop().unwrap();
    let mut receiver = Receiver::new(Role::Server, RULES);
    assert_eq!(receiver.next(&mut whole).unwrap().event, None);
    assert_eq!(receiver.next(&mut [bad]), Err(Violation::TextNotUtf8));
}

#[test]
fn a_violation_is_found_with_the_first_byte_that_shows_it() {
    let rows: &[(&[u8], Violation)] = &[
        (b"\xC1", Violation::ReservedBits),
        (b"\x83", Violation::ReservedOpcode),
        (b"\x09", Violation::FragmentedControl),
        (b"\x80", Violation::ContinuationWithoutStart),
        (b"\x81\x05", Violation::Unmasked),
        (b"\x89\xFE\x00\x7E", Violation::LongControl),
        (b"\x82\xFE\x00\x7D", Violation::LengthNotMinimal),
        (b"\x82\xFF\x80", Violation::LengthTopBit),
        (b"\x82\xFE\x03\xE9", Violation::TooBig),
    ];
    for (bytes, expected) in rows {
        let (last, before) = bytes.split_last().unwrap();
        assert_eq!(hear_whole(Role::Server, before), (vec![], None), "{bytes:02x?}");
        assert_eq!(
            hear(Role::Server, RULES, [before, &[*last]]),
            (vec![], Some(*expected)),
            "{bytes:02x?}"
        );
    }
}

#[test]
fn memory_follows_what_arrived_and_is_given_back() {
    const BIG: usize = 16 << 20;
    let rules = Rules {
        message_bytes_max: BIG,
        binary: Binary::Accepted,
    };
    for op in [1, 2] {
        let whole = bytes(&[frame(op, &vec![b'a'; 100_000])]);
        let mut declared_only = bytes(&[RawFrame {
            declared: Some(BIG as u64),
            ..frame(op, b"hello")
        }]);
        let mut receiver = Receiver::new(Role::Server, rules);
        assert_eq!(receiver.next(&mut declared_only).unwrap().event, None);
        assert!(receiver.has_partial());
        assert!(
            receiver.heap_bytes() < 1_000,
            "{} bytes for 5 of 16 MiB",
            receiver.heap_bytes()
        );

        let mut receiver = Receiver::new(Role::Server, rules);
        let mut arrived = 0;
        for piece in whole.chunks(700) {
            let mut piece = piece.to_vec();
            let piece_bytes = piece.len();
            let step = receiver.next(&mut piece).unwrap();
            assert_eq!(step.consumed, piece_bytes);
            arrived += piece_bytes;
            match step.event {
                None => assert!(receiver.heap_bytes() < 1_000 + 4 * arrived),
                Some(Event::Text(text)) => assert_eq!(text.len(), 100_000),
                Some(event) => assert_eq!(event, Event::Binary(&[b'a'; 100_000])),
            }
        }
        assert!(!receiver.has_partial());
        assert_eq!(
            receiver.next(&mut []).unwrap(),
            touchstone_wire::Step {
                consumed: 0,
                event: None
            }
        );
        assert_eq!(receiver.heap_bytes(), 0);
    }
}

#[test]
fn a_whole_message_is_handed_out_from_the_input() {
    let mut input = bytes(&[frame(1, b"zero copies")]);
    let range = input.as_ptr_range();
    let mut receiver = Receiver::new(Role::Server, RULES);
    let step = receiver.next(&mut input).unwrap();
    let Some(Event::Text(text)) = step.event else {
        panic!("{step:?}")
    };
    assert!(range.contains(&text.as_ptr()));
    assert_eq!(receiver.heap_bytes(), 0);
}
