//! How names become parts of keys: a part never contains what separates parts, or what a cluster looks for to find the
//! slot of a key.

use std::borrow::Cow;

/// `name` as a part of a key: `%`, `:`, `{` and `}` are percent-encoded, all else is as it was.
pub(super) fn part(name: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 4] = ['%', ':', '{', '}'];
    if !name.contains(SPECIAL) {
        return Cow::Borrowed(name);
    }
    let mut encoded = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if SPECIAL.contains(&character) {
            encoded.push_str(&format!("%{:02x}", u32::from(character)));
        } else {
            encoded.push(character);
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_names_are_different_parts_and_none_splits_a_key() {
        for (name, expected) in [
            ("room-1 \u{1F980}", "room-1 \u{1F980}"),
            ("a:b", "a%3ab"),
            ("a%3ab", "a%253ab"),
            ("}{", "%7d%7b"),
        ] {
            assert_eq!(part(name), expected);
        }
    }
}
