//! What is built on Redis, against servers that the tests start: the contract, on one server and on a cluster, and what is
//! promised beyond it when something goes wrong.

#[path = "../contract/mod.rs"]
mod contract;

mod bus;
mod link;
mod presence;
mod sessions;
mod store;
mod support;
