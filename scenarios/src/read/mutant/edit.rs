//! How JSON is changed: `edit: …`.

use crate::mutant::Edit;
use crate::read::{Read, Reader, keys};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

impl Reader<'_> {
    /// A mapping of changes, or a list of them; in the order of the file.
    pub(super) fn edits(&self, node: &Node) -> Read<Vec<Edit>> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut edits = Vec::new();
        for item in items {
            let entries = self
                .map(item)
                .map_err(|diag| diag.help("write for example `edit: [{remove: /id}, {set: {/count: 0}}]`"))?;
            for (key, value) in entries {
                self.edit(key, value, &mut edits)?;
            }
        }
        if edits.is_empty() {
            return Err(self.wrong("empty", node, "nothing is changed"));
        }
        Ok(edits)
    }

    fn edit(&self, key: &Spanned<String>, value: &Node, edits: &mut Vec<Edit>) -> Read<()> {
        let name = key.value.as_str();
        if keys::PLACE_EDITS.contains(&name) {
            let make: fn(String) -> Edit = match name {
                "remove" => Edit::Remove,
                "retype" => Edit::Retype,
                "stale" => Edit::Stale,
                "reverse" => Edit::Reverse,
                "twice" => Edit::Twice,
                _ => Edit::Recase,
            };
            let places = match &value.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            for place in places {
                edits.push(make(self.pointer(place)?));
            }
            return Ok(());
        }
        if !keys::EDITS.contains(&name) {
            return Err(self
                .at("unknown-key", key.span, format!("there is no change `{name}`"))
                .suggest(name, keys::EDITS.iter().copied()));
        }
        let entries = self
            .map(value)
            .map_err(|diag| diag.help(format!("`{name}` is a mapping from places: {name}: {{/a/b: …}}")))?;
        for (place, value) in entries {
            let place = self.place(place)?;
            edits.push(match name {
                "set" => Edit::Set(place, value.to_json()),
                "append" => Edit::Append(place, value.to_json()),
                "rename" => Edit::Rename(place, self.string(value)?),
                "copy" => Edit::Copy {
                    to: place,
                    from: self.pointer(value)?,
                },
                "add" => Edit::Add(place, self.addend(value)?),
                _ => Edit::First(place, self.count(value)?),
            });
        }
        Ok(())
    }

    /// A JSON pointer that is a key.
    fn place(&self, key: &Spanned<String>) -> Read<String> {
        self.pointer(&Node {
            kind: Kind::String(key.value.clone()),
            span: key.span,
        })
    }

    fn addend(&self, node: &Node) -> Read<f64> {
        let number = match &node.kind {
            Kind::Number(number) => number.as_f64(),
            _ => None,
        };
        match number {
            Some(0.0) => Err(self.wrong("wrong-type", node, "adding 0 changes nothing")),
            Some(number) => Ok(number),
            None => Err(self.expected(node, "a number")),
        }
    }
}
