//! Made-up streams of bytes: valid messages, frames with something wrong, mutated bytes and mere noise; and ways to cut them.

use crate::heard::{Heard, LIMIT};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use touchstone_wire::Role;
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};

/// A stream as the peer of `role` might send it: mostly right, so that what is wrong is met in every state.
pub(crate) fn stream(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => message().prop_flat_map(move |message| wire_form(role, &message)),
        3 => odd_frame(role).prop_map(|frame| encoded(&[frame])),
        1 => vec(any::<u8>(), 0..40),
    ];
    (vec(part, 0..6), vec((any::<Index>(), any::<u8>()), 0..2)).prop_map(|(parts, mutations)| {
        let mut bytes = parts.concat();
        for (index, byte) in mutations {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// The sizes of the pieces a stream comes in, used over and over.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![usize::MAX]),
        Just(vec![1]),
        vec(1_usize..6, 1..8),
        vec(1_usize..400, 1..8),
    ]
}

/// Cuts `bytes` into pieces of these sizes.
pub(crate) fn cut<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = *sizes.next().filter(|_| !bytes.is_empty())?;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}

/// A message or control frame that is allowed.
pub(crate) fn message() -> impl Strategy<Value = Heard> {
    let control = || vec(any::<u8>(), 0..=125);
    prop_oneof![
        6 => text().prop_map(Heard::Text),
        3 => binary().prop_map(Heard::Binary),
        2 => control().prop_map(Heard::Ping),
        1 => control().prop_map(Heard::Pong),
        1 => close().prop_map(Heard::Close),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\PC{0,40}",
        2 => "[a-z]{120,130}",
        1 => "[ä€🌍x]{1,30}",
    ]
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    let edges = select(vec![0, 1, 125, 126, 127, LIMIT - 1, LIMIT]);
    prop_oneof![3 => vec(any::<u8>(), 0..200), 2 => edges.prop_map(|length| vec![0xA5; length])]
}

fn close() -> impl Strategy<Value = Option<(u16, String)>> {
    let code = select(vec![1000, 1001, 1002, 1003, 1007, 1011, 1013, 3000, 4999]);
    prop_oneof![1 => Just(None), 3 => (code, "[a-zé]{0,30}").prop_map(Some)]
}

fn mask(role: Role) -> impl Strategy<Value = Mask> {
    any::<[u8; 4]>().prop_map(move |key| match role {
        Role::Server => Mask::Key(key),
        Role::Client => Mask::None,
    })
}

/// The frames of a message: whole or in fragments, with control frames between.
fn wire_form(role: Role, message: &Heard) -> impl Strategy<Value = Vec<u8>> + use<> {
    let (op, payload) = opcode_and_payload(message);
    let between = prop_oneof![
        4 => Just(None),
        1 => vec(any::<u8>(), 0..20).prop_map(|payload| Some((9, payload))),
        1 => vec(any::<u8>(), 0..20).prop_map(|payload| Some((10, payload))),
    ];
    let fragments = if op < 8 { 0..4 } else { 0..1 };
    (mask(role), vec((any::<Index>(), between), fragments)).prop_map(move |(mask, cuts)| {
        let mut frames = Vec::new();
        let mut rest = &payload[..];
        let mut op = op;
        for (index, between) in cuts {
            let (fragment, behind) = rest.split_at(index.index(rest.len() + 1));
            frames.push(RawFrame {
                fin: false,
                ..RawFrame::new(op, mask, fragment)
            });
            frames.extend(between.map(|(op, payload)| RawFrame::new(op, mask, payload)));
            rest = behind;
            op = 0;
        }
        frames.push(RawFrame::new(op, mask, rest));
        encoded(&frames)
    })
}

pub(crate) fn opcode_and_payload(message: &Heard) -> (u8, Vec<u8>) {
    match message {
        Heard::Text(text) => (1, text.clone().into_bytes()),
        Heard::Binary(bytes) => (2, bytes.clone()),
        Heard::Close(None) => (8, Vec::new()),
        Heard::Close(Some((code, reason))) => (8, [&code.to_be_bytes(), reason.as_bytes()].concat()),
        Heard::Ping(bytes) => (9, bytes.clone()),
        Heard::Pong(bytes) => (10, bytes.clone()),
    }
}

/// A frame in which each thing is right more often than not, but any of them may be wrong.
fn odd_frame(role: Role) -> impl Strategy<Value = RawFrame> {
    let rsv = prop_oneof![12 => Just(0), 1 => 0_u8..8];
    let op = prop_oneof![8 => select(vec![0, 1, 2, 8, 9, 10]), 1 => 0_u8..16];
    let other_mask = match role {
        Role::Server => Just(Mask::None).boxed(),
        Role::Client => any::<[u8; 4]>().prop_map(Mask::Key).boxed(),
    };
    let mask = prop_oneof![12 => mask(role), 1 => other_mask];
    let length_form = prop_oneof![
        12 => Just(LengthForm::Minimal),
        1 => Just(LengthForm::Sixteen),
        1 => Just(LengthForm::SixtyFour),
    ];
    let declared = prop_oneof![
        12 => Just(None),
        2 => (0_u64..2_000).prop_map(Some),
        1 => any::<u64>().prop_map(Some),
    ];
    (any::<bool>(), rsv, op, mask, length_form, declared, odd_payload()).prop_map(
        |(fin, rsv, op, mask, length_form, declared, payload)| RawFrame {
            fin,
            rsv,
            op,
            mask,
            length_form,
            declared,
            payload,
        },
    )
}

fn odd_payload() -> impl Strategy<Value = Vec<u8>> {
    let almost_text = vec(
        select(b"az\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8D\xED\xF4\xC0".to_vec()),
        0..12,
    );
    let close = (prop_oneof![0_u16..6_000, any::<u16>()], vec(any::<u8>(), 0..3))
        .prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat());
    prop_oneof![
        2 => text().prop_map(String::into_bytes),
        2 => almost_text,
        2 => vec(any::<u8>(), 0..130),
        2 => close,
        1 => select(vec![1, 125, 126, LIMIT, LIMIT + 1]).prop_map(|length| vec![b'a'; length]),
    ]
}

pub(crate) fn encoded(frames: &[RawFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.encode(&mut bytes);
    }
    bytes
}
