//! What is done at a desk: deeds are stored together, then told in their order.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use std::vec::IntoIter;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::rooms::messages::{CONTENT_TYPE, Message, Told, Unprocessable};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{
    Accounts, Bus, Change, Channels, NewPost, NewReading, Post, Posts, Presence, Reading, StoreError,
    Timestamp,
};
use uuid::Uuid;

use super::Rooms;
use super::desk::{Asker, Deed, Direction, Movement, NotSaid, Queue, Typing};
use super::event::{self, Happened, raw};
use super::member::{Member, Unsettled, User};
use super::place;

/// A bus that takes nothing for so long is away.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// What the store made of a batch, to be taken in the order of its deeds.
struct Stored {
    said: IntoIter<(String, Result<u64, NotSaid>)>,
    /// `None` when the store did not answer.
    noted: Option<IntoIter<Reading>>,
}

/// What is published of a batch, and who is answered after that.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pages: Vec<Page>,
    places: HashMap<Arc<str>, usize>,
    moved: Vec<(oneshot::Sender<Result<Change, StoreError>>, Change)>,
}

/// What is published under one topic.
#[derive(Debug)]
struct Page {
    topic: Arc<str>,
    events: Vec<Happened>,
    owed: Vec<Owed>,
}

/// Somebody who has said something, of which there is something to tell.
#[derive(Debug)]
enum Owed {
    /// He hears his message like everybody else.
    Connection(Unsettled),
    Request(oneshot::Sender<Result<Post, NotSaid>>, Post),
    /// He hears what was wrong with it.
    Error(Unsettled, Unprocessable),
    /// It is about to be told, or not: he is owed no answer.
    Nothing(Unsettled),
}

impl Sheet {
    fn page(&mut self, topic: &Arc<str>) -> &mut Page {
        let place = *self.places.entry(Arc::clone(topic)).or_insert_with(|| {
            self.pages.push(Page {
                topic: Arc::clone(topic),
                events: Vec::new(),
                owed: Vec::new(),
            });
            self.pages.len() - 1
        });
        &mut self.pages[place]
    }

    /// What a connection has said cannot be processed (rooms/6a): it hears so in its turn.
    fn refuse(&mut self, asker: Unsettled, why: Unprocessable) {
        let member = asker.member();
        let page = self.page(&member.topic);
        page.events
            .push(Happened::to_one(member.mailbox.id(), &error(&why)));
        page.owed.push(Owed::Error(asker, why));
    }

    /// All that a connection has said is on its page; it is done when that is told.
    fn settle(&mut self, asker: Unsettled) {
        let topic = Arc::clone(&asker.member().topic);
        self.page(&topic).owed.push(Owed::Nothing(asker));
    }

    /// A connection was counted; what that changed is told, and then he who waits for it.
    pub(super) fn moved(&mut self, movement: Movement, change: Change) {
        if change == Change::Member {
            for (topic, happened) in movement.tell {
                self.page(&topic).events.push(happened);
            }
        }
        self.moved.push((movement.done, change));
    }
}

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    B: Bus,
    P: Presence,
{
    /// Does what is brought to a desk. After `stop` what lies ready, then it ends.
    pub(super) async fn serve(&self, mut queue: Queue<Deed>, stop: CancellationToken) {
        while let Some(deeds) = queue.next(&stop).await {
            // A panic costs those whose deeds these were: they are closed 1011 (common/7c).
            if contained(self.do_together(deeds)).await.is_none() {
                self.backing.metrics.errors.inc();
                tracing::error!("a desk panicked; whose deeds it had are closed 1011");
            }
        }
    }

    async fn do_together(&self, deeds: Vec<Deed>) {
        let now = self.backing.clock.now();
        let mut stored = self.store(&deeds, now).await;
        let mut sheet = Sheet::default();
        for deed in deeds {
            match deed {
                Deed::Say {
                    topic,
                    author,
                    text,
                    asker,
                } => {
                    let (id, said) = stored
                        .said
                        .next()
                        .expect("each that was to be said has an outcome");
                    match said {
                        Err(why) => asker.refuse(why, &mut sheet),
                        Ok(sequence) => {
                            let post = Post {
                                sequence,
                                id,
                                author: author.id.to_string(),
                                text,
                                at: now,
                                readers: Vec::new(),
                            };
                            let page = sheet.page(&topic);
                            page.events.push(said_by(&author, &post));
                            page.owed.push(asker.owed(post));
                        }
                    }
                }
                Deed::Read { message, reader } => {
                    let noted = stored
                        .noted
                        .as_mut()
                        .map(|noted| noted.next().expect("each that was to be noted has an outcome"));
                    note_read(&mut sheet, &message, reader, noted, now);
                }
                Deed::Type { typing, typist } => {
                    self.note_typing(&mut sheet, typing, typist.member(), now);
                    sheet.settle(typist);
                }
                Deed::Refuse { why, asker } => sheet.refuse(asker, why),
                Deed::Move(movement) => self.count(&mut sheet, movement).await,
            }
        }
        self.tell(sheet).await;
    }

    /// Stores what the deeds say and have read, in one call for each, which share a commit.
    async fn store(&self, deeds: &[Deed], now: Timestamp) -> Stored {
        let posts: Vec<_> = deeds.iter().filter_map(|deed| to_store(deed, now)).collect();
        let ids: Vec<_> = posts.iter().map(|post| post.id.clone()).collect();
        let readings: Vec<_> = deeds.iter().filter_map(|deed| to_note(deed, now)).collect();
        let store = &self.backing.store;
        let say = async {
            match posts.len() {
                0 => Ok(Vec::new()),
                _ => store.call(store.say(posts)).await,
            }
        };
        let note = async {
            match readings.len() {
                0 => Ok(Vec::new()),
                _ => store.call(store.note_readings(readings)).await,
            }
        };
        let (numbers, noted) = tokio::join!(say, note);
        let said = ids.into_iter().enumerate().map(|(at, id)| match &numbers {
            Ok(numbers) => (id, numbers[at].ok_or(NotSaid::NotMember)),
            Err(_) => (id, Err(NotSaid::Unavailable)),
        });
        let said: Vec<_> = said.collect();
        Stored {
            said: said.into_iter(),
            noted: noted.ok().map(Vec::into_iter),
        }
    }

    /// Follows a typing state (rooms/7b, 7c). It is written only here, so that a renewal and the end of its time cannot
    /// cross.
    fn note_typing(&self, sheet: &mut Sheet, typing: Typing, member: &Arc<Member>, now: Timestamp) {
        let until = member.typing_until.load(Ordering::Relaxed);
        let (is_typing, until) = match typing {
            Typing::Begins => (true, now.millis() + self.config.typing_ttl.as_millis() as u64),
            Typing::Ends => (false, 0),
            Typing::MayBeOver if until != 0 && until <= now.millis() => (false, 0),
            // It was renewed, or has ended in another way.
            Typing::MayBeOver => return,
        };
        member.typing_until.store(until, Ordering::Relaxed);
        if is_typing {
            self.typists.watch(member);
        }
        let told = Told::Typing {
            user_id: member.user.wire_id(),
            username: &member.user.username,
            is_typing,
        };
        let happened = Happened::about(&member.user.id, &told);
        sheet.page(&member.topic).events.push(happened);
    }

    /// Counts a connection into a channel, or out of it.
    async fn count(&self, sheet: &mut Sheet, movement: Movement) {
        match self.counted(&movement).await {
            Ok(change) => sheet.moved(movement, change),
            // An error means that nobody waits for it any more.
            Err(error) => drop(movement.done.send(Err(error))),
        }
    }

    /// Counts a connection into a place, or out of it.
    pub(super) async fn counted(&self, movement: &Movement) -> Result<Change, StoreError> {
        let Movement {
            place,
            user,
            connection,
            ..
        } = movement;
        let presence = &self.backing.presence;
        match movement.direction {
            Direction::In => presence.arrive(place, &user.id, *connection).await,
            Direction::Out => presence.depart(place, &user.id, *connection).await,
        }
    }

    /// Tells every channel what happened in it, and then answers those who made it happen.
    pub(super) async fn tell(&self, sheet: Sheet) {
        for Page { topic, events, owed } in sheet.pages {
            let published = match &events[..] {
                [] => Ok(()),
                events => self.publish(&topic, event::pack(events)).await,
            };
            for owed in owed {
                owed.pay(published);
            }
        }
        for (done, change) in sheet.moved {
            // An error means that nobody waits for it any more.
            let _ = done.send(Ok(change));
        }
    }

    /// Tells a channel on every node. A failure has been counted and logged.
    pub(super) async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), NotSaid> {
        let published = self.backing.bus.publish(topic, payload);
        let why = match tokio::time::timeout(PUBLISH_DEADLINE, published).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PUBLISH_DEADLINE:?}"),
        };
        self.backing.metrics.errors.inc();
        tracing::error!(why, "what happened in a channel is not told");
        Err(NotSaid::Unavailable)
    }
}

impl Asker {
    /// Answers that it was not said.
    fn refuse(self, why: NotSaid, sheet: &mut Sheet) {
        match self {
            Self::Connection(unsettled) => sheet.refuse(unsettled, Unprocessable::ServerError),
            // An error means that nobody waits for it any more.
            Self::Request(answer) => drop(answer.send(Err(why))),
        }
    }

    /// It is stored; the answer is owed until it is told.
    fn owed(self, post: Post) -> Owed {
        match self {
            Self::Connection(unsettled) => {
                // The message says that he types no longer (rooms/7c).
                unsettled.member().typing_until.store(0, Ordering::Relaxed);
                Owed::Connection(unsettled)
            }
            Self::Request(answer) => Owed::Request(answer, post),
        }
    }
}

impl Owed {
    fn pay(self, published: Result<(), NotSaid>) {
        match (self, published) {
            (Self::Connection(unsettled) | Self::Error(unsettled, _), Ok(()))
            | (Self::Nothing(unsettled), _) => {
                unsettled.settle();
            }
            (Self::Connection(unsettled), Err(_)) => complain(unsettled, &Unprocessable::ServerError),
            (Self::Error(unsettled, why), Err(_)) => complain(unsettled, &why),
            // Errors mean that nobody waits for it any more.
            (Self::Request(answer, post), Ok(())) => drop(answer.send(Ok(post))),
            (Self::Request(answer, _), Err(why)) => drop(answer.send(Err(why))),
        }
    }
}

fn to_store(deed: &Deed, now: Timestamp) -> Option<NewPost> {
    let Deed::Say {
        topic, author, text, ..
    } = deed
    else {
        return None;
    };
    let (realm, channel) = place::parts(topic);
    Some(NewPost {
        realm: realm.into(),
        channel: channel.into(),
        id: Uuid::now_v7().to_string(),
        author: (*author.id).into(),
        text: text.clone(),
        at: now,
    })
}

fn to_note(deed: &Deed, now: Timestamp) -> Option<NewReading> {
    let Deed::Read { message, reader } = deed else {
        return None;
    };
    let member = reader.member();
    let (realm, channel) = place::parts(&member.topic);
    Some(NewReading {
        realm: realm.into(),
        channel: channel.into(),
        post: message.clone(),
        reader: (*member.user.id).into(),
        at: now,
    })
}

/// The frames of a message: the author's own say that it is his (rooms/5d).
fn said_by(author: &User, post: &Post) -> Happened {
    let mut message = Message {
        id: &post.id,
        content: &post.text,
        content_type: CONTENT_TYPE,
        user_id: author.wire_id(),
        username: &author.username,
        timestamp: Rfc3339(post.at.millis()),
        is_own: false,
        read_by: Vec::new(),
    };
    let happened = Happened::about(&author.id, &Told::Message { message: &message });
    message.is_own = true;
    Happened {
        sequence: post.sequence,
        own: Some(raw(&Told::Message { message: &message })),
        ..happened
    }
}

/// Tells the channel who has read what (rooms/8c); `None` if the store did not answer.
fn note_read(sheet: &mut Sheet, message: &str, reader: Unsettled, noted: Option<Reading>, now: Timestamp) {
    let member = reader.member();
    match noted {
        Some(Reading::Noted) => {
            let told = Told::Read {
                message_id: message,
                user_id: member.user.wire_id(),
                read_at: Rfc3339(now.millis()),
            };
            sheet.page(&member.topic).events.push(Happened::to_all(&told));
        }
        Some(Reading::Known) => {}
        Some(Reading::Unknown) => return sheet.refuse(reader, Unprocessable::MessageNotFound),
        None => return sheet.refuse(reader, Unprocessable::ServerError),
    }
    sheet.settle(reader);
}

/// Tells a connection why what it said cannot be processed, past a bus that is away.
fn complain(asker: Unsettled, why: &Unprocessable) {
    asker.member().mailbox.json(&error(why));
    asker.settle();
}

fn error(why: &Unprocessable) -> Told<'static> {
    let message = why.to_string();
    Told::Error { message }
}

/// Runs something to its end, or to its panic, which has been reported by its thread.
pub(super) async fn contained<F: Future>(work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}
