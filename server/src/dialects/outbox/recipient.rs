//! A connection to which events are written, each once.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::time::Instant;
use touchstone_storage::{Arrived, Event, Timestamp};
use touchstone_wire as wire;

use super::confirming::Confirming;
use super::ledger::{Ledger, PageEnd, PingPayload};
use super::news::EventNews;
use crate::config::Confirm;
use crate::connection::{Mailbox, Sent};

/// A page ends with the event that takes it beyond so many bytes: a fraction of what may wait for a peer before it is
/// called slow.
const PAGE_BYTES: usize = 32 << 10;

/// A connection, for whoever writes events to it: its own task, or a relay.
#[derive(Debug)]
pub(super) struct Recipient {
    pub(super) mailbox: Mailbox,
    ledger: Mutex<Ledger>,
}

/// When a write brings a ping along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// If something waits for its confirmation.
    ToConfirm,
    /// In any case: its answer brings the next page.
    ForNextPage,
}

/// What a pong brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ponged {
    /// Events wait in the store, and the client is ready for them.
    NextPage,
    /// Nothing more is to be done.
    Settled,
}

impl Recipient {
    pub(super) fn new(mailbox: Mailbox, confirm: Confirm) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            ledger: Mutex::new(Ledger::new(confirm)),
        })
    }

    /// Writes what is new to this connection, unless it has to wait for its turn.
    pub(super) fn deliver(self: &Arc<Self>, events: &[EventNews], now: Timestamp, confirming: &Confirming) {
        let mut ledger = self.ledger();
        let mut frames = Vec::with_capacity(events.len());
        let mut written = Vec::new();
        for event in events {
            // One that comes so late may be one that the ledger has forgotten. The store has it still.
            let is_late = event.until <= now;
            if !is_late && !ledger.has(event.number) && ledger.takes_more() {
                written.extend(ledger.note_written(event.number, now));
                frames.push(event.frame.clone());
            }
        }
        if !frames.is_empty() {
            self.write(&mut ledger, &frames, Ping::ToConfirm, written, confirming);
        }
    }

    /// Of a page from the store writes what is new to this connection, as much as a page may have. `is_full`: the store
    /// may have more.
    pub(super) fn deliver_page(
        self: &Arc<Self>,
        page: &[Event],
        is_full: bool,
        now: Timestamp,
        confirming: &Confirming,
    ) -> PageEnd {
        let mut ledger = self.ledger();
        let mut frames = Vec::with_capacity(page.len());
        let mut written = Vec::new();
        let mut bytes = 0;
        let mut is_cut = is_full;
        for event in page {
            if ledger.has(event.number) {
                continue;
            }
            if bytes > PAGE_BYTES {
                is_cut = true;
                break;
            }
            match EventNews::new(event, now) {
                Some(news) => {
                    written.extend(ledger.note_written(event.number, now));
                    bytes += news.frame.len();
                    frames.push(news.frame);
                }
                None => ledger.pass_over(event.number),
            }
        }
        let ping = if is_cut {
            Ping::ForNextPage
        } else {
            Ping::ToConfirm
        };
        self.write(&mut ledger, &frames, ping, written, confirming);
        ledger.end_page(is_cut)
    }

    /// Writes frames, joined with the ping that is to confirm them. `written`: what counts as sent by that alone.
    fn write(
        self: &Arc<Self>,
        ledger: &mut Ledger,
        frames: &[Bytes],
        ping: Ping,
        written: Vec<Arrived>,
        confirming: &Confirming,
    ) {
        let payload = if ping == Ping::ForNextPage || ledger.awaits_confirmation() {
            ledger.begin_ping(Instant::now())
        } else {
            None
        };
        let joined = match (frames, payload) {
            ([], None) => return,
            ([frame], None) => frame.clone(),
            (_, _) => joined(frames, payload),
        };
        if self.mailbox.frames(&joined) != Sent::Taken {
            // The connection is about to end. What it was not sent is pending still.
            return;
        }
        if !written.is_empty() {
            confirming.record(self, written);
        }
        if payload.is_some() && !std::mem::replace(&mut ledger.is_watched, true) {
            confirming.watch(self);
        }
    }

    /// A pong came. It confirms what was written before the ping that it answers, if it answers one of ours.
    pub(super) fn ponged(self: &Arc<Self>, payload: &[u8], confirming: &Confirming) -> Ponged {
        let mut ledger = self.ledger();
        let Some(arrived) = ledger.ponged(payload) else {
            return Ponged::Settled;
        };
        if !arrived.is_empty() {
            confirming.record(self, arrived);
        }
        if ledger.has_backlog() {
            return Ponged::NextPage;
        }
        self.write(&mut ledger, &[], Ping::ToConfirm, Vec::new(), confirming);
        Ponged::Settled
    }

    /// What the books say. Nothing that waits may be done with them.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger
            .lock()
            .expect("a ledger's lock is never poisoned: no code panics while holding it")
    }
}

/// Frames one behind the other, and a ping behind them.
fn joined(frames: &[Bytes], ping: Option<PingPayload>) -> Bytes {
    let bytes: usize = frames.iter().map(Bytes::len).sum();
    let mut joined = Vec::with_capacity(bytes + 2 + size_of::<PingPayload>());
    for frame in frames {
        joined.extend_from_slice(frame);
    }
    if let Some(payload) = ping {
        wire::encode_unmasked(&mut joined, wire::OpCode::Ping, &payload);
    }
    joined.into()
}
