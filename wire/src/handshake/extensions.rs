//! The header `Sec-WebSocket-Extensions` (RFC 6455 9.1): a list of extensions, each with its parameters.

use http::{HeaderMap, header};

/// One element of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// `name` or `name=value`; a quoted value is given without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// What does not follow the grammar of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The elements over all lines of the header, in their order. A line ends with its first malformed element, because
/// nobody can say where the next one begins.
pub(crate) fn extensions(headers: &HeaderMap) -> impl Iterator<Item = Result<Extension, Malformed>> {
    headers
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .flat_map(|line| Line {
            rest: line.to_str().map_or(Err(Malformed), |text| Ok(text.trim())),
        })
}

/// What is left of one header line.
struct Line<'a> {
    rest: Result<&'a str, Malformed>,
}

impl Iterator for Line<'_> {
    type Item = Result<Extension, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = match self.rest {
            // An empty element between two commas is none.
            Ok(rest) => rest.trim_start_matches([',', ' ', '\t']),
            Err(malformed) => {
                self.rest = Ok("");
                return Some(Err(malformed));
            }
        };
        if rest.is_empty() {
            return None;
        }
        let read = element(rest);
        self.rest = Ok(read.as_ref().map_or("", |(_, behind)| *behind));
        Some(read.map(|(extension, _)| extension))
    }
}

/// The first element of `text`, and what comes behind it.
fn element(text: &str) -> Result<(Extension, &str), Malformed> {
    let (name, mut rest) = token(text)?;
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.split_at_checked(1) {
            None | Some((",", _)) => break,
            Some((";", behind)) => {
                let (read, behind) = parameter(behind)?;
                parameters.push(read);
                rest = behind;
            }
            Some(_) => return Err(Malformed),
        }
    }
    let name = name.to_owned();
    Ok((Extension { name, parameters }, rest))
}

fn parameter(text: &str) -> Result<(Parameter, &str), Malformed> {
    let (name, rest) = token(text)?;
    let name = name.to_owned();
    let Some(value) = rest.trim_start_matches([' ', '\t']).strip_prefix('=') else {
        return Ok((Parameter { name, value: None }, rest));
    };
    let (value, rest) = match value.trim_start_matches([' ', '\t']).strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => token(value).map(|(value, rest)| (value.to_owned(), rest))?,
    };
    let value = Some(value);
    Ok((Parameter { name, value }, rest))
}

/// A token of RFC 7230 3.2.6 at the start of `text`, behind blanks.
fn token(text: &str) -> Result<(&str, &str), Malformed> {
    let text = text.trim_start_matches([' ', '\t']);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let bytes = text.bytes().take_while(|byte| is_token(*byte)).count();
    match text.split_at(bytes) {
        ("", _) => Err(Malformed),
        token => Ok(token),
    }
}

/// What stands before the closing quote. RFC 6455 9.1 wants a token in it; whoever reads the value finds out, and what an
/// unknown extension has in there is nobody's business.
fn quoted_string(text: &str) -> Result<(String, &str), Malformed> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(characters.next().ok_or(Malformed)?.1),
            other => value.push(other),
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header::SEC_WEBSOCKET_EXTENSIONS,
                HeaderValue::from_str(line).unwrap(),
            );
        }
        let shown = |extension: Extension| {
            extension
                .parameters
                .iter()
                .fold(extension.name, |shown, parameter| {
                    let value = parameter.value.as_ref().map(|value| format!("={value}"));
                    format!("{shown};{}{}", parameter.name, value.unwrap_or_default())
                })
        };
        extensions(&headers)
            .map(|element| element.map_or("malformed".to_owned(), shown))
            .collect()
    }

    #[test]
    fn lists_are_read_over_lines_with_their_parameters() {
        type Row = (&'static [&'static str], &'static [&'static str]);
        let rows: &[Row] = &[
            (&[], &[]),
            (&[""], &[]),
            (&["a"], &["a"]),
            (&["a, b", "c"], &["a", "b", "c"]),
            (&[" , a ,, b;x , "], &["a", "b;x"]),
            (&["a;x=1; y ; z = 2"], &["a;x=1;y;z=2"]),
            (&["a;x=\"1\\0\", b"], &["a;x=10", "b"]),
            (&["a;x=\"1,2\", b"], &["a;x=1,2", "b"]),
            (&["a;x=\"\""], &["a;x="]),
            (&["a;x=\"1"], &["malformed"]),
            (&["a;x="], &["malformed"]),
            (&["a;"], &["malformed"]),
            (&["a b, c", "d"], &["malformed", "d"]),
            (&["=a"], &["malformed"]),
        ];
        for (lines, expected) in rows {
            assert_eq!(read(lines), *expected, "{lines:?}");
        }
    }
}
