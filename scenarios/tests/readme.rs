//! The scenarios of the README are scenarios, and its mutants are mutants.

use std::fs;
use std::sync::Arc;

use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{load_mutants, read};

#[test]
fn every_example_in_the_readme_reads() {
    let readme = include_str!("../README.md");
    let (scenarios, mutants) = readme
        .split_once("\n## Mutants\n")
        .expect("a section about mutants");
    let blocks: Vec<&str> = blocks_of(scenarios);
    assert_eq!(blocks.len(), 3);
    for (block, id) in blocks
        .into_iter()
        .zip(["mine/first", "echo/5a-comes-back", "rooms/11a-comes-back"])
    {
        let source = Arc::new(Source {
            path: "README.md".to_owned(),
            text: block.to_owned(),
        });
        if let Err(diags) = read::scenario(&source, id, Rules::builtin()) {
            panic!("{}", diags[0].render(Paint::Plain));
        }
    }
    let blocks = blocks_of(mutants);
    assert_eq!(blocks.len(), 1);
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), blocks[0]).unwrap();
    let (mutants, diags) = load_mutants(file.path());
    assert_eq!((mutants.len(), diags), (2, vec![]));
}

fn blocks_of(text: &str) -> Vec<&str> {
    text.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}
