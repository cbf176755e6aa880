//! What every frame of the server owes, on every connection of every case, whatever the case is about.

use std::fmt;

use touchstone_scenarios::scenario::Client;

use crate::frames::{CloseBody, Content, Frame, RSV1, opcode};
use crate::inflate::Breach;
use crate::tap::{Direction, Record};
use crate::verdict::Check;

/// A frame that breaks RFC 6455, or a client library's objection to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The clause it breaks.
    pub clause: &'static str,
    /// The aspect it counts against.
    pub check: Check,
    /// What the frame owes.
    pub expected: &'static str,
    /// What was seen.
    pub actual: String,
}

/// Looks at all that the server sent on one connection. Each kind of violation is reported once, with its first frame.
#[must_use]
pub fn check_frames(record: &Record, client: Client) -> Vec<Violation> {
    let mut found = Found(Vec::new());
    let mut inside_message = false;
    let mut closed = false;
    for (_, frame) in record
        .frames
        .iter()
        .filter(|(direction, _)| *direction == Direction::Down)
    {
        check_header(frame, &mut found);
        check_reserved(frame, record, &mut found);
        check_sequence(frame, &mut inside_message, closed, &mut found);
        if frame.header.opcode == opcode::CLOSE {
            check_close(frame, closed, &mut found);
            closed = true;
        }
    }
    for message in &record.received {
        match &message.content {
            Content::BadText(bytes) => found.add(
                "rfc6455/5.6-utf8",
                Check::Message,
                "text that is UTF-8",
                &bytes.len(),
            ),
            Content::BadDeflate(breach, bytes) => check_breach(*breach, bytes.len(), &mut found),
            Content::Text(_) | Content::Binary(_) => {}
        }
    }
    check_pongs(record, &mut found);
    if client == Client::Judge
        && let Some((error, _)) = record.client_errors.first()
        && found.0.is_empty()
    {
        found.add(
            "common/1a",
            Check::Message,
            "frames that a WebSocket client accepts",
            error,
        );
    }
    found.0
}

struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, clause: &'static str, check: Check, expected: &'static str, actual: &dyn fmt::Display) {
        if !self
            .0
            .iter()
            .any(|known| known.clause == clause && known.expected == expected)
        {
            self.0.push(Violation {
                clause,
                check,
                expected,
                actual: actual.to_string(),
            });
        }
    }
}

fn check_header(frame: &Frame, found: &mut Found) {
    let header = &frame.header;
    let shown = describe(frame);
    if header.mask.is_some() {
        found.add(
            "rfc6455/5.1-masked",
            Check::Message,
            "a frame that is not masked",
            &format!("a masked {shown}"),
        );
    }
    if matches!(header.opcode, 3..=7 | 11..=15) {
        found.add(
            "rfc6455/5.2-opcode",
            Check::Message,
            "an opcode that is defined",
            &shown,
        );
    }
    if !header.is_minimal() {
        let actual = format!("{shown} with its length in {:?} form", header.length_form);
        found.add(
            "rfc6455/5.2-length",
            Check::Message,
            "a length in its shortest form",
            &actual,
        );
    }
    if header.is_control() && (!header.fin || header.length > 125) {
        found.add(
            "rfc6455/5.5-control",
            Check::Message,
            "control frames whole and of at most 125 bytes",
            &shown,
        );
    }
}

/// RSV1 has a meaning on the first frame of a message, where compression was agreed on.
fn check_reserved(frame: &Frame, record: &Record, found: &mut Found) {
    let header = &frame.header;
    let starts_a_message = matches!(header.opcode, opcode::TEXT | opcode::BINARY);
    let allowed = if record.deflate.is_some() && starts_a_message {
        RSV1
    } else {
        0
    };
    if header.rsv & !allowed != 0 {
        let actual = format!("{} with reserved bits {:03b}", describe(frame), header.rsv);
        found.add(
            "rfc6455/5.2-rsv",
            Check::Message,
            "no reserved bit without an extension",
            &actual,
        );
    }
}

/// A compressed message that does not follow from what the handshake agreed on.
fn check_breach(breach: Breach, bytes: usize, found: &mut Found) {
    let (clause, expected) = match breach {
        Breach::Context => (
            "rfc7692/context",
            "a compressed message that stands by itself, as was agreed on",
        ),
        Breach::Window => (
            "rfc7692/server-window",
            "a compressed message that refers no further back than was agreed on",
        ),
        Breach::Garbage => ("rfc7692/context", "a compressed message that inflates"),
    };
    let actual = format!("one of {bytes} bytes that does not");
    found.add(clause, Check::Message, expected, &actual);
}

fn check_sequence(frame: &Frame, inside_message: &mut bool, closed: bool, found: &mut Found) {
    let header = &frame.header;
    if header.is_control() {
        return;
    }
    if closed {
        let expected = "no data frame after the close frame";
        found.add("rfc6455/5.5.1-close", Check::Clean, expected, &describe(frame));
    }
    let continues = header.opcode == opcode::CONTINUATION;
    if continues != *inside_message {
        let expected = "fragments one after the other, the first of them named";
        found.add(
            "rfc6455/5.4-out-of-place",
            Check::Message,
            expected,
            &describe(frame),
        );
    }
    *inside_message = !header.fin;
}

fn check_close(frame: &Frame, closed: bool, found: &mut Found) {
    const CLAUSE: &str = "rfc6455/7.4.1-codes";
    if closed {
        found.add(
            "rfc6455/5.5.1-close",
            Check::Clean,
            "one close frame",
            &"a second one",
        );
    }
    let body = CloseBody::read(&frame.payload);
    match body.code {
        None if frame.payload.len() == 1 => {
            found.add(
                CLAUSE,
                Check::Close,
                "a close frame with a whole code or none",
                &"one byte",
            );
        }
        Some(code @ (0..=999 | 1004..=1006 | 1015..=2999 | 5000..)) => {
            found.add(
                CLAUSE,
                Check::Close,
                "a close code that may be on the wire",
                &code,
            );
        }
        None | Some(_) => {}
    }
    if frame
        .payload
        .get(2..)
        .is_some_and(|reason| std::str::from_utf8(reason).is_err())
    {
        found.add(
            CLAUSE,
            Check::Close,
            "a close reason that is UTF-8",
            &format!("{:?}", body.reason),
        );
    }
}

/// While a connection is open to the end, the newest ping owes a pong with its bytes.
fn check_pongs(record: &Record, found: &mut Found) {
    let over =
        record.server_ended_at().is_some() || record.client_close().is_some() || !record.our_ends.is_empty();
    if over {
        return;
    }
    let newest = record.frames.iter().rposition(|(direction, frame)| {
        *direction == Direction::Up && frame.header.opcode == opcode::PING && frame.header.fin
    });
    let Some(newest) = newest else {
        return;
    };
    let payload = &record.frames[newest].1.payload;
    let answered = record.frames.iter().skip(newest).any(|(direction, frame)| {
        *direction == Direction::Down && frame.header.opcode == opcode::PONG && frame.payload == *payload
    });
    if !answered {
        let expected = "a pong with the bytes of the newest ping";
        found.add("rfc6455/5.5.2-ping", Check::Message, expected, &"no such pong");
    }
}

/// A frame in a few words.
#[must_use]
pub fn describe(frame: &Frame) -> String {
    let kind = match frame.header.opcode {
        opcode::CONTINUATION => "continuation".to_owned(),
        opcode::TEXT => "text".to_owned(),
        opcode::BINARY => "binary".to_owned(),
        opcode::CLOSE => "close".to_owned(),
        opcode::PING => "ping".to_owned(),
        opcode::PONG => "pong".to_owned(),
        other => format!("opcode {other}"),
    };
    let fin = if frame.header.fin { "" } else { ", not final" };
    format!("{kind} frame of {} bytes{fin}", frame.header.length)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tap::{Gate, Log, Tap};

    async fn clauses(up: &[u8], down: &[u8]) -> Vec<&'static str> {
        let (ours, mut server) = tokio::io::duplex(1 << 16);
        let log = Log::default();
        let mut tap = Tap::new(ours, log.clone(), Gate::default());
        tap.write_all(&[b"GET / HTTP/1.1\r\n\r\n", up].concat())
            .await
            .unwrap();
        server
            .write_all(&[b"HTTP/1.1 101 x\r\n\r\n", down].concat())
            .await
            .unwrap();
        drop(server);
        tap.read_to_end(&mut Vec::new()).await.unwrap();
        // These connections are looked at as if they were open: what ends them is not the point.
        log.record().server_end = None;
        let record = log.record();
        check_frames(&record, Client::Judge)
            .into_iter()
            .map(|violation| violation.clause)
            .collect()
    }

    #[tokio::test]
    async fn what_is_right_is_accepted() {
        let ping = [0x89, 0x81, 0, 0, 0, 0, b'p'];
        let down = [
            0x81, 2, b'h', b'i', 0x01, 1, b'a', 0x8A, 1, b'p', 0x80, 0, 0x88, 2, 0x03, 0xE8,
        ];
        assert_eq!(clauses(&ping, &down).await, [""; 0]);
    }

    #[tokio::test]
    async fn each_violation_is_found_under_its_clause() {
        type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a [&'a str]);
        let cases: [Case<'_>; 13] = [
            ("masked", &[], &[0x81, 0x80, 1, 2, 3, 4], &["rfc6455/5.1-masked"]),
            ("reserved bit", &[], &[0xC1, 0], &["rfc6455/5.2-rsv"]),
            ("reserved opcode", &[], &[0x8B, 0], &["rfc6455/5.2-opcode"]),
            (
                "long length",
                &[],
                &[0x81, 126, 0, 1, b'x'],
                &["rfc6455/5.2-length"],
            ),
            ("fragmented ping", &[], &[0x09, 0], &["rfc6455/5.5-control"]),
            ("bad text", &[], &[0x81, 1, 0xFF], &["rfc6455/5.6-utf8"]),
            (
                "continuation of nothing",
                &[],
                &[0x80, 0],
                &["rfc6455/5.4-out-of-place"],
            ),
            (
                "message inside one",
                &[],
                &[0x01, 0, 0x81, 0],
                &["rfc6455/5.4-out-of-place"],
            ),
            (
                "data after close",
                &[],
                &[0x88, 0, 0x81, 0],
                &["rfc6455/5.5.1-close"],
            ),
            ("two closes", &[], &[0x88, 0, 0x88, 0], &["rfc6455/5.5.1-close"]),
            (
                "close 1005",
                &[],
                &[0x88, 2, 0x03, 0xED],
                &["rfc6455/7.4.1-codes"],
            ),
            (
                "close of one byte",
                &[],
                &[0x88, 1, 0x03],
                &["rfc6455/7.4.1-codes"],
            ),
            (
                "no pong",
                &[0x89, 0x80, 0, 0, 0, 0],
                &[0x8A, 1, b'x'],
                &["rfc6455/5.5.2-ping"],
            ),
        ];
        for (name, up, down, expected) in cases {
            assert_eq!(clauses(up, down).await, expected, "{name}");
        }
    }
}
