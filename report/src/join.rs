//! One [`Document`] out of several.

use std::collections::HashSet;

use crate::document::{Document, Section, Verdict};
use crate::text;

impl Document {
    /// One document out of several, in their order.
    ///
    /// The verdict is the worst of theirs; the headlines follow each other, the worst part's first. Facts that all
    /// parts tell alike are told once, others name their part. Anchors are prefixed with the part's title, so that
    /// equal sections stay apart. Without parts it is an empty document that passed.
    #[must_use]
    pub fn join(title: impl Into<String>, parts: Vec<Self>) -> Self {
        let verdict = parts
            .iter()
            .fold(Verdict::Passed, |worst, part| worst.worse(part.verdict));
        let mut joined = Self::new(title, verdict, joined_headline(&parts));
        joined.facts = joined_facts(&parts);
        let mut anchors = HashSet::new();
        for part in parts {
            let prefix = text::slug(&part.title);
            joined.tiles.extend(part.tiles);
            joined.sections.extend(part.sections.into_iter().map(|section| {
                let id = unused(&mut anchors, &format!("{prefix}-{}", section.id));
                Section { id, ..section }
            }));
        }
        joined
    }
}

fn joined_headline(parts: &[Document]) -> String {
    let mut parts: Vec<&Document> = parts
        .iter()
        .filter(|part| !part.headline.trim().is_empty())
        .collect();
    // A stable sort: equally bad parts keep their order.
    parts.sort_by_key(|part| std::cmp::Reverse(part.verdict.severity()));
    let sentences: Vec<String> = parts
        .iter()
        .map(|part| {
            let headline = part.headline.trim();
            if headline.ends_with(['.', '!', '?', '…']) {
                headline.to_owned()
            } else {
                format!("{headline}.")
            }
        })
        .collect();
    sentences.join(" ")
}

fn joined_facts(parts: &[Document]) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for part in parts {
        for (label, value) in &part.facts {
            let differs = |other: &Document| other.facts.iter().any(|(l, v)| l == label && v != value);
            let fact = if parts.iter().any(differs) {
                (format!("{label} ({})", part.title), value.clone())
            } else {
                (label.clone(), value.clone())
            };
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    facts
}

/// `wanted`, or `wanted-2`, `wanted-3` … where it is taken already.
pub(crate) fn unused(taken: &mut HashSet<String>, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Tile;

    fn part(title: &str, verdict: Verdict, headline: &str) -> Document {
        Document::new(title, verdict, headline)
            .fact("version", "0.1.0")
            .fact("duration", title.len().to_string())
            .tile(Tile::new(title, "1"))
            .section(Section::new("Summary"))
    }

    #[test]
    fn joining_takes_the_worst_verdict_and_puts_its_headline_first() {
        use Verdict::{Failed, Interrupted, Passed, Undecided};
        for (verdicts, expected) in [
            ([Passed, Passed], Passed),
            ([Passed, Undecided], Undecided),
            ([Interrupted, Undecided], Interrupted),
            ([Failed, Interrupted], Interrupted),
        ] {
            let parts = vec![
                part("conform", verdicts[0], "first"),
                part("load", verdicts[1], "second."),
            ];
            let joined = Document::join("check", parts);
            assert_eq!(joined.verdict, expected, "{verdicts:?}");
            let worst_first = if verdicts[1] == expected && verdicts[0] != expected {
                "second. first."
            } else {
                "first. second."
            };
            assert_eq!(joined.headline, worst_first, "{verdicts:?}");
        }
    }

    #[test]
    fn joining_keeps_anchors_apart_and_tells_equal_facts_once() {
        let twice = vec![
            part("load", Verdict::Passed, ""),
            part("load", Verdict::Passed, ""),
            part("conform", Verdict::Passed, ""),
        ];
        let joined = Document::join("check", twice);
        let ids: Vec<&str> = joined
            .sections
            .iter()
            .map(|section| section.id.as_str())
            .collect();
        assert_eq!(ids, ["load-summary", "load-summary-2", "conform-summary"]);
        let labels: Vec<&str> = joined.facts.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["version", "duration (load)", "duration (conform)"]);
        assert_eq!(joined.tiles.len(), 3);
        assert_eq!(joined.headline, "");
        assert_eq!(Document::join("nothing", Vec::new()).verdict, Verdict::Passed);
    }
}
