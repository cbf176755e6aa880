//! A mapping that is taken apart key by key, so that what nobody asked for is an error.

use crate::diag::{Diag, closest};
use crate::read::{Read, Reader};
use crate::source::{Span, Spanned};
use crate::yaml::{Kind, Node};

/// The entries of a mapping. Each key that is asked for counts as known; [`Fields::finish`] refuses the others.
pub(crate) struct Fields<'n> {
    what: &'static str,
    span: Span,
    entries: Vec<(&'n Spanned<String>, &'n Node)>,
    known: Vec<&'static str>,
    /// Whether `known` is a table of [`crate::read::keys`], from which the schema is made as well.
    announced: bool,
}

impl<'n> Fields<'n> {
    /// The fields of a mapping; `what` says what it is, for messages: `a scenario`.
    pub(crate) fn of(reader: &Reader<'_>, node: &'n Node, what: &'static str) -> Read<Self> {
        let Kind::Map(entries) = &node.kind else {
            return Err(reader.wrong(
                "wrong-type",
                node,
                format!("{} stands where {what} is expected, a mapping", node.what()),
            ));
        };
        Ok(Self::from_entries(
            node.span,
            entries.iter().map(|(key, value)| (key, value)).collect(),
            what,
        ))
    }

    /// Those of the entries that are left to the caller.
    pub(crate) fn from_entries(
        span: Span,
        entries: Vec<(&'n Spanned<String>, &'n Node)>,
        what: &'static str,
    ) -> Self {
        Self {
            what,
            span,
            entries,
            known: Vec::new(),
            announced: false,
        }
    }

    /// No fields at all, for a construct that is written as a scalar.
    pub(crate) fn none(node: &'n Node, what: &'static str) -> Self {
        Self::from_entries(node.span, Vec::new(), what)
    }

    /// Keys that will be asked for, so that a suggestion knows all of them.
    pub(crate) fn announce(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
        self.announced = true;
    }

    /// Takes a key out.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<(&'n Spanned<String>, &'n Node)> {
        if !self.known.contains(&key) {
            debug_assert!(!self.announced, "`{key}` is not in the table of {}", self.what);
            self.known.push(key);
        }
        let at = self.entries.iter().position(|(name, _)| name.value == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes a key out that has to be there. If another stands there that looks like it, that one is the mistake.
    pub(crate) fn require(&mut self, reader: &Reader<'_>, key: &'static str) -> Read<&'n Node> {
        match self.take(key) {
            Some((_, node)) => Ok(node),
            None => Err(self.missing(reader, key)),
        }
    }

    /// Takes out whatever is left.
    pub(crate) fn rest(&mut self) -> Vec<(&'n Spanned<String>, &'n Node)> {
        std::mem::take(&mut self.entries)
    }

    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries
            .iter()
            .find(|(name, _)| name.value == key)
            .map(|(name, _)| name.span)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn missing(&self, reader: &Reader<'_>, key: &'static str) -> Diag {
        let slip = self
            .entries
            .iter()
            .find(|(name, _)| !self.known.contains(&name.value.as_str()) && closest(name, &[key]).is_some());
        if let Some((name, _)) = slip {
            return self.unknown(reader, name);
        }
        reader.at(
            "missing-key",
            self.span,
            format!("{} needs the key `{key}`", self.what),
        )
    }

    fn unknown(&self, reader: &Reader<'_>, name: &Spanned<String>) -> Diag {
        if self.known.contains(&name.value.as_str()) {
            let message = format!("`{}` has no meaning here", name.value);
            return reader.at("misplaced-key", name.span, message);
        }
        reader
            .at(
                "unknown-key",
                name.span,
                format!("unknown key `{}` in {}", name.value, self.what),
            )
            .suggest(name, self.known.iter().copied())
    }

    /// Refuses what is left: every key but the last as a diagnostic of its own, the last as the error.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) -> Read<()> {
        let mut unknown: Vec<Diag> = self
            .entries
            .iter()
            .map(|(name, _)| self.unknown(reader, name))
            .collect();
        let last = unknown.pop();
        reader.diags.extend(unknown);
        last.map_or(Ok(()), Err)
    }
}
