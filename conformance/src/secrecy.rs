//! What no report may show: keys and tokens that are known, and whatever looks like one.

use std::sync::LazyLock;

use regex::Regex;

/// A JSON Web Token, or as much of one as is left of a text that was shortened: its first part is an object in base64url.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,2}").expect("the pattern is right")
});

/// A field of JSON by whose name its text is one: what a login gives out need not be a JSON Web Token.
static FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"("(?:[a-z_]*token|access|refresh|password)"\s*:\s*")[^"<][^"]*"#)
        .expect("the pattern is right")
});

/// The last step of a pointer to such a field.
static FIELD_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"/(?:[a-z_]*token|access|refresh|password)$").expect("the pattern is right")
});

/// A JSON string, or what is left of one.
static STRING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""[^"<][^"]*"?"#).expect("the pattern is right"));

/// A value that stands apart from its field's name, which `pointer` ends with.
pub(crate) fn hidden_at(pointer: &str, text: String) -> String {
    if FIELD_NAME.is_match(pointer) {
        STRING.replace_all(&text, "\"<secret>\"").into_owned()
    } else {
        text
    }
}

/// The text with `known` secrets, each with what is shown in its place, and with what looks like one.
pub(crate) fn hidden<'a>(text: String, known: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let known = known.into_iter().filter(|(secret, _)| !secret.is_empty());
    let text = known.fold(text, |text, (secret, shown)| {
        if text.contains(secret) {
            text.replace(secret, shown)
        } else {
            text
        }
    });
    let text = TOKEN.replace_all(&text, "<token>");
    FIELD.replace_all(&text, "${1}<secret>").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_by_the_name_of_its_field() {
        for (pointer, text, shown) in [
            ("/data/token", r#""opaque-1""#, r#""<secret>""#),
            ("/access", r#""opaque… (7 more characters)"#, r#""<secret>""#),
            ("/data/token", "a string", "a string"),
            ("/data/tokens", r#""opaque-1""#, r#""opaque-1""#),
        ] {
            assert_eq!(hidden_at(pointer, text.to_owned()), shown, "{pointer}");
        }
    }

    #[test]
    fn what_is_known_and_what_looks_like_it_is_hidden() {
        let known = [("s3cret", "<token ann>"), ("", "<nothing>")];
        let rows = [
            ("?token=s3cret&x=1", "?token=<token ann>&x=1"),
            (
                r#"HTTP 200 {"access":"eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2ln"}"#,
                r#"HTTP 200 {"access":"<token>"}"#,
            ),
            (
                r#"{"data":{"token": "opaque-1","user":{}}}"#,
                r#"{"data":{"token": "<secret>","user":{}}}"#,
            ),
            (
                r#"{"refresh_token":"opaque… (7 more characters)"#,
                r#"{"refresh_token":"<secret>"#,
            ),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJpZC… (80 more characters)",
                "<token>… (80 more characters)",
            ),
            (
                r#"{"type":"error","message":"no token"}"#,
                r#"{"type":"error","message":"no token"}"#,
            ),
        ];
        for (text, shown) in rows {
            assert_eq!(hidden(text.to_owned(), known), shown);
        }
    }
}
