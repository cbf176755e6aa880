//! What becomes of a message after it was handed over: the store says so, then its sender hears it (direct/4c).
//!
//! Who hands messages over must wait for neither, so receipts go into a queue. One task empties it, many receipts to a
//! write, and so keeps their order.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use touchstone_protocol::direct::HexId;
use touchstone_protocol::direct::messages::Down;
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Accounts, Bus, Dialogues, Presence, Timestamp};
use touchstone_wire as wire;

use super::Direct;
use super::parcel::{Parcel, SentMessage};

/// Receipts that wait for the store. As many arrive in a second at most, so a full queue means that the store is away; a
/// receipt beyond it is lost, the message is not.
const RECEIPTS_WAITING_MAX: usize = 65_536;

/// Receipts in one write: some milliseconds' worth.
const RECEIPTS_PER_WRITE_MAX: usize = 512;

/// Time between two attempts while the store is away.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long somebody waits for the receipts before his turn: longer, and the store is away.
const SETTLING_PATIENCE: Duration = Duration::from_secs(5);

/// Where receipts are put.
#[derive(Debug)]
pub(super) struct Receipts(mpsc::Sender<Entry>);

/// What waits in the queue.
#[derive(Debug)]
pub(super) enum Entry {
    /// A message was handed over.
    Delivered(Receipt),
    /// Somebody wants to know when everything before this has been done.
    Mark(oneshot::Sender<()>),
}

/// That a message was handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt {
    message: SentMessage,
    at: Timestamp,
}

impl Receipts {
    /// A queue, and its other end.
    pub(super) fn new() -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(RECEIPTS_WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Notes that a message was handed over at this time. Returns whether there was room.
    pub(super) fn note(&self, message: SentMessage, at: Timestamp) -> bool {
        self.0.try_send(Entry::Delivered(Receipt { message, at })).is_ok()
    }

    /// Returns when what was noted before has been done, or has taken too long.
    pub(super) async fn settle(&self) {
        let (told, settled) = oneshot::channel();
        let settling = async {
            if self.0.send(Entry::Mark(told)).await.is_ok() {
                // An error means that the server stops, and nothing is awaited any more.
                let _ = settled.await;
            }
        };
        // Whoever has waited so long goes on; all he loses is an order of two frames.
        let _ = tokio::time::timeout(SETTLING_PATIENCE, settling).await;
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Empties the queue until `stop`; then once more, without waiting for a store that is away.
    pub(super) async fn tell_senders(&self, mut queue: mpsc::Receiver<Entry>, stop: CancellationToken) {
        let mut entries = Vec::new();
        loop {
            entries.clear();
            let next = stop.run_until_cancelled(queue.recv_many(&mut entries, RECEIPTS_PER_WRITE_MAX));
            if next.await.is_none() {
                while let Ok(entry) = queue.try_recv() {
                    entries.push(entry);
                }
            }
            if entries.is_empty() {
                return;
            }
            self.tell_batch(&mut entries, &stop).await;
        }
    }

    async fn tell_batch(&self, entries: &mut Vec<Entry>, stop: &CancellationToken) {
        let mut receipts = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            match entry {
                Entry::Delivered(receipt) => receipts.push(receipt),
                Entry::Mark(told) => {
                    self.note_and_tell(&std::mem::take(&mut receipts), stop).await;
                    // An error means that he no longer waits.
                    let _ = told.send(());
                }
            }
        }
        self.note_and_tell(&receipts, stop).await;
    }

    async fn note_and_tell(&self, receipts: &[Receipt], stop: &CancellationToken) {
        if receipts.is_empty() {
            return;
        }
        let store = &self.backing.store;
        let news = loop {
            let deliveries = receipts.iter().map(|receipt| (receipt.message.place, receipt.at));
            match store.call(store.note_delivered(deliveries.collect())).await {
                Ok(news) => break news,
                Err(_) => {
                    let pause = stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE));
                    if pause.await.is_none() {
                        return;
                    }
                }
            }
        };
        for (sender, frames) in by_sender(receipts, &news) {
            self.publish_to(sender, &Parcel::Frames(frames)).await;
        }
    }
}

/// What senders are told of those receipts that are news; what stands together for one of them goes as one.
fn by_sender(receipts: &[Receipt], news: &[bool]) -> Vec<(HexId, Bytes)> {
    let mut told: Vec<(HexId, BytesMut)> = Vec::new();
    for (receipt, _) in receipts.iter().zip(news).filter(|(_, is_news)| **is_news) {
        let (sender, frame) = (receipt.message.sender, receipt.frame());
        match told.last_mut() {
            Some((last, frames)) if *last == sender => frames.extend_from_slice(&frame),
            Some(_) | None => told.push((sender, BytesMut::from(&frame[..]))),
        }
    }
    told.into_iter()
        .map(|(sender, frames)| (sender, frames.freeze()))
        .collect()
}

impl Receipt {
    fn frame(&self) -> Bytes {
        let delivered = Down::MessageDelivered {
            message_id: self.message.id,
            delivered_at: Rfc3339(self.at.millis()),
        };
        wire::server_text(&delivered.to_json())
    }
}
