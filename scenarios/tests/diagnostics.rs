//! What a person sees who made a mistake: each file of `tests/wrong` against its snapshot beside it.
//!
//! To change a message, run with `INSTA_UPDATE=always` and read the difference as the person would.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::read;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::source::Source;

const ECHO_RULES: &str = "
dialect: echo
clauses:
  - {id: echo/2a, basis: doc, rule: Each message is answered.}
  - {id: echo/2b, basis: doc, rule: N grows by 1.}
";

const ROOMS_RULES: &str = "
dialect: rooms
clauses:
  - {id: rooms/5a, basis: doc, rule: A message reaches the others.}
";

fn rules() -> Rules {
    let source = |path: &str, text: &str| {
        Arc::new(Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    };
    Rules::read(&[
        source("rules/echo.yaml", ECHO_RULES),
        source("rules/rooms.yaml", ROOMS_RULES),
    ])
    .unwrap()
}

#[test]
fn every_mistake_is_shown_where_it_is_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let rules = rules();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut mistakes = 0;
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
    {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let folder = if name.starts_with("rooms-") {
            "rooms"
        } else {
            "echo"
        };
        let source = Source {
            path: format!("{folder}/{name}.yaml"),
            text: fs::read_to_string(file).unwrap(),
        };
        let diags = read::scenario(&Arc::new(source), &format!("{folder}/{name}"), &rules)
            .expect_err(&format!("{name} is read without a complaint"));
        let shown: Vec<String> = diags.iter().map(|diag| diag.render(Paint::Plain)).collect();
        settings.bind(|| insta::assert_snapshot!(name, shown.join("\n\n")));
        mistakes += 1;
    }
    assert!(mistakes > 50, "only {mistakes} files were found");
}
