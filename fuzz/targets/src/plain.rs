//! JSON as serde_json reads it: the oracle against which the decoders' own reader is held.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Arrays and objects inside each other, the outermost counted (common/4c).
const NESTING_MAX: usize = 100;

/// A value, as far as a dialect looks at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List,
    /// Of several members of one name the last (common/4c).
    Object(BTreeMap<String, Plain>),
}

impl Plain {
    /// The one value that `text` is; `None` if it is bad JSON (common/4c).
    pub(crate) fn read(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::of(raw, 0)
    }

    /// Level by level, because serde_json refuses numbers that no `f64` holds, and lone surrogates only where it makes a
    /// text of them.
    fn of(raw: &RawValue, around: usize) -> Option<Self> {
        let text = raw.get();
        let inside = || (around < NESTING_MAX).then_some(around + 1);
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b'[' => {
                let inside = inside()?;
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                for element in elements {
                    Self::of(element, inside)?;
                }
                Self::List
            }
            b'{' => {
                let inside = inside()?;
                // Members that are overwritten have to be good as well, so they are looked at one by one.
                let members: Members<'_> = serde_json::from_str(text).ok()?;
                let mut object = BTreeMap::new();
                for (name, value) in members.0 {
                    object.insert(name, Self::of(value, inside)?);
                }
                Self::Object(object)
            }
            _ => Self::Number,
        })
    }

    /// The members, if it is an object.
    pub(crate) fn object(self) -> Option<BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number | Self::Text(_) | Self::List => None,
        }
    }

    /// What it says, if it is a text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number | Self::List | Self::Object(_) => None,
        }
    }
}

/// What an object has in it, in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}
