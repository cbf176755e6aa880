//! Names of places: where users are kept, what channels are called on the bus and in presence.

use std::sync::Arc;

/// Where tenants are kept; also the topic of what is not about one channel.
pub(super) const REALM: &str = "rooms";

/// The topic of whom a node leaves behind that stops. No channel's: its schema name would be none.
pub(super) const STOPPED: &str = "rooms/stopped";

/// Characters of the longest schema name.
const SCHEMA_NAME_CHARS_MAX: usize = 63;

/// Whether a tenant may be called so in paths. None of these characters has a meaning in a path or in a topic, so no tenant
/// can be mistaken for a channel of another (rooms/9a).
pub(super) fn is_schema_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=SCHEMA_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// Where the users and channels of a tenant are kept, and where its users are counted as present.
pub(super) fn realm(schema_name: &str) -> String {
    format!("{REALM}:{schema_name}")
}

/// The tenant whose realm this is.
pub(super) fn schema_name(realm: &str) -> Option<&str> {
    realm.strip_prefix(REALM)?.strip_prefix(':')
}

/// The topic of a channel, and where those are counted who are connected to it.
pub(super) fn topic(realm: &str, channel: &str) -> Arc<str> {
    format!("{realm}:{channel}").into()
}

/// The realm and the channel that a topic is made of.
pub(super) fn parts(topic: &str) -> (&str, &str) {
    let realm = realm_of(topic).expect("a topic has a realm, and a colon behind it");
    (realm, &topic[realm.len() + 1..])
}

/// The realm of a channel's topic; `None` if it is nobody's topic.
pub(super) fn realm_of(topic: &str) -> Option<&str> {
    let schema_name = topic.strip_prefix(REALM)?.strip_prefix(':')?;
    let end = schema_name.find(':')?;
    Some(&topic[..REALM.len() + 1 + end])
}

/// The desk of a user's comings and goings in his tenant.
pub(super) fn user_desk(realm: &str, user: &str) -> String {
    format!("{realm}/{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tenant_is_mistaken_for_a_channel_of_another() {
        let names = ["acme", "Acme_2-b"];
        assert!(names.into_iter().all(is_schema_name));
        let long = "x".repeat(64);
        for odd in ["", "a:b", "a/b", "a b", "\u{e9}", "a\0", &long] {
            assert!(!is_schema_name(odd), "{odd}");
        }
        for channel in ["c", "a:b", ":", ""] {
            let realm = realm("acme");
            assert_eq!(parts(&topic(&realm, channel)), ("rooms:acme", channel));
        }
        for odd in ["", "rooms", "rooms:acme", "feed:acme:c"] {
            assert_eq!(realm_of(odd), None, "{odd}");
        }
    }
}
