//! Those of a cast whom one part of a run plays, as one process tells them another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_sut::Sut;

use super::{Cast, Group, Member, Role, Speaks};
use crate::part::Part;

/// Who the sessions of a part are, and the groups of all.
#[derive(Clone, Serialize, Deserialize)]
pub struct Share {
    tenants: Vec<Value>,
    /// In the order of their sessions.
    members: Vec<Told>,
    /// The channel of each group, and the ids of its members.
    groups: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Told {
    id: String,
    fields: String,
    tenant: usize,
    token: Option<String>,
    group: u32,
    place: u32,
}

/// What is known of users may be secret.
impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} users)", self.members.len())
    }
}

impl Cast {
    /// What part `number` of `of` has to know.
    pub(crate) fn share(&self, number: u32, of: u32) -> Share {
        let mut tenants: Vec<Value> = Vec::new();
        let mut tell = |member: &Member| {
            let known = tenants.iter().rposition(|tenant| *tenant == *member.tenant);
            let tenant = known.unwrap_or_else(|| {
                tenants.push(Value::clone(&member.tenant));
                tenants.len() - 1
            });
            Told {
                id: member.id.to_string(),
                fields: member.fields.to_string(),
                tenant,
                token: member.token.as_deref().map(str::to_owned),
                group: member.group,
                place: member.place,
            }
        };
        let count = self.members.len() as u32;
        let sessions = match self.speaks {
            Speaks::Dialect => Part::sessions(number, of, count),
            // What a template says of a recipient is known of everybody.
            Speaks::Custom => Part::sessions(0, 1, count),
        };
        let members = sessions
            .map(|session| tell(&self.members[session as usize]))
            .collect();
        let groups = self.groups.iter();
        Share {
            tenants,
            members,
            groups: groups
                .map(|group| (group.channel.clone(), group.ids.to_vec()))
                .collect(),
        }
    }

    /// The cast of a part, whose sessions are every `of`-th.
    pub(crate) fn of_share(sut: Arc<Sut>, role: Role<'_>, share: Share, of: u32) -> Self {
        let tenants: Vec<Arc<Value>> = share.tenants.into_iter().map(Arc::new).collect();
        let member = |told: Told| Member {
            id: told.id.into_boxed_str(),
            fields: told.fields.into_boxed_str(),
            tenant: tenants.get(told.tenant).map(Arc::clone).unwrap_or_default(),
            token: told.token.map(String::into_boxed_str),
            group: told.group,
            place: told.place,
        };
        let group = |(channel, ids): (String, Vec<String>)| Group {
            channel,
            ids: ids.into(),
        };
        Self {
            sut,
            dialect: role.dialect,
            speaks: role.speaks,
            tokens: role.tokens,
            members: share.members.into_iter().map(member).collect(),
            every: match role.speaks {
                Speaks::Dialect => of,
                Speaks::Custom => 1,
            },
            groups: share.groups.into_iter().map(group).collect(),
            _people: Vec::new(),
        }
    }
}
