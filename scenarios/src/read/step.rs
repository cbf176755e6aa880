//! One step: its verb, its value and what stands beside it.

use crate::diag::Diag;
use crate::read::keys;
use crate::read::outcome::Modifiers;
use crate::read::table::Place;
use crate::read::{Fields, Read, Reader};
use crate::scenario::{Action, ActorName, Awaited, Opening, Operation, Signal, Step};
use crate::source::{Span, Spanned};
use crate::yaml::{Kind, Node};

/// A step, taken apart.
pub(super) struct Parts<'n> {
    pub(super) verb: &'n Spanned<String>,
    pub(super) value: &'n Node,
    pub(super) beside: Fields<'n>,
}

impl Reader<'_> {
    pub(super) fn step(&mut self, node: &Node, place: Place, siblings: usize) -> Read<Step> {
        let mut parts = self.take_apart(node)?;
        parts.beside.announce(keys::COMPANIONS);
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
            let companion = keys::COMPANIONS.contains(&key) && (key != "expect" || answered);
            key.contains('.') || (!companion && (keys::VERBS.contains(&key) || self.is_lane_verb(key)))
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
        let verbs: Vec<&str> = keys::VERBS.iter().copied().chain(self.lane_verbs()).collect();
        let stranger = entries
            .iter()
            .find(|(key, _)| !keys::COMPANIONS.contains(&key.value.as_str()));
        match stranger {
            Some((key, _)) if keys::ACTOR_VERBS.contains(&key.value.as_str()) => self
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
        let quoted = self.source.text.as_bytes().get(verb.span.start);
        let quoted = usize::from(matches!(quoted, Some(b'"' | b'\'')));
        let start = verb.span.start + quoted;
        let span = Span {
            start,
            end: (start + actor.len()).min(verb.span.end),
        };
        let actor = Spanned {
            value: actor.to_owned(),
            span,
        };
        if !keys::ACTOR_VERBS.contains(&name) {
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
                .suggest(name, keys::ACTOR_VERBS.iter().copied()));
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
            "raw" | "pings" => self.raw_action(actor, verb, value)?,
            "pinged" => Action::Pinged {
                actor,
                payload: match value.kind {
                    Kind::Null => None,
                    _ => Some(self.payload(value)?),
                },
            },
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
                lasting: self.silence(value)?,
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

    /// Frames by hand: only the raw client sends them.
    fn raw_action(&mut self, actor: ActorName, verb: &str, value: &Node) -> Read<Action> {
        self.needs_raw(&actor)?;
        if verb == "pings" {
            let frames = vec![self.ping(value)?];
            return Ok(Action::Raw {
                actor,
                frames,
                chop: None,
            });
        }
        let raw = self.raw(value)?;
        Ok(Action::Raw {
            actor,
            frames: raw.frames,
            chop: raw.chop,
        })
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
            "closed" => return self.closed_all_but_one(parts),
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
                let answer = parts.beside.require(self, "expect")?;
                match &value.kind {
                    Kind::List(requests) => {
                        self.http_at_once((value, requests), answer, modifiers.within.as_ref())?
                    }
                    _ => Action::Http {
                        request: self.http(value)?,
                        response: self.http_answer(answer)?,
                    },
                }
            }
            "inject" => self.inject(value)?,
            "users" => self.users(value)?,
            "channel" => self.channel(value)?,
            "events" => self.events(value)?,
            "disconnect" => self.disconnect(value)?,
            "delete_user" => Action::Operate(Operation::DeleteUser {
                user: self.person_at(value)?,
            }),
            "drain" => self.drain(value)?,
            "sweep" | "kill" | "start" => match (value.kind.clone(), verb) {
                (Kind::Null | Kind::Boolean(true), "sweep") => Action::Operate(Operation::Sweep),
                (Kind::Null | Kind::Boolean(true), "kill") => Action::Kill,
                (Kind::Null | Kind::Boolean(true), _) => Action::Start,
                _ => return Err(self.expected(value, "nothing").help(format!("write `- {verb}:`"))),
            },
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
            "log" => Action::Log {
                matcher: self.message_shape(value)?,
            },
            "unlogged" => Action::Unlogged {
                text: self.template(value)?,
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
        let greeting = match parts.beside.take("greeted") {
            None => Awaited::No,
            Some((key, node)) => {
                self.flag(node)?;
                if self.greets_nobody() {
                    return Err(self
                        .at(
                            "nothing-to-await",
                            key.span,
                            "the dialect greets nobody: there is nothing to await",
                        )
                        .help("take `greeted` out"));
                }
                Awaited::Yes
            }
        };
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
                    greeting,
                },
                modifiers,
            ));
        }
        let actors = match (&value.kind, &self.lane) {
            (Kind::Null, Some(lane)) => vec![Spanned {
                value: lane.value.clone(),
                span: parts.verb.span,
            }],
            (_, Some(lane)) => {
                return Err(self
                    .wrong(
                        "wrong-lane",
                        value,
                        format!("this is the lane of `{}`", lane.value),
                    )
                    .help("write `connect:`, without a name, or connect before the interleaving"));
            }
            (_, None) => self.strings(value)?,
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
        let opening = match parts.beside.take("at_once") {
            None => Opening::InTurn,
            Some((key, _)) if actors.len() < 2 => {
                return Err(self
                    .at(
                        "wrong-type",
                        key.span,
                        "one connection alone is not at once with another",
                    )
                    .help("take `at_once` out, or name a second one"));
            }
            Some((_, node)) => {
                self.flag(node)?;
                Opening::AtOnce
            }
        };
        let action = Action::Connect {
            actors,
            opening,
            greeting,
        };
        Ok((action, modifiers))
    }
}
