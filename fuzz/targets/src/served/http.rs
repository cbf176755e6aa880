//! Requests over one connection, as long as the server keeps it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server;

/// Nothing takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that speaks HTTP.
pub(super) struct Connection {
    stream: Option<TcpStream>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) fn open() -> Self {
        Self { stream: None }
    }

    /// Asks for something. `key`: what the `Authorization` header says.
    pub(super) fn ask(&mut self, method: &str, path: &str, key: &str, body: &[u8]) -> Answer {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(server()).expect("the server listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
            stream
        });
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n"
        );
        let request = [head.as_bytes(), body].concat();
        stream.write_all(&request).expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request is answered");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)
            .expect("heads are ASCII")
            .to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = header("content-length: ").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the whole body comes");
        if header("connection: ") != Some("close") {
            self.stream = Some(stream);
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer {
            status: status.expect("an answer has a status"),
            body,
        }
    }
}
