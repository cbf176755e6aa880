//! What is sent: payloads and frames.

use crate::read::{Fields, Read, Reader, Use, keys};
use crate::scenario::{FRAME_TIMES_MAX, Payload, RawFrame, Template};
use crate::yaml::{Kind, Node};

/// What a raw step sends.
pub(crate) struct RawPayload {
    pub(crate) frames: Vec<RawFrame>,
    pub(crate) chop: Option<usize>,
}

impl Reader<'_> {
    /// Text, JSON, hex or a repetition.
    pub(super) fn payload(&mut self, node: &Node) -> Read<Payload> {
        match &node.kind {
            Kind::String(_) => Ok(Payload::Text(self.template(node)?)),
            Kind::Map(entries) => {
                let has = |key: &str| entries.iter().any(|(name, _)| name.value == key);
                match entries.as_slice() {
                    [(key, value)] if key.value == "hex" => Ok(Payload::Hex(self.hex(value)?)),
                    [(key, value)] if key.value == "$json" => Ok(Payload::Json(self.template(value)?)),
                    [_, _] if has("repeat") && has("times") => {
                        let mut fields = Fields::of(self, node, "a repetition")?;
                        let unit = fields.require(self, "repeat")?;
                        let times = fields.require(self, "times")?;
                        Ok(Payload::Repeat {
                            unit: self.template(unit)?,
                            times: self.number(times)?,
                        })
                    }
                    _ => Ok(Payload::Json(self.template(node)?)),
                }
            }
            Kind::List(_) => Ok(Payload::Json(self.template(node)?)),
            Kind::Null => Err(self
                .expected(node, "something to send")
                .help("an empty message is written \"\"")),
            Kind::Boolean(_) | Kind::Number(_) => Err(self
                .expected(node, "a text or a mapping")
                .help("put it in quotes to send it as text, or write {$json: …}")),
        }
    }

    /// Bytes as pairs of hex digits.
    pub(super) fn hex(&self, node: &Node) -> Read<Template> {
        if let Kind::Number(number) = &node.kind {
            return Err(self
                .wrong("wrong-type", node, "hex has to be quoted")
                .help(format!("write \"{number}\"")));
        }
        let text = self.string(node)?;
        let template = self.template(node)?;
        if template.is_literal() {
            let digits = text.chars().filter(|digit| !digit.is_whitespace());
            if let Some(wrong) = digits.clone().find(|digit| !digit.is_ascii_hexdigit()) {
                return Err(self.wrong("bad-hex", node, format!("`{wrong}` is not a hex digit")));
            }
            if digits.count() % 2 != 0 {
                return Err(self.wrong("bad-hex", node, "half a byte: the number of hex digits is odd"));
            }
        }
        Ok(template)
    }

    /// `ann.raw: FRAME`, `[FRAME, …]`, a variable, or `{frames: …, chop: 1}`.
    pub(super) fn raw(&mut self, node: &Node) -> Read<RawPayload> {
        if let Kind::Map(entries) = &node.kind
            && entries
                .iter()
                .any(|(key, _)| key.value == "frames" || key.value == "chop")
        {
            let mut fields = Fields::of(self, node, "a raw step")?;
            fields.announce(keys::RAW);
            let frames = fields
                .require(self, "frames")
                .and_then(|node| self.frames(node))?;
            let chop = fields.take("chop").map(|(_, node)| self.chop(node)).transpose()?;
            fields.finish(self)?;
            return Ok(RawPayload { frames, chop });
        }
        Ok(RawPayload {
            frames: self.frames(node)?,
            chop: None,
        })
    }

    fn chop(&self, node: &Node) -> Read<usize> {
        match self.count(node)? {
            0 => Err(self.wrong("wrong-type", node, "pieces of no bytes never arrive")),
            bytes => Ok(bytes),
        }
    }

    /// One frame, a list of them, or a variable that holds either.
    pub(super) fn frames(&self, node: &Node) -> Read<Vec<RawFrame>> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => Err(self
                .wrong("empty", node, "no frame is sent")
                .help("take the step out, or write a frame")),
            Kind::List(items) => items.iter().map(|item| self.frame(item)).collect(),
            _ => Ok(vec![self.frame(node)?]),
        }
    }

    fn frame(&self, node: &Node) -> Read<RawFrame> {
        match &node.kind {
            Kind::String(text) if text.starts_with("${") => {
                Ok(RawFrame(self.whole_variable(node, Use::Frames)?))
            }
            Kind::Map(_) => {
                let template = self.template(node)?;
                self.check_frame(node)?;
                Ok(RawFrame(template))
            }
            _ => Err(self.expected(node, "a frame").help(
                "write for example {op: text, payload: hi}, or {bytes: \"…\"} for bytes that are no frame",
            )),
        }
    }

    /// What can be said of a frame before its variables are put in.
    fn check_frame(&self, node: &Node) -> Read<()> {
        let entries = self.map(node)?;
        for (key, value) in entries {
            let literal = !matches!(&value.kind, Kind::String(text) if text.contains("${"));
            match key.value.as_str() {
                "op" if literal => self.check_opcode(value)?,
                "length_form" if literal => self.check_length_form(value)?,
                "hex" | "bytes" => drop(self.hex(value)?),
                "fin" | "mask" | "deflate" if literal => drop(self.boolean(value)?),
                "rsv" if literal => {
                    if self.count::<u8>(value)? > 7 {
                        return Err(self.wrong(
                            "wrong-type",
                            value,
                            "the three reserved bits make a number from 0 to 7",
                        ));
                    }
                }
                "fragment_bytes" if literal && self.count::<usize>(value)? == 0 => {
                    return Err(self.wrong("wrong-type", value, "fragments of no bytes never end a message"));
                }
                "length" if literal => drop(self.count::<u64>(value)?),
                "code" if literal => drop(self.count::<u16>(value)?),
                "times" if literal => self.check_times(value)?,
                name if keys::FRAME.contains(&name) => {}
                name => {
                    return Err(self
                        .at(
                            "unknown-key",
                            key.span,
                            format!("unknown key `{name}` in a frame"),
                        )
                        .suggest(name, keys::FRAME.iter().copied()));
                }
            }
        }
        let has = |name: &str| entries.iter().any(|(key, _)| key.value == name);
        if !has("op") && !has("bytes") {
            return Err(self
                .wrong("missing-key", node, "a frame needs the key `op`")
                .help("write for example {op: text, payload: hi}, or {bytes: \"…\"} for bytes that are no frame"));
        }
        if has("payload") && has("hex") {
            return Err(self.wrong("two-payloads", node, "a frame has `payload` or `hex`, not both"));
        }
        if let (true, Some((key, _))) = (
            has("fragment_bytes"),
            entries.iter().find(|(key, _)| key.value == "length"),
        ) {
            return Err(self
                .at(
                    "two-lengths",
                    key.span,
                    "`length` has no meaning beside `fragment_bytes`",
                )
                .help(
                    "each fragment declares its own length; write the frames one by one to make one wrong",
                ));
        }
        let beside = |name: &str| name != "bytes" && name != "times";
        if let (true, Some((key, _))) = (has("bytes"), entries.iter().find(|(key, _)| beside(&key.value))) {
            return Err(self
                .at(
                    "two-payloads",
                    key.span,
                    format!("`{}` has no meaning beside `bytes`", key.value),
                )
                .help("`bytes` are written as they stand: no frame is made of them"));
        }
        Ok(())
    }

    fn check_times(&self, node: &Node) -> Read<()> {
        match self.count::<u64>(node)? {
            0 => Err(self.wrong("wrong-type", node, "a frame that is sent no times is not sent")),
            times if times > FRAME_TIMES_MAX => Err(self
                .wrong("wrong-type", node, format!("{times} times the same frame"))
                .help(format!("at most {FRAME_TIMES_MAX}: more is a load test"))),
            _ => Ok(()),
        }
    }

    fn check_opcode(&self, node: &Node) -> Read<()> {
        match &node.kind {
            Kind::Number(_) if self.count::<u8>(node).is_ok_and(|op| op < 16) => Ok(()),
            Kind::String(name) if keys::OPCODES.contains(&name.as_str()) => Ok(()),
            Kind::String(name) => Err(self
                .wrong("unknown-value", node, format!("`{name}` is not an opcode"))
                .suggest(name, keys::OPCODES.iter().copied())),
            _ => Err(self.expected(node, "an opcode: a name or a number from 0 to 15")),
        }
    }

    fn check_length_form(&self, node: &Node) -> Read<()> {
        let text = match &node.kind {
            Kind::Number(number) => number.to_string(),
            _ => self.string(node)?,
        };
        if keys::LENGTH_FORMS.contains(&text.as_str()) {
            return Ok(());
        }
        Err(self
            .wrong("unknown-value", node, format!("`{text}` is not a form of length"))
            .suggest(&text, keys::LENGTH_FORMS.iter().copied()))
    }

    pub(super) fn ping(&mut self, value: &Node) -> Read<RawFrame> {
        let template = match &value.kind {
            Kind::Map(entries) => match entries.as_slice() {
                [(key, hex)] if key.value == "hex" => {
                    let hex = self.hex(hex)?;
                    serde_json::json!({"op": "ping", "hex": hex.value})
                }
                _ => serde_json::json!({"op": "ping", "payload": self.template(value)?.value}),
            },
            Kind::Null => serde_json::json!({"op": "ping"}),
            _ => serde_json::json!({"op": "ping", "payload": self.template(value)?.value}),
        };
        Ok(RawFrame(Template {
            span: value.span,
            value: template,
        }))
    }
}
