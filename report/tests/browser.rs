//! The report as a reader opens it: from a file, in a browser, without a network.
//!
//! `cargo xtask test` sees to it that there is a browser.

use std::process::Command;

use touchstone_report::{Axis, Block, Cell, Column, Document, Plot, Section, Table, Tile, Verdict, html};

/// A browser that starts on a busy machine takes seconds; one that hangs must not hang the tests.
const DEADLINE_SECONDS: &str = "120";

/// A page with everything the script touches: a table long enough for a filter, and something folded.
fn page() -> String {
    let mut table = Table::new([Column::text("case"), Column::number("time")]);
    for number in 0..60 {
        table = table.row([
            Cell::plain(format!("case </script> {number}")),
            Cell::number(number),
        ]);
    }
    let plot = Plot::new("latency", Axis::linear("s"), Axis::log("ms"), vec![1.0, 2.0, 3.0])
        .curve("p99", [1.0, 30.0, 2.0]);
    let document = Document::new("a run", Verdict::Passed, "all 60 cases passed")
        .tile(Tile::new("cases passed", "60"))
        .section(Section::new("Cases").with(Block::Table(table)))
        .section(Section::new("Latency").with(Block::Plot(plot)));
    html::render(&document).unwrap()
}

/// What the browser makes of the page after its script has run, and what it said meanwhile.
fn opened(page: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new("timeout")
        .args([
            DEADLINE_SECONDS,
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let (dom, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "`chromium` did not open the report ({}); `cargo xtask test` installs it where it is missing: {said}",
        output.status
    );
    (dom.into_owned(), said.into_owned())
}

#[test]
fn a_browser_shows_the_report_and_has_nothing_to_complain_about() {
    let (dom, said) = opened(&page());
    assert!(dom.contains("all 60 cases passed"), "{dom}");
    assert!(dom.contains("60 of 60 rows"), "the script has not run: {dom}");
    // Blocked by the page's own policy, a mistake of the script, a file that is not there: all are said here.
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(complaints, [""; 0]);
}
