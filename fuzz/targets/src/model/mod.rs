//! What a message means, read from the rules of each dialect a second time and in another way: the decoders are held
//! against this, and so is what a served dialect answers.

pub(crate) mod direct;
pub(crate) mod feed;
pub(crate) mod outbox;
pub(crate) mod rooms;

use std::collections::BTreeMap;

use crate::plain::Plain;

/// What an error text repeats of a `type` (common/4c).
fn cut(kind: &str) -> String {
    kind.chars().take(100).collect()
}

/// The members of the object that `text` is; `None` if it is bad JSON or something else.
fn object(text: &str) -> Option<BTreeMap<String, Plain>> {
    Plain::read(text)?.object()
}

/// The member of that name, if it is a text.
fn text<'a>(members: &'a BTreeMap<String, Plain>, name: &str) -> Option<&'a str> {
    members.get(name)?.text()
}

pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}
