//! Real servers for tests, on free ports of the loopback, ended when they are dropped; and what can go wrong before them.

pub(crate) mod proxy;
pub(crate) mod server;
