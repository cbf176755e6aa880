//! What is compiled in, and what users bring along: rules, scenarios, workloads, mutants.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::Diag;
use crate::mutant::Mutant;
use crate::read;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::source::{Source, Span};
use crate::yaml::{self, Kind};

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

/// Of `mutants/`: what can be broken of any protocol, and so is of no folder of the corpus.
const GENERIC: &str = "any";

/// The mutants that are compiled in, of the folders of the corpus: file by file, in the order of each.
///
/// # Errors
/// What is wrong with them: nothing in a build whose tests pass.
pub fn builtin_mutants() -> Result<Vec<Mutant>, Vec<Diag>> {
    compiled_mutants(|folder| folder != GENERIC)
}

/// The mutants that are compiled in for scenarios of somebody's own, without a dialect.
///
/// # Errors
/// What is wrong with them: nothing in a build whose tests pass.
pub fn generic_mutants() -> Result<Vec<Mutant>, Vec<Diag>> {
    compiled_mutants(|folder| folder == GENERIC)
}

fn compiled_mutants(chosen: impl Fn(&str) -> bool) -> Result<Vec<Mutant>, Vec<Diag>> {
    let mut mutants = Vec::new();
    let mut diags = Vec::new();
    for file in MUTANTS {
        let folder = file.0.trim_start_matches("mutants/").trim_end_matches(".yaml");
        if !chosen(folder) {
            continue;
        }
        match read::mutant::mutants(&source(file), folder, Rules::builtin()) {
            Ok(read) => mutants.extend(read),
            Err(wrong) => diags.extend(wrong),
        }
    }
    if diags.is_empty() { Ok(mutants) } else { Err(diags) }
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
/// What can be read is returned beside what is wrong with the rest. Mutants that lie among the scenarios are left out.
#[must_use]
pub fn load_dir(path: &Path) -> (Vec<Scenario>, Vec<Diag>) {
    let read = |source: &Arc<Source>, id: &str| {
        read::scenario(source, id, Rules::builtin()).map(|scenario| vec![scenario])
    };
    load(path, "scenarios", Some("mutants"), folder_of_corpus, read)
}

/// Reads every file of mutants below a directory, or one file. Each id begins with the file's path relative to the
/// directory, or with its name. What can be read is returned beside what is wrong with the rest. Scenarios that lie
/// among the mutants are left out.
#[must_use]
pub fn load_mutants(path: &Path) -> (Vec<Mutant>, Vec<Diag>) {
    let read = |source: &Arc<Source>, folder: &str| read::mutant::mutants(source, folder, Rules::builtin());
    load(path, "mutants", Some("steps"), |_| None, read)
}

/// Reads scenarios and mutants, each file as what it is: one with the key `mutants` holds those.
#[must_use]
pub fn load_all(path: &Path) -> (Vec<Scenario>, Vec<Mutant>, Vec<Diag>) {
    enum Loaded {
        Scenario(Box<Scenario>),
        Mutant(Box<Mutant>),
    }
    let read = |source: &Arc<Source>, id: &str| {
        if has_key(source, "mutants") {
            let folder = id.rsplit('/').next().unwrap_or(id);
            let mutants = read::mutant::mutants(source, folder, Rules::builtin())?;
            return Ok(mutants
                .into_iter()
                .map(|mutant| Loaded::Mutant(Box::new(mutant)))
                .collect());
        }
        read::scenario(source, id, Rules::builtin())
            .map(|scenario| vec![Loaded::Scenario(Box::new(scenario))])
    };
    let (loaded, diags) = load(path, "scenarios", None, folder_of_corpus, read);
    let (mut scenarios, mut mutants) = (Vec::new(), Vec::new());
    for one in loaded {
        match one {
            Loaded::Scenario(scenario) => scenarios.push(*scenario),
            Loaded::Mutant(mutant) => mutants.push(*mutant),
        }
    }
    (scenarios, mutants, diags)
}

/// Reads the files of one kind; `other` is a key that only files of the other kind have. That there are none is a
/// mistake.
fn load<T>(
    path: &Path,
    what: &str,
    other: Option<&str>,
    prefix: impl Fn(&Path) -> Option<String>,
    read: impl Fn(&Arc<Source>, &str) -> Result<Vec<T>, Vec<Diag>>,
) -> (Vec<T>, Vec<Diag>) {
    let mut loaded = Vec::new();
    let mut diags = Vec::new();
    let mut files = Vec::new();
    let root = if path.is_dir() {
        list(path, 0, &mut files, &mut diags);
        files.sort();
        path
    } else {
        files.push(path.to_owned());
        path.parent().unwrap_or(Path::new(""))
    };
    let prefix = prefix(root);
    let mut found = 0;
    for file in files {
        let source = match read_source(&file) {
            Ok(source) if other.is_some_and(|key| has_key(&source, key)) => continue,
            Ok(source) => source,
            Err(diag) => {
                diags.push(diag);
                continue;
            }
        };
        found += 1;
        match read(&source, &id_of(&file, root, prefix.as_deref())) {
            Ok(read) => loaded.extend(read),
            Err(wrong) => diags.extend(wrong),
        }
    }
    if found == 0 && diags.is_empty() {
        let nothing = Arc::new(Source {
            path: path.display().to_string(),
            text: String::new(),
        });
        diags.push(
            Diag::new(
                "nothing-here",
                &nothing,
                Span::default(),
                format!("there are no {what} here"),
            )
            .help(format!("{what} are in files that end in `.yaml`")),
        );
    }
    (loaded, diags)
}

/// Whether a file is a mapping that has this key. What is no YAML has none.
fn has_key(source: &Arc<Source>, key: &str) -> bool {
    yaml::parse(source).is_ok_and(|root| match root.kind {
        Kind::Map(entries) => entries.iter().any(|(name, _)| name.value == key),
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) | Kind::List(_) => false,
    })
}

/// The name of a directory that is itself a folder of the corpus, `echo` or `common`: it is part of the ids, because it
/// says which dialect is spoken.
fn folder_of_corpus(root: &Path) -> Option<String> {
    let root = if root.as_os_str().is_empty() {
        Path::new(".")
    } else {
        root
    };
    let name = root
        .canonicalize()
        .ok()?
        .file_name()?
        .to_string_lossy()
        .into_owned();
    Rules::builtin().folder(&name).map(|_| name)
}

/// The id of a file: its path below `root` with `/` and without ending.
fn id_of(file: &Path, root: &Path, prefix: Option<&str>) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file).with_extension("");
    let parts = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    prefix
        .map(str::to_owned)
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>()
        .join("/")
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
    use crate::scenario::Scope;
    use touchstone_protocol::Dialect;

    const SCENARIO: &str =
        "title: t\nactors: {c: {path: /ws}}\nsteps: [{connect: c}, {c.send: hi}, {c.expect: hi}]\n";

    fn write(root: &Path, name: &str, text: impl AsRef<[u8]>) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn ids(scenarios: &[Scenario]) -> Vec<&str> {
        scenarios.iter().map(|scenario| scenario.id.as_str()).collect()
    }

    #[test]
    fn a_directory_is_read_to_its_depth_and_each_id_is_a_path() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "mine/deep/a.yaml", "mine/c.yml"] {
            write(root.path(), name, SCENARIO);
        }
        write(root.path(), "mine/notes.txt", "no scenario");
        let (scenarios, diags) = load_dir(root.path());
        assert_eq!(diags, []);
        assert_eq!(ids(&scenarios), ["b", "mine/c", "mine/deep/a"]);
    }

    #[test]
    fn what_is_wrong_with_one_file_does_not_hide_the_others() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "good.yaml", SCENARIO);
        write(root.path(), "bad.yaml", "title: t\nstepps: []\n");
        write(root.path(), "latin.yaml", b"title: caf\xe9\n");
        write(root.path(), "huge.yaml", " ".repeat(2 << 20));
        let (scenarios, diags) = load_dir(root.path());
        assert_eq!(ids(&scenarios), ["good"]);
        let shown: Vec<String> = diags.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:#?}");
        assert!(
            shown[0].contains("bad.yaml:2:1: unknown key `stepps`"),
            "{}",
            shown[0]
        );
        assert!(
            shown[1].contains("huge.yaml:1:1: the file has 2097152 bytes; at most 1048576"),
            "{}",
            shown[1]
        );
        assert!(
            shown[2].contains("latin.yaml:1:1: the file is not UTF-8: byte 10"),
            "{}",
            shown[2]
        );
    }

    #[test]
    fn a_folder_of_the_corpus_is_known_by_its_name_from_inside_and_from_a_file_of_it() {
        let root = tempfile::tempdir().unwrap();
        let text = "title: t\nrule: echo/2a\nactors: [c]\nsteps: [{connect: c}]\n";
        write(root.path(), "echo/2a-mine.yaml", text);
        for path in ["echo", "echo/2a-mine.yaml", "."] {
            let (scenarios, diags) = load_dir(&root.path().join(path));
            assert_eq!(diags, [], "{path}");
            assert_eq!(ids(&scenarios), ["echo/2a-mine"], "{path}");
            assert_eq!(scenarios[0].scope, Scope::One(Dialect::Echo), "{path}");
        }
    }

    #[test]
    fn scenarios_and_mutants_lie_side_by_side() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "words.yaml", SCENARIO);
        let mutants =
            "mutants: [{id: lost, breaks: b, clauses: any, killed_by: words, on: {down: any}, do: drop}]\n";
        write(root.path(), "broken.yaml", mutants);
        let (scenarios, diags) = load_dir(root.path());
        assert_eq!((ids(&scenarios), diags), (vec!["words"], vec![]));
        let (mutants, diags) = load_mutants(root.path());
        assert_eq!(diags, []);
        assert_eq!(mutants.len(), 1);
        assert_eq!(mutants[0].id, "broken/lost");
        let (scenarios, mutants, diags) = load_all(root.path());
        assert_eq!((scenarios.len(), mutants.len(), diags), (1, 1, vec![]));
        let (mutants, diags) = load_mutants(&root.path().join("words.yaml"));
        assert!(mutants.is_empty());
        assert_eq!(
            (diags[0].code, diags[0].message.as_str()),
            ("nothing-here", "there are no mutants here")
        );
    }

    #[test]
    fn a_path_without_scenarios_is_a_mistake() {
        let root = tempfile::tempdir().unwrap();
        let nowhere = root.path().join("nowhere.yaml");
        for (path, says) in [
            (root.path(), "there are no scenarios here"),
            (&nowhere, "cannot read the file"),
        ] {
            let (scenarios, diags) = load_dir(path);
            assert!(scenarios.is_empty());
            assert!(diags[0].message.contains(says), "{}", diags[0]);
        }
    }
}
