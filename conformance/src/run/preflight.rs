//! What is in the way of cases before the first of them, found by a look at each dialect that they are run on.

use futures_util::future::join_all;
use touchstone_protocol::Dialect;
use touchstone_sut::Sut;

use super::RunError;
use crate::probe::{Depth, Outcome, Tried, probe};
use crate::select::Case;

/// Looks at every dialect that these cases are run on.
///
/// # Errors
/// Of each of them something is in the way that none of its cases can do without.
pub(super) async fn look(sut: &Sut, cases: &[Case]) -> Result<Vec<Tried>, RunError> {
    let mut dialects: Vec<Dialect> = Vec::new();
    for case in cases {
        let Some(dialect) = case.dialect else { continue };
        if case.missing_requirement(sut.target()).is_none() && !dialects.contains(&dialect) {
            dialects.push(dialect);
        }
    }
    let looks = dialects
        .iter()
        .map(|dialect| probe(sut, *dialect, Depth::Connection));
    let found: Vec<Tried> = join_all(looks)
        .await
        .into_iter()
        .flatten()
        .filter(|tried| tried.trouble().is_some())
        .collect();
    let hopeless = |dialect: &Dialect| {
        let mut its = found.iter().filter(|tried| tried.dialect == Some(*dialect));
        its.any(|tried| is_of_provision(tried) || matches!(tried.outcome, Outcome::NothingThere(_)))
    };
    let some_do_without = cases.iter().any(|case| case.dialect.is_none());
    if !dialects.is_empty() && !some_do_without && dialects.iter().all(hopeless) {
        return Err(RunError::NothingWorks(found.iter().map(sentence).collect()));
    }
    // A handshake that is refused is for the cases to judge; that there is nothing at a path is worth a word all the same.
    let worth_a_word =
        |tried: &Tried| is_of_provision(tried) || matches!(tried.outcome, Outcome::NothingThere(_));
    Ok(found.into_iter().filter(worth_a_word).collect())
}

/// Whether it is about users, tokens and channels, and not about a connection.
fn is_of_provision(tried: &Tried) -> bool {
    !tried.key.starts_with("paths.") && tried.key != "urls"
}

/// As it is said, with the key first.
pub(super) fn sentence(tried: &Tried) -> String {
    let why = tried.trouble().unwrap_or_default();
    match tried.dialect {
        Some(dialect) => format!("`{}` ({dialect}): {why}", tried.key),
        None => format!("`{}`: {why}", tried.key),
    }
}

/// Whether this case would meet it: those without users do not need them.
pub(super) fn is_met_by(tried: &Tried, case: &Case) -> bool {
    tried.dialect.is_some()
        && case.dialect == tried.dialect
        && is_of_provision(tried)
        && !case.scenario.cast.users.is_empty()
}
