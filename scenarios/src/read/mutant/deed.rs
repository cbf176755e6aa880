//! What is done to what passes: `do: …`.

use serde_json::Value;

use crate::mutant::{Deed, FrameFlaw, TcpEnd, Trigger};
use crate::read::{Fields, Read, Reader, keys};
use crate::scenario::Payload;
use crate::source::{Span, Spanned};
use crate::yaml::{Kind, Node};

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// What a trigger passes on, as far as it matters for what can be done to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Message,
    Frame,
    Control,
    Close,
    Request,
    Handshake,
    Answer,
    Opened,
    Ended,
}

impl Unit {
    fn of(trigger: &Trigger) -> Self {
        match trigger {
            Trigger::Message { .. } | Trigger::Form { .. } => Self::Message,
            Trigger::Header { like, .. } if like.opcodes == [CLOSE] => Self::Close,
            Trigger::Frame { .. } | Trigger::Header { .. } => Self::Frame,
            Trigger::Control { .. } => Self::Control,
            Trigger::Close { .. } => Self::Close,
            Trigger::Request(request) if request.handshake => Self::Handshake,
            Trigger::Request(_) => Self::Request,
            Trigger::Answer { .. } => Self::Answer,
            Trigger::Opened => Self::Opened,
            Trigger::Ended { .. } => Self::Ended,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Message => "a message",
            Self::Frame => "a frame",
            Self::Control => "a ping or a pong",
            Self::Close => "a close frame",
            Self::Request => "a request",
            Self::Handshake => "a handshake",
            Self::Answer => "an answer",
            Self::Opened => "a connection that was opened",
            Self::Ended => "the end of TCP",
        }
    }

    /// What can be done to it, as the file names it.
    const fn deeds(self) -> &'static [&'static str] {
        match self {
            Self::Message => &[
                "drop",
                "times",
                "delay",
                "late",
                "swap",
                "edit",
                "replace",
                "leak",
                "keep",
                "divert",
                "reply",
                "also",
                "again",
                "frame",
                "close",
                "end",
                "hang",
                "substitute",
            ],
            Self::Frame => &[
                "drop", "times", "delay", "late", "swap", "leak", "keep", "divert", "reply", "also", "again",
                "frame", "close", "end", "hang",
            ],
            Self::Control => &[
                "drop", "times", "delay", "late", "replace", "reply", "also", "again", "frame", "close",
                "end", "hang",
            ],
            Self::Close => &[
                "drop", "times", "delay", "code", "reason", "reply", "also", "frame", "close", "end", "hang",
            ],
            Self::Request => &[
                "drop",
                "times",
                "delay",
                "edit",
                "respond",
                "method",
                "header",
                "body",
                "substitute",
                "sign",
                "end",
            ],
            Self::Handshake => &[
                "drop",
                "delay",
                "respond",
                "method",
                "header",
                "substitute",
                "sign",
                "end",
            ],
            Self::Answer => &[
                "drop",
                "delay",
                "edit",
                "status",
                "header",
                "body",
                "substitute",
                "end",
            ],
            Self::Opened => &["reply", "close", "end", "hang"],
            Self::Ended => &["drop", "delay", "close", "end"],
        }
    }
}

impl Reader<'_> {
    /// One deed, or a list: words that need nothing else, and mappings.
    pub(super) fn deeds(&mut self, node: &Node, on: &Trigger) -> Read<Vec<Deed>> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let unit = Unit::of(on);
        let mut deeds = Vec::new();
        for item in items {
            match &item.kind {
                Kind::String(word) => deeds.push(self.bare_deed(unit, item, word)?),
                Kind::Map(entries) => {
                    for (key, value) in entries {
                        self.deed(unit, key, value, &mut deeds)?;
                    }
                }
                Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::List(_) => {
                    return Err(self
                        .expected(item, "something to do")
                        .help("write for example `do: [drop]` or `do: [{delay: 300ms}]`"));
                }
            }
        }
        if deeds.is_empty() {
            return Err(self.wrong("empty", node, "nothing is done: it would break nothing"));
        }
        Ok(deeds)
    }

    /// `drop`, for `drop: true`.
    fn bare_deed(&self, unit: Unit, node: &Node, word: &str) -> Read<Deed> {
        self.possible(unit, node.span, word)?;
        flag_deed(word).ok_or_else(|| {
            self.wrong("wrong-type", node, format!("`{word}` needs to know more"))
                .help(format!("write `{{{word}: …}}`"))
        })
    }

    /// Whether it can be done to this at all.
    fn possible(&self, unit: Unit, span: Span, name: &str) -> Read<()> {
        if unit.deeds().contains(&name) {
            return Ok(());
        }
        if keys::DEEDS.contains(&name) {
            return Err(self
                .at(
                    "misplaced-key",
                    span,
                    format!("`{name}` cannot be done to {}", unit.what()),
                )
                .help(format!(
                    "to {} there is: {}",
                    unit.what(),
                    unit.deeds().join(", ")
                )));
        }
        Err(self
            .at("unknown-key", span, format!("nobody can do `{name}`"))
            .suggest(name, unit.deeds().iter().copied()))
    }

    fn deed(&mut self, unit: Unit, key: &Spanned<String>, value: &Node, deeds: &mut Vec<Deed>) -> Read<()> {
        let name = key.value.as_str();
        self.possible(unit, key.span, name)?;
        if let Some(deed) = flag_deed(name) {
            self.flag(value)?;
            deeds.push(deed);
            return Ok(());
        }
        if name == "header" {
            for (name, value) in self.map(value)? {
                deeds.push(self.header(name, value)?);
            }
            return Ok(());
        }
        deeds.push(match name {
            "times" => Deed::Times(self.times(value)?),
            "delay" => Deed::Delay {
                by: self.fixed_time(value)?,
                overtaken: false,
            },
            "late" => Deed::Delay {
                by: self.fixed_time(value)?,
                overtaken: true,
            },
            "edit" => Deed::Edit(self.edits(value)?),
            "replace" => Deed::Replace(self.literal_payload(value)?),
            "reply" => Deed::Reply(self.literal_payload(value)?),
            "also" => Deed::Also(self.literal_payload(value)?),
            "again" => Deed::Again(self.fixed_time(value)?),
            "frame" => Deed::Frame(self.frame_flaw(value)?),
            "code" => Deed::Code(self.code_or_empty(value)?),
            "reason" => Deed::Reason(self.string(value)?),
            "close" => Deed::Close(self.close_code(value)?),
            "end" => Deed::End(self.word(value, &[("fin", TcpEnd::Fin), ("reset", TcpEnd::Reset)])?),
            "respond" => self.respond(value)?,
            "method" => Deed::Method(self.method(value)?),
            "status" => Deed::Status(self.status_number(value)?),
            "body" => Deed::Body(self.string(value)?),
            "substitute" => self.substitute(value)?,
            _ => Deed::Sign(self.claims(value)?),
        });
        Ok(())
    }

    fn literal_payload(&mut self, node: &Node) -> Read<Payload> {
        self.literal(node, Self::payload)
    }

    /// How often in all: once is as before, and no times is `drop`.
    fn times(&self, node: &Node) -> Read<u32> {
        match self.count(node)? {
            0 | 1 => Err(self
                .wrong(
                    "wrong-type",
                    node,
                    "to be passed on twice or more often is a change",
                )
                .help("write `times: 2`, or `drop`")),
            times => Ok(times),
        }
    }

    fn header(&self, name: &Spanned<String>, value: &Node) -> Read<Deed> {
        let value = match value.kind {
            Kind::Null => None,
            _ => Some(self.string(value)?),
        };
        Ok(Deed::Header {
            name: name.value.clone(),
            value,
        })
    }

    /// Of a close frame that a server may send, or not.
    fn close_code(&self, node: &Node) -> Read<u16> {
        match self.count(node)? {
            code @ 1000..=4999 => Ok(code),
            _ => Err(self.expected(node, "a close code from 1000 to 4999")),
        }
    }

    fn code_or_empty(&self, node: &Node) -> Read<Option<u16>> {
        match &node.kind {
            Kind::String(word) if word == "empty" => Ok(None),
            // What no close frame may carry is broken too: any number that fits.
            Kind::Number(_) => self.count(node).map(Some),
            _ => Err(self.expected(node, "a close code, or `empty`")),
        }
    }

    fn status_number(&self, node: &Node) -> Read<u16> {
        match self.count(node) {
            Ok(status @ 100..=599) => Ok(status),
            _ => Err(self.expected(node, "a status from 100 to 599")),
        }
    }

    fn respond(&mut self, node: &Node) -> Read<Deed> {
        let mut fields = Fields::of(self, node, "an answer")?;
        fields.announce(keys::RESPOND);
        let status = fields
            .require(self, "status")
            .and_then(|node| self.status_number(node))?;
        let headers = match fields.take("headers") {
            None => Vec::new(),
            Some((_, node)) => self
                .map(node)?
                .iter()
                .map(|(name, value)| Ok((name.value.clone(), self.string(value)?)))
                .collect::<Read<_>>()?,
        };
        let json = fields
            .take("json")
            .map_or(Value::Null, |(_, node)| node.to_json());
        fields.finish(self)?;
        Ok(Deed::Respond {
            status,
            headers,
            json,
        })
    }

    fn substitute(&mut self, node: &Node) -> Read<Deed> {
        let mut fields = Fields::of(self, node, "`substitute`")?;
        fields.announce(keys::SUBSTITUTE);
        let from = fields.require(self, "from")?;
        let text = self.string(from)?;
        let from = regex::Regex::new(&text).map_err(|error| self.bad_regex(from, &error))?;
        let to = fields.require(self, "to").and_then(|node| self.string(node))?;
        fields.finish(self)?;
        Ok(Deed::Substitute { from, to })
    }

    fn claims(&self, node: &Node) -> Read<serde_json::Map<String, Value>> {
        match node.to_json() {
            Value::Object(claims) => Ok(claims),
            _ => Err(self
                .expected(node, "a mapping of claims")
                .help("write `sign: {}` for the claims as they are, or `sign: {user_id: 1}`")),
        }
    }

    fn frame_flaw(&mut self, node: &Node) -> Read<FrameFlaw> {
        let mut fields = Fields::of(self, node, "a frame that is written wrongly")?;
        fields.announce(keys::FRAME_FLAW);
        if fields.is_empty() {
            return Err(self.wrong("empty", node, "nothing is wrong with this frame"));
        }
        let mut flaw = FrameFlaw::default();
        if let Some((_, node)) = fields.take("mask_flipped") {
            self.flag(node)?;
            flaw.mask_flipped = true;
        }
        if let Some((_, node)) = fields.take("length_longest") {
            self.flag(node)?;
            flaw.length_longest = true;
        }
        if let Some((_, node)) = fields.take("rsv") {
            flaw.rsv = Some(self.reserved_bits(node)?);
        }
        if let Some((_, node)) = fields.take("opcode") {
            flaw.opcode = Some(self.opcode(node)?);
        }
        if let Some((_, node)) = fields.take("fin") {
            flaw.fin = Some(self.boolean(node)?);
        }
        if let Some((_, node)) = fields.take("fragment_bytes") {
            match self.count(node)? {
                0 => return Err(self.wrong("wrong-type", node, "fragments of no bytes never end a message")),
                bytes => flaw.fragment_bytes = Some(bytes),
            }
        }
        if let Some((_, node)) = fields.take("payload_suffix") {
            flaw.payload_suffix = self.bytes(node)?;
        }
        if let Some((_, node)) = fields.take("cut_to_bytes") {
            flaw.cut_to_bytes = Some(self.count(node)?);
        }
        fields.finish(self)?;
        Ok(flaw)
    }

    /// The three as a number, RSV1 the highest.
    pub(super) fn reserved_bits(&self, node: &Node) -> Read<u8> {
        match self.count(node)? {
            bits @ 0..=7 => Ok(bits),
            _ => Err(self.expected(node, "a number from 0 to 7 (RSV1 is 4)")),
        }
    }

    /// A name, or a number from 0 to 15.
    pub(super) fn opcode(&self, node: &Node) -> Read<u8> {
        if let Kind::Number(_) = node.kind {
            return match self.count(node)? {
                code @ 0..=15 => Ok(code),
                _ => Err(self.expected(node, "an opcode from 0 to 15")),
            };
        }
        self.word(
            node,
            &[
                ("cont", 0),
                ("text", 1),
                ("binary", 2),
                ("close", 8),
                ("ping", 9),
                ("pong", 10),
            ],
        )
    }

    fn bytes(&mut self, node: &Node) -> Read<Vec<u8>> {
        let hex = self.literal(node, |reader, node| reader.hex(node))?;
        let digits: Vec<u32> = hex
            .value
            .as_str()
            .unwrap_or_default()
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        Ok(digits
            .chunks(2)
            .map(|pair| u8::try_from(byte(pair)).expect("two hex digits are a byte"))
            .collect())
    }
}

fn flag_deed(name: &str) -> Option<Deed> {
    Some(match name {
        "drop" => Deed::Drop,
        "swap" => Deed::Swap,
        "leak" => Deed::Leak,
        "keep" => Deed::Keep,
        "divert" => Deed::Divert,
        "hang" => Deed::Hang,
        _ => return None,
    })
}
