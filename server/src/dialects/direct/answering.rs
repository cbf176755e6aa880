//! What is done about what a client says.

use touchstone_protocol::direct::HexId;
use touchstone_protocol::direct::messages::{ChatMessage, Down, Refusal, SentStatus, Up};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{Accounts, Bus, DialogueMessage, Dialogues, Presence, Progress};
use touchstone_wire as wire;

use super::member::Member;
use super::parcel::{Parcel, SentMessage};
use super::{Direct, PLACE, REALM};

/// Whom something is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) user: HexId,
    pub(super) username: &'a str,
}

/// A message that the store has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    sent: SentMessage,
    created_at: Rfc3339,
    /// Whether its receiver was connected when it was stored.
    receiver_is_here: bool,
}

impl Stored {
    /// What the sender is told of it.
    pub(super) fn confirmation<'a>(&self, chat: &'a ChatMessage<'_>) -> Down<'a> {
        Down::MessageSent {
            message_id: self.sent.id,
            receiver_id: chat.receiver,
            content: &chat.content,
            created_at: self.created_at,
            status: SentStatus::Sent,
        }
    }
}

impl Member {
    pub(super) fn as_sender(&self) -> Sender<'_> {
        Sender {
            user: self.user,
            username: &self.username,
        }
    }
}

impl<S: Accounts + Dialogues, B: Bus, P: Presence> Direct<S, B, P> {
    /// Stores a message (direct/4a). Before anything else is done about it, its sender gets the confirmation: its receipt
    /// must come behind that (direct/4c).
    pub(super) async fn store(&self, from: Sender<'_>, chat: &ChatMessage<'_>) -> Result<Stored, Refusal> {
        let created = self.backing.clock.now();
        let id = self.ids.next(created);
        let message = DialogueMessage {
            id: id.to_string(),
            sender: from.user.to_string(),
            receiver: chat.receiver.to_string(),
            content: chat.content.clone().into_owned(),
            kind: chat.kind.name().to_owned(),
            created,
            progress: Progress::Stored,
        };
        let store = &self.backing.store;
        let place = store.call(store.append(REALM, message)).await;
        let sent = SentMessage {
            place: place.map_err(|_| Refusal::ServerError)?,
            id,
            sender: from.user,
        };
        // Asked before the confirmation: nothing is pushed to him who connects after it (direct/5c), and he finds the message
        // in the history. As long as nobody knows, he may be here.
        let receiver = [chat.receiver.as_str()];
        let present = self.backing.presence.are_present(PLACE, &receiver).await;
        Ok(Stored {
            sent,
            created_at: Rfc3339(created.millis()),
            receiver_is_here: present.map_or(true, |present| present == [true]),
        })
    }

    /// Sends a stored message on its way to its receiver (direct/4b, 5).
    pub(super) async fn dispatch(&self, from: Sender<'_>, chat: &ChatMessage<'_>, stored: Stored) {
        let Stored {
            sent,
            created_at,
            receiver_is_here,
        } = stored;
        if !receiver_is_here {
            return;
        }
        let told = Down::NewMessage {
            message_id: sent.id,
            sender_id: from.user,
            sender_username: from.username,
            content: &chat.content,
            message_type: chat.kind,
            created_at,
        };
        let frame = wire::server_text(&told.to_json());
        self.publish_to(chat.receiver, &Parcel::Message { sent, frame })
            .await;
    }

    async fn tell_typing(&self, from: Sender<'_>, receiver: Option<HexId>, is_typing: bool) {
        let Some(receiver) = receiver.filter(|receiver| *receiver != from.user) else {
            return;
        };
        let told = Down::TypingIndicator {
            user_id: from.user,
            username: from.username,
            is_typing,
        };
        let frames = wire::server_text(&told.to_json());
        self.publish_to(receiver, &Parcel::Frames(frames)).await;
    }

    /// Marks what `sender` wrote to the reader as read, and tells him. Returns how many messages that was news of.
    pub(super) async fn mark_read(&self, reader: Sender<'_>, sender: Option<HexId>) -> Result<u64, Refusal> {
        let Some(sender) = sender.filter(|sender| *sender != reader.user) else {
            return Ok(0);
        };
        let store = &self.backing.store;
        if store.is_available() {
            // What was handed to the reader is reported before it is reported as read.
            let connections = self.members.members(reader.user.as_str());
            connections.iter().for_each(|member| member.wait_for_notes());
            self.receipts.settle().await;
        }
        let now = self.backing.clock.now();
        let noted = store.note_read(REALM, reader.user.as_str(), sender.as_str(), now);
        let count = store.call(noted).await.map_err(|_| Refusal::ServerError)?;
        if count > 0 {
            let told = Down::MessagesRead {
                read_by: reader.user,
                read_by_username: reader.username,
                read_at: Rfc3339(now.millis()),
            };
            let frames = wire::server_text(&told.to_json());
            self.publish_to(sender, &Parcel::Frames(frames)).await;
        }
        Ok(count)
    }

    /// Does what a client asks for, and tells him.
    pub(super) async fn answer(&self, member: &Member, up: Up<'_>) -> Result<(), Refusal> {
        let (from, mailbox) = (member.as_sender(), &member.mailbox);
        match up {
            Up::ChatMessage(chat) => {
                let stored = self.store(from, &chat).await?;
                mailbox.json(&stored.confirmation(&chat));
                self.dispatch(from, &chat, stored).await;
            }
            Up::Typing { receiver, is_typing } => self.tell_typing(from, receiver, is_typing).await,
            Up::MarkRead { sender } => {
                let id = HexId::parse(&sender);
                let marked_count = self.mark_read(from, id).await?;
                mailbox.json(&Down::MarkReadSuccess {
                    sender_id: id.as_ref().map_or(&*sender, HexId::as_str),
                    marked_count,
                });
            }
            Up::GetOnlineUsers => {
                let online = self.online().await.map_err(|_| Refusal::ServerError)?;
                mailbox.frames(&online.frame_for(member));
            }
        }
        Ok(())
    }
}
