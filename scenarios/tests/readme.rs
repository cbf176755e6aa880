//! The scenarios of the README are scenarios.

use std::sync::Arc;

use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::read;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::source::Source;

#[test]
fn every_scenario_in_the_readme_reads() {
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
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
}
