//! The codec seen from outside: what it reads and refuses, what it writes, and how it compares with tungstenite.

mod client;
mod deflate;
mod encoder;
mod heard;
mod negotiation;
mod oracle;
mod receiver;
mod streams;
