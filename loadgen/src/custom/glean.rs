//! What stands at a few places of a JSON text, without a tree of it: one pass, borrowed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The places that are wanted, as a tree of their tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wanted {
    slot: Option<usize>,
    inner: Vec<(String, Wanted)>,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Number(f64),
    Truth(bool),
    Null,
    /// A list or a map.
    Other,
}

impl Wanted {
    /// Wants what stands at `pointer`, in slot `slot` unless it is wanted already; says in which it comes.
    pub(super) fn add(&mut self, pointer: &str, slot: usize) -> usize {
        let mut place = self;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let at = place.inner.iter().position(|(name, _)| *name == token);
            let at = at.unwrap_or_else(|| {
                place.inner.push((token, Self::default()));
                place.inner.len() - 1
            });
            place = &mut place.inner[at].1;
        }
        *place.slot.get_or_insert(slot)
    }

    /// Fills `slots`; `false` if `text` is no JSON.
    pub(super) fn glean<'a>(&self, text: &'a str, slots: &mut [Option<Found<'a>>]) -> bool {
        let mut json = serde_json::Deserializer::from_str(text);
        let gleaner = Gleaner { wanted: self, slots };
        gleaner.deserialize(&mut json).is_ok() && json.end().is_ok()
    }

    fn inner(&self, name: &str) -> Option<&Self> {
        self.inner
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, wanted)| wanted)
    }
}

struct Gleaner<'w, 's, 'a> {
    wanted: &'w Wanted,
    slots: &'s mut [Option<Found<'a>>],
}

impl<'a> Gleaner<'_, '_, 'a> {
    fn found(self, found: Found<'a>) {
        if let Some(slot) = self.wanted.slot {
            self.slots[slot] = Some(found);
        }
    }
}

impl<'a> DeserializeSeed<'a> for Gleaner<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.slot.is_none() && self.wanted.inner.is_empty() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Gleaner<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.found(Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found(Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.found(Found::Whole(number));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.found(Found::Number(number as f64));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.found(Found::Number(number));
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.found(Found::Truth(truth));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.found(Found::Null);
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, slots } = self;
        while let Some(name) = map.next_key::<Cow<'a, str>>()? {
            match wanted.inner(&name) {
                Some(wanted) => map.next_value_seed(Gleaner {
                    wanted,
                    slots: &mut *slots,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Gleaner { wanted, slots }.found(Found::Other);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { wanted, slots } = self;
        let nothing = Wanted::default();
        for index in 0_usize.. {
            let wanted = match wanted.inner.is_empty() {
                true => &nothing,
                false => wanted.inner(&index.to_string()).unwrap_or(&nothing),
            };
            let next = Gleaner {
                wanted,
                slots: &mut *slots,
            };
            if items.next_element_seed(next)?.is_none() {
                break;
            }
        }
        Gleaner { wanted, slots }.found(Found::Other);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_a_pointer_is_found_whatever_is_around_it() {
        let mut wanted = Wanted::default();
        let pointers = ["/type", "/data/0/a~1b", "/data", "/n", "/missing", "/no", "/type"];
        let slots: Vec<_> = pointers
            .iter()
            .enumerate()
            .map(|(slot, pointer)| wanted.add(pointer, slot))
            .collect();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5, 0]);
        let mut found = vec![None; 6];
        let text = r#"{"x":[{}],"n":7,"type":"say","no":null,"data":[{"a/b":"é\n","c":[1]},2],"type2":1}"#;
        assert!(wanted.glean(text, &mut found));
        let expected = [
            Some(Found::Text("say".into())),
            Some(Found::Text("é\n".into())),
            Some(Found::Other),
            Some(Found::Whole(7)),
            None,
            Some(Found::Null),
        ];
        assert_eq!(found, expected);
        assert!(matches!(&found[0], Some(Found::Text(Cow::Borrowed(_)))));
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for text in ["", "hello", "{", r#"{"type":1} x"#] {
            assert!(!Wanted::default().glean(text, &mut []), "{text}");
        }
    }
}
