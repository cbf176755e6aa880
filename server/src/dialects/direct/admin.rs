//! What an administrator can do with `direct`.

use touchstone_storage::{Accounts, Bus, Presence};

use super::Direct;
use crate::admin::Administered;

impl<S: Accounts, B: Bus, P: Presence> Administered for Direct<S, B, P> {}
