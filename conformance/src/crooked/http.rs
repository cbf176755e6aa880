//! Cuts one way of a connection into requests or answers. As with frames: what nobody wants is passed as it comes.

use std::collections::VecDeque;

use super::cut::UNIT_BYTES_MAX;
use crate::head::end_of_head;

/// A head that is larger is none: all that follows is passed as it comes. Twice what servers take.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A request or an answer: its head, and its body where it was held until it was whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HttpUnit {
    /// The request line or the status line.
    pub(super) first_line: String,
    /// In order, names as they came.
    pub(super) headers: Vec<(String, String)>,
    /// Without chunks.
    pub(super) body: Vec<u8>,
}

impl HttpUnit {
    fn read(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            first_line,
            headers,
            body: Vec::new(),
        }
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.header(name).is_some_and(|value| {
            value
                .split(',')
                .any(|item| item.trim().eq_ignore_ascii_case(token))
        })
    }

    /// Of a request.
    pub(super) fn method(&self) -> &str {
        self.first_line.split(' ').next().unwrap_or_default()
    }

    /// Of a request: its path and query.
    pub(super) fn target(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Whether a request wants to become a WebSocket, rightly or not.
    pub(super) fn is_handshake(&self) -> bool {
        self.has_token("upgrade", "websocket") || self.header("sec-websocket-key").is_some()
    }

    /// Whether a request's body comes only when the server has asked for it.
    pub(super) fn waits_for_consent(&self) -> bool {
        self.header("expect").is_some()
    }

    /// Of an answer; 0 if it is none.
    pub(super) fn status(&self) -> u16 {
        let status = self.first_line.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// How the body of a request ends.
    pub(super) fn request_body(&self) -> Body {
        if self.has_token("transfer-encoding", "chunked") {
            return Body::Chunked(Chunks::default());
        }
        Body::Length(self.content_length().unwrap_or(0))
    }

    /// How the body of an answer ends. `method` is what was asked.
    pub(super) fn answer_body(&self, method: &str) -> Body {
        match self.status() {
            100..=199 | 204 | 304 => Body::Length(0),
            _ if method == "HEAD" => Body::Length(0),
            _ if self.has_token("transfer-encoding", "chunked") => Body::Chunked(Chunks::default()),
            _ => self.content_length().map_or(Body::UntilEnd, Body::Length),
        }
    }

    fn content_length(&self) -> Option<u64> {
        self.header("content-length")
            .and_then(|length| length.parse().ok())
    }

    /// Replaces a header, adds it, or takes it out.
    pub(super) fn set_header(&mut self, name: &str, value: Option<&str>) {
        let place = self
            .headers
            .iter()
            .position(|(header, _)| header.eq_ignore_ascii_case(name));
        self.headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            let place = place.map_or(self.headers.len(), |place| place.min(self.headers.len()));
            self.headers.insert(place, (name.to_owned(), value.to_owned()));
        }
    }

    /// Of a request: another path and query.
    pub(super) fn set_target(&mut self, target: &str) {
        let version = self.first_line.split(' ').nth(2).unwrap_or("HTTP/1.1");
        self.first_line = format!("{} {target} {version}", self.method());
    }

    /// Of a request: another method.
    pub(super) fn set_method(&mut self, method: &str) {
        let rest = self.first_line.split_once(' ').map_or("", |(_, rest)| rest);
        self.first_line = format!("{method} {rest}");
    }

    /// Of an answer: another status. Its reason would say the old one.
    pub(super) fn set_status(&mut self, status: u16) {
        let version = self.first_line.split(' ').next().unwrap_or("HTTP/1.1");
        self.first_line = format!("{version} {status} Changed");
    }

    /// Another body, in one piece.
    pub(super) fn set_body(&mut self, body: Vec<u8>) {
        self.set_header("transfer-encoding", None);
        self.set_header("content-length", Some(&body.len().to_string()));
        self.body = body;
    }

    /// As it is on the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }

    /// An answer of our own.
    pub(super) fn answer(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Self {
        let mut unit = Self {
            first_line: format!("HTTP/1.1 {status} Answered"),
            headers: headers.to_vec(),
            body: Vec::new(),
        };
        unit.set_body(body);
        unit
    }
}

/// How a body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked(Chunks),
    /// With TCP.
    UntilEnd,
}

impl Body {
    /// Takes what belongs to the body from the start of `bytes`: how many bytes these are, and whether it is whole.
    fn take(&mut self, bytes: &[u8], text: &mut Vec<u8>) -> (usize, bool) {
        match self {
            Self::Length(left) => {
                let there = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                text.extend_from_slice(&bytes[..there]);
                *left -= there as u64;
                (there, *left == 0)
            }
            Self::Chunked(chunks) => chunks.take(bytes, text),
            Self::UntilEnd => {
                text.extend_from_slice(bytes);
                (bytes.len(), false)
            }
        }
    }
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    /// Of the line that says the next size, or of a line behind the last chunk.
    line: Vec<u8>,
    /// Of the chunk, with the line end behind it.
    left: u64,
    /// The last chunk has been seen.
    last: bool,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], text: &mut Vec<u8>) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.left > 0 {
                let rest = bytes.len() - at;
                let there = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                // The last two bytes of a chunk are its line end.
                let data = usize::try_from(self.left.saturating_sub(2)).map_or(there, |data| data.min(there));
                text.extend_from_slice(&bytes[at..at + data]);
                self.left -= there as u64;
                at += there;
                continue;
            }
            self.line.push(bytes[at]);
            at += 1;
            if !self.line.ends_with(b"\r\n") {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
            if self.last {
                if line.is_empty() {
                    return (at, true);
                }
                continue;
            }
            let digits = line.split(';').next().unwrap_or_default().trim();
            // A size that is none ends the body: what follows is then no head either, and passes as it comes.
            match u64::from_str_radix(digits, 16).unwrap_or(0) {
                0 => self.last = true,
                size => self.left = size.saturating_add(2),
            }
        }
        (at, false)
    }
}

/// What is next on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HttpPiece {
    /// A head. [`HttpCutter::proceed`] says what becomes of it.
    Head(HttpUnit),
    /// Passed as it came.
    Bytes(Vec<u8>),
    /// What was passed as it came ends here, so that something else can follow.
    End,
    /// One that was held until it was whole, and the bytes it came in.
    Unit(HttpUnit, Vec<u8>),
}

/// What becomes of a head and its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Passed as they come.
    Pass,
    /// Held until they are whole.
    Hold,
}

/// Cuts bytes into requests or answers, wherever the reads fell.
#[derive(Debug, Default)]
pub(super) struct HttpCutter {
    pending: Vec<u8>,
    /// How much of `pending` was passed on before its head was whole.
    passed: usize,
    state: State,
    ready: VecDeque<HttpPiece>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    /// A head of so many bytes waits for [`HttpCutter::proceed`].
    Judging(HttpUnit, usize),
    /// It waits for the rest of its body; so many bytes of `pending` have been looked at.
    Holding(HttpUnit, Body, usize),
    Passing(Body),
    /// No HTTP.
    Through,
}

impl HttpCutter {
    /// Takes what was read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// What is next, if it is there.
    pub(super) fn next(&mut self) -> Option<HttpPiece> {
        if let Some(piece) = self.ready.pop_front() {
            return Some(piece);
        }
        match std::mem::take(&mut self.state) {
            State::Head => self.look_for_head(),
            State::Judging(head, bytes) => {
                self.state = State::Judging(head, bytes);
                None
            }
            State::Holding(mut unit, mut body, looked_at) => {
                let (taken, whole) = body.take(&self.pending[looked_at..], &mut unit.body);
                let end = looked_at + taken;
                if whole {
                    let raw = self.pending.drain(..end).collect();
                    return Some(HttpPiece::Unit(unit, raw));
                }
                self.state = State::Holding(unit, body, end);
                if self.pending.len() > UNIT_BYTES_MAX {
                    return self.release();
                }
                None
            }
            State::Passing(mut body) => {
                let (taken, whole) = body.take(&self.pending, &mut Vec::new());
                if whole {
                    self.ready.push_back(HttpPiece::End);
                } else {
                    self.state = State::Passing(body);
                }
                self.pass(taken).or_else(|| self.ready.pop_front())
            }
            State::Through => {
                self.state = State::Through;
                self.pass(self.pending.len())
            }
        }
    }

    fn look_for_head(&mut self) -> Option<HttpPiece> {
        match end_of_head(&self.pending) {
            Some(bytes) => {
                let head = HttpUnit::read(&self.pending[..bytes]);
                self.state = State::Judging(head.clone(), bytes);
                Some(HttpPiece::Head(head))
            }
            None if self.pending.len() > HEAD_BYTES_MAX => {
                self.state = State::Through;
                self.pass(self.pending.len())
            }
            None => None,
        }
    }

    /// Passes the start of what is pending, less what has been passed already.
    fn pass(&mut self, bytes: usize) -> Option<HttpPiece> {
        let passed = std::mem::take(&mut self.passed);
        let bytes: Vec<u8> = self.pending.drain(..bytes).skip(passed).collect();
        (!bytes.is_empty()).then_some(HttpPiece::Bytes(bytes))
    }

    /// Says what becomes of the head that [`next`](Self::next) gave. One of which something has been passed already
    /// cannot be held.
    pub(super) fn proceed(&mut self, course: Course, body: Body) {
        let State::Judging(head, bytes) = std::mem::take(&mut self.state) else {
            return;
        };
        let fits = match body {
            Body::Length(length) => length <= UNIT_BYTES_MAX as u64,
            Body::Chunked(_) | Body::UntilEnd => true,
        };
        if course == Course::Hold && self.passed == 0 && fits {
            self.state = State::Holding(head, body, bytes);
            return;
        }
        let piece = self.pass(bytes);
        self.ready.extend(piece);
        self.state = State::Passing(body);
    }

    /// Whether something waits to be whole.
    pub(super) fn is_holding(&self) -> bool {
        self.pending.len() > self.passed
    }

    /// Gives up what waits to be whole: it is passed as it comes from here on. Only after [`next`](Self::next) had
    /// nothing more.
    pub(super) fn release(&mut self) -> Option<HttpPiece> {
        if let State::Holding(_, body, looked_at) = std::mem::take(&mut self.state) {
            self.state = State::Passing(body);
            return self.pass(looked_at);
        }
        if !self.is_holding() {
            return None;
        }
        let bytes = self.pending[self.passed..].to_vec();
        self.passed = self.pending.len();
        Some(HttpPiece::Bytes(bytes))
    }

    /// TCP has ended: a body that ends with it is whole.
    pub(super) fn finish(&mut self) -> Option<HttpPiece> {
        match std::mem::take(&mut self.state) {
            State::Holding(unit, Body::UntilEnd, _) => {
                let raw = std::mem::take(&mut self.pending);
                Some(HttpPiece::Unit(unit, raw))
            }
            state => {
                self.state = state;
                self.release()
            }
        }
    }

    /// What has not been looked at, for whoever goes on with something else than HTTP.
    pub(super) fn into_rest(mut self) -> Vec<u8> {
        self.pending.split_off(self.passed)
    }
}

#[cfg(test)]
mod tests;
