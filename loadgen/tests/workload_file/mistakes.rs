//! What a person sees who made a mistake: each file of `wrong` against its snapshot beside it, and whether an editor with the
//! schema shows it already.
//!
//! To change a message, run with `INSTA_UPDATE=always` and read the difference as the person would.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use touchstone_loadgen::Workload;
use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::yaml;

use crate::schema;

/// What the schema says of a file that the reader refuses.
fn in_an_editor(source: &Arc<Source>) -> &'static str {
    match yaml::parse(source).map(|_| schema::check(source)) {
        Err(_) => "an editor: no YAML",
        Ok(Some(_)) => "an editor: underlines it",
        Ok(None) => "an editor: cannot tell",
    }
}

#[test]
fn every_mistake_is_shown_where_it_is_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workload_file/wrong");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 100, "only {} files were found", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let source = Arc::new(Source {
            path: format!("{name}.yaml"),
            text: fs::read_to_string(&file).unwrap(),
        });
        let diag = Workload::read(&source).expect_err(&format!("{name} is read without a complaint"));
        let shown = format!("{}\n\n{}", diag.render(Paint::Plain), in_an_editor(&source));
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
}
