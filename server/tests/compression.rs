//! permessage-deflate as clients meet it: what is answered, what is compressed, and what it may not cost.

mod support;

use support::{KEY, Running, config, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use touchstone_server::{Compression, Config};
use touchstone_wire::client::connect;
use touchstone_wire::deflate::{Agreement, ClientWindow, Deflater, Level, Offer, Takeover, WindowBits};
use touchstone_wire::handshake::{ClientRequest, Key};
use touchstone_wire::{Binary, Event, OpCode, Receiver, Role, Rules, encode_deflated, encode_masked};

const MASK: [u8; 4] = [9, 8, 7, 6];

const FREE: Offer = Offer {
    server_takeover: Takeover::Kept,
    client_takeover: Takeover::Kept,
    server_window: None,
    client_window: ClientWindow::Limitable,
};

fn compressing(compression: Compression) -> Config {
    Config {
        compression: Some(compression),
        raw_echo: Some("/raw".to_owned()),
        ..config()
    }
}

const TAKEOVER: Compression = Compression {
    context_takeover: true,
    context_takeover_connections: 1,
    server_window_bits: 15,
    client_window_bits: 15,
    level: 1,
    message_bytes_min: 10,
};

/// Something that is worth compressing.
fn long() -> String {
    "a line that is like the next one; ".repeat(100)
}

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    text: String,
    /// Of its one frame, the header included.
    frame_bytes: usize,
    rsv1: bool,
}

/// A client that compresses.
struct Client {
    stream: TcpStream,
    agreement: Option<Agreement>,
    deflater: Option<Deflater>,
    receiver: Receiver,
    unread: Vec<u8>,
}

impl Client {
    async fn connect(server: &Running, path: &str, offer: Offer) -> Self {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::SEC_WEBSOCKET_EXTENSIONS, offer.header_value());
        let request = ClientRequest {
            host: "h",
            path,
            headers: &headers,
            key: Key::from_bytes([7; 16]),
        };
        let connected = connect(server.tcp().await, &request, support::PATIENCE)
            .await
            .unwrap();
        let agreement = offer.check(connected.response.headers()).unwrap();
        let rules = Rules {
            message_bytes_max: 32 << 20,
            binary: Binary::Accepted,
        };
        Self {
            stream: connected.stream,
            agreement,
            deflater: agreement.map(|agreement| Deflater::new(agreement.client, Level::FASTEST)),
            receiver: match agreement {
                Some(agreement) => Receiver::with_deflate(Role::Client, rules, agreement.server),
                None => Receiver::new(Role::Client, rules),
            },
            unread: connected.leftover.to_vec(),
        }
    }

    async fn say(&mut self, text: &str) {
        let mut frame = Vec::new();
        match &mut self.deflater {
            None => encode_masked(&mut frame, OpCode::Text, text.as_bytes(), MASK),
            Some(deflater) => {
                let mut deflated = Vec::new();
                deflater.deflate(text.as_bytes(), &mut deflated);
                encode_deflated(&mut frame, OpCode::Text, &deflated, Some(MASK));
            }
        }
        self.write(&frame).await;
    }

    async fn write(&mut self, frame: &[u8]) {
        within(self.stream.write_all(frame)).await.unwrap();
    }

    /// The next text message.
    async fn hear(&mut self) -> Came {
        let frame = self.next_frame().await;
        let (frame_bytes, rsv1) = (frame.len(), frame[0] & 0x40 != 0);
        let mut frame = frame;
        match self.receiver.next(&mut frame).unwrap().event {
            Some(Event::Text(text)) => Came {
                text: text.to_owned(),
                frame_bytes,
                rsv1,
            },
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The code of the close frame that is next.
    async fn closed(&mut self) -> u16 {
        let frame = self.next_frame().await;
        assert_eq!(frame[0], 0x88, "{frame:02x?}");
        u16::from_be_bytes([frame[2], frame[3]])
    }

    async fn next_frame(&mut self) -> Vec<u8> {
        loop {
            let length = match self.unread[..] {
                [_, short @ ..=125, ..] => Some(2 + usize::from(short)),
                [_, 126, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([high, low]))),
                [_, 127, _, _, _, _, b, c, d, e, ..] => Some(10 + u32::from_be_bytes([b, c, d, e]) as usize),
                _ => None,
            };
            match length {
                Some(length) if self.unread.len() >= length => return self.unread.drain(..length).collect(),
                _ => {}
            }
            let read = within(self.stream.read_buf(&mut self.unread)).await.unwrap();
            assert!(read > 0, "TCP ended inside of {:02x?}", self.unread);
        }
    }
}

#[tokio::test]
async fn without_the_setting_no_offer_is_taken() {
    let server = start(config());
    let mut client = Client::connect(&server, "/ws/chat/", FREE).await;
    assert_eq!(client.agreement, None);
    client.say(&long()).await;
    assert!(!client.hear().await.rsv1);
}

#[tokio::test]
async fn by_default_each_message_stands_by_itself_and_a_short_one_is_sent_as_it_is() {
    let server = start(compressing(Compression::default()));
    for path in ["/ws/chat/", "/raw"] {
        let mut client = Client::connect(&server, path, FREE).await;
        let agreement = client.agreement.expect("it was agreed on");
        assert_eq!(
            (agreement.server.takeover, agreement.client.takeover),
            (Takeover::Dropped, Takeover::Dropped)
        );
        for (text, rsv1) in [("short".to_owned(), false), (long(), true), (long(), true)] {
            client.say(&text).await;
            let came = client.hear().await;
            assert!(came.text.contains(&text));
            assert_eq!(came.rsv1, rsv1, "{path}: {} bytes", text.len());
            assert!(came.frame_bytes < 500, "{} bytes", came.frame_bytes);
        }
    }
}

#[tokio::test]
async fn what_everybody_is_told_comes_to_each_as_it_agreed() {
    let server = start(compressing(Compression::default()));
    let narrow = Offer {
        server_window: WindowBits::new(9),
        ..FREE
    };
    let mut clients = Vec::new();
    for offer in [FREE, narrow, FREE] {
        clients.push(Client::connect(&server, "/ws/chat/", offer).await);
    }
    let mut plain = server.connect("/ws/chat/").await;
    for _ in 0..3 {
        let broadcast = format!(r#"{{"message":"{}"}}"#, long());
        let answer = server
            .request_with_key("POST /chat/api/broadcast/", &broadcast, KEY)
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let expected = plain.hear().await;
        for client in &mut clients {
            let came = client.hear().await;
            assert_eq!(came.text, expected);
            assert!(came.rsv1);
        }
    }
}

#[tokio::test]
async fn with_context_takeover_a_message_refers_to_earlier_ones() {
    let server = start(compressing(TAKEOVER));
    let mut client = Client::connect(&server, "/ws/chat/", FREE).await;
    // Incompressible by itself.
    let mut random = fastrand::Rng::with_seed(5);
    let text: String = (0..2_000).map(|_| random.alphanumeric()).collect();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        client.say(&text).await;
        let came = client.hear().await;
        assert!(came.text.contains(&text) && came.rsv1);
        sizes.push(came.frame_bytes);
    }
    assert!(sizes[0] > 1_400, "{sizes:?}");
    assert!(sizes[1..].iter().all(|size| *size < 100), "{sizes:?}");
}

#[tokio::test]
async fn beyond_the_limit_of_contexts_compression_is_granted_without() {
    let server = start(compressing(TAKEOVER));
    let first = Client::connect(&server, "/ws/chat/", FREE).await;
    let kept = |client: &Client| {
        let agreement = client.agreement.expect("it was agreed on");
        assert_eq!(agreement.server.takeover, agreement.client.takeover);
        agreement.server.takeover == Takeover::Kept
    };
    assert!(kept(&first));
    let modest = Offer {
        server_takeover: Takeover::Dropped,
        client_takeover: Takeover::Dropped,
        ..FREE
    };
    let mut second = Client::connect(&server, "/ws/chat/", FREE).await;
    assert!(!kept(&second));
    second.say(&long()).await;
    assert!(second.hear().await.text.contains(&long()));
    drop(first);
    // Its place is free once its end has been dealt with; whoever wants no context never takes it.
    within(async {
        loop {
            drop(Client::connect(&server, "/ws/chat/", modest).await);
            if kept(&Client::connect(&server, "/ws/chat/", FREE).await) {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_bomb_is_refused_and_so_is_garbage() {
    let server = start(compressing(Compression::default()));
    let mut bomb = Vec::new();
    touchstone_wire::deflate::deflate_shared(
        WindowBits::MAX,
        Level::FASTEST,
        &vec![b'a'; 64 << 20],
        &mut bomb,
    );
    for (payload, code) in [(&bomb[..60_000], 1009), (&[0xFF; 20][..], 1007)] {
        let mut client = Client::connect(&server, "/ws/chat/", FREE).await;
        let mut frame = Vec::new();
        encode_deflated(&mut frame, OpCode::Text, payload, Some(MASK));
        client.write(&frame).await;
        assert_eq!(client.closed().await, code);
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    for wrong in [
        Compression {
            server_window_bits: 8,
            ..TAKEOVER
        },
        Compression {
            client_window_bits: 16,
            ..TAKEOVER
        },
        Compression { level: 0, ..TAKEOVER },
    ] {
        let refused = touchstone_server::Server::bind(compressing(wrong)).await;
        assert!(refused.is_err(), "{wrong:?}");
    }
}
