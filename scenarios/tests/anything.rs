//! Whatever a file holds, it is read or refused with a place that can be drawn: never a panic.

use std::sync::Arc;

use proptest::prelude::*;
use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::source::Source;
use touchstone_scenarios::{read, yaml};

/// Pieces of which files that are almost right are made.
const PIECES: &[&str] = &[
    "title: t\n",
    "rule: echo/2a\n",
    "actors: {ann: {}}\n",
    "actors:\n",
    "given:\n",
    "steps:\n",
    "  - connect: ann\n",
    "  - ann.send: ",
    "  - ann.expect: ",
    "  - ann.closed: ",
    "  - ann.raw: ",
    "  - connect: {as: c}\n",
    "  - table:\n",
    "      columns: [name, a]\n",
    "      rows: [[x, 1]]\n",
    "    each:\n",
    "  - interleave: {orders: all, ann: [], bob: []}\n",
    "    within: ",
    "    clause: ",
    "    alternatives: ",
    "  - http: {get: /x}\n",
    "    expect: ",
    "hello",
    "{count: 1}",
    "{$any_of: [1]}",
    "{$regex: \"(\"}",
    "{$range: [1, null]}",
    "\"${uid}\"",
    "\"${\"",
    "${heartbeat * 2}",
    "5 parsecs",
    "250ms",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\"",
    "'",
    "\n",
    "\t",
    "  ",
    "é",
    "\u{2028}",
    "&a ",
    "*a ",
    "!!str ",
    "|\n",
    ">-\n",
    "? ",
    "---\n",
    "...\n",
    "null",
    "~",
    ".inf",
    "1e999",
    "0x1F",
    "# c\n",
    "<<: *a\n",
    "\0",
    "%YAML 1.2\n",
];

fn survives(text: String) {
    let source = Arc::new(Source {
        path: "any.yaml".to_owned(),
        text,
    });
    if let Err(diags) = read::scenario(&source, "echo/any", Rules::builtin()) {
        assert!(!diags.is_empty(), "refused without a word");
        for diag in diags {
            assert!(diag.render(Paint::Plain).contains("any.yaml"));
            assert!(diag.render(Paint::Colour).contains("any.yaml"));
        }
    }
    if let Ok(node) = yaml::parse(&source) {
        assert!(node.span.start <= node.span.end && node.span.end <= source.text.len());
    }
}

proptest! {
    #[test]
    fn text_that_is_almost_a_scenario(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        survives(pieces.concat());
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        survives(text);
    }

    #[test]
    fn any_bytes_that_are_text(text in any::<String>()) {
        survives(text);
    }
}

#[test]
fn a_file_that_would_take_for_ever_is_refused() {
    let deep = format!("title: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let wide = format!("title: [{}]", "1,".repeat(60_000));
    let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, of) in [
        ("b", "a"),
        ("c", "b"),
        ("d", "c"),
        ("e", "d"),
        ("f", "e"),
        ("g", "f"),
    ] {
        let items = vec![format!("*{of}"); 9].join(",");
        laughs.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    for (what, text) in [("deep", deep), ("wide", wide), ("laughs", laughs)] {
        let source = Arc::new(Source {
            path: "any.yaml".to_owned(),
            text,
        });
        let diag = yaml::parse(&source).expect_err(what);
        assert_eq!(diag.code, "too-large", "{what}: {diag}");
    }
}
