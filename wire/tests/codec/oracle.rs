//! The codec against tungstenite: the same messages and the same verdict for any stream, cut anywhere.
//!
//! Where the two differ on purpose the difference has a name, and a test that shows it. Both ways of being wrong are
//! covered: a fault that is not found, and one that is found where there is none.

use crate::heard::{Heard, Hearing, LIMIT, RULES, hear, hear_whole};
use crate::streams::{cut, cuts, encoded, message, opcode_and_payload, stream};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::num::NonZeroUsize;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{self, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};
use touchstone_wire::encode::fragments;
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};
use touchstone_wire::{
    OpCode, Role, Violation, encode_masked, encode_masked_close, server_binary, server_close,
    server_close_empty, server_ping, server_pong, server_text,
};

/// What tungstenite made of a stream: its messages, and the code that answers the fault it found.
type Oracle = (Vec<Heard>, Option<u16>);

/// Where the two differ on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Difference {
    /// We refuse a length that is not in its shortest form; tungstenite does not look.
    LengthNotMinimal,
    /// We call a 64-bit length with its highest bit set a broken frame (1002); tungstenite calls it too big (1009).
    LengthTopBit,
    /// tungstenite does not know close code 1014, which was registered after RFC 6455.
    CloseCode1014,
    /// Of several faults in one header we name the first; tungstenite looks at the length before anything but the
    /// opcode.
    SeveralFaultsInOneHeader,
    /// We find a fault with its byte; tungstenite waits for the frame to be complete: bad UTF-8 in an unfinished
    /// frame, and everything that is wrong with a header.
    FoundEarlier,
}

/// A stream of pieces that then has nothing more for the time being.
struct Pieces(VecDeque<Vec<u8>>);

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.0.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let taken = piece.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&piece[..taken]);
        if taken < piece.len() {
            self.0.push_front(piece.split_off(taken));
        }
        Ok(taken)
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT))
        .read_buffer_size(4096)
}

fn their_role(role: Role) -> protocol::Role {
    match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    }
}

fn ask_oracle<'p>(role: Role, pieces: impl IntoIterator<Item = &'p [u8]>) -> Oracle {
    // A read of nothing would be the end of the stream.
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    let pieces = Pieces(pieces.map(<[u8]>::to_vec).collect());
    let mut socket = WebSocket::from_raw_socket(pieces, their_role(role), Some(config()));
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push(Heard::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => heard.push(Heard::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => heard.push(Heard::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => heard.push(Heard::Pong(bytes.to_vec())),
            // Its way of saying that the code was not allowed. No stream has this reason.
            Ok(Message::Close(Some(body))) if body.reason.as_str() == "Protocol violation" => {
                return (heard, Some(1002));
            }
            Ok(Message::Close(body)) => {
                let body = body.map(|body| (u16::from(body.code), body.reason.as_str().to_owned()));
                heard.push(Heard::Close(body));
                return (heard, None);
            }
            Ok(Message::Frame(frame)) => panic!("never read: {frame}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (heard, None),
            Err(Error::Protocol(_)) => return (heard, Some(1002)),
            Err(Error::Utf8(_)) => return (heard, Some(1007)),
            Err(Error::Capacity(_)) => return (heard, Some(1009)),
            Err(error) => panic!("no verdict on the stream: {error}"),
        }
    }
}

/// Compares both on one stream: `Ok` if they agree or differ on purpose, with the name of the difference.
fn compare(role: Role, bytes: &[u8], sizes: &[usize]) -> Result<Option<Difference>, String> {
    let (ours, our_end) = hear(role, RULES, cut(bytes, sizes));
    let (mut theirs, mut their_end) = ask_oracle(role, cut(bytes, sizes));
    let mut difference = None;
    if our_end.is_some() && their_end.is_none() && ours == theirs {
        // Whatever frame is unfinished, this finishes it: a header, and a payload up to the limit.
        let rest = [0; LIMIT + 14];
        difference = Some(Difference::FoundEarlier);
        (theirs, their_end) = ask_oracle(role, cut(bytes, sizes).chain([&rest[..]]));
    }
    let long_winded = has_long_winded_length(bytes);
    if (&ours, our_end.map(Violation::close_code)) == (&theirs, their_end) {
        let missed = long_winded && our_end.is_none() && !matches!(ours.last(), Some(Heard::Close(_)));
        return if missed {
            Err("we overlooked a length".to_owned())
        } else {
            Ok(difference)
        };
    }
    let on_purpose = match (our_end, their_end) {
        // From here on tungstenite reads what we do not.
        (Some(Violation::LengthNotMinimal), _) if long_winded && theirs.starts_with(&ours) => {
            Difference::LengthNotMinimal
        }
        (Some(Violation::LengthTopBit), Some(1009)) if long_winded && ours == theirs => {
            Difference::LengthTopBit
        }
        (Some(violation), Some(1009)) if ours == theirs && is_seen_in_the_header(violation) => {
            Difference::SeveralFaultsInOneHeader
        }
        (None, Some(1002)) if ends_with_1014(&ours) && theirs.len() + 1 == ours.len() => {
            Difference::CloseCode1014
        }
        _ => {
            return Err(format!(
                "we: {ours:?} {our_end:?}; tungstenite: {theirs:?} {their_end:?}"
            ));
        }
    };
    Ok(Some(on_purpose))
}

/// Whether a header of the stream has a length that is not minimal or has its top bit set: read without the codec, so
/// that neither side's word has to be taken for it.
fn has_long_winded_length(mut bytes: &[u8]) -> bool {
    while let [_, second, rest @ ..] = bytes {
        let (length, used) = match (second & 0x7F, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
            // Of a length that is cut off only the top bit is known.
            (127, [highest, ..]) => return highest & 0x80 != 0,
            (126 | 127, _) => return false,
            (short, _) => (u64::from(short), 0),
        };
        if used == 2 && length < 126 || used == 8 && (length <= 0xFFFF || length >= 1 << 63) {
            return true;
        }
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        let frame_bytes = 2 + used + mask_bytes + usize::try_from(length).unwrap();
        let Some(next) = bytes.get(frame_bytes..) else {
            return false;
        };
        bytes = next;
    }
    false
}

fn ends_with_1014(heard: &[Heard]) -> bool {
    matches!(heard.last(), Some(Heard::Close(Some((1014, _)))))
}

fn is_seen_in_the_header(violation: Violation) -> bool {
    match violation {
        Violation::ReservedBits
        | Violation::FragmentedControl
        | Violation::LongControl
        | Violation::ContinuationWithoutStart
        | Violation::MessageInsideMessage
        | Violation::Unmasked
        | Violation::Masked => true,
        Violation::ReservedOpcode
        | Violation::LengthNotMinimal
        | Violation::LengthTopBit
        | Violation::CloseOneByte
        | Violation::CloseCode
        | Violation::CloseReasonNotUtf8
        | Violation::TextNotUtf8
        | Violation::TooBig
        | Violation::BinaryRefused
        | Violation::DeflatedOutOfPlace
        | Violation::NotInflatable => false,
    }
}

fn config_of_the_tests() -> ProptestConfig {
    // A stream that fails becomes a test of its own, with a name, rather than a line in a file of seeds.
    ProptestConfig {
        cases: 700,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config_of_the_tests())]

    #[test]
    fn a_server_hears_what_tungstenite_hears(bytes in stream(Role::Server), sizes in cuts()) {
        let compared = compare(Role::Server, &bytes, &sizes);
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }

    #[test]
    fn a_client_hears_what_tungstenite_hears(bytes in stream(Role::Client), sizes in cuts()) {
        let compared = compare(Role::Client, &bytes, &sizes);
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }

    #[test]
    fn how_a_stream_is_cut_changes_nothing(bytes in stream(Role::Server), sizes in cuts()) {
        let whole: Hearing = hear_whole(Role::Server, &bytes);
        prop_assert_eq!(hear(Role::Server, RULES, cut(&bytes, &sizes)), whole);
    }

    #[test]
    fn tungstenite_hears_what_we_write(
        messages in vec(message(), 0..6),
        fragment_bytes in any::<u8>(),
        key in any::<[u8; 4]>(),
    ) {
        let fragment_bytes = NonZeroUsize::from(std::num::NonZeroU8::new(fragment_bytes).unwrap_or(std::num::NonZeroU8::MAX));
        let messages = up_to_the_close(messages);
        let expected = (messages.clone(), None);
        let server: Vec<u8> = messages.iter().flat_map(written_by_a_server).collect();
        prop_assert_eq!(ask_oracle(Role::Client, [&server[..]]), expected.clone());
        let mut client = Vec::new();
        for message in &messages {
            write_as_a_client(&mut client, message, key);
        }
        prop_assert_eq!(ask_oracle(Role::Server, [&client[..]]), expected.clone());
        let mut fragmented = Vec::new();
        for message in &messages {
            write_in_fragments(&mut fragmented, message, fragment_bytes, key);
        }
        prop_assert_eq!(ask_oracle(Role::Server, [&fragmented[..]]), expected);
    }

    #[test]
    fn we_hear_what_tungstenite_writes(messages in vec(message(), 0..6), sizes in cuts()) {
        let messages = up_to_the_close(messages);
        for (role, writer) in [(Role::Server, protocol::Role::Client), (Role::Client, protocol::Role::Server)] {
            let written = written_by_tungstenite(writer, &messages);
            prop_assert_eq!(hear(role, RULES, cut(&written, &sizes)), (messages.clone(), None));
        }
    }
}

fn up_to_the_close(mut messages: Vec<Heard>) -> Vec<Heard> {
    if let Some(close) = messages
        .iter()
        .position(|message| matches!(message, Heard::Close(_)))
    {
        messages.truncate(close + 1);
    }
    messages
}

fn written_by_a_server(message: &Heard) -> bytes::Bytes {
    match message {
        Heard::Text(text) => server_text(text),
        Heard::Binary(bytes) => server_binary(bytes),
        Heard::Ping(bytes) => server_ping(bytes),
        Heard::Pong(bytes) => server_pong(bytes),
        Heard::Close(None) => server_close_empty(),
        Heard::Close(Some((code, reason))) => server_close(*code, reason),
    }
}

fn write_as_a_client(out: &mut Vec<u8>, message: &Heard, key: [u8; 4]) {
    match message {
        Heard::Text(text) => encode_masked(out, OpCode::Text, text.as_bytes(), key),
        Heard::Binary(bytes) => encode_masked(out, OpCode::Binary, bytes, key),
        Heard::Ping(bytes) => encode_masked(out, OpCode::Ping, bytes, key),
        Heard::Pong(bytes) => encode_masked(out, OpCode::Pong, bytes, key),
        Heard::Close(None) => encode_masked(out, OpCode::Close, b"", key),
        Heard::Close(Some((code, reason))) => encode_masked_close(out, *code, reason, key),
    }
}

fn write_in_fragments(out: &mut Vec<u8>, message: &Heard, fragment_bytes: NonZeroUsize, key: [u8; 4]) {
    let (op, payload) = opcode_and_payload(message);
    let opcode = OpCode::from_bits(op).unwrap();
    if opcode.is_control() {
        return write_as_a_client(out, message, key);
    }
    for fragment in fragments(opcode, &payload, fragment_bytes) {
        fragment.encode(out, Some(key));
    }
}

fn written_by_tungstenite(role: protocol::Role, messages: &[Heard]) -> Vec<u8> {
    let mut socket = WebSocket::from_raw_socket(io::Cursor::new(Vec::new()), role, Some(config()));
    for message in messages {
        let message = match message.clone() {
            Heard::Text(text) => Message::text(text),
            Heard::Binary(bytes) => Message::binary(bytes),
            Heard::Ping(bytes) => Message::Ping(bytes.into()),
            Heard::Pong(bytes) => Message::Pong(bytes.into()),
            Heard::Close(body) => Message::Close(body.map(|(code, reason)| CloseFrame {
                code: code.into(),
                reason: reason.into(),
            })),
        };
        socket.send(message).unwrap();
    }
    socket.into_inner().into_inner()
}

/// What tungstenite has no rules for: it takes binary everywhere, and does not compress.
const NOT_FOR_THE_ORACLE: [Violation; 3] = [
    Violation::BinaryRefused,
    Violation::DeflatedOutOfPlace,
    Violation::NotInflatable,
];

/// The properties are worth what their streams are: every violation and every difference must turn up.
#[test]
fn the_made_up_streams_reach_every_verdict() {
    let mut runner = TestRunner::deterministic();
    let mut violations = HashSet::new();
    let mut differences = HashSet::new();
    for role in [Role::Server, Role::Client] {
        for _ in 0..4_000 {
            let bytes = stream(role).new_tree(&mut runner).unwrap().current();
            violations.extend(hear_whole(role, &bytes).1);
            differences.extend(compare(role, &bytes, &[usize::MAX]).unwrap());
        }
    }
    for violation in Violation::ALL
        .into_iter()
        .filter(|violation| !NOT_FOR_THE_ORACLE.contains(violation))
    {
        assert!(violations.contains(&violation), "no stream with {violation:?}");
    }
    for difference in [
        Difference::LengthNotMinimal,
        Difference::LengthTopBit,
        Difference::SeveralFaultsInOneHeader,
        Difference::FoundEarlier,
    ] {
        assert!(differences.contains(&difference), "no stream with {difference:?}");
    }
}

mod differences {
    //! Each difference by itself: what we say, what tungstenite says, and that this is its name.

    use super::*;

    const KEY: Mask = Mask::Key([1, 2, 3, 4]);

    fn check(difference: Difference, frame: &RawFrame, ours: &Hearing, theirs: &Oracle) {
        check_bytes(difference, &encoded(std::slice::from_ref(frame)), ours, theirs);
    }

    fn check_bytes(difference: Difference, bytes: &[u8], ours: &Hearing, theirs: &Oracle) {
        assert_eq!(&hear_whole(Role::Server, bytes), ours);
        assert_eq!(&ask_oracle(Role::Server, [bytes]), theirs);
        assert_eq!(compare(Role::Server, bytes, &[usize::MAX]), Ok(Some(difference)));
    }

    fn refused(violation: Violation) -> Hearing {
        (vec![], Some(violation))
    }

    #[test]
    fn a_length_that_is_not_minimal() {
        for length_form in [LengthForm::Sixteen, LengthForm::SixtyFour] {
            let frame = RawFrame {
                length_form,
                ..RawFrame::new(1, KEY, "hi")
            };
            let theirs = (vec![Heard::Text("hi".to_owned())], None);
            check(
                Difference::LengthNotMinimal,
                &frame,
                &refused(Violation::LengthNotMinimal),
                &theirs,
            );
        }
    }

    #[test]
    fn a_length_with_its_top_bit_set() {
        let frame = RawFrame {
            declared: Some(1 << 63),
            ..RawFrame::new(1, KEY, "hi")
        };
        check(
            Difference::LengthTopBit,
            &frame,
            &refused(Violation::LengthTopBit),
            &(vec![], Some(1009)),
        );
    }

    #[test]
    fn close_code_1014() {
        let frame = RawFrame::new(8, KEY, 1014_u16.to_be_bytes());
        let ours = (vec![Heard::Close(Some((1014, String::new())))], None);
        check(Difference::CloseCode1014, &frame, &ours, &(vec![], Some(1002)));
    }

    #[test]
    fn bad_text_in_an_unfinished_frame() {
        let frame = RawFrame {
            declared: Some(100),
            ..RawFrame::new(1, KEY, b"a\xFF")
        };
        check(
            Difference::FoundEarlier,
            &frame,
            &refused(Violation::TextNotUtf8),
            &(vec![], None),
        );
    }

    #[test]
    fn a_bad_header_of_an_unfinished_frame() {
        for (frame, violation) in [
            (
                RawFrame {
                    rsv: 4,
                    ..RawFrame::new(1, KEY, "")
                },
                Violation::ReservedBits,
            ),
            (RawFrame::new(1, Mask::None, ""), Violation::Unmasked),
            (RawFrame::new(0, KEY, ""), Violation::ContinuationWithoutStart),
            (
                RawFrame {
                    fin: false,
                    ..RawFrame::new(9, KEY, "")
                },
                Violation::FragmentedControl,
            ),
        ] {
            let frame = RawFrame {
                declared: Some(100),
                ..frame
            };
            check(
                Difference::FoundEarlier,
                &frame,
                &refused(violation),
                &(vec![], None),
            );
        }
        let before_its_mask = &b"\x83\x80\x01"[..];
        check_bytes(
            Difference::FoundEarlier,
            before_its_mask,
            &refused(Violation::ReservedOpcode),
            &(vec![], None),
        );
    }

    #[test]
    fn a_sum_of_fragments_over_the_limit() {
        let first = RawFrame {
            fin: false,
            ..RawFrame::new(2, KEY, [7; LIMIT])
        };
        let second = RawFrame {
            declared: Some(2),
            ..RawFrame::new(0, KEY, "")
        };
        let bytes = encoded(&[first, second]);
        check_bytes(
            Difference::FoundEarlier,
            &bytes,
            &refused(Violation::TooBig),
            &(vec![], None),
        );
    }

    #[test]
    fn several_faults_in_one_header() {
        let frame = RawFrame {
            rsv: 4,
            declared: Some(5_000),
            ..RawFrame::new(1, KEY, "")
        };
        let ours = refused(Violation::ReservedBits);
        check(
            Difference::SeveralFaultsInOneHeader,
            &frame,
            &ours,
            &(vec![], Some(1009)),
        );
    }
}
