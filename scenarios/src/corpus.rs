//! What is compiled in, and what users bring along: rules, scenarios, workloads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::Diag;
use crate::read;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::source::{Source, Span};

include!(concat!(env!("OUT_DIR"), "/corpus.rs"));

/// Deepest folder below a directory of scenarios. Deeper than anybody sorts, shallow enough for a link to itself.
const FOLDERS_MAX: usize = 16;
/// Largest scenario file. The largest of the corpus has 20 kB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The rules files, `scenarios/rules/…`.
pub(crate) fn rules_sources() -> Vec<Arc<Source>> {
    RULES.iter().map(source).collect()
}

/// The scenarios that are compiled in, in the order of their ids.
///
/// # Errors
/// What is wrong with them: nothing in a build whose tests pass.
pub fn builtin_scenarios() -> Result<Vec<Scenario>, Vec<Diag>> {
    let mut scenarios = Vec::with_capacity(CONFORMANCE.len());
    let mut diags = Vec::new();
    for file in CONFORMANCE {
        let source = source(file);
        let id = file
            .0
            .trim_start_matches("conformance/")
            .trim_end_matches(".yaml");
        match read::scenario(&source, id, Rules::builtin()) {
            Ok(scenario) => scenarios.push(scenario),
            Err(wrong) => diags.extend(wrong),
        }
    }
    if diags.is_empty() {
        Ok(scenarios)
    } else {
        Err(diags)
    }
}

/// The workloads that are compiled in, by name: `scenarios/load/<name>.yaml`, unread.
#[must_use]
pub fn builtin_workloads() -> Vec<(&'static str, Arc<Source>)> {
    LOAD.iter()
        .map(|file| {
            (
                file.0.trim_start_matches("load/").trim_end_matches(".yaml"),
                source(file),
            )
        })
        .collect()
}

fn source((path, text): &(&str, &str)) -> Arc<Source> {
    Arc::new(Source {
        path: format!("scenarios/{path}"),
        text: (*text).to_owned(),
    })
}

/// Reads a file of any kind, for [`crate::yaml::from_str`].
///
/// # Errors
/// A diagnostic without excerpt: the file cannot be read, is not UTF-8, or is larger than a scenario can be.
pub fn read_source(path: &Path) -> Result<Arc<Source>, Diag> {
    let shown = path.display().to_string();
    let unreadable = |why: String| {
        let nothing = Arc::new(Source {
            path: shown.clone(),
            text: String::new(),
        });
        Diag::new("unreadable", &nothing, Span::default(), why)
    };
    let size = fs::metadata(path).map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    if size.is_dir() {
        return Err(unreadable("this is a directory, not a file".to_owned()));
    }
    if size.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "the file has {} bytes; at most {FILE_BYTES_MAX} are read",
            size.len()
        )));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(format!(
            "the file is not UTF-8: byte {at} is the first that is wrong"
        ))
        .help("save it as UTF-8")
    })?;
    Ok(Arc::new(Source { path: shown, text }))
}

/// Reads every `.yaml` below a directory, or one file. Ids are paths relative to the directory, or the file's name.
/// What can be read is returned beside what is wrong with the rest.
#[must_use]
pub fn load_dir(path: &Path) -> (Vec<Scenario>, Vec<Diag>) {
    let mut scenarios = Vec::new();
    let mut diags = Vec::new();
    let mut files = Vec::new();
    let root = if path.is_dir() {
        list(path, 0, &mut files, &mut diags);
        files.sort();
        path.to_owned()
    } else {
        files.push(path.to_owned());
        path.parent().map(Path::to_owned).unwrap_or_default()
    };
    if files.is_empty() && diags.is_empty() {
        let nothing = Arc::new(Source {
            path: path.display().to_string(),
            text: String::new(),
        });
        diags.push(
            Diag::new(
                "unreadable",
                &nothing,
                Span::default(),
                "there is no scenario here",
            )
            .help("scenarios are files that end in `.yaml`"),
        );
    }
    for file in files {
        let id = id_of(&file, &root);
        let read = read_source(&file)
            .map_err(|diag| vec![diag])
            .and_then(|source| read::scenario(&source, &id, Rules::builtin()));
        match read {
            Ok(scenario) => scenarios.push(scenario),
            Err(wrong) => diags.extend(wrong),
        }
    }
    (scenarios, diags)
}

/// The id of a file: its path below `root` with `/` and without ending. A single file of the corpus keeps its folder,
/// because the folder says which dialect it speaks.
fn id_of(file: &Path, root: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file).with_extension("");
    let parts: Vec<_> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, diags: &mut Vec<Diag>) {
    let unreadable = |why: String| {
        let nothing = Arc::new(Source {
            path: folder.display().to_string(),
            text: String::new(),
        });
        Diag::new("unreadable", &nothing, Span::default(), why)
    };
    if depth > FOLDERS_MAX {
        diags.push(unreadable(format!(
            "folders are more than {FOLDERS_MAX} deep here"
        )));
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            diags.push(unreadable(format!("cannot list the directory: {error}")));
            return;
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) if entry.path().is_dir() => list(&entry.path(), depth + 1, files, diags),
            Ok(entry)
                if entry
                    .path()
                    .extension()
                    .is_some_and(|ending| ending == "yaml" || ending == "yml") =>
            {
                files.push(entry.path());
            }
            Ok(_) => {}
            Err(error) => diags.push(unreadable(format!("cannot list the directory: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Paint;

    #[test]
    fn every_builtin_scenario_reads() {
        if let Err(diags) = builtin_scenarios() {
            let all: Vec<String> = diags.iter().map(|diag| diag.render(Paint::Plain)).collect();
            panic!("{}", all.join("\n\n"));
        }
    }
}
