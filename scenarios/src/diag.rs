//! What is wrong in a file, where, and what to do about it: one plain struct, one way to draw it.
//!
//! Every diagnostic of a scenario, workload, target or configuration file is a [`Diag`]; reports carry it as JSON,
//! the terminal shows it as `rustc` shows its own. Whether there is colour is the caller's decision.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::source::{Source, Span};

/// Something wrong with a file. Always has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diag {
    /// Stable and short, `unknown-key`: what a report groups by.
    pub code: &'static str,
    /// What is wrong, in one clause: lower case, no full stop, naming the value.
    pub message: String,
    /// The file.
    pub source: Arc<Source>,
    /// Where in it.
    pub span: Span,
    /// Other places that explain it.
    pub labels: Vec<Label>,
    /// What to do, or what was meant.
    pub help: Option<String>,
}

/// Another place that explains a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    #[serde(skip)]
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// How a diagnostic is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// ASCII, no escape sequences.
    Plain,
    /// With colours and line drawing, for a terminal.
    Colour,
}

/// Columns of an excerpt where nobody says how many there are.
const COLUMNS: usize = 140;

impl Diag {
    /// A diagnostic without help.
    #[must_use]
    pub fn new(code: &'static str, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            source: Arc::clone(source),
            span,
            labels: Vec::new(),
            help: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds "did you mean" if one of `known` is close to `wrong`, else the list of what there is.
    #[must_use]
    pub fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match closest(wrong, &known) {
            Some(best) => self.help(format!("did you mean `{best}`?")),
            None if known.is_empty() => self,
            None => self.help(format!("there is: {}", known.join(", "))),
        }
    }

    /// Line and column of the place, both counted from 1.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.span.start)
    }

    /// The whole diagnostic as text: message, `file:line:column`, excerpt, help. No newline at the end.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        self.render_within(paint, COLUMNS)
    }

    /// The same with the excerpt of a long line cut around its place, so that it does not wrap on a terminal of so many
    /// columns: under a wrapped line a caret points at nothing.
    #[must_use]
    pub fn render_within(&self, paint: Paint, columns: usize) -> String {
        let text = self.source.text.as_str();
        let snippet = Snippet::source(text)
            .path(self.source.path.as_str())
            .annotation(AnnotationKind::Primary.span(first_line(text, self.span)))
            .annotations(self.labels.iter().map(|label| {
                AnnotationKind::Context
                    .span(first_line(text, label.span))
                    .label(label.text.as_str())
            }));
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .id(self.code)
            .element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match paint {
            Paint::Plain => Renderer::plain().decor_style(DecorStyle::Ascii),
            Paint::Colour => Renderer::styled().decor_style(DecorStyle::Unicode),
        };
        renderer.term_width(columns).render(&[group])
    }
}

impl fmt::Display for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}: {}", self.source.path, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diag {}

impl Serialize for Diag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (line, column) = self.line_column();
        let mut out = serializer.serialize_struct("Diag", 7)?;
        out.serialize_field("code", self.code)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("file", &self.source.path)?;
        out.serialize_field("line", &line)?;
        out.serialize_field("column", &column)?;
        out.serialize_field("help", &self.help)?;
        out.serialize_field("labels", &self.labels)?;
        out.end()
    }
}

/// The one of `known` that `wrong` is most likely a slip of, if any is close enough to be worth naming.
#[must_use]
pub fn closest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    /// Below this the two have hardly more than a letter in common, and naming one misleads.
    const SIMILAR: f64 = 0.75;
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), *name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The one of `known` that `wrong` is a slip of the pen away from: two letters at most. For lists that are open to other
/// names, where [`closest`] would take a neighbour for a mistake.
#[must_use]
pub fn slip_of<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    const LETTERS_MAX: usize = 2;
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), *name))
        .filter(|(letters, _)| *letters <= LETTERS_MAX)
        .min_by_key(|(letters, _)| *letters)
        .map(|(_, name)| name)
}

/// A range that can be drawn: on character boundaries, inside the text, within one line, at least one byte where
/// there is one. An excerpt of half a file says less than its first line.
fn first_line(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let line_end = text[start..]
        .find(['\n', '\r'])
        .map_or(text.len(), |length| start + length);
    let end = text
        .ceil_char_boundary(span.end.clamp(start, text.len()))
        .min(line_end);
    let end = if end == start && start < line_end {
        text.ceil_char_boundary(start + 1)
    } else {
        end
    };
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source {
            path: "own/first.yaml".to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_long_line_is_cut_around_its_place() {
        let source = source(&format!("{}stepps{}\n", "a".repeat(150), "z".repeat(150)));
        let span = Span { start: 150, end: 156 };
        let diag = Diag::new("unknown-key", &source, span, "unknown key");
        for columns in [60, 80, 120] {
            let text = diag.render_within(Paint::Plain, columns);
            let lines: Vec<_> = text.lines().collect();
            assert!(
                lines.iter().all(|line| line.chars().count() <= columns),
                "{columns}: {text}"
            );
            let at = |lines: &[&str], what| lines.iter().find_map(|line| line.find(what)).unwrap();
            assert_eq!(at(&lines, "stepps"), at(&lines, "^^^^^^"), "{text}");
        }
    }

    #[test]
    fn a_diagnostic_shows_the_line_the_place_and_the_help() {
        let source = source("title: x\nstepps: []\n");
        let diag = Diag::new(
            "unknown-key",
            &source,
            Span { start: 9, end: 15 },
            "unknown key `stepps`",
        )
        .suggest("stepps", ["title", "steps"]);
        insta::assert_snapshot!(diag.render(Paint::Plain), @r"
        error[unknown-key]: unknown key `stepps`
         --> own/first.yaml:2:1
          |
        2 | stepps: []
          | ^^^^^^
          |
          = help: did you mean `steps`?
        ");
        assert_eq!(
            diag.to_string(),
            "own/first.yaml:2:1: unknown key `stepps` (did you mean `steps`?)"
        );
    }

    #[test]
    fn a_report_carries_line_and_column() {
        let diag = Diag::new("x", &source("a\nbc\n"), Span { start: 3, end: 4 }, "m");
        let json = serde_json::to_value(&diag).unwrap();
        assert_eq!(json["file"], "own/first.yaml");
        assert_eq!((&json["line"], &json["column"]), (&2.into(), &2.into()));
    }

    #[test]
    fn any_place_can_be_drawn() {
        for text in ["", "\n", "é", "a\u{2028}b\r\nc"] {
            for start in 0..8 {
                for end in 0..8 {
                    let diag = Diag::new("x", &source(text), Span { start, end }, "m");
                    assert!(
                        diag.render(Paint::Plain).contains("own/first.yaml"),
                        "{text:?} {start} {end}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_name_of_somebodys_own_is_no_slip_of_the_pen() {
        let known = ["message_bytes", "rate"];
        for (wrong, meant) in [
            ("mesage_bytes", Some("message_bytes")),
            ("raet", Some("rate")),
            ("message_count", None),
            ("subscriptions", None),
        ] {
            assert_eq!(slip_of(wrong, &known), meant, "{wrong}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["expect", "send", "close"];
        for (wrong, meant) in [
            ("exepct", Some("expect")),
            ("Send", Some("send")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(closest(wrong, &known), meant, "{wrong}");
        }
    }
}
