//! Orders that reach every node: close somebody's connections, or tell users something that is not about a channel.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use touchstone_protocol::close::CloseCode;
use touchstone_wire as wire;

use super::member::{Member, Telling};
use super::{Rooms, place};
use crate::connection::Close;

/// An order, as it travels between nodes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// To end a user's connections.
    Close {
        #[serde(borrow)]
        realm: Cow<'a, str>,
        #[serde(borrow)]
        user: Cow<'a, str>,
        code: u16,
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
    /// To tell users something.
    Tell {
        /// Where they are; `None` for everywhere.
        realm: Option<String>,
        /// `None` for all of them.
        users: Option<HashSet<String>>,
        #[serde(borrow)]
        json: Cow<'a, str>,
    },
}

impl<'a> Order<'a> {
    pub(super) fn pack(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("an order is always JSON, and a Vec takes it"))
    }

    pub(super) fn read(packed: &'a [u8]) -> Option<Self> {
        match serde_json::from_slice(packed) {
            Ok(order) => Some(order),
            Err(error) => {
                tracing::error!(%error, "an order of another node cannot be read");
                None
            }
        }
    }
}

impl<S, B, P> Rooms<S, B, P> {
    /// Does what is ordered, as far as it is about connections of this node.
    pub(super) fn obey<'a>(&self, orders: impl Iterator<Item = Order<'a>>) {
        for order in orders {
            let members = self.groups.everyone();
            match order {
                Order::Close {
                    realm,
                    user,
                    code,
                    reason,
                } => {
                    let close = Close::new(CloseCode(code), reason);
                    members
                        .iter()
                        .filter(|member| *member.user.id == *user && is_in(member, &realm))
                        .for_each(|member| member.mailbox.close(&close));
                }
                Order::Tell { realm, users, json } => {
                    let frame = wire::server_text(&json);
                    members
                        .iter()
                        .filter(|member| realm.as_ref().is_none_or(|realm| is_in(member, realm)))
                        .filter(|member| {
                            users
                                .as_ref()
                                .is_none_or(|users| users.contains(&*member.user.id))
                        })
                        .for_each(|member| {
                            member.tell([Telling {
                                sequence: 0,
                                frame: frame.clone(),
                            }]);
                        });
                }
            }
        }
    }
}

pub(super) fn is_in(member: &Member, realm: &str) -> bool {
    place::parts(&member.topic).0 == realm
}
