//! What the server does about messages: one file per dialect, none of which ever sees a socket.

pub(crate) mod direct;
pub(crate) mod echo;
pub(crate) mod feed;
pub(crate) mod outbox;
pub(crate) mod raw_echo;
pub(crate) mod rooms;

use std::future::Future;

use bytes::Bytes;

use crate::connection::{Close, Mailbox, OpenRequest};

/// A whole message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// The server half of a dialect. For each connection `open` comes first, then `hear` for each message, one at a time
/// and in order, `ponged` between them, then `settle` if the connection is seen off and `farewell` if the server stops, and
/// `closed` last; each runs to its end, also when the socket has died meanwhile.
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

    /// The peer answered a ping, or sent a pong of its own accord.
    fn ponged(
        &self,
        _session: &mut Self::Session,
        _payload: &[u8],
        _mailbox: &Mailbox,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The heartbeat of this moment, as frames for any number of connections. Asked for only where the route has heartbeats.
    fn heartbeat(&self) -> Bytes {
        Bytes::new()
    }

    /// So many messages were sent that the dialect did not send itself.
    fn note_sent(&self, _messages: u64) {}

    /// Nothing more is heard of the peer: returns once what it has said is done, and the peer told what it is owed for that.
    /// Only a dialect that hears on before that has anything to wait for.
    fn settle(&self, _session: &mut Self::Session) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The server stops: the last message, if the dialect has one.
    fn farewell(&self, _session: &mut Self::Session, _mailbox: &Mailbox) {}

    /// The connection has ended, in whatever way.
    fn closed(&self, session: Self::Session) -> impl Future<Output = ()> + Send;
}
