//! Requests and answers come out as they went in, however they were cut, and whole ones are read.

use super::*;

/// What comes out of these bytes: all of them, and what was held.
fn cut(text: &str, chunk: usize, course: Course) -> (String, Vec<HttpUnit>) {
    let mut cutter = HttpCutter::default();
    let (mut out, mut units) = (Vec::new(), Vec::new());
    let mut take = |cutter: &mut HttpCutter, piece| match piece {
        HttpPiece::Head(head) => cutter.proceed(course, head.answer_body("GET")),
        HttpPiece::Bytes(bytes) => out.extend(bytes),
        HttpPiece::End => {}
        HttpPiece::Unit(unit, raw) => {
            out.extend(raw);
            units.push(unit);
        }
    };
    for bytes in text.as_bytes().chunks(chunk) {
        cutter.feed(bytes);
        while let Some(piece) = cutter.next() {
            take(&mut cutter, piece);
        }
        if course == Course::Pass
            && let Some(piece) = cutter.release()
        {
            take(&mut cutter, piece);
        }
    }
    if let Some(piece) = cutter.finish() {
        take(&mut cutter, piece);
    }
    (String::from_utf8(out).unwrap(), units)
}

#[test]
fn answers_are_whole_by_length_by_chunks_or_by_the_end() {
    let text = "HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nto the end";
    for chunk in 1..text.len() {
        let (out, units) = cut(text, chunk, Course::Hold);
        assert_eq!(out, text, "{chunk}");
        let seen: Vec<_> = units
            .iter()
            .map(|unit| (unit.status(), String::from_utf8_lossy(&unit.body)))
            .collect();
        let expected = [
            (100, ""),
            (204, ""),
            (200, "hi"),
            (200, "hi!"),
            (404, "to the end"),
        ];
        let expected: Vec<_> = expected.map(|(status, body)| (status, body.into())).into();
        assert_eq!(seen, expected, "{chunk}");
        let (out, units) = cut(text, chunk, Course::Pass);
        assert_eq!((out.as_str(), units.len()), (text, 0), "{chunk}");
    }
}

#[test]
fn what_is_no_http_passes() {
    let text = "SSH-2.0\r\n".repeat(10_000);
    assert_eq!(cut(&text, 1_000, Course::Hold).0, text);
    let begun = "GET / HTTP/1.1\r\nHo";
    assert_eq!(cut(begun, 1, Course::Hold).0, begun);
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nrest";
    assert_eq!(cut(broken, 3, Course::Hold).0, broken);
}

#[test]
fn a_changed_unit_says_how_long_it_is() {
    let mut unit =
        HttpUnit::read(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n");
    assert_eq!((unit.method(), unit.target()), ("POST", "/a?b=c"));
    unit.set_target("/d");
    unit.set_method("PUT");
    unit.set_body(b"{}".to_vec());
    unit.set_header("x-a", Some("2"));
    unit.set_header("HOST", None);
    let text = "PUT /d HTTP/1.1\r\nx-a: 2\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(String::from_utf8(unit.bytes()).unwrap(), text);
    let mut answer = HttpUnit::answer(200, &[], b"x".to_vec());
    answer.set_status(503);
    assert_eq!((answer.status(), answer.body), (503, b"x".to_vec()));
}

#[test]
fn a_handshake_is_one_also_when_it_is_wrong() {
    for (headers, handshake) in [
        ("Upgrade: WebSocket", true),
        ("Sec-WebSocket-Key: x", true),
        ("Upgrade: h2c", false),
        ("Connection: close", false),
    ] {
        let unit = HttpUnit::read(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes());
        assert_eq!(unit.is_handshake(), handshake, "{headers}");
    }
}
