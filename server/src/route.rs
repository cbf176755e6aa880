//! A WebSocket route: the dialect behind it, and what its connections share.

use std::sync::Arc;

use crate::connection::Terms;
use crate::drain::Draining;
use crate::heartbeat::Heartbeats;
use crate::hub::Hub;

/// Everything a connection of this route needs.
#[derive(Debug)]
pub(crate) struct Route<D> {
    pub(crate) dialect: Arc<D>,
    pub(crate) hub: Arc<Hub>,
    /// `None` where the dialect has none.
    pub(crate) heartbeats: Option<Arc<Heartbeats>>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) draining: Draining,
}
