//! How connections end: what the client does, and what is expected of the server.

use crate::diag::Diag;
use crate::read::outcome::Modifiers;
use crate::read::step::Parts;
use crate::read::{Fields, Read, Reader, Use, keys};
use crate::scenario::{
    Action, ActorName, Before, ClosedMatcher, CodeMatcher, JsonType, MatcherKind, Template,
};
use crate::source::Span;
use crate::yaml::{Kind, Node};

impl Reader<'_> {
    pub(super) fn close(&mut self, actor: ActorName, value: &Node) -> Read<Action> {
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

    pub(super) fn closed_step(
        &mut self,
        actor: ActorName,
        parts: &mut Parts<'_>,
    ) -> Read<(Action, Modifiers)> {
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
    /// `closed: {all_but_one: [b1, b2], left: bob, code: 4005}`.
    pub(super) fn closed_all_but_one(&mut self, parts: &mut Parts<'_>) -> Read<(Action, Modifiers)> {
        let mut body = Fields::of(self, parts.value, "`closed`")?;
        body.announce(keys::ALL_BUT_ONE);
        let modifiers = self.modifiers(&mut parts.beside, Some(&mut body), "closed")?;
        let of = body
            .require(self, "all_but_one")
            .map_err(|diag| match diag.code {
                "missing-key" => diag.help(
                    "write `closed: {all_but_one: [b1, b2], left: bob, code: 4005}`, or `ann.closed: …`",
                ),
                _ => diag,
            })?;
        let actors = self.several(of)?;
        if actors.len() < 2 {
            return Err(self
                .wrong("wrong-type", of, "of one connection alone all but one are none")
                .help("name two or more"));
        }
        let left = body.require(self, "left").and_then(|node| self.spanned(node))?;
        self.leave_over(&left)?;
        let matcher = self.closed_fields(parts.value.span, body)?;
        Ok((
            Action::ClosedAllButOne {
                actors,
                left,
                matcher,
            },
            modifiers,
        ))
    }

    pub(super) fn closed(&mut self, node: &Node) -> Read<ClosedMatcher> {
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
                before: Before::Anything,
            }),
        }
    }

    pub(super) fn closed_fields(&mut self, span: Span, mut fields: Fields<'_>) -> Read<ClosedMatcher> {
        fields.announce(keys::CLOSED);
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
        let before = match fields.take("before") {
            None => Before::Anything,
            Some((key, node)) => {
                let before = self.word(node, &[("greeting", Before::Greeting)])?;
                if self.greets_nobody() {
                    return Err(self
                        .at(
                            "nothing-to-await",
                            key.span,
                            "the dialect greets nobody: every end comes before that",
                        )
                        .help("take `before` out"));
                }
                before
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
            before,
        })
    }

    pub(super) fn code(&mut self, node: &Node) -> Read<CodeMatcher> {
        match &node.kind {
            Kind::Number(_) => Ok(CodeMatcher::OneOf(vec![self.one_code(node)?])),
            Kind::List(items) if !items.is_empty() => Ok(CodeMatcher::OneOf(
                items
                    .iter()
                    .map(|item| self.one_code(item))
                    .collect::<Read<_>>()?,
            )),
            Kind::String(text) if text.starts_with("${") => {
                Ok(CodeMatcher::OneOf(vec![self.whole_variable(node, Use::Code)?]))
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

    pub(super) fn expected_code(&self, node: &Node) -> Diag {
        self.expected(node, "a close code")
            .help("write 1000, a list such as [1002, 1007], `any`, `empty` or `none`")
    }

    pub(super) fn one_code(&self, node: &Node) -> Read<Template> {
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
}
