//! Rows of a file.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::FeedError;

/// Rows of a file, with the names of their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<Cell>>,
}

/// What stands in a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A number, a truth value, null, a list or an object, written as JSON.
    Json,
}

impl Cell {
    /// As a text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is JSON as it stands, and no text of it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.kind == Kind::Json
    }

    fn of_text(text: String) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Text,
        }
    }

    fn of_json(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::of_text(text.clone()),
            other => Self {
                text: other.to_string().into(),
                kind: Kind::Json,
            },
        }
    }

    fn to_json(&self) -> Value {
        match self.kind {
            Kind::Text => Value::from(&*self.text),
            Kind::Json => serde_json::from_str(&self.text).expect("it was written as JSON"),
        }
    }
}

impl Rows {
    /// Reads `file` and checks that it has so many rows, for this reason, and all of `columns`.
    ///
    /// # Errors
    /// If it cannot be read, is malformed, or something is missing.
    pub(super) fn read(
        file: &Path,
        (needed, why): (u64, &'static str),
        columns: &[&str],
    ) -> Result<Self, FeedError> {
        let text = std::fs::read_to_string(file).map_err(|error| FeedError::Unreadable {
            file: file.to_owned(),
            why: error.to_string(),
        })?;
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let read = if is_json {
            Self::json(&text)
        } else {
            Self::csv(&text)
        };
        let rows = read.map_err(|why| FeedError::Malformed {
            file: file.to_owned(),
            why,
        })?;
        if (rows.rows.len() as u64) < needed {
            return Err(FeedError::TooFew {
                file: file.to_owned(),
                rows: rows.rows.len(),
                needed,
                why,
            });
        }
        match columns.iter().find(|column| !rows.has(column)) {
            Some(column) => Err(FeedError::NoColumn {
                file: file.to_owned(),
                column: (*column).to_owned(),
                known: rows.names(),
            }),
            None => Ok(rows),
        }
    }

    /// A row for each of these; what one of them lacks is null there.
    pub(crate) fn of_objects(objects: &[Map<String, Value>]) -> Self {
        let mut columns = HashMap::new();
        for name in objects.iter().flat_map(Map::keys) {
            let next = columns.len();
            columns.entry(name.clone()).or_insert(next);
        }
        let row = |object: &Map<String, Value>| {
            let mut row = vec![Cell::of_json(&Value::Null); columns.len()];
            for (name, value) in object {
                row[columns[name]] = Cell::of_json(value);
            }
            row
        };
        Self {
            rows: objects.iter().map(row).collect(),
            columns,
        }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is such a column.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Its columns, in the order of the file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.columns.iter().map(|(name, place)| (*place, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// What stands in `column` of this row.
    #[must_use]
    pub fn value(&self, row: usize, column: &str) -> Option<&Cell> {
        let column = self.columns.get(column)?;
        Some(&self.rows.get(row)?[*column])
    }

    /// All of this row.
    pub(super) fn object(&self, row: usize) -> Map<String, Value> {
        let value = |(name, place): (&String, &usize)| {
            let cell = self.rows.get(row)?.get(*place)?;
            Some((name.clone(), cell.to_json()))
        };
        self.columns.iter().filter_map(value).collect()
    }

    fn json(text: &str) -> Result<Self, String> {
        let objects: Vec<Map<String, Value>> =
            serde_json::from_str(text).map_err(|error| format!("it is no array of objects: {error}"))?;
        let names: Vec<String> = objects
            .first()
            .map_or_else(Vec::new, |first| first.keys().cloned().collect());
        let mut rows = Vec::with_capacity(objects.len());
        for (number, object) in objects.iter().enumerate() {
            let row: Option<Vec<_>> = names
                .iter()
                .map(|name| object.get(name).map(Cell::of_json))
                .collect();
            let row =
                row.ok_or_else(|| format!("object {} lacks a key that the first one has", number + 1))?;
            rows.push(row);
        }
        Self::of(names, rows)
    }

    fn csv(text: &str) -> Result<Self, String> {
        let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
        let (_, names) = records
            .next()
            .ok_or("it is empty; its first line names the columns")?;
        let mut rows = Vec::new();
        for (line, row) in records {
            if row.len() != names.len() {
                return Err(format!(
                    "line {line} has {} values, but there are {} columns",
                    row.len(),
                    names.len()
                ));
            }
            rows.push(row.into_iter().map(Cell::of_text).collect());
        }
        Self::of(names, rows)
    }

    fn of(names: Vec<String>, rows: Vec<Vec<Cell>>) -> Result<Self, String> {
        let mut columns = HashMap::new();
        for (place, name) in names.into_iter().enumerate() {
            if columns.insert(name.clone(), place).is_some() {
                return Err(format!("there are two columns `{name}`"));
            }
        }
        Ok(Self { columns, rows })
    }
}

/// The records of RFC 4180, each with the line where it begins; empty lines are none.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let mut letters = text.chars().peekable();
    let mut line = 1;
    while letters.peek().is_some() {
        let began = line;
        let mut record = Vec::new();
        loop {
            let mut value = String::new();
            if letters.next_if_eq(&'"').is_some() {
                loop {
                    match letters.next() {
                        Some('"') if letters.next_if_eq(&'"').is_some() => value.push('"'),
                        Some('"') => break,
                        Some(letter) => {
                            line += usize::from(letter == '\n');
                            value.push(letter);
                        }
                        None => return Err(format!("a quote that opens on line {began} is never closed")),
                    }
                }
            } else {
                while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '\n' | '\r')) {
                    value.push(letter);
                }
            }
            record.push(value);
            letters.next_if_eq(&'\r');
            match letters.next() {
                Some(',') => {}
                Some('\n') => {
                    line += 1;
                    break;
                }
                None => break,
                Some(letter) => return Err(format!("line {line}: `{letter}` stands after a closing quote")),
            }
        }
        if record != [""] {
            records.push((began, record));
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(rows: &'a Rows, row: usize, column: &str) -> Option<&'a str> {
        rows.value(row, column).map(Cell::text)
    }

    #[test]
    fn values_may_be_quoted_and_lines_may_end_as_on_windows() {
        let rows = Rows::csv("\u{feff}id,name\r\n1,\"Ann, \"\"the\nfirst\"\"\"\r\n\n2,Bob").unwrap();
        assert_eq!(text(&rows, 0, "name"), Some("Ann, \"the\nfirst\""));
        assert_eq!(text(&rows, 1, "id"), Some("2"));
        assert_eq!((text(&rows, 2, "id"), text(&rows, 0, "age")), (None, None));
    }

    #[test]
    fn objects_are_rows() {
        let rows = Rows::json(r#"[{"id": 7, "token": "t"}, {"token": "u", "id": "x", "more": 1}]"#).unwrap();
        assert_eq!(
            (text(&rows, 0, "id"), text(&rows, 1, "token")),
            (Some("7"), Some("u"))
        );
    }

    #[test]
    fn what_is_malformed_says_where() {
        for (text, why) in [
            ("", "it is empty; its first line names the columns"),
            ("a,b\n1\n", "line 2 has 1 values, but there are 2 columns"),
            ("a\n\"1", "a quote that opens on line 2 is never closed"),
            ("a\n\"1\"2\n", "line 2: `2` stands after a closing quote"),
            ("a,a\n", "there are two columns `a`"),
        ] {
            assert_eq!(Rows::csv(text).unwrap_err(), why);
        }
        assert_eq!(
            Rows::json(r#"[{"id": 1}, {}]"#).unwrap_err(),
            "object 2 lacks a key that the first one has"
        );
    }
}
