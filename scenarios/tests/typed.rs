//! Files that are read into `serde` types (targets, workloads, configurations): their mistakes have places too.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use touchstone_scenarios::duration::FixedDuration;
use touchstone_scenarios::source::{Source, Spanned};
use touchstone_scenarios::yaml;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    name: Spanned<String>,
    phases: Vec<Phase>,
    #[serde(default)]
    verbose: bool,
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    connections: u32,
    lasting: FixedDuration,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Steady,
    Storm { share: f64 },
}

fn read(text: &str) -> Result<Plan, String> {
    let source = Arc::new(Source {
        path: "plan.yaml".to_owned(),
        text: text.to_owned(),
    });
    yaml::from_str(&source).map_err(|diag| diag.to_string())
}

#[test]
fn a_file_fills_its_type_with_places() {
    let text =
        "name: on\nphases: [{connections: 5, lasting: 1.5s}]\nverbose: true\nkind: {storm: {share: 0.25}}\n";
    let plan = read(text).unwrap();
    assert_eq!((plan.name.value.as_str(), plan.name.span.start), ("on", 6));
    assert_eq!(plan.phases[0].connections, 5);
    assert_eq!(
        plan.phases[0].lasting,
        FixedDuration(Duration::from_millis(1_500))
    );
    assert!(plan.verbose);
    assert!(matches!(plan.kind, Some(Kind::Storm { share }) if share == 0.25));
    assert!(matches!(
        read("name: x\nphases: []\nkind: steady\n").unwrap().kind,
        Some(Kind::Steady)
    ));
}

#[test]
fn each_mistake_is_named_with_its_place_and_what_to_do() {
    for (text, error) in [
        (
            "name: x\nphases:\n  - conections: 5\n",
            "plan.yaml:3:5: unknown key `conections` (did you mean `connections`?)",
        ),
        (
            "name: x\nphazes: []\n",
            "plan.yaml:2:1: unknown key `phazes` (did you mean `phases`?)",
        ),
        (
            "name: x\n",
            "plan.yaml:1:1: the key `phases` is missing (add `phases: …`)",
        ),
        (
            "name: x\nphases: [{connections: lots, lasting: 1s}]\n",
            "plan.yaml:2:24: `lots` is not a whole number of 0 or more",
        ),
        (
            "name: x\nphases: [{connections: -1, lasting: 1s}]\n",
            "plan.yaml:2:24: `-1` is not a whole number of 0 or more",
        ),
        (
            "name: x\nphases: [{connections: 1, lasting: 5 parsecs}]\n",
            "plan.yaml:2:36: `5 parsecs` is not a duration, write for example 250ms",
        ),
        (
            "name: x\nphases: []\nverbose: yes\n",
            "plan.yaml:3:10: `yes` is not true or false",
        ),
        (
            "name: x\nphases: []\nkind: stedy\n",
            "plan.yaml:3:7: unknown value `stedy` (did you mean `steady`?)",
        ),
        (
            "name: x\nname: y\n",
            "plan.yaml:2:1: `name` is there twice in one mapping (keep one of them; a header or parameter that repeats \
             is written as a list)",
        ),
        (
            "name: x\nphases: 5\n",
            "plan.yaml:2:9: a list is expected here (a list is written `[one, two]`, or one item a line after `- `)",
        ),
        (
            "name: [x]\nphases: []\n",
            "plan.yaml:1:7: a string is expected here",
        ),
        (
            "- x\n",
            "plan.yaml:1:1: a mapping is expected here (a mapping is written `{key: value}`, or one `key: value` a line)",
        ),
        (
            "name: x\nphases: [{connections: 1, lasting: 5}]\n",
            "plan.yaml:2:36: `5` has no unit, write for example 5ms or 5s",
        ),
        (
            "name: x\nphases: [{connections: 1, lasting: {}}]\n",
            "plan.yaml:2:36: a mapping stands where a time such as 250ms is expected",
        ),
        ("", "plan.yaml:1:1: the file ends before anything is said"),
    ] {
        assert_eq!(read(text).unwrap_err(), error, "{text}");
    }
}
