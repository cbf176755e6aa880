//! What the server does about messages: one file per dialect, none of which ever sees a socket.

pub(crate) mod echo;
pub(crate) mod raw_echo;

use std::future::Future;

use crate::connection::{Close, Mailbox, OpenRequest};

/// A whole message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// The server half of a dialect. For each connection `open` comes first, then `hear` for each message, one at a time
/// and in order, then `farewell` if the server stops, and `closed` last; each runs to its end, also when the socket has
/// died meanwhile.
pub(crate) trait DialectServer: Send + Sync + 'static {
    /// What is remembered between two messages of one connection.
    type Session: Send + Sync + 'static;

    /// A connection was opened; the error closes it at once, and then nothing further is called.
    fn open(
        &self,
        request: OpenRequest,
        mailbox: &Mailbox,
    ) -> impl Future<Output = Result<Self::Session, Close>> + Send;

    /// A message arrived; the error closes the connection.
    fn hear(
        &self,
        session: &mut Self::Session,
        heard: Heard<'_>,
        mailbox: &Mailbox,
    ) -> impl Future<Output = Result<(), Close>> + Send;

    /// The server stops: the last message, if the dialect has one.
    fn farewell(&self, session: &mut Self::Session, mailbox: &Mailbox);

    /// The connection has ended, in whatever way.
    fn closed(&self, session: Self::Session) -> impl Future<Output = ()> + Send;
}
