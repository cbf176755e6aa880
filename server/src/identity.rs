//! Whose connection is asked for, found out before it is granted, so that one too many can be answered 503 (common/7b).
//! The dialect checks the token again, and all that goes with it, when it opens; here a token that is no good is nobody's.

use touchstone_protocol::{Dialect, routes};

use crate::auth::Tokens;
use crate::connection::OpenRequest;
use crate::query::Query;
use crate::shared::Shared;

impl Shared {
    /// A name for the user that no user of another dialect or tenant has. `None` where there are no users.
    pub(crate) fn identity(&self, dialect: Dialect, request: &OpenRequest) -> Option<String> {
        let now = self.echo.dialect.clock.now();
        let query = Query::new(request.query.as_deref());
        let token = routes::token_parameter(dialect).and_then(|name| query.get(name))?;
        let claims = self.tokens(dialect)?.verify(&token, now).ok()?;
        let (id, tenant) = match dialect {
            Dialect::Echo => return None,
            Dialect::Rooms => (claims.id("user_id")?, claims.text("schema_name")?),
            Dialect::Outbox => (claims.text("sub")?.to_ascii_lowercase(), ""),
            // A number, however it is written (feed/1d).
            Dialect::Feed => (claims.id("user_id")?.parse::<u64>().ok()?.to_string(), ""),
            Dialect::Direct => (claims.text("id")?.to_ascii_lowercase(), ""),
        };
        Some(format!("{dialect}/{tenant}/{id}"))
    }

    fn tokens(&self, dialect: Dialect) -> Option<&Tokens> {
        match dialect {
            Dialect::Echo => None,
            Dialect::Rooms => Some(&self.rooms.dialect.backing.tokens),
            Dialect::Outbox => Some(&self.outbox.dialect.backing.tokens),
            Dialect::Feed => Some(&self.feed.dialect.backing.tokens),
            Dialect::Direct => Some(&self.direct.dialect.backing.tokens),
        }
    }
}
