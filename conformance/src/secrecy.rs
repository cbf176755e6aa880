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
