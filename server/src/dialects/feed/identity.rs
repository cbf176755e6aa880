//! Who somebody is: the tokens of `feed`, and the user behind one.

use serde_json::{Map, Value};
use touchstone_storage::{Account, Accounts, Timestamp};

use super::{Feed, REALM};

/// The claim that names the user (feed/1d).
const CLAIM_USER: &str = "user_id";

/// The claim that says what a token is for.
const CLAIM_USE: &str = "token_type";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To connect, and for HTTP.
    Access,
    /// To fetch another access token, and for nothing else (feed/1c).
    Refresh,
}

/// The user behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: i64,
    /// The id as the store, the presence and the bus have it.
    pub(super) key: String,
    /// What others are told that he is called.
    pub(super) name: String,
    /// When the token runs out.
    pub(super) expires: Timestamp,
}

/// Why nobody is known to be behind a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unidentified {
    /// It is no token of a user.
    Unauthenticated,
    /// The store did not say.
    Store,
}

impl Use {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    /// Whether a token that says this of itself is for this use. One that says nothing is for access: others sign
    /// tokens as well.
    fn allows(self, said: Option<&Value>) -> bool {
        match (self, said) {
            (_, Some(said)) => said.as_str() == Some(self.name()),
            (Self::Access, None) => true,
            (Self::Refresh, None) => false,
        }
    }
}

impl<S: Accounts, B, P> Feed<S, B, P> {
    /// The user whom a token names, if he exists (feed/1).
    pub(super) async fn identify(&self, token: &str, wanted: Use) -> Result<User, Unidentified> {
        let unauthenticated = Unidentified::Unauthenticated;
        let claims = self.backing.tokens.verify(token, self.backing.clock.now());
        let claims = claims.map_err(|_| unauthenticated)?;
        if !wanted.allows(claims.get(CLAIM_USE)) {
            return Err(unauthenticated);
        }
        let id = claims
            .id(CLAIM_USER)
            .and_then(|id| parse_id(&id))
            .ok_or(unauthenticated)?;
        let key = id.to_string();
        let store = &self.backing.store;
        match store.call(store.account(REALM, &key)).await {
            Ok(Some(account)) => Ok(User {
                id,
                key,
                name: called(account),
                expires: claims.expires,
            }),
            Ok(None) => Err(unauthenticated),
            Err(_) => Err(Unidentified::Store),
        }
    }

    /// A token for a user, issued now. `None` where there is no key to sign one.
    pub(super) fn token(&self, user: i64, r#use: Use) -> Option<String> {
        let claims = Map::from_iter([
            (CLAIM_USER.to_owned(), user.into()),
            (CLAIM_USE.to_owned(), r#use.name().into()),
        ]);
        let tokens = &self.backing.tokens;
        let lifetime = match r#use {
            Use::Access => tokens.access_lifetime,
            Use::Refresh => tokens.refresh_lifetime,
        };
        tokens.sign(claims, self.backing.clock.now(), lifetime)
    }
}

/// A user's id: an integer, however it is written (feed/1d).
pub(super) fn parse_id(text: &str) -> Option<i64> {
    // Unlike other readers of numbers: no plus sign.
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

fn called(account: Account) -> String {
    account.name.unwrap_or(account.username)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_integer_however_it_is_written() {
        for (text, expected) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("+5", None),
            ("--5", None),
            ("5.0", None),
            ("5 ", None),
            ("ann", None),
            ("", None),
        ] {
            assert_eq!(parse_id(text), expected, "{text}");
        }
    }

    #[test]
    fn a_refresh_token_is_for_nothing_else() {
        for (said, access, refresh) in [
            (None, true, false),
            (Some(Value::from("access")), true, false),
            (Some(Value::from("refresh")), false, true),
            (Some(Value::from("sliding")), false, false),
            (Some(Value::Null), false, false),
        ] {
            assert_eq!(Use::Access.allows(said.as_ref()), access, "{said:?}");
            assert_eq!(Use::Refresh.allows(said.as_ref()), refresh, "{said:?}");
        }
    }
}
