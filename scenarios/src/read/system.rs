//! What is done to the system under test from outside, and what it tells about itself.

use serde_json::Value;

use crate::cast::DEFAULT_CHANNEL;
use crate::read::{Fields, Read, Reader, keys};
use crate::scenario::{Action, Duration, Fault, MetricMoved, Operation, StoreFault, TcpFault, Template};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

impl Reader<'_> {
    pub(super) fn inject(&mut self, value: &Node) -> Read<Action> {
        let mut fields = Fields::of(self, value, "`inject`")?;
        fields.announce(keys::INJECT);
        let to = fields.require(self, "to").and_then(|node| self.template(node))?;
        let kind = fields
            .require(self, "type")
            .and_then(|node| self.template(node))?;
        let data = fields
            .require(self, "data")
            .and_then(|node| self.template(node))?;
        let later = fields
            .take("scheduled_at")
            .map(|(_, node)| self.later(node))
            .transpose()?;
        fields.finish(self)?;
        self.check_audience(&to)?;
        Ok(Action::Inject {
            to,
            kind,
            data,
            later,
        })
    }

    /// `+1h`: from now on.
    fn later(&self, node: &Node) -> Read<Duration> {
        let text = self.string(node)?;
        let help = "write for example `scheduled_at: +1h`: from now on";
        let Some(rest) = text.strip_prefix('+') else {
            return Err(self.expected(node, "a time from now on").help(help));
        };
        let node = Node {
            kind: Kind::String(rest.to_owned()),
            span: node.span,
        };
        self.duration(&node).map_err(|diag| diag.help(help))
    }

    /// A name among those who are told has to be somebody's.
    fn check_audience(&self, to: &Template) -> Read<()> {
        let items = match &to.value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for name in items.iter().filter_map(Value::as_str) {
            let known = name == "all"
                || name.contains("${")
                || self.cast.channel(name).is_some()
                || name == DEFAULT_CHANNEL;
            if !known && self.has_users(None) {
                self.person(&Spanned {
                    value: name.to_owned(),
                    span: to.span,
                })?;
            }
        }
        Ok(())
    }

    /// `events: {of: ann, $contains: {…}}`: what stands beside `of` is a matcher of the list.
    pub(super) fn events(&mut self, value: &Node) -> Read<Action> {
        let entries = self.map(value)?;
        let (of, rest): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|(key, _)| key.value == "of");
        let Some((_, user)) = of.first() else {
            return Err(self
                .wrong("missing-key", value, "`events` needs the key `of`")
                .help("write for example `events: {of: ann, $contains: {status: sent}}`"));
        };
        let user = self.person_at(user)?;
        if rest.is_empty() {
            return Err(self
                .wrong(
                    "matches-anything",
                    value,
                    "this could never fail: nothing is asked of the events",
                )
                .help("write for example `events: {of: ann, $contains: {status: sent}}`"));
        }
        let matcher = self.matcher(&Node {
            kind: Kind::Map(rest),
            span: value.span,
        })?;
        Ok(Action::Events { user, matcher })
    }

    /// `disconnect: ann`, or with a code and a reason.
    pub(super) fn disconnect(&mut self, value: &Node) -> Read<Action> {
        if !matches!(value.kind, Kind::Map(_)) {
            return Ok(Action::Operate(Operation::Disconnect {
                user: self.person_at(value)?,
                code: None,
                reason: None,
            }));
        }
        let mut fields = Fields::of(self, value, "`disconnect`")?;
        fields.announce(keys::DISCONNECT);
        let user = fields
            .require(self, "user")
            .and_then(|node| self.person_at(node))?;
        let code = fields
            .take("code")
            .map(|(_, node)| self.count(node))
            .transpose()?;
        let reason = fields
            .take("reason")
            .map(|(_, node)| self.string(node))
            .transpose()?;
        fields.finish(self)?;
        Ok(Action::Operate(Operation::Disconnect { user, code, reason }))
    }

    /// `drain:`, or `drain: {window: 2s}`.
    pub(super) fn drain(&mut self, value: &Node) -> Read<Action> {
        let window = match value.kind {
            Kind::Null => None,
            _ => {
                let mut fields = Fields::of(self, value, "`drain`")?;
                fields.announce(keys::DRAIN);
                let window = fields
                    .take("window")
                    .map(|(_, node)| self.duration(node))
                    .transpose()?;
                fields.finish(self)?;
                window
            }
        };
        Ok(Action::Operate(Operation::Drain { window }))
    }

    pub(super) fn fault(&mut self, value: &Node) -> Read<Fault> {
        let mut fields = Fields::of(self, value, "`fault`")?;
        fields.announce(&["store", "for", "handler", "times"]);
        let fault = if let Some((_, node)) = fields.take("handler") {
            self.word(node, &[("panic", ())])?;
            let times = fields
                .take("times")
                .map(|(_, node)| self.count(node))
                .transpose()?;
            Fault::Handler {
                times: times.unwrap_or(1),
            }
        } else {
            let mode = fields.require(self, "store")?;
            let mode = self.word(mode, &[("down", StoreFault::Down), ("slow", StoreFault::Slow)])?;
            let lasting = fields.require(self, "for").and_then(|node| self.duration(node))?;
            Fault::Store { mode, lasting }
        };
        fields.finish(self)?;
        Ok(fault)
    }

    pub(super) fn exit(&mut self, value: &Node) -> Read<i32> {
        if let Kind::Number(_) = value.kind {
            return Ok(i32::from(self.count::<u8>(value)?));
        }
        let mut fields = Fields::of(self, value, "`stopped`")?;
        let exit = fields
            .require(self, "exit")
            .and_then(|node| self.count::<u8>(node))?;
        fields.finish(self)?;
        Ok(i32::from(exit))
    }

    pub(super) fn metrics(&mut self, value: &Node) -> Read<Vec<MetricMoved>> {
        let mut moved = Vec::new();
        for (name, node) in self.map(value)? {
            let mut fields = Fields::of(self, node, "a metric")?;
            let at_least = fields
                .take("at_least")
                .map(|(_, node)| self.far(node, 0.0))
                .transpose()?;
            let at_most = fields
                .take("at_most")
                .map(|(_, node)| self.far(node, f64::MIN))
                .transpose()?;
            if at_least.is_none() && at_most.is_none() {
                return Err(self
                    .wrong("missing-key", node, "nothing is asked of the metric")
                    .help(
                        "write `{at_least: 1}`: it has risen so far; `{at_most: 0}`: it has fallen again",
                    ));
            }
            let mut names = vec![name.clone()];
            if let Some((_, others)) = fields.take("or") {
                names.extend(self.strings(others)?);
            }
            fields.finish(self)?;
            moved.push(MetricMoved {
                names,
                at_least,
                at_most,
            });
        }
        if moved.is_empty() {
            return Err(self.expected(value, "a mapping of metrics"));
        }
        Ok(moved)
    }

    /// How far a metric moves.
    fn far(&self, node: &Node, least: f64) -> Read<f64> {
        match &node.kind {
            Kind::Number(number) => number.as_f64().filter(|far| *far >= least),
            _ => None,
        }
        .ok_or_else(|| {
            let wanted = if least < 0.0 {
                "a number"
            } else {
                "a number of 0 or more"
            };
            self.expected(node, wanted)
        })
    }

    pub(super) fn tcp(&self, value: &Node) -> Read<TcpFault> {
        self.word(
            value,
            &[
                ("reset", TcpFault::Reset),
                ("half_close", TcpFault::HalfClose),
                ("stop_reading", TcpFault::StopReading),
                ("resume_reading", TcpFault::ResumeReading),
            ],
        )
    }
}
