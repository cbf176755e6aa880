//! JSON as all dialects take it (common/4c): one RFC 8259 value, checked in one pass over the text and not copied.
//!
//! What is not asked for is never taken apart, so a payload that is only handed on costs one look at each of its bytes.
//! What a dialect does about bad JSON, or about a field of the wrong kind, is the dialect's.

use std::borrow::Cow;
use std::fmt;

/// Arrays and objects inside each other, the outermost counted (common/4c).
pub const NESTING_MAX: usize = 100;

/// What a `type` is cut to when an error text repeats it, in Unicode scalar values (common/4c).
pub const ECHOED_TYPE_CHARS_MAX: usize = 100;

/// The text is not one JSON value, has a lone surrogate escape, or is nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadJson;

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not one JSON value")
    }
}

impl std::error::Error for BadJson {}

/// A value that was found to be good JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

/// An object that was found to be good JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a>(&'a str);

/// Checks that `text` is one JSON value, with white space around it or not.
pub fn parse(text: &str) -> Result<Value<'_>, BadJson> {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    let start = scanner.at;
    scanner.value(0)?;
    let end = scanner.at;
    scanner.skip_space();
    if scanner.at == text.len() {
        Ok(Value(&text[start..end]))
    } else {
        Err(BadJson)
    }
}

/// `kind` as far as an error text repeats it.
#[must_use]
pub fn cut_type(kind: &str) -> &str {
    match kind.char_indices().nth(ECHOED_TYPE_CHARS_MAX) {
        Some((end, _)) => &kind[..end],
        None => kind,
    }
}

/// Whether a text has U+0000 in it: a text that is to be stored must not (common/4c).
#[must_use]
pub fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

impl<'a> Value<'a> {
    /// The value as it came, without the white space around it.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// What a string says. Copied only if it has an escape in it.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let quoted = self.0.strip_prefix('"')?;
        Some(unescape(&quoted[..quoted.len() - 1]))
    }

    /// The object, if it is one.
    #[must_use]
    pub fn object(self) -> Option<Object<'a>> {
        self.0.starts_with('{').then_some(Object(self.0))
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn elements(self) -> Option<Vec<Value<'a>>> {
        if !self.0.starts_with('[') {
            return None;
        }
        let mut elements = Vec::new();
        let mut scanner = Scanner::new(self.0);
        while scanner.enters_next(b']') {
            elements.push(scanner.checked_value());
        }
        Some(elements)
    }
}

impl<'a> Object<'a> {
    /// The members of these names, found in one pass. Of several of one name the last counts (common/4c).
    #[must_use]
    pub fn members<const N: usize>(self, names: [&str; N]) -> [Option<Value<'a>>; N] {
        let mut members = [None; N];
        let mut scanner = Scanner::new(self.0);
        while scanner.enters_next(b'}') {
            let key = scanner.checked_value();
            scanner.skip_space();
            // The colon.
            scanner.at += 1;
            scanner.skip_space();
            let value = scanner.checked_value();
            if let Some(at) = names.iter().position(|name| key.says(name)) {
                members[at] = Some(value);
            }
        }
        members
    }
}

impl Value<'_> {
    fn says(self, text: &str) -> bool {
        let raw = &self.0[1..self.0.len() - 1];
        raw == text || (raw.contains('\\') && unescape(raw) == text)
    }
}

/// Walks over JSON text.
struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), BadJson> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(BadJson)
        }
    }

    /// Goes over one value. `nesting`: arrays and objects around it.
    fn value(&mut self, nesting: usize) -> Result<(), BadJson> {
        match self.peek().ok_or(BadJson)? {
            b'"' => self.string(),
            b'{' => self.members(nesting + 1),
            b'[' => self.elements(nesting + 1),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(BadJson),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), BadJson> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(BadJson)
        }
    }

    fn elements(&mut self, nesting: usize) -> Result<(), BadJson> {
        self.open(nesting)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(nesting)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b']'),
            }
            self.skip_space();
        }
    }

    fn members(&mut self, nesting: usize) -> Result<(), BadJson> {
        self.open(nesting)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.string()?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            self.value(nesting)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
            self.skip_space();
        }
    }

    /// Over the bracket, into an array or object.
    fn open(&mut self, nesting: usize) -> Result<(), BadJson> {
        if nesting > NESTING_MAX {
            return Err(BadJson);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn number(&mut self) -> Result<(), BadJson> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(BadJson) }
    }

    fn string(&mut self) -> Result<(), BadJson> {
        self.expect(b'"')?;
        loop {
            self.at += plain_bytes(&self.bytes[self.at..]);
            match self.peek().ok_or(BadJson)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                // A control character must be escaped.
                _ => return Err(BadJson),
            }
        }
    }

    fn escape(&mut self) -> Result<(), BadJson> {
        self.at += 1;
        let kind = self.peek().ok_or(BadJson)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.four_digits()? {
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.four_digits()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(BadJson),
                    }
                }
                0xDC00..=0xDFFF => Err(BadJson),
                _ => Ok(()),
            },
            _ => Err(BadJson),
        }
    }

    fn four_digits(&mut self) -> Result<u16, BadJson> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(BadJson)?;
        self.at += 4;
        hexadecimal(digits).ok_or(BadJson)
    }

    /// In an array or object that is known to be good: whether another element or member comes, before which it then
    /// stands. `end` is the closing bracket.
    fn enters_next(&mut self, end: u8) -> bool {
        // The opening bracket, or the comma behind the last one.
        self.skip_space();
        if self.peek() == Some(end) {
            return false;
        }
        self.at += 1;
        self.skip_space();
        self.peek() != Some(end)
    }

    /// A value that is known to be good.
    fn checked_value(&mut self) -> Value<'a> {
        let start = self.at;
        self.value(0).expect("it was checked with everything around it");
        Value(&self.text[start..self.at])
    }
}

/// How many bytes at the start of `bytes` are neither quote, backslash nor control character.
fn plain_bytes(bytes: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Eight bytes at once: subtracting sets the high bit of the lowest byte that is smaller than what is subtracted. A
    // borrow can set it for later ones too, never for an earlier one, and the lowest is what is looked for.
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word & HIGH;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("it has eight bytes"));
        let quote = below(word ^ (EACH * u64::from(b'"')), 1);
        let backslash = below(word ^ (EACH * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes[at..].iter();
    at + rest
        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
        .count()
}

fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u16)
    })
}

/// What stands between the quotes of a string that is known to be good.
fn unescape(quoted: &str) -> Cow<'_, str> {
    let Some(first) = quoted.find('\\') else {
        return Cow::Borrowed(quoted);
    };
    let mut text = String::with_capacity(quoted.len());
    text.push_str(&quoted[..first]);
    let mut rest = &quoted[first..];
    while let Some(behind) = rest.strip_prefix('\\') {
        let (character, escape_bytes) = escaped(behind.as_bytes());
        text.push(character);
        let behind = &behind[escape_bytes..];
        let plain = behind.find('\\').unwrap_or(behind.len());
        text.push_str(&behind[..plain]);
        rest = &behind[plain..];
    }
    Cow::Owned(text)
}

/// The character that an escape stands for, and the bytes that it takes behind its backslash.
fn escaped(behind: &[u8]) -> (char, usize) {
    let unit = |at: usize| hexadecimal(&behind[at..at + 4]).expect("an escape was checked with its string");
    match behind[0] {
        b'b' => ('\u{8}', 1),
        b'f' => ('\u{c}', 1),
        b'n' => ('\n', 1),
        b'r' => ('\r', 1),
        b't' => ('\t', 1),
        b'u' => {
            let first = unit(1);
            let pair = (0xD800..=0xDBFF).contains(&first);
            let units = [first, if pair { unit(7) } else { 0 }];
            let character = char::decode_utf16(units).next().and_then(Result::ok);
            let bytes = if pair { 11 } else { 5 };
            (character.expect("lone surrogates were refused"), bytes)
        }
        itself => (char::from(itself), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_oneof};

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn one_value_of_rfc_8259_is_good_and_anything_else_is_bad() {
        let good = [
            "null",
            " true ",
            "\t\r\n false",
            "0",
            "-0",
            "-0.5e+10",
            "1E999",
            "12.50",
            r#""""#,
            r#""\"\\\/\b\f\n\r\t\u00e9""#,
            r#""\ud83e\udd80""#,
            r#""\u0000""#,
            "\"\u{7f}\u{2028}\u{1F980}\"",
            "[]",
            "[ 1 , [ ] , { } ]",
            "{}",
            r#"{ "a" : 1 , "a" : { "b" : [ ] } }"#,
            &nested(100),
        ];
        for text in good {
            assert!(parse(text).is_ok(), "{text}");
        }
        let bad = [
            "",
            " ",
            "nul",
            "nulls",
            "null null",
            "True",
            "NaN",
            "-",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "0x10",
            r#"""#,
            r#""a"#,
            "'a'",
            r#""\x""#,
            r#""\u00g0""#,
            r#""\u00""#,
            r#""\ud83e""#,
            r#""\ud83e\u0041""#,
            r#""\ud83ex""#,
            r#""\udd80""#,
            r#"{"\udd80":1}"#,
            r#"{"a":[{"b":"\udd80"}]}"#,
            "\"\u{1}\"",
            "\"\n\"",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "]",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{a:1}",
            "{1:1}",
            r#"{"a":1 "b":2}"#,
            "[1}",
            "// comment\n1",
            "\u{feff}1",
            &nested(101),
            &nested(100_000),
        ];
        for text in bad {
            assert_eq!(parse(text), Err(BadJson), "{text}");
        }
    }

    #[test]
    fn members_are_found_by_what_their_names_say_and_the_last_of_a_name_counts() {
        let text = r#" {"type":"a", "data" : {"type":"inner"},"t\u0079pe":"b\n\ud83e\udd80", "x":[1, "}"], "n":null} "#;
        let object = parse(text).unwrap().object().unwrap();
        let [kind, data, missing, x, n] = object.members(["type", "data", "missing", "x", "n"]);
        assert_eq!(kind.unwrap().text().as_deref(), Some("b\n\u{1F980}"));
        let [inner] = data.unwrap().object().unwrap().members(["type"]);
        assert_eq!(inner.unwrap().text(), Some(Cow::Borrowed("inner")));
        assert_eq!(missing, None);
        assert_eq!(x.unwrap().raw(), r#"[1, "}"]"#);
        let elements = x.unwrap().elements().unwrap();
        let elements: Vec<_> = elements.into_iter().map(Value::raw).collect();
        assert_eq!(elements, ["1", r#""}""#]);
        assert!(n.unwrap().is_null());
        assert_eq!(n.unwrap().text(), None);
        assert_eq!(parse("[ ]").unwrap().elements(), Some(Vec::new()));
        assert_eq!(parse("{ }").unwrap().object().unwrap().members(["a"]), [None]);
        assert_eq!(parse("[]").unwrap().object(), None);
        assert_eq!(parse("{}").unwrap().elements(), None);
    }

    #[test]
    fn an_echoed_type_is_cut_between_characters() {
        assert_eq!(cut_type("short"), "short");
        let long = "\u{1F980}".repeat(101);
        assert_eq!(cut_type(&long).chars().count(), 100);
        assert!(has_nul("a\0b") && !has_nul("ab"));
    }

    /// Any JSON, and text that is nearly JSON.
    fn texts() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
            any::<Option<bool>>().prop_map(serde_json::Value::from),
        ];
        let value = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        });
        let spoilt = (
            value.clone(),
            any::<prop::sample::Index>(),
            "[\\[\\]{}\",:\\\\u0-9deDn \n-]?",
        );
        prop_oneof![
            value.prop_map(|value| value.to_string()),
            spoilt.prop_map(|(value, at, piece)| {
                let mut characters: Vec<_> = value.to_string().chars().collect();
                let at = at.index(characters.len());
                characters.splice(at..=at, piece.chars());
                characters.into_iter().collect()
            }),
        ]
    }

    proptest::proptest! {
        /// serde_json as the oracle: it refuses what we refuse, but for numbers that no `f64` can hold.
        #[test]
        fn what_is_good_is_what_another_parser_takes(text in texts()) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (parse(&text), theirs) {
                (Ok(ours), Ok(theirs)) => {
                    let said = ours.text();
                    proptest::prop_assert_eq!(said.as_deref(), theirs.as_str());
                    if let (Some(ours), Some(theirs)) = (ours.object(), theirs.as_object()) {
                        for (name, value) in theirs {
                            let [found] = ours.members([name.as_str()]);
                            let found = serde_json::from_str(found.expect("it is there").raw());
                            proptest::prop_assert_eq!(&found.unwrap_or(serde_json::Value::Null), value);
                        }
                    }
                }
                (Err(BadJson), Err(_)) => {}
                (Ok(_), Err(theirs)) => proptest::prop_assert!(theirs.to_string().contains("out of range"), "{theirs}"),
                (Err(BadJson), Ok(_)) => proptest::prop_assert!(false, "it is good JSON: {text}"),
            }
        }

        #[test]
        fn plain_bytes_end_at_the_first_special_one(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte));
            proptest::prop_assert_eq!(plain_bytes(&bytes), expected.unwrap_or(bytes.len()));
        }
    }
}
