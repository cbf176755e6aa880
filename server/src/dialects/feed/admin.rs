//! What an administrator can do with `feed`.

use touchstone_storage::{Accounts, Bus, Presence};

use super::Feed;
use crate::admin::Administered;

impl<S: Accounts, B: Bus, P: Presence> Administered for Feed<S, B, P> {}
