//! Reads a scenario, runs it against a server and says in one line what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::results::{CaseResult, Run};
use touchstone_conformance::verdict::{Check, CheckState};
use touchstone_conformance::{Options, run};
use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::Paint;
use touchstone_scenarios::rules::Rules;
use touchstone_scenarios::scenario::Scenario;
use touchstone_scenarios::source::Source;
use touchstone_sut::{Sut, Target};

use crate::crooked::{Crook, Server};

/// Reads a scenario of `echo`.
pub(crate) fn scenario(id: &str, yaml: &str) -> Arc<Scenario> {
    let source = Arc::new(Source {
        path: format!("{id}.yaml"),
        text: yaml.to_owned(),
    });
    match touchstone_scenarios::read::scenario(&source, id, Rules::builtin()) {
        Ok(scenario) => Arc::new(scenario),
        Err(diags) => {
            let shown: Vec<_> = diags.iter().map(|diag| diag.render(Paint::Plain)).collect();
            panic!("{}", shown.join("\n"))
        }
    }
}

/// Options under which a red case takes a moment, and a green one has time on a busy machine too.
pub(crate) fn options() -> Options {
    Options {
        expectation_deadline: Duration::from_millis(1500),
        ..Options::default()
    }
}

/// Runs scenarios against a server.
pub(crate) async fn run_against(server: &Server, scenarios: &[Arc<Scenario>], options: Options) -> Run {
    let target = Target::from_url(&server.url(), &[Dialect::Echo]).unwrap();
    run_target(target, scenarios, options).await
}

/// Runs scenarios against a target.
pub(crate) async fn run_target(target: Target, scenarios: &[Arc<Scenario>], options: Options) -> Run {
    let sut = Arc::new(Sut::start(target).await.unwrap());
    let (events, mut heard) = mpsc::channel(64);
    let run = run(
        sut,
        scenarios,
        Rules::builtin(),
        options,
        events,
        CancellationToken::new(),
    );
    let (run, ()) = tokio::join!(run, async { while heard.recv().await.is_some() {} });
    run.unwrap()
}

/// Runs one scenario against a server that is crooked in one way.
pub(crate) async fn judged(crook: Crook, yaml: &str) -> CaseResult {
    let server = Server::start(crook).await;
    let mut run = run_against(&server, &[scenario("echo/x", yaml)], options()).await;
    assert_eq!(run.cases.len(), 1, "one case");
    run.cases.remove(0)
}

/// The verdict, the failed aspects, and under which clauses: `failed message echo/2a`.
pub(crate) fn summary(case: &CaseResult) -> String {
    let mut words = vec![case.verdict.name().to_owned()];
    let failed = Check::ALL
        .into_iter()
        .filter(|check| case.checks.get(*check) == CheckState::Failed);
    words.extend(failed.map(|check| check.name().to_owned()));
    for finding in &case.findings {
        if !words.contains(&finding.clause.0) {
            words.push(finding.clause.0.clone());
        }
    }
    words.join(" ")
}

/// Runs each scenario against its crook, side by side, and compares the summaries.
pub(crate) async fn check(cases: &[(&str, Crook, &str, &str)]) {
    let judging = cases.iter().map(|(_, crook, yaml, _)| judged(*crook, yaml));
    let judged = futures_util::future::join_all(judging).await;
    let mut wrong = Vec::new();
    for ((name, _, _, expected), case) in cases.iter().zip(judged) {
        let summary = summary(&case);
        if summary != *expected {
            let found = (case.findings, case.reason);
            wrong.push(format!(
                "{name}: expected `{expected}`, got `{summary}`: {found:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
