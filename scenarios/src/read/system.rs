//! What is done to the system under test from outside, and what it tells about itself.

use crate::read::{Fields, Read, Reader, keys};
use crate::scenario::{Action, Fault, MetricMoved, StoreFault, TcpFault};
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
        fields.finish(self)?;
        Ok(Action::Inject { to, kind, data })
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
            let least = fields.require(self, "at_least")?;
            let at_least = match &least.kind {
                Kind::Number(number) => number.as_f64().filter(|least| *least >= 0.0),
                _ => None,
            };
            let Some(at_least) = at_least else {
                return Err(self.expected(least, "a number of 0 or more"));
            };
            let mut names = vec![name.clone()];
            if let Some((_, others)) = fields.take("or") {
                names.extend(self.strings(others)?);
            }
            fields.finish(self)?;
            moved.push(MetricMoved { names, at_least });
        }
        if moved.is_empty() {
            return Err(self.expected(value, "a mapping of metrics"));
        }
        Ok(moved)
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
