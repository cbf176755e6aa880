//! Who takes part in a run, and who stands behind them: made, looked up in a file, or nobody.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use touchstone_protocol::Dialect;
use touchstone_sut::Sut;

use crate::cast::{Anybody, Bearers, Cast, CastError, Casting, Role, Seating, Share, Speaks, Tokens, Whence};
use crate::custom::{CustomProtocol, TOKEN};
use crate::endpoint::{Endpoint, RunError};
use crate::engine::{Backstage, Nobody};
use crate::plan::{Plan, Protocol};

/// Everybody, before the first of them arrives.
pub(super) struct Company {
    /// With what is known of its users.
    pub(super) plan: Plan,
    pub(super) backstage: Arc<dyn Backstage>,
    /// Of users who were made, or looked up.
    pub(super) cast: Option<Arc<Cast>>,
}

/// Who is needed behind the sessions of a plan.
enum Behind<'a> {
    Nobody,
    /// Whoever has the file with their tokens.
    Bearers,
    /// The target, of a dialect without tokens.
    Anybody(&'a Arc<Sut>, Dialect),
    /// Users who are made or looked up, and their tokens.
    Cast(&'a Arc<Sut>, Role<'a>),
}

impl Company {
    /// Makes whom the plan needs, unless another process has: then this is a share of them, and of how many parts.
    pub(super) async fn gather(
        plan: Plan,
        endpoint: &Endpoint,
        share: Option<(Share, u32)>,
        tell: impl Fn(Casting),
        stop: &CancellationToken,
    ) -> Result<Self, RunError> {
        let cast = match behind(&plan, endpoint.sut.as_ref(), &endpoint.name)? {
            Behind::Cast(sut, role) => match share {
                Some((share, of)) => Cast::of_share(Arc::clone(sut), role, share, of),
                None => Cast::make(sut, role, &seating(&plan), tell, stop).await?,
            },
            alone => {
                let backstage: Arc<dyn Backstage> = match alone {
                    Behind::Anybody(sut, dialect) => {
                        let sut = Arc::clone(sut);
                        Arc::new(Anybody { sut, dialect })
                    }
                    Behind::Bearers => Arc::new(Bearers(Arc::clone(&plan.feeds))),
                    Behind::Nobody | Behind::Cast(..) => Arc::new(Nobody),
                };
                return Ok(Self {
                    plan,
                    backstage,
                    cast: None,
                });
            }
        };
        let cast = Arc::new(cast);
        let mut plan = plan;
        if let (Protocol::Custom(custom), false) = (&plan.protocol, plan.feeds.has_users()) {
            let users = cast.rows(&custom.columns())?;
            plan.feeds = Arc::new(plan.feeds.with_users(users));
        }
        Ok(Self {
            plan,
            backstage: Arc::clone(&cast) as Arc<dyn Backstage>,
            cast: Some(cast),
        })
    }
}

/// Makes whom the plan needs; `None` where nobody has to be made.
pub(super) async fn cast(
    plan: &Plan,
    sut: &Arc<Sut>,
    tell: impl Fn(Casting),
    stop: &CancellationToken,
) -> Result<Option<Cast>, RunError> {
    match behind(plan, Some(sut), &sut.target().name)? {
        Behind::Cast(sut, role) => Ok(Some(Cast::make(sut, role, &seating(plan), tell, stop).await?)),
        Behind::Nobody | Behind::Bearers | Behind::Anybody(..) => Ok(None),
    }
}

fn seating(plan: &Plan) -> Seating {
    let seats = |group| plan.groups.members(group).collect();
    Seating((0..plan.groups.count()).map(seats).collect())
}

fn behind<'a>(plan: &'a Plan, sut: Option<&'a Arc<Sut>>, target: &str) -> Result<Behind<'a>, RunError> {
    let whence = match plan.feeds.has_users() {
        true => Whence::File(&plan.feeds),
        false => Whence::Target,
    };
    let (dialect, speaks, tokens) = match (&plan.protocol, sut) {
        (Protocol::Dialect(_), None) => return Ok(Behind::Nobody),
        (Protocol::Dialect(dialect), Some(sut)) if !dialect.has_tokens() => {
            return Ok(Behind::Anybody(sut, *dialect));
        }
        (Protocol::Dialect(dialect), Some(_)) => (*dialect, Speaks::Dialect, Tokens::Wanted),
        (Protocol::Custom(custom), sut) => match (needs(custom, plan), sut) {
            (Needs::Nobody, _) => return Ok(Behind::Nobody),
            (Needs::Bearers, _) => return Ok(Behind::Bearers),
            (Needs::Cast(tokens), Some(sut)) => (dialect_of(custom, sut)?, Speaks::Custom, tokens),
            (Needs::Cast(_), None) => {
                return Err(RunError::Url {
                    url: target.to_owned(),
                    why: "it is not known how its users come to be",
                });
            }
        },
    };
    let role = Role {
        dialect,
        speaks,
        tokens,
        whence,
    };
    Ok(sut.map_or(Behind::Nobody, |sut| Behind::Cast(sut, role)))
}

/// Whom a protocol of somebody's own needs behind its sessions.
enum Needs {
    /// Its templates name nothing of users.
    Nobody,
    /// Whoever has the file with their tokens.
    Bearers,
    /// The target.
    Cast(Tokens),
}

fn needs(protocol: &CustomProtocol, plan: &Plan) -> Needs {
    let columns = protocol.columns();
    let wants_tokens = columns.contains(&TOKEN);
    match (plan.feeds.has_users(), wants_tokens) {
        (true, true) if plan.feeds.users_have(TOKEN) => Needs::Bearers,
        (_, true) => Needs::Cast(Tokens::Wanted),
        (false, false) if !columns.is_empty() => Needs::Cast(Tokens::Unused),
        (_, false) => Needs::Nobody,
    }
}

/// The dialect by whose name the target file says how users come to be.
fn dialect_of(protocol: &CustomProtocol, sut: &Sut) -> Result<Dialect, CastError> {
    let named = protocol.users_of().and_then(|name| name.parse().ok());
    named
        .or_else(|| sut.dialect_of_accounts())
        .ok_or_else(|| CastError::Missing {
            what: "users",
            why: "the target has neither `users` nor `auth`".to_owned(),
            key: "users".to_owned(),
        })
}
