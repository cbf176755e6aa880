//! What a mutant does to requests and answers, and what it leaves alone.

use serde_json::json;

use super::*;

/// A request and its answer: what the server gets of the one, and the client of the other.
async fn check(rules: &str, (asked, got): (&str, &str), (answered, heard): (&str, &str)) {
    let stage = Stage::with(rules).await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(asked.as_bytes()).await.unwrap();
    expect(&mut server, got.as_bytes()).await;
    server.write_all(answered.as_bytes()).await.unwrap();
    expect(&mut client, heard.as_bytes()).await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;
}

const POST: &str = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}";

#[tokio::test]
async fn requests_are_changed_as_the_rule_says() {
    for (rule, got) in [
        (
            "do: {header: {host: z}}",
            "POST /a?b=c HTTP/1.1\r\nhost: z\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        ),
        (
            "do: {header: {host: null}}",
            "POST /a?b=c HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        ),
        (
            "do: {edit: {set: {/a: 22}}}",
            "POST /a?b=c HTTP/1.1\r\nHost: x\r\ncontent-length: 8\r\n\r\n{\"a\":22}",
        ),
        (
            "do: {body: hi}",
            "POST /a?b=c HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\nhi",
        ),
        (
            "do: {substitute: {from: '[ab]', to: z}}",
            "POST /z?z=c HTTP/1.1\r\nHost: x\r\ncontent-length: 7\r\n\r\n{\"z\":1}",
        ),
    ] {
        for on in [
            "{method: POST, path: '/a.*'}",
            "{json: {a: 1}}",
            "{headers: {host: x}}",
        ] {
            check(&format!("on: {{request: {on}}}\n{rule}"), (POST, got), (OK, OK)).await;
        }
        for on in [
            "{method: GET}",
            "{path: /a}",
            "{json: {a: 2}}",
            "{headers: {host: y}}",
        ] {
            check(&format!("on: {{request: {on}}}\n{rule}"), (POST, POST), (OK, OK)).await;
        }
        check(
            &format!("on: {{request: {{}}}}\nfrom: 2\n{rule}"),
            (POST, POST),
            (OK, OK),
        )
        .await;
    }
}

#[tokio::test]
async fn answers_are_changed_as_the_rule_says() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
    for (rule, answered, heard) in [
        (
            "do: {status: 404}",
            OK,
            "HTTP/1.1 404 Changed\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        ),
        (
            "do: {header: {x: y}}",
            OK,
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nx: y\r\n\r\n{\"a\":1}",
        ),
        (
            "do: {edit: {remove: /a}}",
            OK,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        ),
        (
            "do: {edit: {remove: /a}}",
            chunked,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        ),
    ] {
        let on = "on: {answer: {method: POST, json: {a: 1}, status: 2xx}}";
        check(&format!("{on}\n{rule}"), (POST, POST), (answered, heard)).await;
        for on in ["status: 404", "json: {a: 2}", "handshake: true"] {
            check(
                &format!("on: {{answer: {{{on}}}}}\n{rule}"),
                (POST, POST),
                (answered, answered),
            )
            .await;
        }
    }
    // One that ends with TCP is whole when that has ended.
    let stage = Stage::with("on: {answer: {}}\ndo: {body: no}").await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(POST.as_bytes()).await.unwrap();
    expect(&mut server, POST.as_bytes()).await;
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nyes").await.unwrap();
    server.shutdown().await.unwrap();
    expect(&mut client, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_request_is_answered_here_or_never() {
    let stage =
        Stage::with("on: {request: {method: POST}}\ndo: {respond: {status: 404, headers: {x: y}, json: {}}}")
            .await;
    let (mut client, mut server) = stage.connect().await;
    let get = "GET / HTTP/1.1\r\n\r\n";
    client
        .write_all([get, POST, get].concat().as_bytes())
        .await
        .unwrap();
    expect(&mut server, [get, get].concat().as_bytes()).await;
    server.write_all([OK, OK].concat().as_bytes()).await.unwrap();
    let own =
        "HTTP/1.1 404 Answered\r\nx: y\r\ncontent-length: 2\r\nContent-Type: application/json\r\n\r\n{}";
    expect(&mut client, [OK, own, OK].concat().as_bytes()).await;

    let stage = Stage::with("on: {request: {method: POST}}\ndo: drop").await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all([POST, get].concat().as_bytes()).await.unwrap();
    expect(&mut server, get.as_bytes()).await;

    let stage = Stage::with("on: {answer: {}}\ndo: drop").await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(POST.as_bytes()).await.unwrap();
    expect(&mut server, POST.as_bytes()).await;
    server.write_all(OK.as_bytes()).await.unwrap();
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_request_that_is_made_twice_has_one_answer() {
    let stage = Stage::with("on: {request: {method: POST}}\ndo: {times: 2}").await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(POST.as_bytes()).await.unwrap();
    expect(&mut server, [POST, POST].concat().as_bytes()).await;
    let last = "HTTP/1.1 204 No Content\r\n\r\n";
    server.write_all([OK, OK].concat().as_bytes()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    expect(&mut server, b"GET / HTTP/1.1\r\n\r\n").await;
    server.write_all(last.as_bytes()).await.unwrap();
    expect(&mut client, [OK, last].concat().as_bytes()).await;
}

#[tokio::test]
async fn what_is_never_whole_is_passed_on_all_the_same() {
    let stage = Stage::with("on: {request: {}}\ndo: {header: {x: y}}").await;
    let (mut client, mut server) = stage.connect().await;
    for piece in ["GET / HT", "TP/1.1\r\n", "Content-Length: 3\r\n\r\na", "bc"] {
        client.write_all(piece.as_bytes()).await.unwrap();
        expect(&mut server, piece.as_bytes()).await;
    }
    let asks = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    client.write_all(asks.as_bytes()).await.unwrap();
    expect(&mut server, asks.as_bytes()).await;
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    expect(&mut client, b"HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(stage.proxy.touched(), 0);
    client.write_all(b"xGET / HTTP/1.1\r\n\r\n").await.unwrap();
    expect(&mut server, b"xGET / HTTP/1.1\r\nx: y\r\n\r\n").await;
}

#[tokio::test]
async fn a_handshake_is_changed_and_frames_follow_it() {
    let rules = "on: {handshake: {path: '/ws.*'}}\ndo: {header: {Sec-WebSocket-Key: other}}";
    let stage = Stage::with(rules).await;
    let (mut client, mut server) = stage.connect().await;
    let early = [0x81, 0x81, 0, 0, 0, 0, b'x'];
    client.write_all(&[HANDSHAKE, &early].concat()).await.unwrap();
    let text = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
    let changed = text.replace("Sec-WebSocket-Key: x", "Sec-WebSocket-Key: other");
    expect(&mut server, &[changed.as_bytes(), &early].concat()).await;

    // Refused, the connection is HTTP's again.
    server
        .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    expect(
        &mut client,
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    client.write_all(HANDSHAKE).await.unwrap();
    expect(&mut server, changed.as_bytes()).await;
    assert_eq!(stage.proxy.touched(), 2);
}

#[tokio::test]
async fn the_answer_to_a_handshake_is_changed_and_frames_follow_it() {
    let stage =
        Stage::with("on: {answer: {handshake: true, status: 101}}\ndo: {header: {upgrade: null}}").await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(HANDSHAKE).await.unwrap();
    expect(&mut server, HANDSHAKE).await;
    server
        .write_all(&[UPGRADED, b"\x81\x01x"].concat())
        .await
        .unwrap();
    expect(&mut client, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x01x").await;
}

#[tokio::test]
async fn tokens_are_signed_again_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = dir.path().join("target.yaml");
    let file = json!({
        "urls": [format!("ws://{}", listener.local_addr().unwrap())],
        "dialects": ["direct"],
        "auth": {"secret": {"text": "a secret of at least thirty-two bytes"}},
    });
    std::fs::write(&path, file.to_string()).unwrap();
    let target = Target::from_file(path.to_str().unwrap()).unwrap();
    let stage = Stage::before(
        target,
        listener,
        Some(mutant("on: {handshake: {}}\ndo: {sign: {id: 7, exp: null}}")),
    )
    .await;
    let (mut client, mut server) = stage.connect().await;
    let old = "e30.eyJpZCI6IDEsICJhIjogMn0.x";
    let asked = format!("GET /ws?token={old} HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    client.write_all(asked.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        got.push(in_time(server.read_u8()).await.unwrap());
    }
    let got = String::from_utf8(got).unwrap();
    let token = got.split_once("token=").unwrap().1.split_once(' ').unwrap().0;
    let claims = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        token.split('.').nth(1).unwrap(),
    );
    let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    assert_eq!(
        (&claims["id"], &claims["a"], claims.get("exp")),
        (&json!(7), &json!(2), None)
    );
    assert_eq!(stage.proxy.tokens_seen(), [old]);
}
