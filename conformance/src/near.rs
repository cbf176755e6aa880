//! What was meant by a name or a pattern that names nothing.

use touchstone_scenarios::diag::closest;
use touchstone_scenarios::glob::Glob;

/// Names that are worth reading before one looks at the whole list.
const NAMES_MAX: usize = 3;

/// Letters that both begin with, for a name to be told where they are otherwise unlike: the number of a section.
const COMMON_LETTERS_MIN: usize = 1;

/// The names and patterns that `wrong` may have been meant to be, the likeliest first. Empty where none comes near.
#[must_use]
pub fn near<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let (folder, rest) = wrong.split_once('/').unwrap_or((wrong, ""));
    let folder_of = |name: &&'a str| name.split_once('/').map_or(*name, |(folder, _)| folder);
    let mut folders: Vec<&str> = known.iter().map(folder_of).collect();
    folders.sort_unstable();
    folders.dedup();
    if !folders.contains(&folder) {
        return closest(folder, &folders)
            .map(|meant| in_folder(meant, rest, &known))
            .unwrap_or_default();
    }
    in_folder(folder, rest, &known)
}

/// The same, for the rest of a name whose folder is right.
fn in_folder(folder: &str, rest: &str, known: &[&str]) -> Vec<String> {
    let corrected = format!("{folder}/{rest}");
    let glob: Option<Glob> = corrected.parse().ok();
    if glob.is_some_and(|glob| known.iter().any(|name| glob.matches(name))) {
        return vec![corrected];
    }
    let begun = rest.split('*').next().unwrap_or_default();
    let mut ranked: Vec<_> = known
        .iter()
        .filter_map(|name| Some((*name, name.strip_prefix(folder)?.strip_prefix('/')?)))
        .map(|(name, own)| (common(begun, own), strsim::jaro_winkler(begun, own), name))
        .filter(|(letters, alike, _)| *letters >= COMMON_LETTERS_MIN || *alike >= ALIKE_MIN)
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)).then(a.2.cmp(b.2)));
    ranked.dedup_by_key(|(.., name)| *name);
    let mut names: Vec<_> = ranked.into_iter().map(|(.., name)| name.to_owned()).collect();
    names.truncate(NAMES_MAX);
    if names.is_empty() {
        names.push(format!("{folder}/**"));
    }
    names
}

/// Below this, names have hardly more than a few letters in common.
const ALIKE_MIN: f64 = 0.7;

fn common(left: &str, right: &str) -> usize {
    left.chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .count()
}

/// For the end of an error: what may have been meant, and where to look.
#[must_use]
pub fn hint(names: &[String], look: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => look.to_owned(),
        [only] => format!("did you mean {only}? {look}"),
        [first @ .., last] => format!("did you mean {} or {last}? {look}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "echo/2a",
        "echo/2a-verbatim[a word]",
        "echo/2b-again",
        "common/5a-limit@echo",
        "common/8a-order@echo",
        "rfc6455/5-masked",
    ];

    #[test]
    fn slips_of_names_folders_and_patterns_are_told() {
        for (wrong, meant) in [
            ("ecko/2a", &["echo/2a"][..]),
            ("ecko/*", &["echo/*"]),
            (
                "echo/2z",
                &["echo/2a", "echo/2b-again", "echo/2a-verbatim[a word]"],
            ),
            (
                "echo/2a-verbatm",
                &["echo/2a-verbatim[a word]", "echo/2a", "echo/2b-again"],
            ),
            ("common/5a-limt*", &["common/5a-limit@echo"]),
            ("rfc6455/zzz*", &["rfc6455/**"]),
            ("outbox/1a", &[]),
        ] {
            assert_eq!(near(wrong, KNOWN), meant, "{wrong}");
        }
    }

    #[test]
    fn what_was_meant_is_asked_in_one_sentence() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(hint(&[], "look"), "look");
        assert_eq!(hint(&names(&["a"]), "look"), "did you mean `a`? look");
        assert_eq!(
            hint(&names(&["a", "b", "c"]), "look"),
            "did you mean `a`, `b` or `c`? look"
        );
    }
}
