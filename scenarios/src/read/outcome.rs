//! What is expected of several actors, until when, and what else would do.

use crate::read::step::Parts;
use crate::read::{Fields, Read, Reader, keys};
use crate::rules::ClauseId;
use crate::scenario::{Action, Alternative, Duration, Expected, MessageMatcher, Outcome, Window};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

/// What holds for any step.
#[derive(Default)]
pub(super) struct Modifiers {
    pub(super) clause: Option<Spanned<ClauseId>>,
    pub(super) within: Option<Window>,
    pub(super) alternatives: Vec<Alternative>,
}

impl Reader<'_> {
    pub(super) fn expect_on(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let mut body = Fields::of(self, parts.value, "`expect`")?;
        body.announce(keys::EXPECT_ON);
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

    pub(super) fn nothing_on(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let mut body = Fields::of(self, parts.value, "`nothing`")?;
        body.announce(keys::NOTHING);
        let modifiers = self.modifiers(&mut parts.beside, Some(&mut body), "nothing")?;
        let on = body.require(self, "on")?;
        let actors = self.several(on)?;
        let lasting = body.require(self, "for")?;
        let lasting = self.silence(lasting)?;
        body.finish(self)?;
        Ok((Action::Nothing { actors, lasting }, modifiers))
    }

    /// How long it is silent. Silence of no length is always there.
    pub(super) fn silence(&mut self, node: &Node) -> Read<Duration> {
        let lasting = self.duration(node)?;
        let fixed = lasting.timings().next().is_none();
        if fixed && lasting.evaluate(&|_| None).is_ok_and(|lasting| lasting.is_zero()) {
            return Err(self
                .wrong(
                    "matches-anything",
                    node,
                    "this could never fail: nobody is silent for less than that",
                )
                .help("write for example `nothing: 300ms`"));
        }
        Ok(lasting)
    }

    /// A verb whose value holds nothing but what holds for any step: `ends: {within: 1s}`.
    pub(super) fn body_of_modifiers(
        &mut self,
        value: &Node,
        beside: &mut Fields<'_>,
        verb: &str,
    ) -> Read<Modifiers> {
        if let Kind::Null | Kind::Boolean(true) = value.kind {
            return self.modifiers(beside, None, verb);
        }
        let mut body = Fields::of(self, value, "`ends`")?;
        let modifiers = self.modifiers(beside, Some(&mut body), verb)?;
        body.finish(self)?;
        Ok(modifiers)
    }

    /// `clause`, `within`, `alternatives`: beside the verb or, where `body` is given, in its value.
    pub(super) fn modifiers(
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
                "within" => keys::WAITING.contains(&verb),
                "alternatives" => keys::WITH_ALTERNATIVES.contains(&verb),
                _ => !keys::UNJUDGED.contains(&verb),
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
                "within" => {
                    let window = self.window(node)?;
                    if window.from.is_some() && !keys::WITH_NEAR_EDGE.contains(&verb) {
                        return Err(self
                            .wrong(
                                "unknown-value",
                                node,
                                format!("when `{verb}` came about is not known well enough for a near edge"),
                            )
                            .help("write its far edge alone, as `within: 500ms`"));
                    }
                    modifiers.within = Some(window);
                }
                _ => modifiers.alternatives = self.alternatives_of(verb, node)?,
            }
        }
        Ok(modifiers)
    }

    /// Alternatives that can come about: a handshake is answered otherwise, what comes after it is not refused.
    fn alternatives_of(&mut self, verb: &str, node: &Node) -> Read<Vec<Alternative>> {
        let alternatives = self.alternatives(node)?;
        let opening = keys::OPENING.contains(&verb);
        let strange = alternatives
            .iter()
            .find(|other| matches!(other.outcome, Outcome::Refused(_)) != opening);
        match strange {
            None => Ok(alternatives),
            Some(strange) => {
                let (message, help) = if opening {
                    (
                        "instead of an answer there is only another one",
                        "write `refused: [401]` here, and what comes after it beside the step that awaits that",
                    )
                } else {
                    (
                        "only a handshake can be refused",
                        "put it beside the step that connects",
                    )
                };
                Err(self.at("bad-alternative", strange.span, message).help(help))
            }
        }
    }

    pub(super) fn alternatives(&mut self, node: &Node) -> Read<Vec<Alternative>> {
        let items = self.list(node)?;
        self.guarded("an alternative", |reader| {
            items.iter().map(|item| reader.alternative(item)).collect()
        })
    }

    pub(super) fn alternative(&mut self, node: &Node) -> Read<Alternative> {
        let mut fields = Fields::of(self, node, "an alternative")?;
        fields.announce(keys::ALTERNATIVE);
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

    pub(super) fn outcome(&mut self, form: &str, value: &Node) -> Read<Outcome> {
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

    pub(super) fn loose_message(&mut self, value: &Node) -> Read<MessageMatcher> {
        match &value.kind {
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.value == "$type") => {
                Ok(MessageMatcher::Json(self.matcher(value)?))
            }
            _ => self.message(value),
        }
    }
}
