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
    /// A query or headers as a whole that are neither.
    #[error("`{key}` as a whole needs {wanted}, not {actual}")]
    Shape {
        /// `query` or `headers`.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
        /// The value it has.
        actual: Value,
    },
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
    match handshake
        .headers_whole
        .as_ref()
        .map(|whole| whole.resolve(variable))
        .transpose()?
    {
        None | Some(Value::Null) => {}
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                replace_header(&mut headers, &name, value);
            }
        }
        Some(actual) => {
            return Err(RequestError::Shape {
                key: "headers",
                wanted: "a map",
                actual,
            });
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

/// Adds query parameters to an address: those that are written one by one, or all of them as a whole, which as a string
/// is sent as it stands. A list repeats its parameter, `null` leaves it out.
///
/// # Errors
/// When a variable has no value, or the whole is neither parameters nor a string.
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
    match whole.map(|whole| whole.resolve(variable)).transpose()? {
        None | Some(Value::Null) => {}
        Some(Value::Object(fields)) => fields.into_iter().for_each(|(key, value)| add(&key, value)),
        Some(Value::String(query)) => address.add_raw_query(&query),
        Some(actual) => {
            return Err(RequestError::Shape {
                key: "query",
                wanted: "parameters or a string",
                actual,
            });
        }
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
    use touchstone_sut::Transport;

    fn written(handshake: &RawHandshake) -> String {
        let address = Address::new(&Transport::Plain, "h:1", "/ws/chat/");
        let request = write_request(handshake, &address, &|_| None).unwrap();
        let text = String::from_utf8(request.bytes).unwrap();
        match request.key {
            Some(key) => text.replace(&key, "KEY"),
            None => text,
        }
    }

    #[test]
    fn a_query_as_a_whole_is_parameters_or_goes_out_as_it_stands() {
        let rows = [
            (
                json!({"session": "a b", "x": null, "y": [1, 2]}),
                Ok("/ws/chat/?session=a%20b&y=1&y=2"),
            ),
            (json!("session=a+b&x=%ff&&"), Ok("/ws/chat/?session=a+b&x=%ff&&")),
            (json!(null), Ok("/ws/chat/")),
            (
                json!(7),
                Err("`query` as a whole needs parameters or a string, not 7"),
            ),
        ];
        for (query, target) in rows {
            let mut address = Address::new(&Transport::Plain, "h:1", "/ws/chat/");
            let whole = Template::new(json!("${query}"));
            let added = add_query(&mut address, &[], Some(&whole), &|_| Some(query.clone()));
            let seen = added.map(|()| address.target).map_err(|error| error.to_string());
            assert_eq!(seen, target.map(str::to_owned).map_err(str::to_owned));
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
