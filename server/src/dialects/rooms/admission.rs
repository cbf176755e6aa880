//! Who may do something, and in which tenant: tokens, for connections and requests alike.

use std::sync::Arc;

use serde_json::{Map, Value};
use touchstone_protocol::rooms::messages::Id;
use touchstone_storage::{Accounts, StoreError, Tenant, Timestamp};

use super::Rooms;
use super::member::{User, wire_id};
use super::place::{self, REALM};

/// What a token is for (rooms/1b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A user in his tenant, who has shown a good token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) user: Arc<User>,
    pub(super) tenant: Arc<Tenant>,
    /// Where his tenant's users and channels are kept.
    pub(super) realm: Arc<str>,
    /// When his last connection ended.
    pub(super) last_seen: Option<Timestamp>,
    /// When his token runs out.
    pub(super) expires: Timestamp,
}

/// Why a token shows nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// It is no good, or the user or the tenant does not exist (rooms/1a, 1b).
    Refused,
    /// The store did not answer.
    Unavailable,
}

impl From<StoreError> for NotAdmitted {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}

impl<S: Accounts, B, P> Rooms<S, B, P> {
    /// The user whom the token shows.
    pub(super) async fn admit(&self, token: &str, kind: TokenKind) -> Result<Caller, NotAdmitted> {
        let verified = self.backing.tokens.verify(token, self.backing.clock.now());
        let claims = verified.map_err(|_| NotAdmitted::Refused)?;
        let is_of_kind = match claims.get("token_type") {
            None => kind == TokenKind::Access,
            Some(other) => *other == kind.name(),
        };
        let ids = (claims.id("user_id"), claims.id("tenant_id"));
        let (true, (Some(user), Some(tenant_id)), Some(schema_name)) =
            (is_of_kind, ids, claims.text("schema_name"))
        else {
            return Err(NotAdmitted::Refused);
        };
        let store = &self.backing.store;
        let tenant = store.call(store.tenant(REALM, schema_name)).await?;
        let tenant = tenant.filter(|tenant| tenant.id == tenant_id);
        let tenant = tenant.ok_or(NotAdmitted::Refused)?;
        let realm = place::realm(&tenant.schema_name);
        let account = store.call(store.account(&realm, &user)).await?;
        let account = account.ok_or(NotAdmitted::Refused)?;
        Ok(Caller {
            last_seen: account.last_seen,
            user: Arc::new(account.into()),
            tenant: Arc::new(tenant),
            realm: realm.into(),
            expires: claims.expires,
        })
    }

    /// A token for the user; `None` where there is no key to sign one.
    pub(super) fn token_for(&self, user: &User, tenant: &Tenant, kind: TokenKind) -> Option<String> {
        let tokens = &self.backing.tokens;
        let mut claims = Map::new();
        claims.insert("token_type".to_owned(), kind.name().into());
        claims.insert("user_id".to_owned(), json_id(&user.wire_id()));
        claims.insert(
            "tenant_id".to_owned(),
            json_id(&wire_id(&tenant.id, tenant.id_form)),
        );
        claims.insert("schema_name".to_owned(), tenant.schema_name.clone().into());
        let lifetime = match kind {
            TokenKind::Access => tokens.access_lifetime,
            TokenKind::Refresh => tokens.refresh_lifetime,
        };
        tokens.sign(claims, self.backing.clock.now(), lifetime)
    }
}

/// An id as a value of JSON.
pub(super) fn json_id(id: &Id<'_>) -> Value {
    match id {
        Id::Text(id) => Value::from(&**id),
        Id::Integer(id) => Value::from(*id),
    }
}
