//! What a peer sends below the dialects: frames, what is compressed, lines of a handshake.

use proptest::prelude::*;
use touchstone_wire::deflate::{Level, WindowBits, deflate_shared};
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// A payload as it is, or compressed.
fn payload() -> impl Strategy<Value = (u8, Vec<u8>)> {
    // Some of them near the limits that the targets set, some far beyond.
    let words = ("[a-c ]{0,300}", 1..20_usize).prop_map(|(words, times)| words.repeat(times).into_bytes());
    let long = prop_oneof![1_990..2_011_usize, 2_990..3_011_usize].prop_map(|bytes| vec![b'x'; bytes]);
    let plain = prop_oneof![4 => words, 2 => long, 2 => bytes(150)];
    (plain, any::<bool>()).prop_map(|(plain, compress)| {
        let mut deflated = Vec::new();
        if compress {
            deflate_shared(WindowBits::MAX, Level::FASTEST, &plain, &mut deflated);
            (4, deflated)
        } else {
            (0, plain)
        }
    })
}

/// Mostly legal: what is wrong is one thing at a time.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let op = prop_oneof![5 => Just(1_u8), 5 => Just(2), 4 => Just(0), 1 => Just(8), 2 => Just(9), 1 => any::<u8>()];
    let key = prop_oneof![6 => any::<[u8; 4]>().prop_map(Mask::Key), 1 => Just(Mask::None)];
    let rsv = prop_oneof![9 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let length = prop_oneof![9 => Just(None), 1 => any::<u16>().prop_map(Some)];
    (op, key, payload(), prop::bool::weighted(0.7), rsv, length).prop_map(
        |(op, mask, (marked, payload), fin, rsv, declared)| {
            let mut out = Vec::new();
            RawFrame {
                fin,
                rsv: rsv.unwrap_or(if op == 0 { 0 } else { marked }),
                op,
                mask,
                length_form: LengthForm::Minimal,
                declared: declared.map(u64::from),
                payload,
            }
            .encode(&mut out);
            out
        },
    )
}

/// One offer or answer, mostly of permessage-deflate and mostly right.
fn extension() -> impl Strategy<Value = String> {
    let name = prop_oneof![9 => Just("permessage-deflate"), 1 => Just("x")];
    let window = prop_oneof![Just("server_max_window_bits"), Just("client_max_window_bits")];
    let value = prop_oneof![
        3 => prop::sample::select(vec![7, 8, 9, 10, 15, 16]).prop_map(|bits| format!("={bits}")),
        1 => (8..16_u8).prop_map(|bits| format!("=\"{bits}\"")),
        1 => Just(String::new()),
        1 => Just("=\"".to_owned()),
    ];
    let parameter = prop_oneof![
        4 => (window, value).prop_map(|(window, value)| format!("; {window}{value}")),
        1 => Just("; server_no_context_takeover".to_owned()),
        1 => Just("; client_no_context_takeover".to_owned()),
        1 => Just(";x=".to_owned()),
    ];
    (name, prop::collection::vec(parameter, 0..3))
        .prop_map(|(name, parameters)| format!("{name}{}", parameters.concat()))
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let value = prop::collection::vec(extension(), 0..3).prop_map(|extensions| extensions.join(", "));
    let line = prop_oneof![
        3 => value.prop_map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")),
        1 => "[A-Za-z-]{1,20}: \\PC{0,30}\r\n".prop_map(String::from),
        1 => Just("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n".to_owned()),
        1 => Just("\r\n".to_owned()),
    ];
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat().into_bytes())
}

/// A setting, then something of one of the kinds.
pub(crate) fn input() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(frame(), 0..6).prop_map(|frames| frames.concat());
    let compressed = payload().prop_map(|(_, payload)| payload);
    let rest = prop_oneof![1 => bytes(300), 3 => frames, 2 => compressed, 3 => lines()];
    (any::<[u8; 2]>(), rest).prop_map(|(setting, rest)| [&setting[..], &rest].concat())
}
