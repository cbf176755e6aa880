//! For the tests of the client halves: what one hears, and what it does, as values of their own.

use super::{Asked, ClientHalf, Draft, Heard, Key, Next, Persona, Stamp, Turn};

/// The stamp that is written `~3.a.5.1~`.
pub(crate) fn stamp() -> Stamp {
    Stamp {
        key: Key {
            sender: 3,
            sequence: 10,
        },
        intended_micros: 5,
        lag_micros: 1,
    }
}

/// Ann, the first of a group of three.
pub(crate) fn ann() -> Persona {
    Persona {
        id: "ann".to_owned(),
        token: "a.b-c".to_owned(),
        tenant: "acme".to_owned(),
        channel: "c/1".to_owned(),
        group: ["ann", "bob", "cy"].map(str::to_owned).into(),
        place: 0,
    }
}

pub(crate) fn hear<'a>(client: &mut impl ClientHalf, text: &'a str) -> Vec<Heard<'a>> {
    let mut all = Vec::new();
    client.hear(text, &mut |heard| all.push(heard));
    all
}

pub(crate) fn answered<'a>(
    client: &mut impl ClientHalf,
    asked: Asked,
    status: u16,
    body: &'a str,
) -> Vec<Heard<'a>> {
    let mut all = Vec::new();
    client.answered(asked, status, body, &mut |heard| all.push(heard));
    all
}

pub(crate) fn open(client: &mut impl ClientHalf) -> Vec<Heard<'static>> {
    let mut all = Vec::new();
    client.opened(&mut |heard| all.push(heard));
    all
}

/// What the client does, in words: `send TEXT`, `GET PATH`, `POST PATH BODY`, `inject KIND DATA`, `nothing`.
pub(crate) fn act(client: &mut impl ClientHalf, act: usize, recipient: usize) -> String {
    let turn = Turn {
        act,
        stamp: stamp(),
        content_bytes: 12,
        recipient,
    };
    let mut draft = Draft {
        body: "left over".to_owned(),
        path: "left over".to_owned(),
        ..Draft::default()
    };
    in_words(client.act(turn, &mut draft))
}

pub(crate) fn catch_up(client: &mut impl ClientHalf, step: u32) -> String {
    in_words(client.catch_up(step, &mut Draft::default()))
}

/// Of an act with the stamp of these tests.
pub(crate) fn asked(act: usize) -> Asked {
    Asked::Act { act, stamp: stamp() }
}

fn in_words(next: Next<'_>) -> String {
    match next {
        Next::Send(text) => format!("send {text}"),
        Next::Request(request) => format!("{} {} {}", request.method, request.path, request.body)
            .trim_end()
            .to_owned(),
        Next::Inject { kind, data } => format!("inject {kind} {data}"),
        Next::Nothing => "nothing".to_owned(),
    }
}
