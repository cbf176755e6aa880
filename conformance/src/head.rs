//! The answer to an opening handshake, read from the tap: a status line, headers and, where there is one, a body.

use serde_json::Value;

/// An HTTP answer, as far as a verdict needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status; 0 if the first line is none.
    pub status: u16,
    /// In order, names as they came.
    pub headers: Vec<(String, String)>,
    /// What has come of it.
    pub body: Vec<u8>,
}

impl Response {
    /// Every value of the header, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether one of the comma-separated tokens of the header is this one, in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// The body as JSON, or as a string if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }
}

/// Where the head of a request or of an answer ends: one past the empty line.
#[must_use]
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Reads the head of an answer. What is not as HTTP wants it is skipped: a missing header is found by who needs it.
#[must_use]
pub fn read_head(head: &[u8]) -> Response {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Response {
        status,
        headers,
        body: Vec::new(),
    }
}

/// The body in the bytes that follow the head, or `None` while more of it has to come. `ended`: TCP has ended.
#[must_use]
pub fn read_body(head: &Response, rest: &[u8], ended: bool) -> Option<Vec<u8>> {
    if head.status == 101 || head.status == 204 || head.status == 304 {
        return Some(Vec::new());
    }
    if head.has_token("transfer-encoding", "chunked") {
        return chunked(rest).or_else(|| ended.then(|| rest.to_vec()));
    }
    match head
        .values("content-length")
        .next()
        .and_then(|length| length.parse::<usize>().ok())
    {
        Some(length) if rest.len() >= length => Some(rest[..length].to_vec()),
        Some(_) | None => ended.then(|| rest.to_vec()),
    }
}

fn chunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_complete_by_length_by_chunks_or_by_the_end() {
        let cases: [(&str, &str, &str, bool, Option<&str>); 6] = [
            ("length", "Content-Length: 2", "hi", false, Some("hi")),
            ("length, incomplete", "Content-Length: 3", "hi", false, None),
            ("length, cut off", "Content-Length: 3", "hi", true, Some("hi")),
            (
                "chunks",
                "Transfer-Encoding: chunked",
                "2\r\nhi\r\n1;x=y\r\n!\r\n0\r\n\r\n",
                false,
                Some("hi!"),
            ),
            ("neither, open", "X: y", "hi", false, None),
            ("neither, ended", "X: y", "hi", true, Some("hi")),
        ];
        for (name, header, rest, ended, expected) in cases {
            let head = read_head(format!("HTTP/1.1 400 Bad Request\r\n{header}\r\n\r\n").as_bytes());
            assert_eq!(head.status, 400, "{name}");
            let body = read_body(&head, rest.as_bytes(), ended);
            assert_eq!(body.as_deref(), expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn tokens_are_found_in_lists_in_any_case() {
        let head = read_head(b"HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, UPGRADE\r\n\r\n");
        assert!(head.has_token("connection", "upgrade"));
        assert!(!head.has_token("upgrade", "websocket"));
    }

    #[test]
    fn what_is_not_http_has_status_0() {
        assert_eq!(read_head(b"SSH-2.0-x\r\n\r\n").status, 0);
    }
}
