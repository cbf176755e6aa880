//! One step: its verb, its value and what stands beside it.

use crate::diag::Diag;
use crate::read::table::Place;
use crate::read::{Fields, Read, Reader};
use crate::rules::ClauseId;
use crate::scenario::{
    Action, ActorName, Alternative, ClosedMatcher, CodeMatcher, Expected, Fault, JsonType, MatcherKind,
    MessageMatcher, MetricMoved, Outcome, RawFrame, Signal, Step, StoreFault, TcpFault, Template, Window,
};
use crate::source::{Span, Spanned};
use crate::yaml::{Kind, Node};

/// Verbs of one actor: `ann.send`.
pub(crate) const ACTOR_VERBS: &[&str] = &[
    "send",
    "send_binary",
    "raw",
    "expect",
    "nothing",
    "close",
    "closed",
    "ends",
    "pings",
    "ponged",
    "tcp",
    "refused",
];
/// Verbs that stand by themselves.
pub(crate) const VERBS: &[&str] = &[
    "connect",
    "handshake",
    "expect",
    "nothing",
    "http",
    "inject",
    "fault",
    "stop",
    "stopped",
    "start",
    "log",
    "metrics",
    "pause",
    "interleave",
    "table",
];
/// Keys beside a verb.
pub(crate) const COMPANIONS: &[&str] = &["clause", "within", "alternatives", "greeted", "expect", "each"];

/// Verbs that wait for something, and so may say until when and what else would do.
const WAITING: &[&str] = &[
    "connect",
    "handshake",
    "refused",
    "expect",
    "closed",
    "ends",
    "ponged",
    "http",
    "log",
    "metrics",
    "stopped",
    "start",
];
const ALTERNATIVES_OF: &[&str] = &[
    "connect",
    "handshake",
    "refused",
    "expect",
    "nothing",
    "closed",
    "ends",
    "ponged",
];

/// A step, taken apart.
struct Parts<'n> {
    verb: &'n Spanned<String>,
    value: &'n Node,
    beside: Fields<'n>,
}

/// What holds for any step.
#[derive(Default)]
struct Modifiers {
    clause: Option<Spanned<ClauseId>>,
    within: Option<Window>,
    alternatives: Vec<Alternative>,
}

impl Reader<'_> {
    pub(super) fn step(&mut self, node: &Node, place: Place, siblings: usize) -> Read<Step> {
        let mut parts = self.take_apart(node)?;
        parts.beside.announce(&["clause", "within", "alternatives"]);
        let verb = parts.verb.clone();
        let (actor, name) = self.subject(&verb)?;
        let (action, modifiers) = match actor {
            Some(actor) => self.actor_action(&actor, name, &mut parts)?,
            None => self.action(name, &mut parts, place, siblings)?,
        };
        parts.beside.finish(self)?;
        let Modifiers {
            clause,
            within,
            alternatives,
        } = modifiers;
        Ok(Step {
            span: verb.span,
            action,
            clause,
            within,
            alternatives,
        })
    }

    /// Finds the verb among the keys.
    fn take_apart<'n>(&self, node: &'n Node) -> Read<Parts<'n>> {
        const EXAMPLE: &str = "write for example `- ann.send: hello` or `- connect: ann`";
        let Kind::Map(entries) = &node.kind else {
            let message = format!("{} stands where a step is expected, a mapping", node.what());
            return Err(self.wrong("wrong-type", node, message).help(EXAMPLE));
        };
        let answered = entries
            .iter()
            .any(|(key, _)| key.value == "http" || key.value == "handshake");
        let is_verb = |key: &str| {
            let companion = COMPANIONS.contains(&key) && (key != "expect" || answered);
            key.contains('.') || (VERBS.contains(&key) && !companion) || self.is_lane_verb(key)
        };
        let mut verbs = entries.iter().filter(|(key, _)| is_verb(key));
        let Some((verb, value)) = verbs.next() else {
            return Err(self.no_verb(node, entries));
        };
        if let Some((second, _)) = verbs.next() {
            return Err(self
                .at(
                    "two-verbs",
                    second.span,
                    format!("`{}` and `{}` stand in one step", verb.value, second.value),
                )
                .help("a step does one thing: begin the second with a `- ` of its own"));
        }
        let beside = entries
            .iter()
            .filter(|(key, _)| key.span != verb.span)
            .map(|(key, value)| (key, value))
            .collect();
        Ok(Parts {
            verb,
            value,
            beside: Fields::from_entries(node.span, beside, "a step"),
        })
    }

    fn no_verb(&self, node: &Node, entries: &[(Spanned<String>, Node)]) -> Diag {
        let verbs: Vec<&str> = VERBS.iter().copied().chain(self.lane_verbs()).collect();
        let stranger = entries
            .iter()
            .find(|(key, _)| !COMPANIONS.contains(&key.value.as_str()));
        match stranger {
            Some((key, _)) if ACTOR_VERBS.contains(&key.value.as_str()) => self
                .at(
                    "unknown-verb",
                    key.span,
                    format!("`{}` has to say whose it is", key.value),
                )
                .help(format!("write for example `ann.{}: …`", key.value)),
            Some((key, _)) => self
                .at("unknown-verb", key.span, format!("`{}` is not a verb", key.value))
                .suggest(&key.value, verbs),
            None => self
                .wrong("unknown-verb", node, "the step has no verb")
                .suggest("", verbs),
        }
    }

    /// Whose step it is, and the verb without its actor.
    fn subject<'n>(&mut self, verb: &'n Spanned<String>) -> Read<(Option<ActorName>, &'n str)> {
        let Some((actor, name)) = verb.value.split_once('.') else {
            let lane = self
                .is_lane_verb(&verb.value)
                .then(|| self.lane.clone())
                .flatten();
            return Ok((lane, verb.value.as_str()));
        };
        // A quoted key begins one byte later.
        let quoted = usize::from(self.source.text[verb.span.start..].starts_with(['"', '\'']));
        let start = verb.span.start + quoted;
        let span = Span {
            start,
            end: (start + actor.len()).min(verb.span.end),
        };
        let actor = Spanned {
            value: actor.to_owned(),
            span,
        };
        if !ACTOR_VERBS.contains(&name) {
            let span = Span {
                start: (span.end + 1).min(verb.span.end),
                end: verb.span.end,
            };
            return Err(self
                .at(
                    "unknown-verb",
                    span,
                    format!("`{name}` is not a verb of an actor"),
                )
                .suggest(name, ACTOR_VERBS.iter().copied()));
        }
        if let Some(lane) = &self.lane
            && lane.value != actor.value
        {
            return Err(self
                .at(
                    "wrong-lane",
                    actor.span,
                    format!("`{}` has a step in the lane of `{}`", actor.value, lane.value),
                )
                .help("give each actor a lane of its own"));
        }
        Ok((Some(actor), name))
    }

    /// The actor is known, and it is connected.
    pub(super) fn speaks(&self, actor: &ActorName) -> Read<()> {
        match self.actors.get(&actor.value) {
            Some(known) if known.connected => Ok(()),
            Some(_) => Err(self
                .at(
                    "not-connected",
                    actor.span,
                    format!("`{}` is not connected here", actor.value),
                )
                .help(format!("write `- connect: {}` before", actor.value))),
            None => Err(self.unknown_actor(actor)),
        }
    }

    pub(super) fn unknown_actor(&self, actor: &ActorName) -> Diag {
        let diag = self.at(
            "unknown-actor",
            actor.span,
            format!("there is no actor `{}`", actor.value),
        );
        if self.actors.is_empty() {
            return diag.help(format!(
                "declare it: `actors: {{{0}: {{}}}}`, or make it on the spot: `- connect: {{as: {0}}}`",
                actor.value
            ));
        }
        diag.suggest(&actor.value, self.actors.keys().map(String::as_str))
    }

    pub(super) fn connect(&mut self, actor: &ActorName) {
        if let Some(known) = self.actors.get_mut(&actor.value) {
            known.connected = true;
        }
    }

    fn actor_action(
        &mut self,
        actor: &ActorName,
        verb: &str,
        parts: &mut Parts<'_>,
    ) -> Read<(Action, Modifiers)> {
        if verb == "refused" {
            if !self.actors.contains_key(&actor.value) {
                return Err(self.unknown_actor(actor));
            }
        } else {
            self.speaks(actor)?;
        }
        let (value, actor) = (parts.value, actor.clone());
        match verb {
            "closed" => return self.closed_step(actor, parts),
            "ends" => {
                let modifiers = self.body_of_modifiers(value, &mut parts.beside, verb)?;
                return Ok((Action::Ends { actor }, modifiers));
            }
            _ => {}
        }
        let modifiers = self.modifiers(&mut parts.beside, None, verb)?;
        let action = match verb {
            "send" => Action::Send {
                actor,
                payload: self.payload(value)?,
            },
            "send_binary" => Action::SendBinary {
                actor,
                payload: self.payload(value)?,
            },
            "raw" => {
                self.needs_raw(&actor)?;
                let raw = self.raw(value)?;
                Action::Raw {
                    actor,
                    frames: raw.frames,
                    chop: raw.chop,
                }
            }
            "pings" => {
                self.needs_raw(&actor)?;
                Action::Raw {
                    actor,
                    frames: vec![self.ping(value)?],
                    chop: None,
                }
            }
            "ponged" => Action::Ponged {
                actor,
                payload: self.payload(value)?,
            },
            "expect" => Action::Expect {
                actors: vec![actor],
                expected: self.expectation(value)?,
            },
            "nothing" => Action::Nothing {
                actors: vec![actor],
                lasting: self.duration(value)?,
            },
            "close" => self.close(actor, value)?,
            "tcp" => Action::Tcp {
                actor,
                fault: self.tcp(value)?,
            },
            "refused" => Action::Refused {
                actor,
                response: self.response(value)?,
            },
            other => {
                return Err(self.at(
                    "unknown-verb",
                    parts.verb.span,
                    format!("`{other}` is not a verb"),
                ));
            }
        };
        Ok((action, modifiers))
    }

    /// The actor sends what only the raw client can send.
    fn needs_raw(&mut self, actor: &ActorName) -> Read<()> {
        let Some(known) = self.actors.get_mut(&actor.value) else {
            return Err(self.unknown_actor(actor));
        };
        if known.client == Some(crate::scenario::Client::Judge) {
            return Err(self
                .at(
                    "needs-raw",
                    actor.span,
                    format!("`{}` is driven by the well-behaved client", actor.value),
                )
                .help("take `client: judge` out: frames by hand need the raw one"));
        }
        known.raw = true;
        Ok(())
    }

    fn ping(&mut self, value: &Node) -> Read<RawFrame> {
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

    fn close(&mut self, actor: ActorName, value: &Node) -> Read<Action> {
        let (code, reason) = match &value.kind {
            Kind::Null => (None, String::new()),
            Kind::Number(_) => (Some(self.count::<u16>(value)?), String::new()),
            _ => {
                let mut fields = Fields::of(self, value, "a close")?;
                let code = fields
                    .take("code")
                    .map(|(_, node)| self.count::<u16>(node))
                    .transpose()?;
                let reason = fields
                    .take("reason")
                    .map(|(_, node)| self.string(node))
                    .transpose()?;
                fields.finish(self)?;
                if code.is_none() && reason.is_some() {
                    return Err(self
                        .wrong("missing-key", value, "a reason needs a code before it")
                        .help("add `code: 1000`"));
                }
                (code, reason.unwrap_or_default())
            }
        };
        Ok(Action::Close { actor, code, reason })
    }

    fn tcp(&self, value: &Node) -> Read<TcpFault> {
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

    fn closed_step(&mut self, actor: ActorName, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let (matcher, modifiers) = match &parts.value.kind {
            Kind::Map(_) => {
                let mut body = Fields::of(self, parts.value, "`closed`")?;
                let modifiers = self.modifiers(&mut parts.beside, Some(&mut body), "closed")?;
                (self.closed_fields(parts.value.span, body)?, modifiers)
            }
            _ => (
                self.closed(parts.value)?,
                self.modifiers(&mut parts.beside, None, "closed")?,
            ),
        };
        Ok((Action::Closed { actor, matcher }, modifiers))
    }

    /// `{code: 1001, reason: …, clean: true}`, or the code alone.
    fn closed(&mut self, node: &Node) -> Read<ClosedMatcher> {
        match &node.kind {
            Kind::Map(_) => {
                let fields = Fields::of(self, node, "`closed`")?;
                self.closed_fields(node.span, fields)
            }
            _ => Ok(ClosedMatcher {
                span: node.span,
                code: self.code(node)?,
                code_clause: None,
                reason: None,
                clean: None,
                clean_clause: None,
            }),
        }
    }

    fn closed_fields(&mut self, span: Span, mut fields: Fields<'_>) -> Read<ClosedMatcher> {
        fields.announce(&["code", "reason", "clean"]);
        let code = fields.require(self, "code").map_err(|diag| match diag.code {
            "missing-key" => diag.help(
                "write a code, a list of codes, `any`, `empty` (a frame without code) or `none` (no frame); `ends` asks nothing",
            ),
            _ => diag,
        })?;
        let (code_node, code_clause) = self.under(code)?;
        let code = self.code(code_node)?;
        let reason = match fields.take("reason") {
            None => None,
            Some((key, node)) => {
                if matches!(code, CodeMatcher::Missing | CodeMatcher::Empty) {
                    return Err(self.at("contradiction", key.span, "a close without a code has no reason"));
                }
                Some(self.matcher(node)?)
            }
        };
        let (clean, clean_clause) = match fields.take("clean") {
            None => (None, None),
            Some((_, node)) => {
                let (value, clause) = self.under(node)?;
                (Some(self.boolean(value)?), clause)
            }
        };
        fields.finish(self)?;
        Ok(ClosedMatcher {
            span,
            code,
            code_clause,
            reason,
            clean,
            clean_clause,
        })
    }

    fn code(&mut self, node: &Node) -> Read<CodeMatcher> {
        match &node.kind {
            Kind::Number(_) => Ok(CodeMatcher::OneOf(vec![self.one_code(node)?])),
            Kind::List(items) if !items.is_empty() => Ok(CodeMatcher::OneOf(
                items
                    .iter()
                    .map(|item| self.one_code(item))
                    .collect::<Read<_>>()?,
            )),
            Kind::String(text) if text.starts_with("${") => {
                Ok(CodeMatcher::OneOf(vec![self.template(node)?]))
            }
            Kind::String(_) => {
                self.word(node, &[("any", 0), ("empty", 1), ("none", 2)])
                    .map(|word| match word {
                        0 => CodeMatcher::Any,
                        1 => CodeMatcher::Empty,
                        _ => CodeMatcher::Missing,
                    })
            }
            Kind::Map(_) => match self.matcher(node)?.kind {
                MatcherKind::Type(JsonType::Integer | JsonType::Number) => Ok(CodeMatcher::Any),
                _ => Err(self.expected_code(node)),
            },
            Kind::List(_) | Kind::Null | Kind::Boolean(_) => Err(self.expected_code(node)),
        }
    }

    fn expected_code(&self, node: &Node) -> Diag {
        self.expected(node, "a close code")
            .help("write 1000, a list such as [1002, 1007], `any`, `empty` or `none`")
    }

    fn one_code(&self, node: &Node) -> Read<Template> {
        match &node.kind {
            Kind::Number(_) => {
                let code = self.count::<u16>(node)?;
                if code < 1000 {
                    return Err(self
                        .wrong("wrong-type", node, format!("{code} is not a close code"))
                        .help("they begin at 1000"));
                }
                self.template(node)
            }
            Kind::String(text) if text.starts_with("${") => self.template(node),
            _ => Err(self.expected_code(node)),
        }
    }

    fn action(
        &mut self,
        verb: &str,
        parts: &mut Parts<'_>,
        place: Place,
        siblings: usize,
    ) -> Read<(Action, Modifiers)> {
        let value = parts.value;
        match verb {
            "expect" => return self.expect_on(parts),
            "nothing" => return self.nothing_on(parts),
            "connect" => return self.connect_step(parts),
            _ => {}
        }
        let modifiers = self.modifiers(&mut parts.beside, None, verb)?;
        let action = match verb {
            "handshake" => {
                let request = self.handshake(value)?;
                let answer = match parts.beside.take("expect") {
                    None if request.stop_after_bytes.is_some() => None,
                    None => return Err(parts.beside.missing(self, "expect")),
                    Some((_, answer)) => Some(self.response(answer)?),
                };
                Action::Handshake {
                    request: Box::new(request),
                    response: answer,
                }
            }
            "http" => {
                let request = self.http(value)?;
                let answer = parts.beside.require(self, "expect")?;
                Action::Http {
                    request,
                    response: self.response(answer)?,
                }
            }
            "inject" => self.inject(value)?,
            "fault" => Action::Fault(self.fault(value)?),
            "stop" => {
                let signals = [
                    ("TERM", Signal::Term),
                    ("INT", Signal::Int),
                    ("KILL", Signal::Kill),
                ];
                Action::Stop {
                    signal: self.word(value, &signals)?,
                }
            }
            "stopped" => Action::Stopped {
                exit: self.exit(value)?,
            },
            "start" => match value.kind {
                Kind::Null | Kind::Boolean(true) => Action::Start,
                _ => return Err(self.expected(value, "nothing").help("write `- start:`")),
            },
            "log" => Action::Log {
                matcher: self.message_shape(value)?,
            },
            "metrics" => Action::Metrics {
                moved: self.metrics(value)?,
            },
            "pause" => Action::Pause(self.duration(value)?),
            "interleave" => self.interleave(value, parts.verb.span, place)?,
            "table" => {
                let each = parts.beside.require(self, "each")?;
                Action::Table(self.table(value, each, parts.verb.span, place, siblings)?)
            }
            other => {
                return Err(self.at(
                    "unknown-verb",
                    parts.verb.span,
                    format!("`{other}` is not a verb"),
                ));
            }
        };
        Ok((action, modifiers))
    }

    /// `connect: ann`, `connect: [ann, bob]`, or `connect: {as: c, …}`; in a lane `connect:` is the lane's own actor.
    fn connect_step(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let modifiers = self.modifiers(&mut parts.beside, None, "connect")?;
        let value = parts.value;
        if let Kind::Map(_) = value.kind {
            let mut fields = Fields::of(self, value, "an actor made on the spot")?;
            let name = fields.require(self, "as").and_then(|node| self.spanned(node))?;
            let (connection, client) = self.connection(&mut fields)?;
            self.make_actor(&name, &connection, client)?;
            fields.finish(self)?;
            return Ok((
                Action::ConnectAs {
                    actor: name,
                    connection,
                },
                modifiers,
            ));
        }
        let actors = match (&value.kind, &self.lane) {
            (Kind::Null, Some(lane)) => vec![Spanned {
                value: lane.value.clone(),
                span: parts.verb.span,
            }],
            _ => self.strings(value)?,
        };
        if actors.is_empty() {
            return Err(self.expected(value, "an actor or several"));
        }
        for actor in &actors {
            if !self.actors.contains_key(&actor.value) {
                return Err(self.unknown_actor(actor));
            }
            self.connect(actor);
        }
        let greeted = parts
            .beside
            .take("greeted")
            .map(|(_, node)| self.boolean(node))
            .transpose()?;
        Ok((
            Action::Connect {
                actors,
                greeted: greeted.unwrap_or_default(),
            },
            modifiers,
        ))
    }

    fn expect_on(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let mut body = Fields::of(self, parts.value, "`expect`")?;
        body.announce(&["on", "of", "$any_order", "$any_order_preserving"]);
        let modifiers = self.modifiers(&mut parts.beside, Some(&mut body), "expect")?;
        let on = body.require(self, "on").map_err(|diag| match diag.code {
            "missing-key" => diag.help("write `expect: {on: [ann], of: …}`, or `ann.expect: …`"),
            _ => diag,
        })?;
        let actors = self.several(on)?;
        let of = body.require(self, "of")?;
        let any_order = body
            .take("$any_order")
            .map(|(_, node)| self.flag(node))
            .transpose()?
            .is_some();
        let preserving = body.take("$any_order_preserving").map(|(_, node)| node);
        let expected = match (any_order, preserving) {
            (true, Some(node)) => return Err(self.wrong("contradiction", node, "one order or the other")),
            (true, None) => Expected::AnyOrder(self.messages(of)?),
            (false, Some(node)) => {
                let mut fields = Fields::of(self, node, "`$any_order_preserving`")?;
                let by = fields.require(self, "by").and_then(|node| self.pointer(node))?;
                fields.finish(self)?;
                Expected::AnyOrderPreserving {
                    by,
                    of: self.messages(of)?,
                }
            }
            (false, None) => self.expectation(of)?,
        };
        body.finish(self)?;
        Ok((Action::Expect { actors, expected }, modifiers))
    }

    fn nothing_on(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let mut body = Fields::of(self, parts.value, "`nothing`")?;
        body.announce(&["on", "for"]);
        let modifiers = self.modifiers(&mut parts.beside, Some(&mut body), "nothing")?;
        let on = body.require(self, "on")?;
        let actors = self.several(on)?;
        let lasting = body.require(self, "for")?;
        let lasting = self.duration(lasting)?;
        body.finish(self)?;
        Ok((Action::Nothing { actors, lasting }, modifiers))
    }

    /// Connected actors: one or a list.
    fn several(&mut self, node: &Node) -> Read<Vec<ActorName>> {
        let actors = self.strings(node)?;
        if actors.is_empty() {
            return Err(self.expected(node, "an actor or several"));
        }
        actors.iter().try_for_each(|actor| self.speaks(actor))?;
        Ok(actors)
    }

    fn inject(&mut self, value: &Node) -> Read<Action> {
        let mut fields = Fields::of(self, value, "`inject`")?;
        fields.announce(&["to", "type", "data"]);
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

    fn fault(&mut self, value: &Node) -> Read<Fault> {
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

    fn exit(&mut self, value: &Node) -> Read<i32> {
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

    fn metrics(&mut self, value: &Node) -> Read<Vec<MetricMoved>> {
        let mut moved = Vec::new();
        for (name, node) in self.map(value)? {
            let mut fields = Fields::of(self, node, "a metric")?;
            let least = fields.require(self, "at_least")?;
            let at_least = match &least.kind {
                Kind::Number(number) => number.as_f64().unwrap_or_default(),
                _ => return Err(self.expected(least, "a number")),
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

    /// A verb whose value holds nothing but what holds for any step: `ends: {within: 1s}`.
    fn body_of_modifiers(&mut self, value: &Node, beside: &mut Fields<'_>, verb: &str) -> Read<Modifiers> {
        if let Kind::Null | Kind::Boolean(true) = value.kind {
            return self.modifiers(beside, None, verb);
        }
        let mut body = Fields::of(self, value, "`ends`")?;
        let modifiers = self.modifiers(beside, Some(&mut body), verb)?;
        body.finish(self)?;
        Ok(modifiers)
    }

    /// `clause`, `within`, `alternatives`: beside the verb or, where `body` is given, in its value.
    fn modifiers(
        &mut self,
        beside: &mut Fields<'_>,
        mut body: Option<&mut Fields<'_>>,
        verb: &str,
    ) -> Read<Modifiers> {
        let mut modifiers = Modifiers::default();
        for key in ["clause", "within", "alternatives"] {
            let inside = body.as_mut().and_then(|body| body.take(key));
            let found = match (beside.take(key), inside) {
                (Some(_), Some((name, _))) => {
                    return Err(self.at(
                        "duplicate-key",
                        name.span,
                        format!("`{key}` is there twice in one step"),
                    ));
                }
                (Some(found), None) | (None, Some(found)) => found,
                (None, None) => continue,
            };
            let (name, node) = found;
            let allowed = match key {
                "within" => WAITING.contains(&verb),
                "alternatives" => ALTERNATIVES_OF.contains(&verb),
                _ => true,
            };
            if !allowed {
                return Err(self
                    .at(
                        "unknown-key",
                        name.span,
                        format!("`{key}` has no meaning with `{verb}`"),
                    )
                    .help("it belongs to a step that expects something"));
            }
            match key {
                "clause" => modifiers.clause = Some(self.clause_id(node)?),
                "within" => modifiers.within = Some(self.window(node)?),
                _ => modifiers.alternatives = self.alternatives(node)?,
            }
        }
        Ok(modifiers)
    }

    fn alternatives(&mut self, node: &Node) -> Read<Vec<Alternative>> {
        let items = self.list(node)?;
        self.guarded("an alternative", |reader| {
            items.iter().map(|item| reader.alternative(item)).collect()
        })
    }

    fn alternative(&mut self, node: &Node) -> Read<Alternative> {
        let mut fields = Fields::of(self, node, "an alternative")?;
        fields.announce(&[
            "message", "messages", "closed", "refused", "nothing", "code", "reason", "clean", "why",
        ]);
        let why = fields.require(self, "why").and_then(|node| self.string(node))?;
        let forms = ["message", "messages", "closed", "refused", "nothing", "code"];
        let given: Vec<_> = forms
            .iter()
            .filter_map(|form| Some((*form, fields.key_span(form)?)))
            .collect();
        let [(form, _)] = given.as_slice() else {
            return Err(self
                .wrong("wrong-type", node, "an alternative says one thing that may happen instead")
                .help("write one of `message: …`, `messages: […]`, `closed: {…}`, `refused: [401]`, `nothing: true`"));
        };
        let outcome = if *form == "code" {
            Outcome::Closed(self.closed_fields(node.span, fields)?)
        } else {
            let value = fields.require(self, form)?;
            let outcome = self.outcome(form, value)?;
            fields.finish(self)?;
            outcome
        };
        Ok(Alternative {
            outcome,
            why,
            span: node.span,
        })
    }

    fn outcome(&mut self, form: &str, value: &Node) -> Read<Outcome> {
        Ok(match form {
            // What is known and understandable may be as vague as "some message": the step itself is exact.
            "message" => Outcome::Message(self.loose_message(value)?),
            "messages" => Outcome::Messages(self.messages(value)?),
            "closed" => Outcome::Closed(self.closed(value)?),
            "refused" => {
                let Kind::List(items) = &value.kind else {
                    return Ok(Outcome::Refused(vec![self.count(value)?]));
                };
                Outcome::Refused(items.iter().map(|item| self.count(item)).collect::<Read<_>>()?)
            }
            _ => {
                self.flag(value)?;
                Outcome::Nothing
            }
        })
    }

    fn loose_message(&mut self, value: &Node) -> Read<MessageMatcher> {
        match &value.kind {
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.value == "$type") => {
                Ok(MessageMatcher::Json(self.matcher(value)?))
            }
            _ => self.message(value),
        }
    }
}
