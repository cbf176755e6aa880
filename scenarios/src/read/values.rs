//! The small values: words, numbers, times, clause ids, templates.

use crate::duration::{self, Duration};
use crate::read::{BUILTIN_VARIABLES, Fields, Read, Reader, Use, keys};
use crate::rules::ClauseId;
use crate::scenario::{ActorName, Scope, Template, Window};
use crate::source::Spanned;
use crate::template::TemplateError;
use crate::yaml::{Kind, Node};

/// The limits a target file can hold (spec README, "Configuration").
pub const LIMITS: &[&str] = &[
    "message_bytes",
    "handshake_bytes",
    "session_id_chars",
    "queue_bytes",
    "rate",
];

impl<'a> Reader<'a> {
    pub(super) fn expected(&self, node: &Node, what: &str) -> crate::diag::Diag {
        self.wrong(
            "wrong-type",
            node,
            format!("{} stands where {what} is expected", node.what()),
        )
    }

    pub(super) fn string(&self, node: &Node) -> Read<String> {
        match &node.kind {
            Kind::String(text) => Ok(text.clone()),
            Kind::Boolean(_) | Kind::Number(_) => Err(self
                .expected(node, "a string")
                .help("put it in quotes if it is meant as text")),
            Kind::Null | Kind::List(_) | Kind::Map(_) => Err(self.expected(node, "a string")),
        }
    }

    pub(super) fn spanned(&self, node: &Node) -> Read<Spanned<String>> {
        Ok(Spanned {
            value: self.string(node)?,
            span: node.span,
        })
    }

    /// A list of strings, or one string.
    pub(super) fn strings(&self, node: &Node) -> Read<Vec<Spanned<String>>> {
        match &node.kind {
            Kind::List(items) => items.iter().map(|item| self.spanned(item)).collect(),
            _ => Ok(vec![self.spanned(node)?]),
        }
    }

    pub(super) fn boolean(&self, node: &Node) -> Read<bool> {
        match node.kind {
            Kind::Boolean(value) => Ok(value),
            _ => Err(self.expected(node, "true or false")),
        }
    }

    /// One of a closed list of words.
    pub(super) fn word<T: Copy>(&self, node: &Node, words: &[(&str, T)]) -> Read<T> {
        let text = self.string(node)?;
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                self.wrong("unknown-value", node, format!("unknown value `{text}`"))
                    .suggest(&text, words.iter().map(|(word, _)| *word))
            })
    }

    /// A whole number of 0 or more that fits `T`.
    pub(super) fn count<T: TryFrom<u64>>(&self, node: &Node) -> Read<T> {
        let number = match &node.kind {
            Kind::Number(number) => number.as_u64(),
            _ => None,
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.expected(node, "a whole number of 0 or more that is not too large"))
    }

    /// `key: true`, the only value that makes sense.
    pub(super) fn flag(&self, node: &Node) -> Read<()> {
        match node.kind {
            Kind::Boolean(true) => Ok(()),
            _ => Err(self.expected(node, "`true`")),
        }
    }

    pub(super) fn list<'n>(&self, node: &'n Node) -> Read<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Ok(items),
            _ => Err(self.expected(node, "a list")),
        }
    }

    pub(super) fn map<'n>(&self, node: &'n Node) -> Read<&'n [(Spanned<String>, Node)]> {
        match &node.kind {
            Kind::Map(entries) => Ok(entries),
            _ => Err(self.expected(node, "a mapping")),
        }
    }

    pub(super) fn duration(&self, node: &Node) -> Read<Duration> {
        let text = match &node.kind {
            Kind::String(text) => text.clone(),
            Kind::Number(number) => {
                return Err(self
                    .wrong(
                        "bad-duration",
                        node,
                        format!("`{number}` is not a duration: it has no unit"),
                    )
                    .help(duration::EXAMPLE));
            }
            _ => return Err(self.expected(node, "a duration").help(duration::EXAMPLE)),
        };
        let parsed = Duration::parse(&text, node.span).map_err(|error| {
            self.wrong("bad-duration", node, error.to_string())
                .help(duration::EXAMPLE)
        })?;
        for name in parsed.timings() {
            let known = duration::TIMINGS.contains(&name)
                || (name == duration::HEARTBEAT && self.scope != Scope::None)
                // A server of one's own has timings of its own: the target file has to hold them.
                || (self.scope == Scope::None && name.contains('.'));
            if !known {
                return Err(self
                    .wrong(
                        "unknown-timing",
                        node,
                        format!("`{name}` is not a timing of the target file"),
                    )
                    .suggest(
                        name,
                        duration::TIMINGS.iter().copied().chain([duration::HEARTBEAT]),
                    ));
            }
        }
        Ok(parsed)
    }

    /// `500ms`, `[not before, not after]`, or `{since: ann, from: …, to: …}`.
    pub(super) fn window(&mut self, node: &Node) -> Read<Window> {
        match &node.kind {
            Kind::List(ends) => match ends.as_slice() {
                [from, to] => Ok(Window {
                    since: None,
                    from: Some(self.duration(from)?),
                    to: self.duration(to)?,
                }),
                _ => Err(self
                    .wrong("wrong-type", node, "a window has two ends")
                    .help("write `within: [200ms, 500ms]`, or `within: 500ms` for an end alone")),
            },
            Kind::Map(_) => {
                let mut fields = Fields::of(self, node, "a window")?;
                fields.announce(keys::WINDOW);
                let since = fields.require(self, "since")?;
                let actor = ActorName {
                    value: self.string(since)?,
                    span: since.span,
                };
                self.speaks(&actor)?;
                let from = fields.take("from").map(|(_, from)| self.duration(from));
                let to = fields.require(self, "to")?;
                fields.finish(self)?;
                Ok(Window {
                    since: Some(actor),
                    from: from.transpose()?,
                    to: self.duration(to)?,
                })
            }
            _ => Ok(Window {
                since: None,
                from: None,
                to: self.duration(node)?,
            }),
        }
    }

    pub(super) fn clause_id(&self, node: &Node) -> Read<Spanned<ClauseId>> {
        let text = self.string(node)?;
        let id = ClauseId(text.clone());
        let own = self.scope == Scope::None && self.rules.folder(id.folder()).is_none();
        if self.rules.clause(&id).is_none() && !own {
            return Err(self
                .wrong("unknown-clause", node, format!("there is no clause `{text}`"))
                .help(self.similar_clauses(&id)));
        }
        Ok(Spanned {
            value: id,
            span: node.span,
        })
    }

    fn similar_clauses(&self, id: &ClauseId) -> String {
        match self.rules.folder(id.folder()) {
            None => {
                let folders: Vec<&str> = self
                    .rules
                    .folders
                    .iter()
                    .map(|folder| folder.name.as_str())
                    .collect();
                format!(
                    "a clause is `folder/name`; the folders are: {}",
                    folders.join(", ")
                )
            }
            Some(folder) => {
                let ids: Vec<&str> = folder.clauses.iter().map(|clause| clause.id.0.as_str()).collect();
                match crate::diag::closest(&id.0, &ids) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("the clauses of `{}` are: {}", folder.name, ids.join(", ")),
                }
            }
        }
    }

    /// A variable that stands for a whole value, whose kind the step knows.
    pub(super) fn whole_variable(&self, node: &Node, used_as: Use) -> Read<Template> {
        let template = self.template(node)?;
        if let Ok([reference]) = template.references().as_deref() {
            self.uses.borrow_mut().push((reference.name.to_owned(), used_as));
        }
        Ok(template)
    }

    /// JSON with variables, all of which are defined here.
    pub(crate) fn template(&self, node: &Node) -> Read<Template> {
        self.check_template(node)?;
        Ok(Template {
            span: node.span,
            value: node.to_json(),
        })
    }

    fn check_template(&self, node: &Node) -> Read<()> {
        match &node.kind {
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) => Ok(()),
            Kind::String(_) => self.check_text(node),
            Kind::List(items) => items.iter().try_for_each(|item| self.check_template(item)),
            Kind::Map(entries) => entries.iter().try_for_each(|(key, value)| {
                if key.starts_with('$') && !key.starts_with("$$") {
                    return Err(self
                        .at(
                            "matcher-in-value",
                            key.span,
                            format!("`{}` is a matcher, and here is a value", key.value),
                        )
                        .help(format!(
                            "matchers stand where something is expected; for a key of this name write `${}`",
                            key.value
                        )));
                }
                self.check_template(value)
            }),
        }
    }

    fn check_text(&self, node: &Node) -> Read<()> {
        let template = Template {
            span: node.span,
            value: node.to_json(),
        };
        let references = template.references().map_err(|error| {
            let diag = self.wrong("bad-variable", node, error.to_string());
            match error {
                TemplateError::Unclosed => diag.help("close it with `}`, or write `$$` for a dollar"),
                _ => diag.help(
                    "a variable is `${name}`, `${name/json/pointer}` or `${name + 1}`; write `$$` for a dollar",
                ),
            }
        })?;
        for reference in references {
            let first = reference.name.split('.').next().unwrap_or_default();
            self.used.borrow_mut().insert(first.to_owned());
            // All of a user is his password too.
            if reference.name == first || reference.name.ends_with(".password") {
                self.passwords.borrow_mut().insert(first.to_owned());
            }
            if !self.is_defined(reference.name) {
                return Err(self.undefined(node, reference.name));
            }
            if reference.name.starts_with("limits.") && !self.required.iter().any(|key| key == reference.name)
            {
                return Err(self
                    .wrong(
                        "missing-requirement",
                        node,
                        format!("`{}` is used and not required", reference.name),
                    )
                    .help(format!(
                        "add `requires: [{}]`: a target that does not say its limit is skipped, naming it",
                        reference.name
                    )));
            }
        }
        Ok(())
    }

    fn is_defined(&self, name: &str) -> bool {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        match first {
            "uid" => true,
            "now" => rest.is_empty(),
            "dialect" => rest.is_empty() && self.scope != Scope::None,
            "limits" => LIMITS.contains(&rest) || (self.scope == Scope::None && !rest.is_empty()),
            _ => self.variables.contains(first) || self.is_of_cast(first, rest),
        }
    }

    fn undefined(&self, node: &Node, name: &str) -> crate::diag::Diag {
        let limits = LIMITS.iter().map(|limit| format!("limits.{limit}"));
        let known: Vec<String> = self
            .variables
            .iter()
            .cloned()
            .chain(
                BUILTIN_VARIABLES
                    .iter()
                    .map(ToString::to_string)
                    .filter(|name| !matches!(name.as_str(), "limits" | "tenant" | "channel")),
            )
            .chain(limits)
            .collect();
        self.wrong(
            "unknown-variable",
            node,
            format!("the variable `{name}` is not defined here"),
        )
        .suggest(name, known.iter().map(String::as_str))
    }
}
