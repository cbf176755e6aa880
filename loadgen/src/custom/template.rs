//! Texts with places in them, compiled once and written many times without allocation.

use std::fmt::Write as _;

use serde_json::Value;

use super::Mistake;

/// A compiled template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Place(Place, Spelling),
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// The message's stamp, filled up to the size that was asked for.
    Stamp,
    /// The message's number among the sender's.
    Index,
    /// The session's name, the same on every connection.
    Session,
    /// The token of the connection.
    Token,
    /// The name of the sender's group.
    Channel,
    /// What was last heard at the place of the counter.
    Last,
    /// A column of the sender's.
    User(String),
    /// A column of the recipient's.
    Recipient(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spelling {
    Plain,
    InJsonString,
    PercentEncoded,
}

/// What stands at the places of one message.
pub(super) trait Values {
    /// Appends what stands at `place`.
    fn write(&self, place: &Place, out: &mut String);
}

impl Template {
    /// A frame: a text as it is, or JSON.
    pub(super) fn frame(value: &Value, key: &str) -> Result<Self, Mistake> {
        let mut template = Self::default();
        match value {
            Value::String(text) => template.text(text, Spelling::Plain, key)?,
            other => template.json(other, key)?,
        }
        Ok(template)
    }

    /// A part of a URL.
    pub(super) fn url(text: &str, key: &str) -> Result<Self, Mistake> {
        let mut template = Self::default();
        template.text(text, Spelling::PercentEncoded, key)?;
        Ok(template)
    }

    /// The places in it.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place(place, _) => Some(place),
        })
    }

    /// Appends the text with these values.
    pub(super) fn write(&self, values: &impl Values, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place(place, spelling) => {
                    let start = out.len();
                    values.write(place, out);
                    respell(out, start, *spelling);
                }
            }
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    fn json(&mut self, value: &Value, key: &str) -> Result<(), Mistake> {
        match value {
            Value::Object(map) => {
                self.push("{");
                for (number, (name, value)) in map.iter().enumerate() {
                    self.push(if number == 0 { "" } else { "," });
                    self.push(&Value::from(name.as_str()).to_string());
                    self.push(":");
                    self.json(value, key)?;
                }
                self.push("}");
            }
            Value::Array(items) => {
                self.push("[");
                for (number, item) in items.iter().enumerate() {
                    self.push(if number == 0 { "" } else { "," });
                    self.json(item, key)?;
                }
                self.push("]");
            }
            Value::String(text) if text == "${index}" => {
                self.pieces.push(Piece::Place(Place::Index, Spelling::Plain));
            }
            Value::String(text) => {
                self.push("\"");
                self.text(text, Spelling::InJsonString, key)?;
                self.push("\"");
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.push(&value.to_string()),
        }
        Ok(())
    }

    fn text(&mut self, text: &str, spelling: Spelling, key: &str) -> Result<(), Mistake> {
        let literal = |text: &str| match spelling {
            Spelling::InJsonString => {
                let quoted = Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Spelling::Plain | Spelling::PercentEncoded => text.to_owned(),
        };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            self.push(&literal(before));
            if let Some(after) = after.strip_prefix('$') {
                self.push("$");
                rest = after;
                continue;
            }
            let named = after.strip_prefix('{').and_then(|named| named.split_once('}'));
            let Some((name, after)) = named else {
                return Err(Mistake::new(key, format!("`{text}` has a lone `$`"))
                    .help("write `$$` for a dollar, and `${stamp}` for a value"));
            };
            self.pieces.push(Piece::Place(place(name, key)?, spelling));
            rest = after;
        }
        self.push(&literal(rest));
        Ok(())
    }
}

const PLACES: [&str; 6] = ["stamp", "index", "session", "token", "channel", "last"];

fn place(name: &str, key: &str) -> Result<Place, Mistake> {
    Ok(match name.split_once('.') {
        Some(("user", column)) => Place::User(column.to_owned()),
        Some(("recipient", column)) => Place::Recipient(column.to_owned()),
        Some(_) | None => match name {
            "stamp" => Place::Stamp,
            "index" => Place::Index,
            "session" => Place::Session,
            "token" => Place::Token,
            "channel" => Place::Channel,
            "last" => Place::Last,
            _ => {
                let help = touchstone_scenarios::diag::closest(name, &PLACES).map_or_else(
                    || format!("there is: {}, user.COLUMN, recipient.COLUMN", PLACES.join(", ")),
                    |best| format!("did you mean `${{{best}}}`?"),
                );
                return Err(Mistake::new(key, format!("`${{{name}}}` stands for nothing")).help(&help));
            }
        },
    })
}

/// Spells what was appended from `start` on as its place wants it; most values need nothing.
fn respell(out: &mut String, start: usize, spelling: Spelling) {
    match spelling {
        Spelling::Plain => {}
        Spelling::InJsonString => {
            let needs_escape = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            if out.as_bytes()[start..].iter().any(needs_escape) {
                let quoted = Value::from(&out[start..]).to_string();
                out.truncate(start);
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        Spelling::PercentEncoded => {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
            if !out.as_bytes()[start..].iter().all(is_plain) {
                let raw = out.split_off(start);
                for byte in raw.bytes() {
                    if is_plain(&byte) {
                        out.push(char::from(byte));
                    } else {
                        write!(out, "%{byte:02X}").expect("a String takes everything");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed;

    impl Values for Fixed {
        fn write(&self, place: &Place, out: &mut String) {
            match place {
                Place::Index => out.push('7'),
                Place::User(column) => write!(out, "{column} \"é\"").unwrap(),
                Place::Stamp
                | Place::Session
                | Place::Token
                | Place::Channel
                | Place::Last
                | Place::Recipient(_) => out.push('x'),
            }
        }
    }

    fn written(template: &Template) -> String {
        let mut out = String::new();
        template.write(&Fixed, &mut out);
        out
    }

    #[test]
    fn values_are_spelled_as_their_place_wants_them() {
        let frame = |value: Value| written(&Template::frame(&value, "").unwrap());
        assert_eq!(
            frame(json!({"n": "${index}", "t": "no. ${index} by ${user.name}", "list": [1, null, "\n$$"]})),
            r#"{"list":[1,null,"\n$"],"n":7,"t":"no. 7 by name \"é\""}"#
        );
        assert_eq!(frame(json!("SAY ${user.name}")), "SAY name \"é\"");
        let url = Template::url("/ws?name=${user.name}&n=${index}", "").unwrap();
        assert_eq!(written(&url), "/ws?name=name%20%22%C3%A9%22&n=7");
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for (text, message) in [
            ("${stam}", "`${stam}` stands for nothing"),
            ("5 $", "`5 $` has a lone `$`"),
            ("${stamp", "`${stamp` has a lone `$`"),
        ] {
            let mistake = Template::frame(&json!(text), "custom").unwrap_err();
            assert_eq!(mistake.why, message);
        }
    }
}
