//! `--report FORMAT=PATH`: which reports are written, and where to.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use touchstone_report::cases::Suites;
use touchstone_report::{Document, html, junit};

use crate::exit::Failure;
use crate::print;

/// A report that was asked for: its format and its place, `-` for stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output<F> {
    pub(crate) format: F,
    pub(crate) path: PathBuf,
}

/// A report of `conform`.
pub(crate) type ConformReport = Output<ConformFormat>;
/// A report of `conform coverage`.
pub(crate) type CoverageReport = Output<CoverageFormat>;
/// A report of `load`.
pub(crate) type LoadReport = Output<LoadFormat>;

/// The formats of `conform`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConformFormat {
    Json,
    Junit,
    Tap,
    Markdown,
    Html,
}

/// The formats of `conform coverage`, and of several results side by side: what is about no single case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoverageFormat {
    Json,
    Markdown,
    Html,
}

/// The formats of `load`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadFormat {
    Json,
    Junit,
    Csv,
    Hdr,
    Prometheus,
    Markdown,
    Html,
}

/// Names of formats as they are typed.
pub(crate) trait Named: Copy + 'static {
    /// Every format with its name.
    const NAMES: &'static [(&'static str, Self)];
}

impl Named for ConformFormat {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("junit", Self::Junit),
        ("tap", Self::Tap),
        ("markdown", Self::Markdown),
        ("html", Self::Html),
    ];
}

impl Named for CoverageFormat {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("markdown", Self::Markdown),
        ("html", Self::Html),
    ];
}

impl Named for LoadFormat {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("junit", Self::Junit),
        ("csv", Self::Csv),
        ("hdr", Self::Hdr),
        ("prometheus", Self::Prometheus),
        ("markdown", Self::Markdown),
        ("html", Self::Html),
    ];
}

impl<F: Named> FromStr for Output<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || {
            F::NAMES
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (name, path) = text
            .split_once('=')
            .ok_or_else(|| format!("write FORMAT=PATH with one of: {}", known()))?;
        let format = F::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format);
        let format = format.ok_or_else(|| format!("`{name}` is no format; there is: {}", known()))?;
        if path.is_empty() {
            return Err(format!("no path after `{name}=`; `{name}=-` writes to stdout"));
        }
        Ok(Self {
            format,
            path: path.into(),
        })
    }
}

/// Whether any of the reports goes to stdout, which then is for it alone.
pub(crate) fn take_stdout<F>(outputs: &[Output<F>]) -> bool {
    outputs.iter().any(|output| output.path == Path::new("-"))
}

/// Writes a report to its place.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return print::data(content);
    }
    std::fs::write(path, content)
        .map_err(|error| Failure::usage(format!("could not write the report {}: {error}", path.display())))
}

/// A JSON report as it is written: indented, because people read it too.
pub(crate) fn json(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// A JUnit report as it is written.
pub(crate) fn junit(suites: &Suites) -> Result<String, Failure> {
    junit::render(suites).map_err(|error| Failure::usage(format!("could not write JUnit: {error}")))
}

/// An HTML report as it is written.
pub(crate) fn html(document: &Document) -> Result<String, Failure> {
    html::render(document).map_err(|error| Failure::usage(format!("could not write HTML: {error}")))
}

/// Refuses, before a run and not after it, what could not be written after it.
pub(crate) fn check_writable<F>(outputs: &[Output<F>]) -> Result<(), Failure> {
    let to_stdout = outputs.iter().filter(|output| output.path == Path::new("-"));
    if to_stdout.count() > 1 {
        return Err(Failure::usage(
            "only one report can go to stdout: give the others a file",
        ));
    }
    for path in outputs
        .iter()
        .map(|output| &output.path)
        .filter(|path| *path != Path::new("-"))
    {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Failure::usage(format!(
                "the folder of the report {} does not exist",
                path.display()
            )));
        }
        if path.is_dir() {
            return Err(Failure::usage(format!(
                "the report {} is a folder: name a file",
                path.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_format_and_a_path() {
        let output: ConformReport = "junit=out/junit.xml".parse().unwrap();
        assert_eq!(
            output,
            Output {
                format: ConformFormat::Junit,
                path: "out/junit.xml".into()
            }
        );
        assert!(take_stdout(&["json=-".parse::<LoadReport>().unwrap()]));
    }

    #[test]
    fn a_wrong_report_says_what_there_is() {
        let rows = [
            ("json", "FORMAT=PATH"),
            ("pdf=x", "json, junit, csv, hdr, prometheus, markdown, html"),
            ("json=", "no path"),
        ];
        for (text, why) in rows {
            assert!(text.parse::<LoadReport>().unwrap_err().contains(why), "{text}");
        }
    }
}
