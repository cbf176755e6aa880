//! What an administrator can do with `rooms`.

use touchstone_storage::{Accounts, Bus, Presence};

use super::Rooms;
use crate::admin::Administered;

impl<S: Accounts, B: Bus, P: Presence> Administered for Rooms<S, B, P> {}
