//! What an administrator can do with `outbox`.

use touchstone_storage::{Accounts, Bus, Presence};

use super::Outbox;
use crate::admin::Administered;

impl<S: Accounts, B: Bus, P: Presence> Administered for Outbox<S, B, P> {}
