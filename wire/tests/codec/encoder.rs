//! What is written, byte for byte, and that a receiver of the other side reads it.

use crate::heard::{Heard, hear_whole};
use std::num::NonZeroUsize;
use touchstone_wire::encode::fragments;
use touchstone_wire::frame::Fin;
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};
use touchstone_wire::{
    OpCode, Role, encode_masked, encode_masked_close, encode_unmasked, server_binary, server_close,
    server_close_empty, server_ping, server_pong, server_text,
};

#[test]
fn a_server_writes_the_examples_of_rfc_6455_5_7() {
    let mut long = vec![0x82, 0x7E, 1, 0];
    long.extend([0; 256]);
    assert_eq!(&server_text("Hello")[..], b"\x81\x05Hello");
    assert_eq!(&server_ping(b"Hello")[..], b"\x89\x05Hello");
    assert_eq!(&server_pong(b"")[..], b"\x8A\x00");
    assert_eq!(&server_binary(&[0; 256])[..], long);
    assert_eq!(&server_close(1000, "")[..], b"\x88\x02\x03\xE8");
    assert_eq!(&server_close(1001, "bye")[..], b"\x88\x05\x03\xE9bye");
    assert_eq!(&server_close_empty()[..], b"\x88\x00");
    let mut out = b"kept".to_vec();
    encode_unmasked(&mut out, OpCode::Text, b"Hello");
    assert_eq!(out, b"kept\x81\x05Hello");
}

#[test]
fn a_client_writes_the_examples_of_rfc_6455_5_7() {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = b"kept".to_vec();
    encode_masked(&mut out, OpCode::Text, b"Hello", key);
    assert_eq!(out, b"kept\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    out.clear();
    encode_masked_close(&mut out, 1000, "done", key);
    let heard = vec![Heard::Close(Some((1000, "done".to_owned())))];
    assert_eq!(hear_whole(Role::Server, &out), (heard, None));
}

#[test]
fn what_a_control_frame_cannot_carry_is_cut() {
    assert_eq!(server_ping(&[1; 200]).len(), 2 + 125);
    assert_eq!(server_pong(&[1; 200]).len(), 2 + 125);
    let heard = |frame: &[u8]| hear_whole(Role::Client, frame);
    let reason = format!("{}€", "r".repeat(122));
    let cut = Heard::Close(Some((1011, "r".repeat(122))));
    assert_eq!(
        heard(&server_close(1011, &reason)),
        (vec![cut], None),
        "between characters"
    );
}

#[test]
fn a_message_is_cut_into_fragments() {
    let cut = |payload: &'static [u8], most: usize| {
        fragments(OpCode::Text, payload, NonZeroUsize::new(most).unwrap())
            .map(|fragment| (fragment.fin, fragment.opcode, fragment.payload))
            .collect::<Vec<_>>()
    };
    assert_eq!(cut(b"", 3), [(Fin::Last, OpCode::Text, &b""[..])]);
    assert_eq!(cut(b"abc", 3), [(Fin::Last, OpCode::Text, &b"abc"[..])]);
    assert_eq!(
        cut(b"abcdefg", 3),
        [
            (Fin::More, OpCode::Text, &b"abc"[..]),
            (Fin::More, OpCode::Continuation, b"def"),
            (Fin::Last, OpCode::Continuation, b"g"),
        ]
    );
    let mut out = Vec::new();
    for fragment in fragments(OpCode::Text, "ä€🌍".as_bytes(), NonZeroUsize::MIN) {
        fragment.encode(&mut out, Some([1, 2, 3, 4]));
    }
    assert_eq!(
        hear_whole(Role::Server, &out),
        (vec![Heard::Text("ä€🌍".to_owned())], None)
    );
}

#[test]
fn a_raw_frame_is_written_bit_by_bit() {
    let frame = RawFrame::new(1, Mask::None, "hi");
    let key = Mask::Key([0x37, 0xfa, 0x21, 0x3d]);
    let rows: Vec<(&str, RawFrame, Vec<u8>)> = vec![
        ("ordinary", frame.clone(), b"\x81\x02hi".to_vec()),
        (
            "without fin",
            RawFrame {
                fin: false,
                ..frame.clone()
            },
            b"\x01\x02hi".to_vec(),
        ),
        (
            "rsv1",
            RawFrame {
                rsv: 4,
                ..frame.clone()
            },
            b"\xC1\x02hi".to_vec(),
        ),
        (
            "rsv2",
            RawFrame {
                rsv: 2,
                ..frame.clone()
            },
            b"\xA1\x02hi".to_vec(),
        ),
        (
            "rsv3",
            RawFrame {
                rsv: 1,
                ..frame.clone()
            },
            b"\x91\x02hi".to_vec(),
        ),
        (
            "all bits",
            RawFrame {
                rsv: 0xFF,
                op: 0xFF,
                ..frame.clone()
            },
            b"\xFF\x02hi".to_vec(),
        ),
        (
            "masked",
            RawFrame::new(1, key, "Hello"),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
        ),
        (
            "16 bits",
            RawFrame {
                length_form: LengthForm::Sixteen,
                ..frame.clone()
            },
            b"\x81\x7E\x00\x02hi".to_vec(),
        ),
        (
            "64 bits",
            RawFrame {
                length_form: LengthForm::SixtyFour,
                ..frame.clone()
            },
            b"\x81\x7F\0\0\0\0\0\0\0\x02hi".to_vec(),
        ),
        (
            "declares more",
            RawFrame {
                declared: Some(125),
                ..frame.clone()
            },
            b"\x81\x7Dhi".to_vec(),
        ),
        (
            "declares 126",
            RawFrame {
                declared: Some(126),
                ..frame.clone()
            },
            b"\x81\x7E\0\x7Ehi".to_vec(),
        ),
        (
            "declares the top bit",
            RawFrame {
                declared: Some(1 << 63),
                ..frame.clone()
            },
            b"\x81\x7F\x80\0\0\0\0\0\0\0hi".to_vec(),
        ),
        (
            "16 bits of more",
            RawFrame {
                length_form: LengthForm::Sixteen,
                declared: Some(0x1_0203),
                ..frame
            },
            b"\x81\x7E\x02\x03hi".to_vec(),
        ),
    ];
    for (name, frame, expected) in rows {
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert_eq!(out, expected, "{name}");
    }
}
