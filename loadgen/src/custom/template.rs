//! Texts with places in them, compiled once and written many times without allocation.

use std::fmt::Write as _;

use serde_json::Value;

use touchstone_scenarios::diag::closest;

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
    /// The page that is read back.
    Page,
    /// A column of a file, by its place in [`crate::feed::names`].
    Feed(usize, String),
}

impl Place {
    /// Whether it may be anything but a text.
    fn may_be_json(&self) -> bool {
        match self {
            Self::Index | Self::Last | Self::Page | Self::User(_) | Self::Recipient(_) | Self::Feed(..) => {
                true
            }
            Self::Stamp | Self::Session | Self::Token | Self::Channel => false,
        }
    }
}

/// What a template may name, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The workload's key.
    pub(super) key: &'a str,
    /// The workload's files, `users` apart.
    pub(super) feeds: &'a [&'a str],
    /// Whether pages are read back here.
    pub(super) pages: Pages,
}

/// Whether `${page}` stands for something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pages {
    None,
    Counted,
}

impl Scope<'_> {
    /// Of a key further in.
    pub(super) fn at<'b>(&'b self, key: &'b str) -> Scope<'b> {
        Scope { key, ..*self }
    }

    fn mistake(&self, why: String) -> Mistake {
        Mistake::new(self.key, why)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spelling {
    Plain,
    /// All of a JSON value: a text in quotes, anything else as it is.
    AsJson,
    InJsonString,
    PercentEncoded,
}

/// What stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Text,
    /// A number, or what else a JSON file holds that is no text.
    Json,
}

/// What stands at the places of one message.
pub(super) trait Values {
    /// Appends what stands at `place`, and says what it is.
    fn write(&self, place: &Place, out: &mut String) -> Kind;
}

impl Template {
    /// A frame: a text as it is, or JSON.
    pub(super) fn frame(value: &Value, scope: Scope<'_>) -> Result<Self, Mistake> {
        let mut template = Self::default();
        match value {
            Value::String(text) => template.text(text, Spelling::Plain, scope)?,
            other => template.json(other, scope)?,
        }
        Ok(template)
    }

    /// A path with its query.
    pub(super) fn path(text: &str, scope: Scope<'_>) -> Result<Self, Mistake> {
        if !text.starts_with('/') {
            return Err(scope.mistake(format!("`{text}` does not begin with `/`")));
        }
        let mut template = Self::default();
        template.text(text, Spelling::PercentEncoded, scope)?;
        Ok(template)
    }

    /// A header's value.
    pub(super) fn header(text: &str, scope: Scope<'_>) -> Result<Self, Mistake> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(scope.mistake("a header is one line of text".to_owned()));
        }
        let mut template = Self::default();
        template.text(text, Spelling::Plain, scope)?;
        Ok(template)
    }

    /// The places in it.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place(place, _) => Some(place),
        })
    }

    /// Whether this place is in it.
    pub(super) fn names(&self, place: &Place) -> bool {
        self.places().any(|named| named == place)
    }

    /// Appends the text with these values.
    pub(super) fn write(&self, values: &impl Values, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place(place, spelling) => {
                    let start = out.len();
                    let kind = values.write(place, out);
                    respell(out, start, *spelling, kind);
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

    fn json(&mut self, value: &Value, scope: Scope<'_>) -> Result<(), Mistake> {
        match value {
            Value::Object(map) => {
                self.push("{");
                for (number, (name, value)) in map.iter().enumerate() {
                    self.push(if number == 0 { "" } else { "," });
                    self.push(&Value::from(name.as_str()).to_string());
                    self.push(":");
                    self.json(value, scope)?;
                }
                self.push("}");
            }
            Value::Array(items) => {
                self.push("[");
                for (number, item) in items.iter().enumerate() {
                    self.push(if number == 0 { "" } else { "," });
                    self.json(item, scope)?;
                }
                self.push("]");
            }
            Value::String(text) => match alone(text).map(|name| place(name, scope)).transpose()? {
                Some(place) if place.may_be_json() => {
                    self.pieces.push(Piece::Place(place, Spelling::AsJson));
                }
                Some(_) | None => {
                    self.push("\"");
                    self.text(text, Spelling::InJsonString, scope)?;
                    self.push("\"");
                }
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => self.push(&value.to_string()),
        }
        Ok(())
    }

    fn text(&mut self, text: &str, spelling: Spelling, scope: Scope<'_>) -> Result<(), Mistake> {
        let literal = |text: &str| match spelling {
            Spelling::InJsonString => {
                let quoted = Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Spelling::Plain | Spelling::AsJson | Spelling::PercentEncoded => text.to_owned(),
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
                return Err(scope
                    .mistake(format!("`{text}` has a lone `$`"))
                    .help("write `$$` for a dollar, and `${stamp}` for a value"));
            };
            self.pieces.push(Piece::Place(place(name, scope)?, spelling));
            rest = after;
        }
        self.push(&literal(rest));
        Ok(())
    }
}

/// The name of the place that is all of a text.
fn alone(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains(['$', '}'])).then_some(name)
}

/// What stands for something everywhere.
pub(crate) const PLACES: [&str; 6] = ["stamp", "index", "session", "token", "channel", "last"];

fn place(name: &str, scope: Scope<'_>) -> Result<Place, Mistake> {
    if let Some((of, column)) = name.split_once('.') {
        return match of {
            "user" => Ok(Place::User(column.to_owned())),
            "recipient" => Ok(Place::Recipient(column.to_owned())),
            feed => match scope.feeds.iter().position(|known| *known == feed) {
                Some(place) => Ok(Place::Feed(place, column.to_owned())),
                None => Err(no_file(name, feed, scope)),
            },
        };
    }
    Ok(match name {
        "stamp" => Place::Stamp,
        "index" => Place::Index,
        "session" => Place::Session,
        "token" => Place::Token,
        "channel" => Place::Channel,
        "last" => Place::Last,
        "page" if scope.pages == Pages::Counted => Place::Page,
        _ => {
            let mut known = PLACES.to_vec();
            if scope.pages == Pages::Counted {
                known.push("page");
            }
            let help = closest(name, &known).map_or_else(
                || {
                    let names = known.join(", ");
                    format!("there is: {names}, user.COLUMN, recipient.COLUMN, and FEED.COLUMN of a file of `feed`")
                },
                |best| format!("did you mean `${{{best}}}`?"),
            );
            return Err(scope
                .mistake(format!("`${{{name}}}` stands for nothing"))
                .help(&help));
        }
    })
}

/// What to say of `${feed.COLUMN}` where there is no such file.
fn no_file(name: &str, feed: &str, scope: Scope<'_>) -> Mistake {
    let known: Vec<_> = scope.feeds.iter().copied().chain(["user", "recipient"]).collect();
    let help = match closest(feed, &known) {
        Some(best) => format!("did you mean `${{{}}}`?", name.replacen(feed, best, 1)),
        None => format!("name its file: `feed: {{{feed}: {feed}.csv}}`"),
    };
    scope
        .mistake(format!(
            "`${{{name}}}` stands for nothing: there is no file `{feed}`"
        ))
        .help(&help)
}

/// Spells what was appended from `start` on as its place wants it; most values need nothing.
fn respell(out: &mut String, start: usize, spelling: Spelling, kind: Kind) {
    match spelling {
        Spelling::Plain => {}
        Spelling::AsJson => {
            if kind == Kind::Text {
                out.insert(start, '"');
                respell(out, start + 1, Spelling::InJsonString, kind);
                out.push('"');
            }
        }
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

    const SCOPE: Scope<'_> = Scope {
        key: "custom",
        feeds: &["products", "names"],
        pages: Pages::None,
    };

    struct Fixed;

    impl Values for Fixed {
        fn write(&self, place: &Place, out: &mut String) -> Kind {
            match place {
                Place::Index => out.push('7'),
                Place::Feed(0, _) => out.push_str("[1.5]"),
                Place::User(column) => {
                    write!(out, "{column} \"é\"").unwrap();
                    return Kind::Text;
                }
                Place::Stamp
                | Place::Session
                | Place::Token
                | Place::Channel
                | Place::Last
                | Place::Page
                | Place::Feed(..)
                | Place::Recipient(_) => {
                    out.push('x');
                    return Kind::Text;
                }
            }
            Kind::Json
        }
    }

    fn written(template: &Template) -> String {
        let mut out = String::new();
        template.write(&Fixed, &mut out);
        out
    }

    #[test]
    fn values_are_spelled_as_their_place_wants_them() {
        let frame = |value: Value| written(&Template::frame(&value, SCOPE).unwrap());
        assert_eq!(
            frame(json!({"n": "${index}", "t": "no. ${index} by ${user.name}", "list": [1, null, "\n$$"]})),
            r#"{"list":[1,null,"\n$"],"n":7,"t":"no. 7 by name \"é\""}"#
        );
        assert_eq!(frame(json!("SAY ${user.name}")), "SAY name \"é\"");
        assert_eq!(
            frame(
                json!({"a": "${products.price}", "b": "${user.name}", "c": "${names.first}", "d": "at ${products.price}"})
            ),
            r#"{"a":[1.5],"b":"name \"é\"","c":"x","d":"at [1.5]"}"#
        );
        let url = Template::path("/ws?name=${user.name}&n=${index}", SCOPE).unwrap();
        assert_eq!(written(&url), "/ws?name=name%20%22%C3%A9%22&n=7");
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for (text, message) in [
            ("${stam}", "`${stam}` stands for nothing"),
            ("5 $", "`5 $` has a lone `$`"),
            ("${stamp", "`${stamp` has a lone `$`"),
            ("${page}", "`${page}` stands for nothing"),
            (
                "${shops.name}",
                "`${shops.name}` stands for nothing: there is no file `shops`",
            ),
        ] {
            let mistake = Template::frame(&json!(text), SCOPE).unwrap_err();
            assert_eq!(mistake.why, message);
        }
    }
}
