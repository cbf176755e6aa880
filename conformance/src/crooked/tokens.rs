//! Where a request carries a token: in a parameter of its query, or as its bearer.

use std::collections::BTreeSet;

use touchstone_protocol::{Dialect, routes};

use super::http::HttpUnit;

/// The tokens of a request, as they are signed.
pub(super) fn of(request: &HttpUnit) -> Vec<String> {
    let parameters = parameters();
    let query = request.target().split_once('?').map_or("", |(_, query)| query);
    let in_query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, value)| parameters.contains(name) && !value.is_empty())
        .map(|(_, value)| decoded(value));
    let bearer = request.header("authorization").and_then(bearer);
    in_query.chain(bearer.map(str::to_owned)).collect()
}

/// Replaces every token of a request by what `sign` makes of it; whether there was one to replace.
pub(super) fn replace(request: &mut HttpUnit, sign: &dyn Fn(&str) -> Option<String>) -> bool {
    let mut replaced = false;
    let parameters = parameters();
    if let Some((path, query)) = request.target().split_once('?') {
        let pairs: Vec<_> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if parameters.contains(name) => match sign(&decoded(value)) {
                    Some(token) => {
                        replaced = true;
                        format!("{name}={token}")
                    }
                    None => pair.to_owned(),
                },
                Some(_) | None => pair.to_owned(),
            })
            .collect();
        let target = format!("{path}?{}", pairs.join("&"));
        if replaced {
            request.set_target(&target);
        }
    }
    let signed = request.header("authorization").and_then(bearer).and_then(sign);
    if let Some(token) = signed {
        request.set_header("Authorization", Some(&format!("Bearer {token}")));
        replaced = true;
    }
    replaced
}

fn parameters() -> BTreeSet<&'static str> {
    Dialect::ALL
        .iter()
        .filter_map(|dialect| routes::token_parameter(*dialect))
        .collect()
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Without percent signs. A token has none of its own.
fn decoded(value: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()];
        let digit = |at: Option<u8>| at.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(digits[0]), digit(digits[1])) {
            (Some(high), Some(low)) => out.extend(u8::try_from(high << 4 | low)),
            _ => out.extend(digits.into_iter().flatten()),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, authorization: &str) -> HttpUnit {
        HttpUnit {
            first_line: format!("GET {target} HTTP/1.1"),
            headers: vec![("authorization".into(), authorization.into())],
            body: Vec::new(),
        }
    }

    #[test]
    fn tokens_are_found_wherever_a_dialect_has_them() {
        for (target, authorization, tokens) in [
            ("/ws?token=a.b%2Dc&x=y", "", vec!["a.b-c"]),
            ("/ws?accessToken=a", "bearer b", vec!["a", "b"]),
            ("/ws?tokens=a&token=", "Basic b", vec![]),
            ("/ws", "Bearer b", vec!["b"]),
        ] {
            assert_eq!(
                of(&request(target, authorization)),
                tokens,
                "{target} {authorization}"
            );
        }
    }

    #[test]
    fn tokens_are_replaced_where_they_stand() {
        let mut asked = request("/ws?x=y&token=a", "Bearer b");
        assert!(replace(&mut asked, &|token| Some(format!("new-{token}"))));
        assert_eq!(asked.target(), "/ws?x=y&token=new-a");
        assert_eq!(asked.header("Authorization"), Some("Bearer new-b"));
        assert!(!replace(&mut request("/ws?x=y", ""), &|_| Some(String::new())));
        assert!(!replace(&mut request("/ws?token=a", ""), &|_| None));
    }
}
