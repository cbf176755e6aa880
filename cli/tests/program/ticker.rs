//! The example of somebody's own protocol: its scenarios hold, and every mistake that its README names turns those red
//! which the README names with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{folder, run, touchstone};

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What `cargo xtask needs` installs for clients of others is what the ticker needs too.
fn python_packages() -> PathBuf {
    let folder = house().join("target/clients/python");
    let found = Command::new("python3")
        .args(["-c", "import websockets"])
        .env("PYTHONPATH", &folder)
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(
        found,
        "python3 with websockets is missing: `cargo xtask needs` installs it"
    );
    folder
}

/// The ids of the cases that failed, and the exit code, with this server in place of the example's.
fn judged(server: &str) -> (Vec<String>, Option<i32>) {
    let target = std::fs::read_to_string(house().join("examples/ticker/target.yaml")).unwrap();
    let out = folder(&[("server.py", server)]);
    let elsewhere = target.replace(
        "examples/ticker/server.py",
        &out.path().join("server.py").display().to_string(),
    );
    assert_ne!(elsewhere, target, "it names the server that it starts");
    std::fs::write(out.path().join("target.yaml"), elsewhere).unwrap();
    let scenarios = house().join("examples/ticker/scenarios").display().to_string();
    let args = [
        "conform",
        "run",
        "--target",
        "target.yaml",
        "--scenarios",
        &scenarios,
        "--report",
        "json=report.json",
    ];
    let mut command = touchstone(out.path(), &args);
    command.env("PYTHONPATH", python_packages());
    let ended = run(command);
    let report = std::fs::read_to_string(out.path().join("report.json"));
    let report = report.unwrap_or_else(|error| panic!("no report: {error}\n{ended:#?}"));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["summary"]["total"], 7, "{report:#}");
    let cases = report["cases"].as_array().unwrap().iter();
    let failed = cases.filter(|case| case["verdict"] == "failed");
    let ids = failed
        .map(|case| case["id"].as_str().unwrap().to_owned())
        .collect();
    (ids, ended.code)
}

/// A row of the README's table: what is changed, into what, and which cases find it.
struct Mistake {
    from: String,
    into: String,
    finders: Vec<String>,
}

fn mistakes() -> Vec<Mistake> {
    let readme = std::fs::read_to_string(house().join("examples/ticker/README.md")).unwrap();
    let (_, table) = readme.split_once("| change | into | fails |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(quoted).collect();
        Mistake {
            from: cells[1][0].clone(),
            into: cells[2][0].clone(),
            finders: cells[3].clone(),
        }
    })
    .collect()
}

#[test]
fn a_protocol_of_somebodys_own_is_judged_and_its_mistakes_are_found() {
    let server = std::fs::read_to_string(house().join("examples/ticker/server.py")).unwrap();
    assert_eq!(judged(&server), (Vec::new(), Some(0)));
    let mistakes = mistakes();
    assert_eq!(mistakes.len(), 5);
    for Mistake { from, into, finders } in mistakes {
        assert_eq!(server.matches(&from).count(), 1, "`{from}` names one place");
        let (failed, code) = judged(&server.replace(&from, &into));
        assert_eq!(code, Some(1), "`{from}` into `{into}`");
        for finder in finders {
            assert!(
                failed.contains(&finder),
                "`{from}` into `{into}` is not found by {finder}, but by {failed:?}"
            );
        }
    }
}
