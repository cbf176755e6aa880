//! The resources of `feed`: which fields they have, what is asked of these, and how they stand on the wire (feed/5b).

use std::fmt;

use serde_json::Value;
use touchstone_protocol::feed::messages::{Resource as Shown, ResourceKind};
use touchstone_protocol::json::{self, Object};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Fields, Resource, Shelf};

use super::identity::parse_id;

/// Unicode scalar values in the longest text, so that an event stays far below what clients take in one message.
const TEXT_CHARS_MAX: usize = 10_000;

/// The same of a heading.
const TITLE_CHARS_MAX: usize = 255;

/// The shelves of all kinds.
pub(super) const SHELVES: [&str; 4] = ["feed/bucketpoints", "feed/albums", "feed/photos", "feed/messages"];

/// Where messages are kept.
pub(super) const MESSAGES: Shelf<'static> = shelf(ResourceKind::Message, None);

/// Where resources of a kind are kept; photos inside of their album.
pub(super) const fn shelf(kind: ResourceKind, album: Option<u64>) -> Shelf<'static> {
    let name = match kind {
        ResourceKind::Bucketpoint => SHELVES[0],
        ResourceKind::Album => SHELVES[1],
        ResourceKind::Photo => SHELVES[2],
        ResourceKind::Message => SHELVES[3],
    };
    Shelf { name, inside: album }
}

/// A field that a client may set.
struct Field {
    name: &'static str,
    kind: FieldKind,
    /// What a new resource has where nothing is said; `None`: it must be said.
    default: Option<fn() -> Value>,
}

enum FieldKind {
    /// A text of at most so many Unicode scalar values.
    Text { chars_max: usize, blank: Blank },
    /// True or false.
    Flag,
}

enum Blank {
    Allowed,
    Refused,
}

const fn required(name: &'static str, chars_max: usize) -> Field {
    Field {
        name,
        kind: FieldKind::Text {
            chars_max,
            blank: Blank::Refused,
        },
        default: None,
    }
}

const fn optional(name: &'static str) -> Field {
    Field {
        name,
        kind: FieldKind::Text {
            chars_max: TEXT_CHARS_MAX,
            blank: Blank::Allowed,
        },
        default: Some(|| Value::from("")),
    }
}

const BUCKETPOINT: &[Field] = &[
    required("title", TITLE_CHARS_MAX),
    optional("description"),
    Field {
        name: "completed",
        kind: FieldKind::Flag,
        default: Some(|| Value::Bool(false)),
    },
];
const ALBUM: &[Field] = &[required("title", TITLE_CHARS_MAX)];
const PHOTO: &[Field] = &[required("url", TEXT_CHARS_MAX), optional("caption")];
const MESSAGE: &[Field] = &[required("content", TEXT_CHARS_MAX)];

/// How much of a resource a request has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it; what is left out is as in a new one.
    Whole,
    /// What is left out stays as it is.
    Part,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is no JSON object.
    Body,
    /// These of its fields, in their order.
    Fields(Vec<(&'static str, Fault)>),
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    Null,
    NoText,
    NoFlag,
    Blank,
    Nul,
    TooLong { chars_max: usize },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("This field is required."),
            Self::Null => f.write_str("This field may not be null."),
            Self::NoText => f.write_str("Not a valid string."),
            Self::NoFlag => f.write_str("Must be a valid boolean."),
            Self::Blank => f.write_str("This field may not be blank."),
            Self::Nul => f.write_str("Null characters are not allowed."),
            Self::TooLong { chars_max } => {
                write!(f, "Ensure this field has no more than {chars_max} characters.")
            }
        }
    }
}

/// The fields that a request sets.
pub(super) fn read(kind: ResourceKind, body: &[u8], extent: Extent) -> Result<Fields, Wrong> {
    let object = object(body)?;
    let mut fields = Fields::new();
    let mut faults = Vec::new();
    for field in rules(kind) {
        match field.read(object, extent) {
            Ok(None) => {}
            Ok(Some(value)) => {
                fields.insert(field.name.to_owned(), value);
            }
            Err(fault) => faults.push((field.name, fault)),
        }
    }
    if faults.is_empty() {
        Ok(fields)
    } else {
        Err(Wrong::Fields(faults))
    }
}

/// The texts of these names, none of which may be missing.
pub(super) fn texts<const N: usize>(body: &[u8], names: [&'static str; N]) -> Result<[String; N], Wrong> {
    let members = object(body)?.members(names);
    let mut texts = std::array::from_fn(|_| String::new());
    let mut faults = Vec::new();
    for ((text, member), name) in texts.iter_mut().zip(members).zip(names) {
        match member.map(json::Value::text) {
            Some(Some(said)) => *text = said.into_owned(),
            Some(None) => faults.push((name, Fault::NoText)),
            None => faults.push((name, Fault::Missing)),
        }
    }
    if faults.is_empty() {
        Ok(texts)
    } else {
        Err(Wrong::Fields(faults))
    }
}

/// What stands on the wire for `resource`, which is in `album` if it is a photo.
pub(super) fn shown<'a>(kind: ResourceKind, album: Option<u64>, resource: &'a Resource) -> Shown<'a> {
    let id = resource.id;
    let created_at = Rfc3339(resource.created_at.millis());
    let text = |name: &str| {
        resource
            .fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match kind {
        ResourceKind::Bucketpoint => Shown::Bucketpoint {
            id,
            title: text("title"),
            description: text("description"),
            completed: resource.fields.get("completed") == Some(&Value::Bool(true)),
            created_at,
        },
        ResourceKind::Album => Shown::Album {
            id,
            title: text("title"),
            created_at,
        },
        ResourceKind::Photo => Shown::Photo {
            id,
            album_id: album.unwrap_or_default(),
            caption: text("caption"),
            url: text("url"),
            created_at,
        },
        ResourceKind::Message => Shown::Message {
            id,
            user_id: parse_id(&resource.owner).unwrap_or_default(),
            content: text("content"),
            created_at,
        },
    }
}

fn rules(kind: ResourceKind) -> &'static [Field] {
    match kind {
        ResourceKind::Bucketpoint => BUCKETPOINT,
        ResourceKind::Album => ALBUM,
        ResourceKind::Photo => PHOTO,
        ResourceKind::Message => MESSAGE,
    }
}

fn object(body: &[u8]) -> Result<Object<'_>, Wrong> {
    let text = std::str::from_utf8(body).map_err(|_| Wrong::Body)?;
    let value = json::parse(text).map_err(|_| Wrong::Body)?;
    value.object().ok_or(Wrong::Body)
}

impl Field {
    fn read(&self, object: Object<'_>, extent: Extent) -> Result<Option<Value>, Fault> {
        let [said] = object.members([self.name]);
        let Some(said) = said else {
            return match (extent, self.default) {
                (Extent::Part, _) => Ok(None),
                (Extent::Whole, Some(default)) => Ok(Some(default())),
                (Extent::Whole, None) => Err(Fault::Missing),
            };
        };
        if said.is_null() {
            return Err(Fault::Null);
        }
        match &self.kind {
            FieldKind::Flag => match said.raw() {
                "true" => Ok(Some(Value::Bool(true))),
                "false" => Ok(Some(Value::Bool(false))),
                _ => Err(Fault::NoFlag),
            },
            FieldKind::Text { chars_max, blank } => {
                let text = said.text().ok_or(Fault::NoText)?;
                if json::has_nul(&text) {
                    return Err(Fault::Nul);
                }
                if matches!(blank, Blank::Refused) && text.trim().is_empty() {
                    return Err(Fault::Blank);
                }
                if text.chars().count() > *chars_max {
                    return Err(Fault::TooLong {
                        chars_max: *chars_max,
                    });
                }
                Ok(Some(Value::from(text)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceKind::{Bucketpoint, Message, Photo};

    fn check(kind: ResourceKind, extent: Extent, body: &str, expected: &Result<Value, Wrong>) {
        let read = read(kind, body.as_bytes(), extent).map(Value::Object);
        assert_eq!(&read, expected, "{body}");
    }

    #[test]
    fn what_is_left_out_is_as_in_a_new_one_or_as_it_was() {
        let said = r#"{"content":" a\nb \ud83e\udd80 ","content_type":5}"#;
        for (kind, extent, body, expected) in [
            (
                Bucketpoint,
                Extent::Whole,
                r#"{"title":"a","id":9}"#,
                r#"{"title":"a","description":"","completed":false}"#,
            ),
            (
                Bucketpoint,
                Extent::Part,
                r#"{"completed":true}"#,
                r#"{"completed":true}"#,
            ),
            (Bucketpoint, Extent::Part, "{}", "{}"),
            (
                Photo,
                Extent::Whole,
                r#"{"url":"/a.jpg","caption":"b"}"#,
                r#"{"url":"/a.jpg","caption":"b"}"#,
            ),
            (
                Message,
                Extent::Whole,
                said,
                r#"{"content":" a\nb \ud83e\udd80 "}"#,
            ),
        ] {
            check(kind, extent, body, &Ok(serde_json::from_str(expected).unwrap()));
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let long = format!(r#"{{"title":"{}"}}"#, "\u{1F980}".repeat(TITLE_CHARS_MAX + 1));
        let chars_max = TITLE_CHARS_MAX;
        for (extent, body, faults) in [
            (Extent::Whole, "{}", vec![("title", Fault::Missing)]),
            (
                Extent::Part,
                r#"{"title":null,"completed":"yes","description":5}"#,
                vec![
                    ("title", Fault::Null),
                    ("description", Fault::NoText),
                    ("completed", Fault::NoFlag),
                ],
            ),
            (Extent::Part, r#"{"title":" \n"}"#, vec![("title", Fault::Blank)]),
            (
                Extent::Part,
                r#"{"description":"a\u0000"}"#,
                vec![("description", Fault::Nul)],
            ),
            (Extent::Part, &long, vec![("title", Fault::TooLong { chars_max })]),
        ] {
            check(Bucketpoint, extent, body, &Err(Wrong::Fields(faults)));
        }
        for body in ["", "[]", "null", r#"{"title":"a""#, r#"{"title":"\ud800"}"#] {
            check(Bucketpoint, Extent::Whole, body, &Err(Wrong::Body));
        }
    }
}
