//! An opening handshake written by hand; what the scenario leaves out is as it should be.

use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use touchstone_scenarios::scenario::RawHandshake;
use touchstone_scenarios::template::{Template, TemplateError};

use super::Address;
use crate::matching::text_of;

/// A request that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A variable has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A request as bytes, with the key that its answer has to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRequest {
    /// All of it, to the empty line.
    pub bytes: Vec<u8>,
    /// The value of `Sec-WebSocket-Key`, if there is one.
    pub key: Option<String>,
}

/// Writes the request. `address` gives host, path, query and the target's own headers.
///
/// # Errors
/// When a variable has no value.
pub fn write_request(
    handshake: &RawHandshake,
    address: &Address,
    variable: &dyn Fn(&str) -> Option<Value>,
) -> Result<WrittenRequest, RequestError> {
    let text = |template: &Option<Template>, otherwise: &str| match template {
        Some(template) => template.resolve(variable).map(text_of),
        None => Ok(otherwise.to_owned()),
    };
    let mut address = address.clone();
    address.target = text(&handshake.target, &address.target)?;
    add_query(
        &mut address,
        &handshake.query,
        handshake.query_whole.as_ref(),
        variable,
    )?;
    let mut headers = standard_headers(&address);
    for (name, template) in &handshake.headers {
        replace_header(&mut headers, name, template.resolve(variable)?);
    }
    if let Some(whole) = &handshake.headers_whole
        && let Value::Object(fields) = whole.resolve(variable)?
    {
        for (name, value) in fields {
            replace_header(&mut headers, &name, value);
        }
    }
    if handshake.padding_bytes > 0 {
        headers.push(("X-Padding".to_owned(), "x".repeat(handshake.padding_bytes)));
    }
    let method = text(&handshake.method, "GET")?;
    let version = text(&handshake.version, "HTTP/1.1")?;
    let mut bytes = format!("{method} {} {version}\r\n", address.target).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    let key = headers
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    Ok(WrittenRequest {
        bytes,
        key: key.map(|(_, value)| value),
    })
}

/// Adds query parameters to an address: those that are written one by one, then those of a variable that holds them.
/// A list repeats its parameter, `null` leaves it out.
///
/// # Errors
/// When a variable has no value.
pub fn add_query(
    address: &mut Address,
    query: &[(String, Template)],
    whole: Option<&Template>,
    variable: &dyn Fn(&str) -> Option<Value>,
) -> Result<(), RequestError> {
    let mut add = |key: &str, value: Value| match value {
        Value::Null => {}
        Value::Array(values) => values
            .into_iter()
            .for_each(|value| address.add_query(key, &text_of(value))),
        value => address.add_query(key, &text_of(value)),
    };
    for (key, value) in query {
        add(key, value.resolve(variable)?);
    }
    if let Some(whole) = whole
        && let Value::Object(fields) = whole.resolve(variable)?
    {
        fields.into_iter().for_each(|(key, value)| add(&key, value));
    }
    Ok(())
}

fn replace_header(headers: &mut Vec<(String, String)>, name: &str, value: Value) {
    let place = headers
        .iter()
        .position(|(known, _)| known.eq_ignore_ascii_case(name));
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    let values = match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        value => vec![value],
    };
    let at = place.unwrap_or(headers.len()).min(headers.len());
    let added: Vec<_> = values
        .into_iter()
        .map(|value| (name.to_owned(), text_of(value)))
        .collect();
    headers.splice(at..at, added);
}

fn standard_headers(address: &Address) -> Vec<(String, String)> {
    let mut headers = vec![
        ("Host".to_owned(), address.authority.clone()),
        ("Upgrade".to_owned(), "websocket".to_owned()),
        ("Connection".to_owned(), "Upgrade".to_owned()),
        ("Sec-WebSocket-Key".to_owned(), generate_key()),
        ("Sec-WebSocket-Version".to_owned(), "13".to_owned()),
    ];
    for (name, value) in &address.headers {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use touchstone_scenarios::source::{Span, Spanned};

    use super::*;

    fn written(handshake: &RawHandshake) -> String {
        let address = Address::parse("ws://h:1/ws/chat/").unwrap();
        let request = write_request(handshake, &address, &|_| None).unwrap();
        let text = String::from_utf8(request.bytes).unwrap();
        match request.key {
            Some(key) => text.replace(&key, "KEY"),
            None => text,
        }
    }

    fn headers(list: Vec<(&str, Value)>) -> Vec<(Spanned<String>, Template)> {
        list.into_iter()
            .map(|(name, value)| {
                (
                    Spanned {
                        value: name.to_owned(),
                        span: Span::default(),
                    },
                    Template::new(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_is_left_out_is_as_it_should_be() {
        assert_eq!(
            written(&RawHandshake::default()),
            "GET /ws/chat/ HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
    }

    #[test]
    fn headers_are_replaced_repeated_and_left_out_in_their_place() {
        let handshake = RawHandshake {
            method: Some(Template::new(json!("POST"))),
            query: vec![("session".to_owned(), Template::new(json!("a b")))],
            headers: headers(vec![
                ("connection", json!("keep-alive, Upgrade")),
                ("Sec-WebSocket-Key", json!(["a", "b"])),
                ("Host", json!(null)),
                ("Origin", json!("https://x")),
            ]),
            ..RawHandshake::default()
        };
        assert_eq!(
            written(&handshake).replace("KEY", "a"),
            "POST /ws/chat/?session=a%20b HTTP/1.1\r\nUpgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: b\r\nSec-WebSocket-Version: 13\r\nOrigin: https://x\r\n\r\n"
        );
    }
}
