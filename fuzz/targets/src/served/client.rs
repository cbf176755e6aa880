//! A client that takes its time: it says everything, then listens.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use touchstone_wire::{Binary, Event, OpCode, Receiver, Role, Rules, encode_masked, encode_masked_close};

use super::server;

/// Nothing takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A JSON object.
    Text(Value),
    /// The close frame, with its code.
    Closed(u16),
}

/// A WebSocket.
pub(super) struct Client {
    stream: TcpStream,
    receiver: Receiver,
    heard: VecDeque<Heard>,
}

impl Client {
    /// Connects; whatever the dialect greets with waits to be heard.
    pub(super) fn connect(path: &str) -> Self {
        let mut stream = TcpStream::connect(server()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("it is no zero");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the handshake is answered");
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        let rules = Rules {
            message_bytes_max: 1 << 20,
            binary: Binary::Refused,
        };
        Self {
            stream,
            receiver: Receiver::new(Role::Client, rules),
            heard: VecDeque::new(),
        }
    }

    /// Says these, in one go. Of what the server does not read any more nothing is lost.
    pub(super) fn say(&mut self, messages: &[Message]) {
        let mut bytes = Vec::new();
        for message in messages {
            match message {
                Message::Text(text) => encode_masked(&mut bytes, OpCode::Text, text.as_bytes(), MASK),
                Message::Binary(payload) => encode_masked(&mut bytes, OpCode::Binary, payload, MASK),
            }
        }
        // An error means that it was closed meanwhile, which is heard.
        let _ = self.stream.write_all(&bytes);
    }

    /// Says this text.
    pub(super) fn say_text(&mut self, text: &str) {
        self.say(&[Message::Text(text.to_owned())]);
    }

    /// What comes next. Pings are answered.
    pub(super) fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut buffer = vec![0; 16 << 10];
            let read = self.stream.read(&mut buffer).expect("something is to be heard");
            assert_ne!(read, 0, "the server ended TCP without a close frame (common/2c)");
            self.take(&mut buffer[..read]);
        }
    }

    /// The text that comes next.
    pub(super) fn hear_text(&mut self) -> Value {
        match self.hear() {
            Heard::Text(text) => text,
            Heard::Closed(code) => panic!("closed {code}, which nothing called for"),
        }
    }

    /// Everything up to and with the text that is `last`, or up to the close frame, whose code is returned.
    pub(super) fn hear_until(&mut self, mut last: impl FnMut(&Value) -> bool) -> (Vec<Value>, Option<u16>) {
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Heard::Closed(code) => return (heard, Some(code)),
                Heard::Text(text) => {
                    let ends = last(&text);
                    heard.push(text);
                    if ends {
                        return (heard, None);
                    }
                }
            }
        }
    }

    /// Ends it, which it then is for the server as well. Whatever was not heard is returned.
    pub(super) fn leave(mut self) -> Vec<Value> {
        let mut bytes = Vec::new();
        encode_masked_close(&mut bytes, 1000, "", MASK);
        // An error means that the server has ended it already.
        let _ = self.stream.write_all(&bytes);
        let (heard, code) = self.hear_until(|_| false);
        assert_eq!(code, Some(1000), "the answer to a close frame repeats its code");
        heard
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        loop {
            let step = self
                .receiver
                .next(&mut bytes[at..])
                .unwrap_or_else(|violation| panic!("the server breaks RFC 6455: {violation:?}"));
            at += step.consumed;
            match step.event {
                None => return,
                Some(Event::Text(text)) => {
                    let json = serde_json::from_str(text);
                    let json = json.unwrap_or_else(|error| panic!("{error} in what the server says: {text}"));
                    self.heard.push_back(Heard::Text(json));
                }
                Some(Event::Close(close)) => {
                    let code = close.map_or(1005, |close| close.code);
                    self.heard.push_back(Heard::Closed(code));
                    return;
                }
                Some(Event::Ping(payload)) => {
                    let mut pong = Vec::new();
                    encode_masked(&mut pong, OpCode::Pong, payload, MASK);
                    self.stream.write_all(&pong).expect("the server reads");
                }
                Some(Event::Binary(_) | Event::Pong(_)) => panic!("nothing called for that"),
            }
        }
    }
}
