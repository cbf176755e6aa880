//! `touchstone conform report`: results that were written before become reports again, one alone or several side by side.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use touchstone_conformance::json;
use touchstone_conformance::results::Run;
use touchstone_conformance::side_by_side::{Extent, SideBySide};
use touchstone_report::markdown;

use super::{Skips, print_run, write};
use crate::args::ConformReportArgs;
use crate::exit::{self, Failure, Outcome};
use crate::outputs::{self, ConformFormat};
use crate::summary::{self, Detail};

/// Shows results. What they say is no failure of this command.
pub(super) fn report(args: &ConformReportArgs) -> Outcome {
    outputs::check_writable(&args.reports)?;
    let runs = args.files.iter().map(|path| read(path));
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    if runs.len() > 1 {
        let named = names(&args.files).into_iter().zip(runs).collect();
        return side_by_side(args, &SideBySide::new(named));
    }
    let run = runs.remove(0);
    let document = run.document();
    for report in &args.reports {
        write(report, &run, &document)?;
    }
    if !outputs::take_stdout(&args.reports) {
        print_run(&run, Skips::Counted)?;
        summary::print(&document, Detail::Glance)?;
    }
    Ok(exit::OK)
}

fn side_by_side(args: &ConformReportArgs, sides: &SideBySide) -> Outcome {
    for report in &args.reports {
        let content = match report.format {
            ConformFormat::Json => outputs::json(&sides.to_json()),
            ConformFormat::Markdown => markdown::render(
                &sides.document(Extent::Differences),
                markdown::STEP_SUMMARY_BYTES_MAX,
            ),
            ConformFormat::Html => outputs::html(&sides.document(Extent::Everything))?,
            ConformFormat::Junit | ConformFormat::Tap => {
                return Err(Failure::usage(
                    "junit and tap tell the cases of one result; of several there is json, markdown and html",
                ));
            }
        };
        outputs::write(&report.path, &content)?;
    }
    if !outputs::take_stdout(&args.reports) {
        summary::print(&sides.document(Extent::Differences), Detail::Full)?;
    }
    Ok(exit::OK)
}

/// Reads a result.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("could not read the result {}: {error}", path.display())))?;
    json::read(&text).map_err(|error| Failure::usage(format!("{} is no result: {error}", path.display())))
}

/// What tells files apart: their names without an ending, or their whole paths where names are alike.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let mut count: HashMap<String, usize> = HashMap::new();
    for path in paths {
        *count.entry(stem(path)).or_default() += 1;
    }
    let name = |path: &PathBuf| match stem(path) {
        stem if count[&stem] == 1 => stem,
        _ => path.display().to_string(),
    };
    paths.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_as_little_as_possible() {
        let paths = ["out/a.json", "b.json", "old/a.json"].map(PathBuf::from);
        assert_eq!(names(&paths), ["out/a.json", "b", "old/a.json"]);
    }
}
