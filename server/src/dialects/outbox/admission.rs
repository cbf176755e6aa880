//! Whose token is good, and since when it is not (outbox/1, 2, 14).

use serde_json::{Map, Value};
use touchstone_protocol::close::CloseCode;
use touchstone_protocol::{Dialect, outbox, routes};
use touchstone_storage::{Account, Bus, BusError, Presence, StoreError};

use super::news::{self, News};
use super::{Keeps, Outbox, REALM, user_uuid};
use crate::auth::Claims;
use crate::connection::{Close, OpenRequest};
use crate::query::Query;

/// The claim that tells a refresh token from one for connecting.
const TOKEN_TYPE: &str = "token_type";
const REFRESH: &str = "refresh";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenUse {
    /// Connecting, and everything over HTTP.
    Access,
    /// Getting another for access.
    Refresh,
}

/// A token that is good as far as it says itself.
#[derive(Debug)]
pub(super) struct ShownToken {
    /// Whose it is: a UUID in canonical form, in lower case.
    pub(super) user: String,
    pub(super) claims: Claims,
    /// What was signed. Without the signature it lets nobody in.
    signed: String,
}

/// What the store knows of a token that was shown.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is good, and this is whose it is.
    Good(Account),
    /// Its user has logged out since.
    Revoked,
    /// There is no such user.
    UnknownUser,
}

impl<S: Keeps, B: Bus, P: Presence> Outbox<S, B, P> {
    /// The token of a handshake.
    pub(super) fn token_shown(&self, request: &OpenRequest) -> Result<ShownToken, Close> {
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(Dialect::Outbox)
            .and_then(|name| query.get(name))
            .ok_or_else(|| Close::new(outbox::CLOSE_NO_TOKEN, "no token"))?;
        self.verify(&token, TokenUse::Access).ok_or_else(invalid)
    }

    /// Whether the token's user may have the stream at `place`, in the order of outbox/2b.
    pub(super) async fn admit(&self, shown: &ShownToken, place: &str) -> Result<(), Close> {
        let standing = self.standing(shown).await;
        let standing = standing.map_err(|_| Close::new(CloseCode::INTERNAL, "server error"))?;
        if let Standing::Revoked = standing {
            return Err(invalid());
        }
        let undecodable = || Close::new(outbox::CLOSE_UNDECODABLE, "undecodable UUID");
        let asked_for = user_uuid::decode(place).ok_or_else(undecodable)?;
        if asked_for != shown.user {
            return Err(Close::new(outbox::CLOSE_OTHER_USER, "another user's token"));
        }
        match standing {
            Standing::Good(_) => Ok(()),
            Standing::Revoked => Err(invalid()),
            Standing::UnknownUser => Err(Close::new(outbox::CLOSE_UNKNOWN_USER, "unknown user")),
        }
    }

    /// Judges a token by what it says.
    pub(super) fn verify(&self, token: &str, wanted: TokenUse) -> Option<ShownToken> {
        let claims = self.backing.tokens.verify(token, self.backing.clock.now()).ok()?;
        let token_use = match claims.text(TOKEN_TYPE) {
            Some(REFRESH) => TokenUse::Refresh,
            _ => TokenUse::Access,
        };
        let user = user_uuid::canonical(claims.text("sub")?)?;
        let (signed, _) = token.rsplit_once('.')?;
        (token_use == wanted).then(|| ShownToken {
            user,
            claims,
            signed: signed.to_owned(),
        })
    }

    /// Judges a token by what happened since it was made.
    pub(super) async fn standing(&self, shown: &ShownToken) -> Result<Standing, StoreError> {
        let store = &self.backing.store;
        let (account, revoked) = tokio::join!(
            store.call(store.account(REALM, &shown.user)),
            store.call(store.is_revoked(REALM, &shown.signed)),
        );
        let (account, revoked) = (account?, revoked?);
        let logged_out = account.as_ref().and_then(|account| account.logged_out_second);
        let is_older = match (shown.claims.issued_second(), logged_out) {
            (Some(issued), Some(logged_out)) => issued < logged_out,
            (_, _) => false,
        };
        Ok(match account {
            _ if revoked || is_older => Standing::Revoked,
            Some(account) => Standing::Good(account),
            None => Standing::UnknownUser,
        })
    }

    /// A token for a user; `None` where there is no key to sign one.
    pub(super) fn issue(&self, user: &str, token_use: TokenUse) -> Option<String> {
        let tokens = &self.backing.tokens;
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), Value::from(user));
        let lifetime = match token_use {
            TokenUse::Access => tokens.access_lifetime,
            TokenUse::Refresh => {
                claims.insert(TOKEN_TYPE.to_owned(), Value::from(REFRESH));
                tokens.refresh_lifetime
            }
        };
        tokens.sign(claims, self.backing.clock.now(), lifetime)
    }

    /// Ends what the token's user has: his older tokens, this one, and his connections, in this order, so that whoever is
    /// closed cannot come back (outbox/14).
    pub(super) async fn log_out(&self, shown: &ShownToken) -> Result<(), StoreError> {
        let (store, now) = (&self.backing.store, self.backing.clock.now());
        let second = now.millis() / 1_000;
        store.call(store.note_logout(REALM, &shown.user, second)).await?;
        let until = shown.claims.expires;
        let revoked = store.call(store.revoke(REALM, &shown.signed, now, until)).await;
        let close = Close::new(CloseCode::NORMAL, outbox::REASON_LOGGED_OUT);
        if let Err(error) = self.close_connections(&shown.user, close).await {
            tracing::warn!(%error, "a logout has not reached every node");
        }
        revoked
    }

    /// Closes a user's connections on every node.
    pub(super) async fn close_connections(&self, user: &str, close: Close) -> Result<(), BusError> {
        self.tell(&news::topic(user), &News::Close(close)).await
    }
}

fn invalid() -> Close {
    Close::new(outbox::CLOSE_INVALID_TOKEN, "invalid token")
}
