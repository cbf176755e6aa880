//! What a mutant does to frames, and what it leaves alone.

use super::*;

/// What follows everything in these tests: a ping that no rule is about.
const LAST: [u8; 3] = [0x89, 1, b'.'];

/// A server's frame, or a client's with a mask that changes nothing.
fn frame(way: Way, first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mask = if way == Way::Up { 0x80 } else { 0 };
    let mut frame = vec![first_byte, mask | u8::try_from(payload.len()).unwrap()];
    frame.extend(if way == Way::Up { &[0; 4][..] } else { &[] });
    frame.extend(payload);
    frame
}

fn text(payload: &str) -> Vec<u8> {
    frame(Way::Down, 0x81, payload.as_bytes())
}

fn texts(payloads: &[&str]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| text(payload)).collect()
}

/// What the client gets of what the server sends.
async fn check_down(rules: &str, sent: &[u8], got: &[u8]) {
    let stage = Stage::with(rules).await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&[sent, &LAST].concat()).await.unwrap();
    let mut all = vec![0; got.len() + LAST.len()];
    let read = in_time(client.read_exact(&mut all)).await;
    let shown = |bytes: &[u8]| format!("{bytes:02x?} {}", String::from_utf8_lossy(bytes));
    assert!(
        read.is_ok() && all == [got, &LAST].concat(),
        "{rules}\n got {}\nwant {}",
        shown(&all),
        shown(got)
    );
}

#[tokio::test]
async fn messages_are_changed_as_the_rule_says() {
    let close = |payload: &[u8]| frame(Way::Down, 0x88, payload);
    let rows: &[(&str, Vec<u8>, Vec<u8>)] = &[
        (
            "on: {down: {a: 1}}\ndo: drop",
            texts(&[r#"{"a":1}"#, "b"]),
            text("b"),
        ),
        (
            "on: {down: {a: 1}}\ndo: {times: 2}",
            text(r#"{"a":1}"#),
            texts(&[r#"{"a":1}"#, r#"{"a":1}"#]),
        ),
        (
            "on: {down: {}}\ndo: {edit: {set: {/b: x}}}",
            text(r#"{ "a": 1 }"#),
            text(r#"{"a":1,"b":"x"}"#),
        ),
        (
            "on: {down: {}}\ndo: {edit: {stale: /a}}",
            texts(&[r#"{"a":1}"#, r#"{"a":2}"#]),
            texts(&[r#"{"a":1}"#, r#"{"a":1}"#]),
        ),
        ("on: {down: text}\ndo: {replace: new}", text("old"), text("new")),
        (
            "on: {down: text}\ndo: {substitute: {from: 'o(.)', to: '$1'}}",
            text("old"),
            text("ld"),
        ),
        (
            "on: {down: {$text: a}}\ndo: {also: {hex: ff}}",
            texts(&["a", "b"]),
            [text("a"), vec![0x82, 1, 0xFF], text("b")].concat(),
        ),
        (
            "on: {down: text}\nnth: 2\ndo: drop",
            texts(&["1", "2", "3"]),
            texts(&["1", "3"]),
        ),
        (
            "on: {down: text}\nevery: 2\ndo: drop",
            texts(&["1", "2", "3", "4"]),
            texts(&["1", "3"]),
        ),
        (
            "on: {down: text}\nfrom: 2\ndo: drop",
            texts(&["1", "2", "3"]),
            text("1"),
        ),
        (
            "on: {down: {$text: '1'}}\ndo: swap",
            texts(&["1", "2", "3"]),
            texts(&["2", "1", "3"]),
        ),
        (
            "on: {down: binary}\ndo: drop",
            [text("1"), vec![0x82, 1, 7]].concat(),
            text("1"),
        ),
        ("on: {down: empty}\ndo: drop", texts(&["", "1"]), text("1")),
        (
            "on: {down: {$regex: '[0-9]+'}}\ndo: drop",
            texts(&["12", "1x"]),
            text("1x"),
        ),
        (
            "on: {close: down}\ndo: {code: 4999}",
            close(b"\x03\xe8bye"),
            close(b"\x13\x87bye"),
        ),
        (
            "on: {close: down}\ndo: {code: empty}",
            close(b"\x03\xe8bye"),
            close(b""),
        ),
        (
            "on: {close: {way: down, codes: [1009]}}\ndo: {reason: x}",
            close(b"\x03\xe8bye"),
            close(b"\x03\xe8bye"),
        ),
        (
            "on: {close: {way: down, codes: [1009]}}\ndo: {reason: x}",
            close(b"\x03\xf1bye"),
            close(b"\x03\xf1x"),
        ),
        (
            "on: {pong: down}\ndo: {replace: x}",
            frame(Way::Down, 0x8A, b"yy"),
            frame(Way::Down, 0x8A, b"x"),
        ),
    ];
    for (rules, sent, got) in rows {
        check_down(rules, sent, got).await;
    }
}

#[tokio::test]
async fn frames_are_written_wrongly_as_the_rule_says() {
    let rows: &[(&str, Vec<u8>)] = &[
        (
            "mask_flipped: true",
            [
                &[0x81, 0x83, 0x37, 0xFA, 0x21, 0x3D][..],
                &[b'a' ^ 0x37, b'b' ^ 0xFA, b'c' ^ 0x21],
            ]
            .concat(),
        ),
        ("rsv: 2", vec![0xA1, 3, b'a', b'b', b'c']),
        ("opcode: 3", vec![0x83, 3, b'a', b'b', b'c']),
        ("fin: false", vec![0x01, 3, b'a', b'b', b'c']),
        (
            "length_longest: true",
            vec![0x81, 127, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c'],
        ),
        ("fragment_bytes: 2", vec![0x01, 2, b'a', b'b', 0x80, 1, b'c']),
        ("payload_suffix: ff", vec![0x81, 4, b'a', b'b', b'c', 0xFF]),
        ("cut_to_bytes: 1", vec![0x81, 3, b'a']),
    ];
    for (flaw, got) in rows {
        check_down(
            &format!("on: {{down: any}}\ndo: {{frame: {{{flaw}}}}}"),
            &text("abc"),
            got,
        )
        .await;
    }
}

#[tokio::test]
async fn what_no_rule_is_about_is_passed_as_it_came() {
    let large = [&[0x82, 127, 0, 0, 0, 0, 0, 4, 0, 1][..], &vec![7; 262_145]].concat();
    let fragments = [0x01, 1, b'a', 0x89, 1, b'p', 0x80, 1, b'b'];
    let other = [&[0x89, 1, b'p'][..], &[0x01, 1, b'a', 0x80, 1, b'b']].concat();
    let rows: &[(&str, &[u8], &[u8])] = &[
        ("compressed", &[0xC1, 1, b'x'], &[0xC1, 1, b'x']),
        ("too large", &large, &large),
        // A ping need not wait for the message that it interrupts.
        ("in fragments", &fragments, &other),
        ("a fragment out of place", &[0x80, 1, b'b'], &[0x80, 1, b'b']),
        (
            "a message in another",
            &[0x01, 1, b'a', 0x81, 1, b'z'],
            &[0x01, 1, b'a', 0x81, 1, b'z'],
        ),
        ("reserved", &[0x83, 126, 0, 1, b'x'], &[0x83, 126, 0, 1, b'x']),
    ];
    for (_, sent, got) in rows {
        check_down("on: {down: {$text: never}}\ndo: drop", sent, got).await;
    }
    check_down(
        "on: {down: {$text: ab}}\ndo: {replace: c}",
        &fragments,
        &[&[0x89, 1, b'p'][..], &text("c")].concat(),
    )
    .await;
}

#[tokio::test]
async fn what_is_never_whole_is_passed_on_all_the_same() {
    let stage = Stage::with("on: {down: text}\ndo: drop").await;
    let (mut client, mut server) = stage.open().await;
    for piece in [&[0x81][..], &[3, b'a'], b"b"] {
        server.write_all(piece).await.unwrap();
        expect(&mut client, piece).await;
    }
    server.write_all(b"c").await.unwrap();
    expect(&mut client, b"c").await;
    server.write_all(&[0x81, 9, b'x']).await.unwrap();
    server.shutdown().await.unwrap();
    expect(&mut client, &[0x81, 9, b'x']).await;
    expect_end(&mut client).await;
    assert_eq!(stage.proxy.touched(), 0);

    // Whole fragments of a message that does not come to its end: in time, before another message, at the end of TCP.
    let (first, second) = ([0x01, 1, b'a'], [0x80, 1, b'b']);
    let stage = Stage::with("on: {down: {$text: ab}}\ndo: drop").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&first).await.unwrap();
    expect(&mut client, &first).await;
    server
        .write_all(&[&second[..], &first, &text("c")].concat())
        .await
        .unwrap();
    expect(&mut client, &[&second[..], &first, &text("c")].concat()).await;
    server.write_all(&first).await.unwrap();
    server.shutdown().await.unwrap();
    expect(&mut client, &first).await;
    expect_end(&mut client).await;
    assert_eq!(stage.proxy.touched(), 0);
}

#[tokio::test]
async fn what_a_server_should_refuse_is_mended_on_its_way() {
    for (like, flaw, sent, got) in [
        ("masked: false", "mask_flipped: true", vec![0x81, 1, b'a'], None),
        (
            "opcodes: [3, 4]",
            "opcode: text",
            frame(Way::Up, 0x83, b"a"),
            Some(frame(Way::Up, 0x81, b"a")),
        ),
        (
            "rsv: [1, 2]",
            "rsv: 0",
            frame(Way::Up, 0xA1, b"a"),
            Some(frame(Way::Up, 0x81, b"a")),
        ),
        (
            "fin: false, opcodes: ping",
            "fin: true",
            frame(Way::Up, 0x09, b"a"),
            Some(frame(Way::Up, 0x89, b"a")),
        ),
        (
            "bytes_min: 3",
            "cut_to_bytes: 3",
            frame(Way::Up, 0x81, b"ab"),
            Some(frame(Way::Up, 0x81, b"ab")),
        ),
        (
            "minimal: false",
            "rsv: 0",
            vec![0x81, 0xFE, 0, 1, 0, 0, 0, 0, b'a'],
            Some(frame(Way::Up, 0x81, b"a")),
        ),
    ] {
        let rules = format!("on: {{frame: {{way: up, {like}}}}}\ndo: {{frame: {{{flaw}}}}}");
        let stage = Stage::with(&rules).await;
        let (mut client, mut server) = stage.open().await;
        client.write_all(&sent).await.unwrap();
        let masked = [0x81, 0x81, 0x37, 0xFA, 0x21, 0x3D, b'a' ^ 0x37].to_vec();
        expect(&mut server, &got.unwrap_or(masked)).await;
    }
}

#[tokio::test]
async fn what_comes_later_comes_later() {
    let later = Duration::from_millis(100);
    let start = std::time::Instant::now();
    check_down(
        "on: {down: {$text: '1'}}\ndo: {delay: 100ms}",
        &texts(&["1", "2"]),
        &texts(&["1", "2"]),
    )
    .await;
    assert!(start.elapsed() >= later);

    for (deed, got) in [("late", texts(&["2", "1"])), ("again", texts(&["1", "2", "1"]))] {
        let stage = Stage::with(&format!("on: {{down: {{$text: '1'}}}}\ndo: {{{deed}: 100ms}}")).await;
        let (mut client, mut server) = stage.open().await;
        server.write_all(&texts(&["1", "2"])).await.unwrap();
        expect(&mut client, &got).await;
    }
    let stage = Stage::with("on: {down: {$text: '1'}}\ndo: swap").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&text("1")).await.unwrap();
    expect(&mut client, &text("1")).await;
}

#[tokio::test]
async fn what_is_said_goes_to_others() {
    for (deed, own, first, second) in [("leak", true, true, true), ("divert", false, false, true)] {
        let stage = Stage::with(&format!("on: {{down: {{$text: x}}}}\ndo: {deed}")).await;
        let (mut client, mut server) = stage.open().await;
        let (mut one, mut from_one) = stage.open().await;
        let (mut two, mut from_two) = stage.open().await;
        server.write_all(&[&text("x")[..], &LAST].concat()).await.unwrap();
        if own {
            expect(&mut client, &text("x")).await;
        }
        expect(&mut client, &LAST).await;
        for (peer, server, gets) in [
            (&mut one, &mut from_one, first),
            (&mut two, &mut from_two, second),
        ] {
            if gets {
                expect(peer, &text("x")).await;
            }
            server.write_all(&LAST).await.unwrap();
            expect(peer, &LAST).await;
        }
        // What goes back to where it came from would be among these.
        for _ in 0..3 {
            server.write_all(&LAST).await.unwrap();
            expect(&mut client, &LAST).await;
        }
    }
}

#[tokio::test]
async fn what_was_said_is_told_to_newcomers() {
    let stage = Stage::with("on: {down: {$text: x}}\ndo: keep").await;
    let (mut client, mut server) = stage.open().await;
    let (mut early, mut from_early) = stage.open().await;
    server.write_all(&[&text("x")[..], &LAST].concat()).await.unwrap();
    expect(&mut client, &[&text("x")[..], &LAST].concat()).await;
    let (mut late, mut from_late) = stage.open().await;
    expect(&mut late, &text("x")).await;
    for (peer, server) in [(&mut early, &mut from_early), (&mut late, &mut from_late)] {
        server.write_all(&LAST).await.unwrap();
        expect(peer, &LAST).await;
    }
}

#[tokio::test]
async fn what_is_said_is_answered_here() {
    let stage = Stage::with("on: {up: {$text: hi}}\ndo: [drop, {reply: {ok: true}}]").await;
    let (mut client, mut server) = stage.open().await;
    client.write_all(&frame(Way::Up, 0x81, b"hi")).await.unwrap();
    expect(&mut client, &text(r#"{"ok":true}"#)).await;
    client.write_all(&frame(Way::Up, 0x81, b"ho")).await.unwrap();
    expect(&mut server, &frame(Way::Up, 0x81, b"ho")).await;
    assert_eq!(stage.proxy.touched(), 1);
}

#[tokio::test]
async fn a_close_frame_of_our_own_waits_for_its_answer() {
    for (rules, from) in [
        ("on: {up: {$text: x}}\ndo: [drop, {close: 1011}]", Way::Up),
        ("on: {down: {$text: x}}\ndo: [drop, {close: 1011}]", Way::Down),
    ] {
        let stage = Stage::with(rules).await;
        let (mut client, mut server) = stage.open().await;
        match from {
            Way::Up => client.write_all(&frame(Way::Up, 0x81, b"x")).await.unwrap(),
            Way::Down => server.write_all(&text("x")).await.unwrap(),
        }
        expect(&mut client, &[0x88, 2, 3, 0xF3]).await;
        server.write_all(&text("more")).await.unwrap();
        client
            .write_all(&frame(Way::Up, 0x88, b"\x03\xF3"))
            .await
            .unwrap();
        expect_end(&mut client).await;
        drop(client);
        let mut said = Vec::new();
        in_time(server.read_to_end(&mut said)).await.unwrap();
    }
}

/// How a client takes a close frame of the proxy's own, other than by an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    /// It ends TCP.
    Leaves,
    /// It ends TCP by RST.
    Resets,
    /// It stays, and says nothing.
    Stays,
}

#[tokio::test]
async fn a_close_frame_of_our_own_that_nobody_answers_ends_both_sides_all_the_same() {
    for rules in [
        "on: {up: {$text: x}}\ndo: [drop, {close: 1011}]",
        "on: {down: {$text: x}}\ndo: [drop, {close: 1011}]",
    ] {
        for unanswered in [Unanswered::Leaves, Unanswered::Resets, Unanswered::Stays] {
            let stage = Stage::with(rules).await;
            let (mut client, mut server) = stage.open().await;
            if rules.contains("up") {
                client.write_all(&frame(Way::Up, 0x81, b"x")).await.unwrap();
            } else {
                server.write_all(&text("x")).await.unwrap();
            }
            expect(&mut client, &[0x88, 2, 3, 0xF3]).await;
            match unanswered {
                Unanswered::Leaves => {
                    client.shutdown().await.unwrap();
                    expect_end(&mut client).await;
                }
                Unanswered::Resets => reset(client),
                Unanswered::Stays => expect_end(&mut client).await,
            }
            let mut said = Vec::new();
            let ended = in_time(server.read_to_end(&mut said)).await;
            // A client that resets may be noticed by either way first, and only one of them is about how it went.
            assert!(
                ended.is_ok() || unanswered == Unanswered::Resets,
                "{rules} {unanswered:?}"
            );
            assert!(said.is_empty(), "{rules} {unanswered:?}");
            in_time(stage.proxy.shut_down()).await;
        }
    }
}

#[tokio::test]
async fn tcp_ends_as_the_rule_says() {
    let stage = Stage::with("on: {down: {$text: x}}\ndo: {end: fin}").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&text("x")).await.unwrap();
    expect(&mut client, &text("x")).await;
    expect_end(&mut client).await;
    expect_end(&mut server).await;

    let stage = Stage::with("on: {down: {$text: x}}\ndo: [drop, {end: reset}]").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&text("x")).await.unwrap();
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;

    let stage = Stage::with("on: {ended: down}\ndo: [drop, {end: reset}]").await;
    let (mut client, mut server) = stage.open().await;
    server.shutdown().await.unwrap();
    expect_reset(&mut client).await;

    let stage = Stage::with("on: {ended: down}\ndo: drop").await;
    let (mut client, mut server) = stage.open().await;
    server.shutdown().await.unwrap();
    client.write_all(&frame(Way::Up, 0x81, b"x")).await.unwrap();
    expect(&mut server, &frame(Way::Up, 0x81, b"x")).await;
    client.shutdown().await.unwrap();
    expect_end(&mut server).await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_way_that_hangs_passes_nothing_and_stays_open() {
    let stage = Stage::with("on: {down: {$text: x}}\ndo: hang").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&texts(&["x", "more"])).await.unwrap();
    expect(&mut client, &text("x")).await;
    server.shutdown().await.unwrap();
    client.write_all(&frame(Way::Up, 0x81, b"y")).await.unwrap();
    expect(&mut server, &frame(Way::Up, 0x81, b"y")).await;
    client.shutdown().await.unwrap();
    expect_end(&mut server).await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn what_is_the_same_afterwards_was_not_touched() {
    let stage = Stage::with("on: {down: {}}\ndo: {edit: {remove: /gone}}").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&text(r#"{ "a": 1 }"#)).await.unwrap();
    expect(&mut client, &text(r#"{ "a": 1 }"#)).await;
    assert_eq!(stage.proxy.touched(), 0);
    server.write_all(&text(r#"{"a":1,"gone":2}"#)).await.unwrap();
    expect(&mut client, &text(r#"{"a":1}"#)).await;
    assert_eq!(stage.proxy.touched(), 1);
}

#[tokio::test]
async fn a_rule_waits_for_what_it_comes_after() {
    let stage = Stage::with("after: {up: {$text: now}}\non: {down: {$text: x}}\nnth: 2\ndo: drop").await;
    let (mut client, mut server) = stage.open().await;
    let (mut other, mut from_other) = stage.open().await;
    server.write_all(&texts(&["x", "x", "x"])).await.unwrap();
    expect(&mut client, &texts(&["x", "x", "x"])).await;
    other.write_all(&frame(Way::Up, 0x81, b"now")).await.unwrap();
    expect(&mut from_other, &frame(Way::Up, 0x81, b"now")).await;
    server.write_all(&texts(&["x", "x", "last"])).await.unwrap();
    expect(&mut client, &texts(&["x", "last"])).await;
    assert_eq!(stage.proxy.touched_by_rule(), [1], "from there on it is counted");

    // What wakes it is not what it is applied to, whichever way that goes.
    let stage = Stage::with("after: {down: {$text: x}}\non: {down: {$text: x}}\ndo: drop").await;
    let (mut client, mut server) = stage.open().await;
    server.write_all(&texts(&["x", "x", "last"])).await.unwrap();
    expect(&mut client, &texts(&["x", "last"])).await;

    let rule = "after: {request: {path: /stop, json: {store: down}}}\non: {down: {$text: x}}\ndo: drop";
    let stage = Stage::with(rule).await;
    let (mut client, mut server) = stage.open().await;
    for (body, got) in [("up", &["x", "last"][..]), ("down", &["last"])] {
        let (mut asking, mut asked) = stage.connect().await;
        let request = format!(
            "POST /stop HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            body.len() + 12
        );
        let request = format!("{request}{{\"store\":\"{body}\"}}");
        asking.write_all(request.as_bytes()).await.unwrap();
        expect(&mut asked, request.as_bytes()).await;
        server.write_all(&texts(&["x", "last"])).await.unwrap();
        expect(&mut client, &texts(got)).await;
    }
}

#[tokio::test]
async fn who_opens_is_greeted() {
    let stage = Stage::with("on: {opened: true}\ndo: {reply: hello}").await;
    let (mut client, _server) = stage.open().await;
    expect(&mut client, &text("hello")).await;
    assert_eq!(stage.proxy.touched(), 1);
}
