//! The connections of a trial by their names, and what their inboxes still hold.

use std::collections::BTreeSet;

use tokio::time::Instant;
use touchstone_protocol::Dialect;
use touchstone_scenarios::scenario::Client;

use crate::client::Connection;
use crate::frames::Message;
use crate::tap::{Log, Record};

/// An actor: one connection, open or over.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// What it speaks, if that is a dialect.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) log: Log,
    pub(crate) client: Client,
    /// `None` once it was reset, or if it was refused.
    pub(crate) connection: Option<Connection>,
    /// The first message that no step has taken.
    pub(crate) next: usize,
    /// The first frame that no `ponged` step has looked at.
    pub(crate) next_pong: usize,
    /// The first frame that no `pinged` step has looked at.
    pub(crate) next_ping: usize,
    /// Its end is no surprise: a step awaited it or caused it.
    pub(crate) end_expected: bool,
    /// A listed alternative took place of what the scenario tells of it: its further steps mean nothing.
    pub(crate) excused: bool,
    /// What the server answers to a handshake written by hand has to prove.
    pub(crate) accept: Option<String>,
}

/// What came next on a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrival {
    /// A message that nothing sets aside.
    Message {
        /// Its number on the connection.
        index: usize,
        /// What it says.
        message: Message,
    },
    /// The server has ended the connection.
    Ended,
    /// Neither, in time.
    TimedOut,
}

impl Actor {
    pub(crate) fn new(
        (name, dialect): (&str, Option<Dialect>),
        log: Log,
        client: Client,
        connection: Option<Connection>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            dialect,
            log,
            client,
            connection,
            next: 0,
            next_pong: 0,
            next_ping: 0,
            end_expected: false,
            excused: false,
            accept: None,
        }
    }

    /// When its handshake was sent, and when it was upgraded; `None` if it was not.
    pub(crate) fn opened(&self) -> Option<(Instant, Instant)> {
        let record = self.log.record();
        record.first_sent_at().zip(record.response_at)
    }

    /// The next message from number `from` on that arrived by `deadline` and is not set aside.
    pub(crate) async fn arrival(
        &self,
        from: usize,
        deadline: Instant,
        set_aside: impl Fn(&Record, usize) -> bool,
    ) -> Arrival {
        let look = |record: &Record| {
            let waiting = record.received.iter().enumerate().skip(from);
            let next = waiting
                .take_while(|(_, message)| message.at <= deadline)
                .find(|(index, _)| !set_aside(record, *index));
            match next {
                Some((index, message)) => Some(Arrival::Message {
                    index,
                    message: message.clone(),
                }),
                None => record.server_ended_at().is_some().then_some(Arrival::Ended),
            }
        };
        self.log
            .wait_for(deadline, look)
            .await
            .unwrap_or(Arrival::TimedOut)
    }

    /// The numbers of the messages that are set aside.
    pub(crate) fn set_aside(&self, set_aside: impl Fn(&Record, usize) -> bool) -> BTreeSet<usize> {
        let record = self.log.record();
        let numbers = 0..record.received.len();
        numbers.filter(|index| set_aside(&record, *index)).collect()
    }
}
