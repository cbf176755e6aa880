//! What was seen on all connections of a case, on one time axis.

use std::time::Duration;

use tokio::time::Instant;

use crate::frame_checks::describe;
use crate::frames::{Content, Frame, opcode};
use crate::matching;
use crate::secrecy::hidden;
use crate::tap::{Direction, OurEnd, Record, ServerEnd};

/// Lines at the beginning and at the end that are kept; what lies between is counted.
const FIRST_LINES: usize = 40;
const LAST_LINES: usize = 120;

/// Of a secret that a request stops in, so much may be seen: all tokens begin alike.
const SECRET_CHARS_SHOWN: usize = 4;

/// What was seen, in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// In order.
    pub lines: Vec<Line>,
    /// Lines that were left out, and after how many of `lines`.
    pub omitted: Option<(usize, usize)>,
}

/// One thing that was seen or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the case began.
    pub at: Duration,
    /// Whose connection; `None`: the runner.
    pub actor: Option<String>,
    /// Which way it went, if it went.
    pub direction: Option<Direction>,
    /// What.
    pub text: String,
}

/// Collects what was seen and puts it in order.
#[derive(Debug)]
pub struct Scribe {
    began: Instant,
    secrets: Vec<(String, String)>,
    /// With the moment by which each is put among those of other connections.
    lines: Vec<(Instant, Line)>,
}

impl Scribe {
    /// `secrets`: texts that never appear, with what appears in their place.
    #[must_use]
    pub fn new(began: Instant, secrets: Vec<(String, String)>) -> Self {
        Self {
            began,
            secrets,
            lines: Vec::new(),
        }
    }

    /// A remark of the runner's.
    pub fn note(&mut self, at: Instant, actor: Option<&str>, text: impl Into<String>) {
        self.line(at, actor, None, text.into());
    }

    /// All of a connection. `set_aside` says of a message, by its number, that nobody expected it and nobody minds.
    pub fn connection(&mut self, actor: &str, record: &Record, set_aside: &dyn Fn(usize) -> bool) {
        if let Some(first) = record
            .chunks
            .iter()
            .find(|chunk| chunk.direction == Direction::Up)
        {
            let request = String::from_utf8_lossy(&first.bytes);
            let mut line = request.lines().next().unwrap_or_default().to_owned();
            if !request.contains('\n') {
                self.hide_beginning(&mut line);
            }
            self.line(first.at, Some(actor), Some(Direction::Up), line);
        }
        if let (Some(response), Some(at)) = (&record.response, record.response_at) {
            let body = String::from_utf8_lossy(&response.body);
            let text = format!(
                "HTTP {} {}",
                response.status,
                matching::shortened(body.trim_end())
            );
            self.line(at, Some(actor), Some(Direction::Down), text.trim_end().to_owned());
        }
        let mut message = 0;
        // Times of arrival are the kernel's and those of sending are ours, so they differ by jitter. Between two frames
        // of one connection the record decides: the clocks could put an answer before its question.
        let mut latest = self.began;
        for (direction, frame) in &record.frames {
            latest = latest.max(frame.at);
            let mut text = show(frame);
            let ends_message = !frame.header.is_control() && frame.header.fin;
            if *direction == Direction::Down && ends_message {
                if set_aside(message) {
                    text.push_str("   (set aside)");
                }
                message += 1;
            }
            self.line_after(latest, frame.at, Some(actor), Some(*direction), text);
        }
        self.ends(actor, record, latest);
    }

    /// `latest`: nothing that the server does to TCP comes before its frames.
    fn ends(&mut self, actor: &str, record: &Record, latest: Instant) {
        for (direction, name) in [(Direction::Up, "sent"), (Direction::Down, "received")] {
            if let (Some(text), Some(last)) = (record.unfinished(direction), record.chunks.last()) {
                self.line(last.at, Some(actor), Some(direction), format!("{name}: {text}"));
            }
        }
        for (error, at) in &record.client_errors {
            self.note(*at, Some(actor), format!("the client objects: {error}"));
        }
        if let Some((end, at)) = &record.server_end {
            let text = match end {
                ServerEnd::Fin => "TCP end".to_owned(),
                ServerEnd::Truncated => "TCP end, without TLS's close_notify".to_owned(),
                ServerEnd::Reset => "TCP reset".to_owned(),
                ServerEnd::Error(error) => format!("TCP error: {error}"),
            };
            self.line_after(latest.max(*at), *at, Some(actor), Some(Direction::Down), text);
        }
        for (end, at) in &record.our_ends {
            let text = match end {
                OurEnd::HalfClosed => "TCP end, reading on",
                OurEnd::Reset => "TCP reset",
                OurEnd::Closed => continue,
            };
            self.line(*at, Some(actor), Some(Direction::Up), text.to_owned());
        }
    }

    fn line(&mut self, at: Instant, actor: Option<&str>, direction: Option<Direction>, text: String) {
        self.line_after(at, at, actor, direction, text);
    }

    /// A line of the moment `at` that stands where one of the moment `place` would.
    fn line_after(
        &mut self,
        place: Instant,
        at: Instant,
        actor: Option<&str>,
        direction: Option<Direction>,
        text: String,
    ) {
        let known = self.secrets.iter();
        let text = hidden(
            text,
            known.map(|(secret, shown)| (secret.as_str(), shown.as_str())),
        );
        let at = at.saturating_duration_since(self.began);
        let line = Line {
            at,
            actor: actor.map(str::to_owned),
            direction,
            text,
        };
        self.lines.push((place, line));
    }

    /// A request that stops in the middle of a secret holds the beginning of it, which is not found by the whole.
    fn hide_beginning(&self, line: &mut String) {
        for (secret, shown) in &self.secrets {
            let cut = (SECRET_CHARS_SHOWN..secret.len())
                .rev()
                .filter_map(|end| secret.get(..end))
                .find_map(|beginning| line.strip_suffix(beginning));
            if let Some(before) = cut {
                *line = format!("{before}{shown}…");
                return;
            }
        }
    }

    /// The transcript so far.
    #[must_use]
    pub fn finish(self) -> Transcript {
        let mut placed = self.lines;
        placed.sort_by_key(|(place, _)| *place);
        let mut lines: Vec<Line> = placed.into_iter().map(|(_, line)| line).collect();
        let surplus = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
        if surplus == 0 {
            return Transcript { lines, omitted: None };
        }
        lines.drain(FIRST_LINES..FIRST_LINES + surplus);
        Transcript {
            lines,
            omitted: Some((surplus, FIRST_LINES)),
        }
    }
}

fn show(frame: &Frame) -> String {
    let header = &frame.header;
    let ordinary = header.fin && header.rsv == 0 && header.is_minimal();
    match header.opcode {
        opcode::TEXT if ordinary => match std::str::from_utf8(&frame.payload) {
            Ok(text) => format!("text {}", matching::shortened(text)),
            Err(_) => matching::describe(&Content::BadText(frame.payload.clone())),
        },
        opcode::BINARY if ordinary => matching::describe(&Content::Binary(frame.payload.clone())),
        opcode::CLOSE if ordinary => {
            matching::describe_close(&crate::frames::CloseBody::read(&frame.payload))
        }
        _ => {
            let payload = if header.rsv == 0 {
                matching::shortened(&String::from_utf8_lossy(&frame.payload))
            } else {
                matching::hex(&frame.payload)
            };
            let mask = if header.mask.is_some() { ", masked" } else { "" };
            let rsv = if header.rsv == 0 {
                String::new()
            } else {
                format!(", rsv {:03b}", header.rsv)
            };
            format!("{}{mask}{rsv} {payload}", describe(frame))
                .trim_end()
                .to_owned()
        }
    }
}

impl Transcript {
    /// As text, one line each: time in milliseconds, actor, arrow, what.
    #[must_use]
    pub fn to_text(&self) -> String {
        let width = self
            .lines
            .iter()
            .filter_map(|line| line.actor.as_ref())
            .map(|actor| actor.chars().count());
        let width = width.max().unwrap_or(0).max(4);
        let mut out = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            if let Some((count, after)) = self.omitted
                && after == index
            {
                out.push_str(&format!("              … {count} more lines …\n"));
            }
            let arrow = match line.direction {
                Some(Direction::Up) => "-->",
                Some(Direction::Down) => "<--",
                None => " * ",
            };
            // By whole microseconds, which is what a report keeps: read again, it has to be the same text.
            let tenths = ((line.at.as_nanos() + 500) / 1_000 + 50) / 100;
            let (millis, tenth) = (tenths / 10, tenths % 10);
            let actor = line.actor.as_deref().unwrap_or("");
            out.push_str(&format!(
                "  {millis:>7}.{tenth} ms  {actor:<width$} {arrow} {}\n",
                line.text
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Chunk;

    #[test]
    fn lines_are_in_the_order_of_time_and_without_secrets() {
        let began = Instant::now();
        let mut scribe = Scribe::new(began, vec![("s3cret".into(), "<token ann>".into())]);
        scribe.note(began + Duration::from_millis(20), None, "stop TERM");
        scribe.note(
            began + Duration::from_millis(5),
            Some("ann"),
            "GET /?token=s3cret",
        );
        assert_eq!(
            scribe.finish().to_text(),
            "        5.0 ms  ann   *  GET /?token=<token ann>\n       20.0 ms        *  stop TERM\n"
        );
    }

    #[test]
    fn a_time_is_rounded_the_same_way_after_it_was_written_to_the_microsecond() {
        for (nanos, shown) in [
            (1_350_400, "1.4"),
            (1_349_999, "1.4"),
            (1_349_400, "1.3"),
            (999_950_000, "1000.0"),
        ] {
            let began = Instant::now();
            let mut scribe = Scribe::new(began, Vec::new());
            scribe.note(began + Duration::from_nanos(nanos), None, "x");
            let text = scribe.finish().to_text();
            assert_eq!(text.split_whitespace().next(), Some(shown), "{nanos}");
        }
    }

    #[test]
    fn frames_of_one_connection_keep_their_order_whatever_the_clocks_say() {
        let began = Instant::now();
        let frame = |direction, text: &str, micros| {
            let header = crate::frames::Header {
                fin: true,
                rsv: 0,
                opcode: opcode::TEXT,
                mask: None,
                length_form: crate::frames::LengthForm::Short,
                length: text.len() as u64,
            };
            let at = began + Duration::from_micros(micros);
            let payload = text.as_bytes().to_vec();
            (
                direction,
                Frame {
                    header,
                    payload,
                    began: at,
                    at,
                },
            )
        };
        let mut record = Record::default();
        record.frames = vec![
            frame(Direction::Up, "question", 120),
            frame(Direction::Down, "answer", 90),
            frame(Direction::Down, "more", 110),
        ];
        record.server_end = Some((ServerEnd::Fin, began + Duration::from_micros(100)));
        let mut scribe = Scribe::new(began, Vec::new());
        scribe.note(began + Duration::from_micros(100), None, "meanwhile");
        scribe.connection("ann", &record, &|_| false);
        let texts: Vec<_> = scribe.finish().lines.into_iter().map(|line| line.text).collect();
        assert_eq!(
            texts,
            [
                "meanwhile",
                "text question",
                "text answer",
                "text more",
                "TCP end"
            ]
        );
    }

    #[test]
    fn of_a_secret_that_a_request_stops_in_no_more_than_its_first_letters_is_shown() {
        let shown = |request: &str| {
            let began = Instant::now();
            let secrets = vec![("s3cret.of.ann".into(), "<token ann>".into())];
            let mut scribe = Scribe::new(began, secrets);
            let mut record = Record::default();
            record.chunks.push(Chunk {
                direction: Direction::Up,
                at: began,
                bytes: request.as_bytes().to_vec().into(),
            });
            scribe.connection("ann", &record, &|_| false);
            scribe.finish().lines.remove(0).text
        };
        assert_eq!(shown("GET /?token=s3cret.o"), "GET /?token=<token ann>…");
        assert_eq!(shown("GET /?token=s3cret.of.an"), "GET /?token=<token ann>…");
        assert_eq!(shown("GET /?token=s3c"), "GET /?token=s3c");
        assert_eq!(
            shown("GET /?token=s3cret.of.ann HTTP/1.1\r\n"),
            "GET /?token=<token ann> HTTP/1.1"
        );
    }

    #[test]
    fn a_long_transcript_keeps_its_beginning_and_its_end() {
        let began = Instant::now();
        let mut scribe = Scribe::new(began, Vec::new());
        for index in 0..1000 {
            scribe.note(
                began + Duration::from_millis(index),
                None,
                format!("line {index}"),
            );
        }
        let transcript = scribe.finish();
        assert_eq!(transcript.lines.len(), FIRST_LINES + LAST_LINES);
        assert_eq!(transcript.omitted, Some((840, FIRST_LINES)));
        let text = transcript.to_text();
        assert!(
            text.contains("line 39\n") && text.contains("… 840 more lines …") && text.contains("line 999\n")
        );
    }
}
