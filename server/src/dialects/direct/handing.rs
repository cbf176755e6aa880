//! What the bus brings, handed to the connections of this node. Nothing here waits for a store or a publish.

use std::sync::Arc;

use bytes::Bytes;
use touchstone_protocol::direct;
use touchstone_storage::{Accounts, Bus, Dialogues, Payload, Presence};

use super::member::{About, Item, Member};
use super::parcel::{Parcel, SentMessage};
use super::{Direct, TOPIC_OF_USER, TOPIC_STOPPED};
use crate::connection::Close;
use crate::relay::Hears;

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Hears for Direct<S, B, P> {
    async fn heard(&self, batch: &[Payload]) {
        let mut rest = batch;
        while let Some(first) = rest.first() {
            // What stands together for one user leaves in one write.
            let together = rest
                .iter()
                .take_while(|payload| payload.topic == first.topic)
                .count();
            let (now, later) = rest.split_at(together);
            rest = later;
            if *first.topic == *TOPIC_STOPPED {
                now.iter().for_each(|payload| self.lingering.hear(&payload.bytes));
                continue;
            }
            let parcels = now.iter().filter_map(|payload| Parcel::decode(&payload.bytes));
            match first.topic.strip_prefix(TOPIC_OF_USER) {
                Some(user) => self.hand_over(user, parcels),
                None => self.hand_to_everybody(parcels).await,
            }
        }
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Gives a user's connections what is for him.
    fn hand_over(&self, user: &str, parcels: impl Iterator<Item = Parcel>) {
        let members = self.members.members(user);
        let mut frames = Vec::new();
        let mut messages = Vec::new();
        let flush = |frames: &mut Vec<Bytes>, messages: &mut Vec<SentMessage>| {
            if !frames.is_empty() {
                let frames = joined(std::mem::take(frames));
                self.hand_frames(&members, &frames, std::mem::take(messages));
            }
        };
        for parcel in parcels {
            match parcel {
                Parcel::Frames(more) => frames.push(more),
                Parcel::Message { sent, frame } => {
                    frames.push(frame);
                    messages.push(sent);
                }
                Parcel::Superseded(older) => {
                    flush(&mut frames, &mut messages);
                    let taken_over = Close::new(direct::CLOSE_TAKEN_OVER, direct::REASON_TAKEN_OVER);
                    let is_older = |member: &&Arc<Member>| older.contains(&member.mailbox.id());
                    let superseded = members.iter().filter(is_older);
                    superseded.for_each(|member| member.mailbox.close(&taken_over));
                }
                Parcel::Close(close) => {
                    flush(&mut frames, &mut messages);
                    members.iter().for_each(|member| member.mailbox.close(&close));
                }
                // Goes to everybody or to nobody.
                Parcel::Change(_) => {}
            }
        }
        flush(&mut frames, &mut messages);
    }

    /// A message that several connections take, while one of them takes over, is noted twice: the first note counts.
    fn hand_frames(&self, members: &[Arc<Member>], frames: &Bytes, messages: Vec<SentMessage>) {
        let about = if messages.is_empty() {
            About::Other
        } else {
            About::Messages(messages)
        };
        for member in members {
            let item = Item {
                frames: frames.clone(),
                about: about.clone(),
            };
            member.hand(item, |messages| self.note_receipts(messages));
        }
    }

    async fn hand_to_everybody(&self, parcels: impl Iterator<Item = Parcel>) {
        for parcel in parcels {
            match parcel {
                Parcel::Change(change) => {
                    if !self.tellings.put(change) {
                        self.backing.metrics.errors.inc();
                    }
                }
                Parcel::Frames(frames) => {
                    for (told, member) in self.members.everyone().into_iter().enumerate() {
                        let frames = frames.clone();
                        let about = About::Other;
                        member.hand(Item { frames, about }, no_messages);
                        if told % 256 == 255 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
                // Each of these is for one user.
                Parcel::Message { .. } | Parcel::Superseded(_) | Parcel::Close(_) => {}
            }
        }
    }

    /// Notes that messages were handed over now.
    pub(super) fn note_receipts(&self, handed_over: Vec<SentMessage>) {
        let now = self.backing.clock.now();
        for message in handed_over {
            if !self.receipts.note(message, now) {
                self.backing.metrics.errors.inc();
            }
        }
    }
}

/// For what has no messages in it.
pub(super) fn no_messages(_: Vec<SentMessage>) {}

fn joined(mut frames: Vec<Bytes>) -> Bytes {
    match frames.len() {
        1 => frames.swap_remove(0),
        _ => frames.concat().into(),
    }
}
