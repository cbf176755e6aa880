//! What goes wrong with sessions, by kind.

/// What can go wrong with a session, each counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// TCP could not be connected.
    Connect,
    /// TCP and handshake took longer than their deadline.
    ConnectTimeout,
    /// The handshake was refused or broken.
    Handshake,
    /// The server closed a connection with a close frame.
    Closed,
    /// TCP ended without a close frame.
    Dropped,
    /// The server broke the WebSocket protocol.
    Protocol,
    /// A message was due and the socket still had 64 KiB to take: it was not sent.
    NotSent,
    /// No token was to be had.
    Login,
    /// A request over HTTP had no answer in time, or too many were waiting for theirs.
    Request,
    /// The server would not do what was asked of it.
    Refused,
    /// An answer to a message that this session never sent, or a reply that nothing waits for.
    ForeignAnswer,
    /// A message for somebody else, or one that nobody sent.
    ForeignDelivery,
    /// A text that the dialect's server never says.
    Unknown,
    /// Sent on a connection that stayed up, and unanswered at the end.
    Unanswered,
    /// Dropped by a storm and not back in time.
    NotBack,
    /// The closing handshake at the end did not end in time.
    CloseTimeout,
}

impl ErrorKind {
    /// All, in the order in which reports list them.
    pub const ALL: [Self; 16] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Handshake,
        Self::Closed,
        Self::Dropped,
        Self::Protocol,
        Self::NotSent,
        Self::Login,
        Self::Request,
        Self::Refused,
        Self::ForeignAnswer,
        Self::ForeignDelivery,
        Self::Unknown,
        Self::Unanswered,
        Self::NotBack,
        Self::CloseTimeout,
    ];

    /// The name in thresholds and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Handshake => "handshake",
            Self::Closed => "closed",
            Self::Dropped => "dropped",
            Self::Protocol => "protocol",
            Self::NotSent => "not_sent",
            Self::Login => "login",
            Self::Request => "request",
            Self::Refused => "refused",
            Self::ForeignAnswer => "foreign_answer",
            Self::ForeignDelivery => "foreign_delivery",
            Self::Unknown => "unknown_message",
            Self::Unanswered => "unanswered",
            Self::NotBack => "not_back",
            Self::CloseTimeout => "close_timeout",
        }
    }

    /// What happened, for whoever reads a report.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Connect => "TCP could not be connected",
            Self::ConnectTimeout => "no WebSocket within the connect deadline",
            Self::Handshake => "the upgrade was refused or broken",
            Self::Closed => "the server closed a connection",
            Self::Dropped => "a connection ended without a close frame",
            Self::Protocol => "the server broke the WebSocket protocol",
            Self::NotSent => "the socket took nothing when a message was due",
            Self::Login => "no token was to be had",
            Self::Request => "no answer to a request over HTTP",
            Self::Refused => "the server would not do what was asked of it",
            Self::ForeignAnswer => "an answer to what was never sent",
            Self::ForeignDelivery => "a message for somebody else, or one that nobody sent",
            Self::Unknown => "a text that this dialect's server never says",
            Self::Unanswered => "no answer, on a connection that stayed up",
            Self::NotBack => "dropped by a storm and not back in time",
            Self::CloseTimeout => "no end of the connection after the goodbye",
        }
    }
}

/// Errors by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors([u64; ErrorKind::ALL.len()]);

impl Errors {
    /// Counts `count` more.
    pub fn add(&mut self, kind: ErrorKind, count: u64) {
        self.0[kind as usize] += count;
    }

    /// How many of `kind`.
    #[must_use]
    pub fn of(&self, kind: ErrorKind) -> u64 {
        self.0[kind as usize]
    }

    /// How many of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }

    /// The kinds that occurred.
    pub fn seen(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL
            .into_iter()
            .map(|kind| (kind, self.of(kind)))
            .filter(|(_, count)| *count > 0)
    }
}
