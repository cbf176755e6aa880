//! What the bus brings, handed to the connections of this node: what piled up for a channel is one write for each of them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use touchstone_storage::Payload;
use touchstone_wire as wire;

use super::event::{self, Arriving, Manner};
use super::member::{self, Member, Stage, Telling};
use super::orders::Order;
use super::{Rooms, place};
use crate::crowd::{self, Batch};
use crate::relay::Hears;

/// So many are told before others get the thread.
const CROWD_AT_ONCE: usize = 256;

/// What has happened in one channel, as everybody is told it whom none of it is about.
struct News<'a> {
    events: Vec<Arriving<'a>>,
    /// The frames of all events, one behind the other.
    frames: Bytes,
    /// Which of them is each event's.
    ranges: Vec<Range<usize>>,
    /// The number of the first message among them; `None` if there is none.
    first: Option<u64>,
    /// Users who are told something else.
    about: Vec<Subject>,
}

/// A user whose connections are told something else than the others.
struct Subject {
    user: Box<str>,
    /// See [`member::key`].
    key: u64,
    /// What they are told.
    tellings: Vec<Telling>,
    /// The same in one piece.
    frames: Bytes,
}

impl<S, B, P> Hears for Rooms<S, B, P>
where
    S: Send + Sync + 'static,
    B: Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    async fn heard(&self, batch: &[Payload]) {
        for (topic, payloads) in by_topic(batch) {
            if **topic == *place::REALM {
                self.obey(payloads.iter().filter_map(|payload| Order::read(payload)));
                continue;
            }
            if **topic == *place::STOPPED {
                payloads.iter().for_each(|payload| self.lingering.hear(payload));
                continue;
            }
            let members = self.groups.members(topic);
            if members.is_empty() {
                continue;
            }
            let mut events = Vec::new();
            for payload in payloads {
                match event::unpack(payload) {
                    Ok(unpacked) => events.extend(unpacked),
                    Err(error) => tracing::error!(%error, "what a node has published cannot be read"),
                }
            }
            self.keep_from_crowds(topic, &members, &mut events);
            self.tell_in_order(&members, events).await;
        }
    }
}

impl<S, B, P> Rooms<S, B, P> {
    /// Takes out what is told to crowds in batches, and what is not told to them (common/11a).
    fn keep_from_crowds(&self, topic: &Arc<str>, members: &[Arc<Member>], events: &mut Vec<Arriving<'_>>) {
        if !self.crowd.is_told() {
            events.retain(|event| event.manner == Manner::Always);
            return;
        }
        if members.len() <= self.backing.presence_terms.crowd_connections {
            // Who comes after a crowd has thinned out is not told what is older.
            for event in events.iter().filter(|event| event.manner == Manner::InBatches) {
                let frame = wire::server_text(event.told.get());
                self.crowd.note(topic, members.len(), &event.about, &frame);
            }
            return;
        }
        events.retain(|event| {
            let told = members.iter().filter(|member| *member.user.id != *event.about);
            match event.manner {
                Manner::Always => true,
                Manner::InBatches => {
                    let frame = wire::server_text(event.told.get());
                    let telling = self.crowd.note(topic, told.count(), &event.about, &frame);
                    telling == crowd::Telling::Now
                }
                Manner::NotToCrowds => told.count() <= self.backing.presence_terms.crowd_connections,
            }
        });
    }

    /// Tells all what is for all, and in its place between that what is for one.
    async fn tell_in_order(&self, members: &[Arc<Member>], mut events: Vec<Arriving<'_>>) {
        loop {
            let for_one = events.iter().position(|event| event.only.is_some());
            let mut behind = events.split_off(for_one.unwrap_or(events.len())).into_iter();
            if !events.is_empty() {
                self.hand_on(members, &News::new(events)).await;
            }
            let Some(event) = behind.next() else { return };
            let is_meant = |member: &&Arc<Member>| Some(member.mailbox.id().0) == event.only;
            if let Some(member) = members.iter().find(is_meant) {
                let frame = wire::server_text(event.told.get());
                member.tell([Telling { sequence: 0, frame }]);
            }
            events = behind.collect();
        }
    }

    async fn hand_on(&self, members: &[Arc<Member>], news: &News<'_>) {
        // Those first who wait for it: what they say next is joined with what waits while the others are told.
        let mut others = Vec::with_capacity(members.len());
        for member in members {
            match news.subject(member) {
                Some(subject) => subject.tell(member, news.first),
                None => others.push(member),
            }
        }
        for crowd in others.chunks(CROWD_AT_ONCE) {
            crowd.iter().for_each(|member| news.tell(member));
            tokio::task::yield_now().await;
        }
    }

    /// Tells a crowd the latest changes.
    pub(super) async fn tell_crowd(&self, topic: &str, batch: &Batch) {
        for crowd in self.groups.members(topic).chunks(CROWD_AT_ONCE) {
            for member in crowd {
                let frames = batch.frames_for(&member.user.id);
                member.tell(frames.map(|frame| Telling { sequence: 0, frame }));
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The payloads of each topic, in their order.
fn by_topic(batch: &[Payload]) -> Vec<(&Arc<str>, Vec<&Bytes>)> {
    let mut topics: Vec<(&Arc<str>, Vec<&Bytes>)> = Vec::new();
    let mut places: HashMap<&Arc<str>, usize> = HashMap::new();
    for Payload { topic, bytes } in batch {
        let place = *places.entry(topic).or_insert_with(|| {
            topics.push((topic, Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push(bytes);
    }
    topics
}

impl<'a> News<'a> {
    fn new(events: Vec<Arriving<'a>>) -> Self {
        let mut frames = Vec::new();
        let mut ranges = Vec::with_capacity(events.len());
        for event in &events {
            let start = frames.len();
            wire::encode_unmasked(&mut frames, wire::OpCode::Text, event.told.get().as_bytes());
            ranges.push(start..frames.len());
        }
        let numbers = events.iter().map(|event| event.sequence);
        let mut news = Self {
            first: numbers.filter(|sequence| *sequence > 0).min(),
            frames: Bytes::from(frames),
            ranges,
            events,
            about: Vec::new(),
        };
        let mut users: Vec<_> = news.events.iter().map(|event| &*event.about).collect();
        users.sort_unstable();
        users.dedup();
        let subjects = users.into_iter().filter(|user| !user.is_empty());
        news.about = subjects.map(|user| Subject::new(user, &news)).collect();
        news
    }

    fn subject(&self, member: &Member) -> Option<&Subject> {
        let is_he = |subject: &&Subject| subject.key == member.key && *subject.user == *member.user.id;
        self.about.iter().find(is_he)
    }

    /// What a user is told whom none of it is about, event by event.
    fn telling(&self, at: usize) -> Telling {
        Telling {
            sequence: self.events[at].sequence,
            frame: self.frames.slice(self.ranges[at].clone()),
        }
    }

    fn tell(&self, member: &Member) {
        if is_all_news(member, self.first) {
            member.mailbox.frames(&self.frames);
        } else {
            member.tell((0..self.events.len()).map(|at| self.telling(at)));
        }
    }
}

impl Subject {
    fn new(user: &str, news: &News<'_>) -> Self {
        let mut frames = Vec::new();
        let mut tellings = Vec::new();
        for (at, event) in news.events.iter().enumerate() {
            let telling = match event.own {
                _ if *event.about != *user => news.telling(at),
                Some(own) => Telling {
                    sequence: event.sequence,
                    frame: wire::server_text(own.get()),
                },
                None => continue,
            };
            frames.extend_from_slice(&telling.frame);
            tellings.push(telling);
        }
        Self {
            user: user.into(),
            key: member::key(user),
            tellings,
            frames: Bytes::from(frames),
        }
    }

    fn tell(&self, member: &Member, first: Option<u64>) {
        if self.tellings.is_empty() {
            return;
        }
        if is_all_news(member, first) {
            member.mailbox.frames(&self.frames);
        } else {
            member.tell(self.tellings.iter().cloned());
        }
    }
}

/// Whether a connection has been greeted, with nothing of what comes now in its greeting.
fn is_all_news(member: &Member, first: Option<u64>) -> bool {
    match member.stage() {
        Stage::HeldBack => false,
        Stage::Greeted(known) => first.is_none_or(|first| first > known),
    }
}
