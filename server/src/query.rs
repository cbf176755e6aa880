//! Query parameters, decoded as the common rules say (common/1d).

/// The parameters of a query string, form-decoded: `+` is a space, bytes that are not UTF-8 become U+FFFD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The parameters in `raw`, the part behind the question mark.
    pub(crate) fn new(raw: Option<&'a str>) -> Self {
        Self(raw.unwrap_or_default())
    }

    /// The first parameter of that name; an empty one counts as missing.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| decode(key) == name)
            .map(|(_, value)| decode(value))
            .filter(|value| !value.is_empty())
    }
}

fn decode(encoded: &str) -> String {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match (first, escaped(behind)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The byte that the two hexadecimal digits at the start of `digits` stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_form_decoded_and_the_first_counts() {
        for (raw, expected) in [
            ("session=a", Some("a")),
            ("other=1&session=a&session=b", Some("a")),
            ("session=&session=b", None),
            ("session", None),
            ("", None),
            ("Session=a", None),
            ("session=a+b%20c", Some("a b c")),
            ("session=%C3%A9%f0%9f%a6%80", Some("\u{e9}\u{1F980}")),
            ("session=%ff", Some("\u{FFFD}")),
            ("session=%4&x=1", Some("%4")),
            ("session=100%", Some("100%")),
            ("session=a=b", Some("a=b")),
            ("%73ession=a", Some("a")),
        ] {
            assert_eq!(Query::new(Some(raw)).get("session").as_deref(), expected, "{raw}");
        }
        assert_eq!(Query::new(None).get("session"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_a_client_encodes_is_what_is_read(value in "\\PC{1,20}") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let raw = format!("a=1&session={encoded}");
            proptest::prop_assert_eq!(Query::new(Some(&raw)).get("session"), Some(value));
        }

        #[test]
        fn no_query_string_is_too_odd(raw in "[%+&=0-9a-fA-F\u{e9}]{0,40}") {
            let query = Query::new(Some(&raw));
            let _ = query.get("a");
        }
    }
}
