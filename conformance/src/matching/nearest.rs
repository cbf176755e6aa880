//! Of several things that are not the expected one, how near each came, and what is otherwise in it.

use super::Comparison;
use crate::verdict::Difference;

/// How near a thing at `pointer` came: the fewer places differ, the nearer. `None` where all of it is something else,
/// so that there is nothing to compare.
#[must_use]
pub fn closeness(tried: &Comparison, pointer: &str) -> Option<usize> {
    let whole = tried
        .mismatches
        .iter()
        .any(|mismatch| mismatch.pointer == pointer);
    (!whole).then_some(tried.mismatches.len())
}

/// Every place that differs; where one of several candidates was wanted, with what is otherwise in the nearest.
#[must_use]
pub fn differences(found: &Comparison) -> Vec<Difference> {
    let mut all = Vec::new();
    for mismatch in &found.mismatches {
        all.push(Difference {
            pointer: mismatch.pointer.clone(),
            expected: mismatch.expected.clone(),
            actual: mismatch.actual.clone(),
        });
        all.extend(mismatch.differences.iter().cloned());
    }
    all
}
