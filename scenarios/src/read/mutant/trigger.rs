//! What has to pass: `on: …`.

use crate::mutant::{Control, Form, HeaderMatcher, RequestMatcher, Trigger, Way};
use crate::read::{Fields, Read, Reader, keys};
use crate::scenario::MessageMatcher;
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

const WAYS: &[(&str, Way)] = &[("up", Way::Up), ("down", Way::Down)];

impl Reader<'_> {
    pub(super) fn trigger(&mut self, node: &Node) -> Read<Trigger> {
        let entries = self
            .map(node)
            .map_err(|diag| diag.help("write for example `on: {down: {type: message}}`"))?;
        let [(key, value)] = entries else {
            return Err(self
                .wrong("wrong-type", node, "a rule waits for one thing")
                .help(format!("write one of: {}", keys::TRIGGERS.join(", "))));
        };
        match key.value.as_str() {
            "down" => self.message_trigger(Way::Down, value),
            "up" => self.message_trigger(Way::Up, value),
            "frame" => self.header_trigger(value),
            "ping" => self.control(value, Control::Ping),
            "pong" => self.control(value, Control::Pong),
            "close" => self.close_trigger(value),
            "request" => Ok(Trigger::Request(self.request_trigger(value, Asks::Plainly)?)),
            "handshake" => Ok(Trigger::Request(self.request_trigger(value, Asks::ForUpgrade)?)),
            "answer" => self.answer_trigger(value),
            "opened" => {
                self.flag(value)?;
                Ok(Trigger::Opened)
            }
            "ended" => Ok(Trigger::Ended {
                way: self.word(value, WAYS)?,
            }),
            name => Err(self.unknown_trigger(key, name)),
        }
    }

    fn unknown_trigger(&self, key: &Spanned<String>, name: &str) -> crate::diag::Diag {
        self.at(
            "unknown-key",
            key.span,
            format!("nothing that passes is called `{name}`"),
        )
        .suggest(name, keys::TRIGGERS.iter().copied())
    }

    /// `down: any`, `down: binary`, `down: {$regex: …}`, or a matcher. A letter for letter text is `{$text: …}`.
    fn message_trigger(&mut self, way: Way, node: &Node) -> Read<Trigger> {
        let form = |of| Ok(Trigger::Form { way, of });
        match &node.kind {
            Kind::String(word) => match word.as_str() {
                "any" => Ok(Trigger::Frame { way }),
                "text" => form(Form::Text(any_text())),
                "binary" => form(Form::Binary),
                "empty" => form(Form::Empty),
                other => Err(self
                    .wrong("unknown-value", node, format!("`{other}` is no form of a message"))
                    .suggest(other, keys::FORMS.iter().copied())
                    .help(format!(
                        "one of {}, or a matcher; a message of this text is {{$text: {other:?}}}",
                        keys::FORMS.join(", ")
                    ))),
            },
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.value == "$regex" => form(Form::Text(self.anchored(value)?)),
                [(key, value)] if key.value == "$json" => {
                    let matcher = self.literal(value, Self::matcher)?;
                    Ok(Trigger::Message { way, of: MessageMatcher::Json(matcher) })
                }
                [(key, _)] if key.value == "$answer" => Err(self
                    .at("unknown-matcher", key.span, "a proxy does not know what is answered")
                    .help("write the message itself")),
                [(key, _)] if keys::MESSAGE_FORMS.contains(&key.value.as_str()) => {
                    Ok(Trigger::Message { way, of: self.literal(node, Self::message)? })
                }
                // As wide as it likes: `{}` is every object.
                _ => {
                    let matcher = self.literal(node, Self::matcher)?;
                    Ok(Trigger::Message { way, of: MessageMatcher::Json(matcher) })
                }
            },
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::List(_) => Err(self
                .expected(node, "a message")
                .help("write `any`, `text`, `binary`, `empty`, or a matcher: {type: message}; JSON that is no mapping is {$json: …}")),
        }
    }

    fn header_trigger(&mut self, node: &Node) -> Read<Trigger> {
        let mut fields = Fields::of(self, node, "a frame that passes")?;
        fields.announce(keys::HEADER_TRIGGER);
        let way = fields
            .require(self, "way")
            .and_then(|node| self.word(node, WAYS))?;
        let boolean = |reader: &Self, found: Option<(&Spanned<String>, &Node)>| {
            found.map(|(_, node)| reader.boolean(node)).transpose()
        };
        let like = HeaderMatcher {
            opcodes: match fields.take("opcodes") {
                Some((_, node)) => self.several_of(node, |reader, node| reader.opcode(node))?,
                None => Vec::new(),
            },
            masked: boolean(self, fields.take("masked"))?,
            fin: boolean(self, fields.take("fin"))?,
            rsv: match fields.take("rsv") {
                Some((_, node)) => self.several_of(node, |reader, node| reader.reserved_bits(node))?,
                None => Vec::new(),
            },
            minimal: boolean(self, fields.take("minimal"))?,
            bytes_min: match fields.take("bytes_min") {
                Some((_, node)) => self.count(node)?,
                None => 0,
            },
        };
        fields.finish(self)?;
        Ok(Trigger::Header { way, like })
    }

    /// One, or a list.
    fn several_of<T>(&self, node: &Node, read: impl Fn(&Self, &Node) -> Read<T>) -> Read<Vec<T>> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => Err(self.expected(node, "one or several")),
            Kind::List(items) => items.iter().map(|item| read(self, item)).collect(),
            _ => Ok(vec![read(self, node)?]),
        }
    }

    fn control(&self, node: &Node, kind: Control) -> Read<Trigger> {
        Ok(Trigger::Control {
            way: self.word(node, WAYS)?,
            kind,
        })
    }

    fn close_trigger(&mut self, node: &Node) -> Read<Trigger> {
        if let Kind::String(_) = node.kind {
            return Ok(Trigger::Close {
                way: self.word(node, WAYS)?,
                codes: Vec::new(),
            });
        }
        let mut fields = Fields::of(self, node, "a close frame that passes")?;
        fields.announce(keys::CLOSE_TRIGGER);
        let way = fields
            .require(self, "way")
            .and_then(|node| self.word(node, WAYS))?;
        let codes = match fields.take("codes") {
            None => Vec::new(),
            Some((_, node)) => self.several_of(node, |reader, node| reader.count(node))?,
        };
        fields.finish(self)?;
        Ok(Trigger::Close { way, codes })
    }

    fn request_trigger(&mut self, node: &Node, asks: Asks) -> Read<RequestMatcher> {
        let mut fields = Fields::of(self, node, "a request that passes")?;
        fields.announce(keys::REQUEST_TRIGGER);
        let matcher = self.request_fields(&mut fields, asks)?;
        fields.finish(self)?;
        Ok(matcher)
    }

    fn answer_trigger(&mut self, node: &Node) -> Read<Trigger> {
        let mut fields = Fields::of(self, node, "an answer that passes")?;
        fields.announce(keys::ANSWER_TRIGGER);
        let asks = match fields.take("handshake") {
            Some((_, node)) if self.boolean(node)? => Asks::ForUpgrade,
            Some(_) | None => Asks::Plainly,
        };
        let to = self.request_fields(&mut fields, asks)?;
        let status = match fields.take("status") {
            Some((_, node)) => self.literal(node, |reader, node| reader.statuses(node))?,
            None => Vec::new(),
        };
        fields.finish(self)?;
        Ok(Trigger::Answer { to, status })
    }

    fn request_fields(&mut self, fields: &mut Fields<'_>, asks: Asks) -> Read<RequestMatcher> {
        let method = fields
            .take("method")
            .map(|(_, node)| self.method(node))
            .transpose()?;
        let path = fields
            .take("path")
            .map(|(_, node)| self.anchored(node))
            .transpose()?;
        let headers = match fields.take("headers") {
            None => Vec::new(),
            Some((_, node)) => self
                .map(node)?
                .iter()
                .map(|(name, value)| Ok((name.to_lowercase(), self.anchored(value)?)))
                .collect::<Read<_>>()?,
        };
        let json = fields
            .take("json")
            .map(|(_, node)| self.literal(node, Self::matcher))
            .transpose()?;
        Ok(RequestMatcher {
            handshake: asks == Asks::ForUpgrade,
            method,
            path,
            headers,
            json,
        })
    }

    pub(super) fn method(&self, node: &Node) -> Read<String> {
        let name = self.string(node)?.to_uppercase();
        let known: Vec<String> = keys::METHODS.iter().map(|method| method.to_uppercase()).collect();
        if known.contains(&name) {
            return Ok(name);
        }
        Err(self
            .wrong("unknown-value", node, format!("`{name}` is not a method"))
            .suggest(&name, known.iter().map(String::as_str)))
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Plainly,
    ForUpgrade,
}

fn any_text() -> regex::Regex {
    crate::template::anchored("(?s:.*)").expect("a constant that is a regular expression")
}
