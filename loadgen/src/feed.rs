//! Users from a file beside the workload: CSV with a header row, or a JSON array of objects.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Rows of a file: the first is the first session's, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<String>>,
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The file is neither of the two.
    #[error("{file}: {why}")]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// There are fewer users than sessions.
    #[error("{file} has {rows} users, but the run has {sessions} sessions")]
    TooFew {
        /// Which.
        file: PathBuf,
        /// In the file.
        rows: usize,
        /// Wanted.
        sessions: u32,
    },
    /// A template names a column that is not there.
    #[error("{file} has no column `{column}`")]
    NoColumn {
        /// Which.
        file: PathBuf,
        /// As the template has it.
        column: String,
    },
}

impl Rows {
    /// Reads `file` and checks that it has a row for each of `sessions` and all of `columns`.
    ///
    /// # Errors
    /// If it cannot be read, is malformed, or something is missing.
    pub fn read(file: &Path, sessions: u32, columns: &[&str]) -> Result<Self, FeedError> {
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
        if rows.rows.len() < sessions as usize {
            return Err(FeedError::TooFew {
                file: file.to_owned(),
                rows: rows.rows.len(),
                sessions,
            });
        }
        match columns.iter().find(|column| !rows.columns.contains_key(**column)) {
            Some(column) => Err(FeedError::NoColumn {
                file: file.to_owned(),
                column: (*column).to_owned(),
            }),
            None => Ok(rows),
        }
    }

    /// What stands in `column` of the row of `session`.
    #[must_use]
    pub fn value(&self, session: u32, column: &str) -> Option<&str> {
        let column = self.columns.get(column)?;
        Some(&self.rows.get(session as usize)?[*column])
    }

    fn json(text: &str) -> Result<Self, String> {
        let objects: Vec<serde_json::Map<String, Value>> =
            serde_json::from_str(text).map_err(|error| format!("it is no array of objects: {error}"))?;
        let names: Vec<String> = objects
            .first()
            .map_or_else(Vec::new, |first| first.keys().cloned().collect());
        let cell = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut rows = Vec::with_capacity(objects.len());
        for (number, object) in objects.iter().enumerate() {
            let row: Option<Vec<_>> = names.iter().map(|name| object.get(name).map(cell)).collect();
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
            rows.push(row);
        }
        Self::of(names, rows)
    }

    fn of(names: Vec<String>, rows: Vec<Vec<String>>) -> Result<Self, String> {
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

    #[test]
    fn values_may_be_quoted_and_lines_may_end_as_on_windows() {
        let rows = Rows::csv("\u{feff}id,name\r\n1,\"Ann, \"\"the\nfirst\"\"\"\r\n\n2,Bob").unwrap();
        assert_eq!(rows.value(0, "name"), Some("Ann, \"the\nfirst\""));
        assert_eq!(rows.value(1, "id"), Some("2"));
        assert_eq!((rows.value(2, "id"), rows.value(0, "age")), (None, None));
    }

    #[test]
    fn objects_are_rows() {
        let rows = Rows::json(r#"[{"id": 7, "token": "t"}, {"token": "u", "id": "x", "more": 1}]"#).unwrap();
        assert_eq!(
            (rows.value(0, "id"), rows.value(1, "token")),
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

    #[test]
    fn too_few_users_are_counted_and_a_missing_column_is_named() {
        let folder = std::env::temp_dir().join(format!("touchstone-feed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("users.csv");
        std::fs::write(&file, "id\n1\n2\n").unwrap();
        let wrong =
            |sessions, columns: &[&str]| Rows::read(&file, sessions, columns).unwrap_err().to_string();
        let shown = file.display();
        assert_eq!(
            wrong(3, &[]),
            format!("{shown} has 2 users, but the run has 3 sessions")
        );
        assert_eq!(
            wrong(2, &["id", "token"]),
            format!("{shown} has no column `token`")
        );
        assert!(Rows::read(&file, 2, &["id"]).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
