//! The topics of this node: who hears each, and up to which number.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::Inner;
use super::numbered::Numbered;
use crate::bus::{BusError, Ear, Payload};

/// Topics are spread over so many locks.
const SHARDS: usize = 64;

/// The topics by channel.
#[derive(Debug)]
pub(super) struct Topics {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    next_incarnation: AtomicU64,
}

type Shard = HashMap<Arc<str>, Topic>;

/// Whom a caller of `tune` waits for.
type Subscribed = oneshot::Sender<Result<(), BusError>>;

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    /// One that is heard again after it was not is another.
    incarnation: u64,
    ears: Vec<Tuned>,
    place: Place,
}

#[derive(Debug)]
struct Tuned {
    ear: Ear,
    times: usize,
    /// What has this number or a lower one was published before.
    after: u64,
}

/// Up to where a topic has been handed on.
#[derive(Debug)]
enum Place {
    /// It is not known where it begins: Redis is being asked.
    Starting { heard: u64, waiting: Vec<Subscribed> },
    /// Everything up to `last` has been; the next comes as a push.
    At { last: u64 },
    /// Everything up to `last` has been; what follows, up to `heard` at least, is being read from the stream.
    Behind { last: u64, heard: u64 },
}

/// What becomes of a topic that somebody tunes to.
pub(super) struct NowTuned {
    pub(super) incarnation: u64,
    /// Whether nobody was tuned to it before.
    pub(super) is_first: bool,
    /// Is told once it is heard; `None` if it is already.
    pub(super) subscribed: Option<oneshot::Receiver<Result<(), BusError>>>,
}

/// That a topic has to be read from its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IsBehind {
    pub(super) incarnation: u64,
}

/// What a reader of the stream is told after each payload and each page.
pub(super) enum Owed {
    /// What comes after `last`, up to `heard` at least.
    After { last: u64, heard: u64 },
    /// All was handed on, or nobody listens any more.
    Nothing,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_incarnation: AtomicU64::new(0),
        }
    }
}

impl Topics {
    fn shard(&self, channel: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(channel) as usize % SHARDS])
    }

    /// The topic's name and the ears tuned to it, if there are any.
    pub(super) fn ears(&self, channel: &str) -> Option<(Arc<str>, Vec<Ear>)> {
        let shard = self.shard(channel);
        let topic = shard.get(channel)?;
        let ears = topic.ears.iter().map(|tuned| tuned.ear.clone());
        Some((Arc::clone(&topic.name), ears.collect()))
    }

    pub(super) fn tune(&self, channel: &Arc<str>, name: &str, ear: &Ear) -> NowTuned {
        let mut shard = self.shard(channel);
        let is_first = !shard.contains_key(channel);
        let topic = shard.entry(Arc::clone(channel)).or_insert_with(|| Topic {
            name: name.into(),
            incarnation: self.next_incarnation.fetch_add(1, Ordering::Relaxed),
            ears: Vec::new(),
            place: Place::Starting {
                heard: 0,
                waiting: Vec::new(),
            },
        });
        let after = match &topic.place {
            Place::Starting { .. } => 0,
            Place::At { last } => *last,
            Place::Behind { last, heard } => *last.max(heard),
        };
        match topic.ears.iter_mut().find(|tuned| tuned.ear.is_same(ear)) {
            Some(tuned) => tuned.times += 1,
            None => topic.ears.push(Tuned {
                ear: ear.clone(),
                times: 1,
                after,
            }),
        }
        let subscribed = match &mut topic.place {
            Place::Starting { waiting, .. } => {
                let (told, subscribed) = oneshot::channel();
                waiting.push(told);
                Some(subscribed)
            }
            Place::At { .. } | Place::Behind { .. } => None,
        };
        NowTuned {
            incarnation: topic.incarnation,
            is_first,
            subscribed,
        }
    }

    /// Takes one tuning back, if it is one of this incarnation where one is named; says whether it was the topic's last.
    pub(super) fn untune(&self, channel: &str, ear: &Ear, incarnation: Option<u64>) -> bool {
        let mut shard = self.shard(channel);
        let Some(topic) = shard
            .get_mut(channel)
            .filter(|topic| incarnation.is_none_or(|named| named == topic.incarnation))
        else {
            return false;
        };
        if let Some(at) = topic.ears.iter().position(|tuned| tuned.ear.is_same(ear)) {
            topic.ears[at].times -= 1;
            if topic.ears[at].times == 0 {
                topic.ears.swap_remove(at);
            }
        }
        let is_last = topic.ears.is_empty();
        if is_last {
            shard.remove(channel);
        }
        // A crowd that has gone gives its memory back.
        if shard.capacity() > 4 * shard.len().max(16) {
            shard.shrink_to_fit();
        }
        is_last
    }

    pub(super) fn is_tuned(&self, channel: &str) -> bool {
        self.shard(channel).contains_key(channel)
    }

    /// Every channel that somebody is tuned to.
    pub(super) fn channels(&self) -> Vec<Arc<str>> {
        let shards = self.shards.iter().map(lock);
        shards
            .flat_map(|shard| shard.keys().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// The channel is subscribed to; `last` is the last number that was given before. Says whether the topic has to be
    /// read from there, which it has if it was heard before, or if more has come meanwhile.
    pub(super) fn subscribed(&self, channel: &str, last: u64) -> Option<IsBehind> {
        let mut shard = self.shard(channel);
        let topic = shard.get_mut(channel)?;
        let incarnation = topic.incarnation;
        match &mut topic.place {
            Place::Starting { heard, waiting } => {
                let heard = *heard;
                for told in waiting.drain(..) {
                    // An error means that he no longer waits.
                    let _ = told.send(Ok(()));
                }
                for tuned in &mut topic.ears {
                    tuned.after = last;
                }
                if heard <= last {
                    topic.place = Place::At { last };
                    return None;
                }
                topic.place = Place::Behind { last, heard };
            }
            // Lower, if Redis has forgotten some that were handed on.
            Place::At { last: handed_on } if *handed_on >= last => return None,
            Place::At { last: handed_on } => {
                topic.place = Place::Behind {
                    last: *handed_on,
                    heard: last,
                };
            }
            // Somebody reads already, and looks again before he ends.
            Place::Behind { heard, .. } => {
                *heard = last.max(*heard);
                return None;
            }
        }
        Some(IsBehind { incarnation })
    }

    /// The channel could not be subscribed to: whoever waits for that is told, and nobody is tuned to it any more.
    pub(super) fn not_subscribed(&self, channel: &str, why: &BusError) {
        let mut shard = self.shard(channel);
        if let Some(Topic {
            place: Place::Starting { waiting, .. },
            ..
        }) = shard.get_mut(channel)
        {
            let waiting = std::mem::take(waiting);
            shard.remove(channel);
            for told in waiting {
                // An error means that he no longer waits.
                let _ = told.send(Err(why.clone()));
            }
        }
    }

    /// Hands a push on, if it is the next and every inbox has room. Never waits.
    pub(super) fn pushed(&self, channel: &str, pushed: &Numbered, node: &str) -> Option<IsBehind> {
        let mut shard = self.shard(channel);
        let topic = shard.get_mut(channel)?;
        let number = pushed.number;
        match &mut topic.place {
            Place::Starting { heard, .. } | Place::Behind { heard, .. } => *heard = number.max(*heard),
            Place::At { last } => {
                let last = *last;
                if number <= last {
                    return None;
                }
                // Before it is one that was handed on, or one that Redis has forgotten since.
                let follows = pushed.previous <= last;
                if follows && (pushed.node == node || hand_on(&topic.ears, &topic.name, pushed)) {
                    topic.place = Place::At { last: number };
                    return None;
                }
                topic.place = Place::Behind { last, heard: number };
                return Some(IsBehind {
                    incarnation: topic.incarnation,
                });
            }
        }
        None
    }

    /// From where a reader of the stream begins.
    pub(super) fn owed(&self, channel: &str, incarnation: u64) -> Owed {
        match self.shard(channel).get(channel) {
            Some(Topic {
                incarnation: current,
                place: Place::Behind { last, heard },
                ..
            }) if *current == incarnation => Owed::After {
                last: *last,
                heard: *heard,
            },
            Some(_) | None => Owed::Nothing,
        }
    }

    /// Who is owed the payload with this number, which a reader of the stream has in hand.
    pub(super) fn owed_to(
        &self,
        channel: &str,
        incarnation: u64,
        number: u64,
    ) -> Option<(Arc<str>, Vec<Ear>)> {
        let shard = self.shard(channel);
        let topic = shard
            .get(channel)
            .filter(|topic| topic.incarnation == incarnation)?;
        let owed = topic.ears.iter().filter(|tuned| tuned.after < number);
        let ears = owed.map(|tuned| tuned.ear.clone()).collect();
        Some((Arc::clone(&topic.name), ears))
    }

    /// Everything up to `number` has been handed on from the stream.
    pub(super) fn handed_on(&self, channel: &str, incarnation: u64, number: u64) {
        if let Some(Topic {
            incarnation: current,
            place: Place::Behind { last, .. },
            ..
        }) = self.shard(channel).get_mut(channel)
            && *current == incarnation
        {
            *last = number;
        }
    }

    /// The stream ends here for now: what comes next comes as a push, unless more has been heard of meanwhile.
    pub(super) fn stream_ended(&self, channel: &str, incarnation: u64) {
        self.continue_at(channel, incarnation, |last, heard| {
            (heard <= last).then_some(last)
        });
    }

    /// What was heard of, up to `heard`, is in no stream any more: what comes next follows.
    pub(super) fn give_up(&self, channel: &str, incarnation: u64, given_up: u64) {
        self.continue_at(channel, incarnation, |last, heard| {
            (heard <= given_up).then_some(last.max(given_up))
        });
    }

    fn continue_at(&self, channel: &str, incarnation: u64, at: impl FnOnce(u64, u64) -> Option<u64>) {
        if let Some(topic) = self.shard(channel).get_mut(channel)
            && topic.incarnation == incarnation
            && let Place::Behind { last, heard } = topic.place
            && let Some(last) = at(last, heard)
        {
            topic.place = Place::At { last };
        }
    }
}

/// Puts the payload into every inbox, or into none if one is full.
fn hand_on(ears: &[Tuned], topic: &Arc<str>, payload: &Numbered) -> bool {
    let mut rooms = Vec::with_capacity(ears.len());
    for tuned in ears.iter().filter(|tuned| tuned.after < payload.number) {
        match tuned.ear.room() {
            Ok(room) => rooms.extend(room),
            Err(_full) => return false,
        }
    }
    for room in rooms {
        room.send(Payload {
            topic: Arc::clone(topic),
            bytes: payload.bytes.clone(),
        });
    }
    true
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard
        .lock()
        .expect("the topics' lock is never poisoned: no code panics in it")
}

/// A tuning that is taken back unless it is done: its caller may lose patience.
pub(super) struct Tuning<'a> {
    inner: &'a Arc<Inner>,
    ear: &'a Ear,
    channel: &'a Arc<str>,
    incarnation: u64,
    done: bool,
}

impl<'a> Tuning<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, ear: &'a Ear, channel: &'a Arc<str>, incarnation: u64) -> Self {
        Self {
            inner,
            ear,
            channel,
            incarnation,
            done: false,
        }
    }

    pub(super) fn keep(&mut self) {
        self.done = true;
    }
}

impl Drop for Tuning<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.inner.untune(self.ear, self.channel, Some(self.incarnation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus;
    use bytes::Bytes;

    const NODE: &str = "another";

    fn numbered(number: u64, previous: u64) -> Numbered {
        Numbered {
            number,
            previous,
            node: "publisher".to_owned(),
            bytes: Bytes::from(number.to_string()),
        }
    }

    fn heard(inbox: &mut bus::Inbox) -> Vec<String> {
        let next = || inbox.next_now();
        std::iter::from_fn(next)
            .map(|payload| String::from_utf8(payload.bytes.to_vec()).unwrap())
            .collect()
    }

    fn tuned(last: u64) -> (Topics, Arc<str>, bus::Inbox, IsBehind) {
        let (topics, channel) = (Topics::default(), Arc::from("c"));
        let (ear, inbox) = bus::inbox();
        let incarnation = topics.tune(&channel, "t", &ear).incarnation;
        assert_eq!(topics.subscribed(&channel, last), None);
        (topics, channel, inbox, IsBehind { incarnation })
    }

    #[test]
    fn what_follows_is_handed_on_and_what_does_not_is_read_from_the_stream() {
        for (number, previous, expected, is_behind) in [
            (8, 7, &["8"][..], false),
            (7, 6, &[], false),
            (6, 5, &[], false),
            (9, 8, &[], true),
            // Redis has forgotten the one that was handed on last.
            (9, 5, &["9"], false),
            (9, 0, &["9"], false),
        ] {
            let (topics, channel, mut inbox, behind) = tuned(7);
            let became = topics.pushed(&channel, &numbered(number, previous), NODE);
            assert_eq!(became, is_behind.then_some(behind), "{number} after {previous}");
            assert_eq!(heard(&mut inbox), expected, "{number} after {previous}");
        }
    }

    #[test]
    fn what_comes_before_it_is_known_where_to_begin_is_read_from_there() {
        let (topics, channel) = (Topics::default(), Arc::from("c"));
        let (ear, _inbox) = bus::inbox();
        topics.tune(&channel, "t", &ear);
        assert_eq!(topics.pushed(&channel, &numbered(9, 8), NODE), None);
        let behind = topics.subscribed(&channel, 7).expect("9 is owed");
        let owed = topics.owed(&channel, behind.incarnation);
        assert!(matches!(owed, Owed::After { last: 7, heard: 9 }));
    }

    #[test]
    fn an_ear_that_comes_later_is_not_owed_what_others_have_missed() {
        let (topics, channel, _inbox, behind) = tuned(7);
        topics.pushed(&channel, &numbered(9, 8), NODE);
        let (late, _late_inbox) = bus::inbox();
        topics.tune(&channel, "t", &late);
        for (number, ears) in [(8, 1), (9, 1), (10, 2)] {
            let (_, owed) = topics.owed_to(&channel, behind.incarnation, number).unwrap();
            assert_eq!(owed.len(), ears, "{number}");
        }
    }

    #[test]
    fn one_who_reads_the_stream_looks_again_if_more_has_been_heard_of() {
        let (topics, channel, mut inbox, IsBehind { incarnation }) = tuned(7);
        topics.pushed(&channel, &numbered(9, 8), NODE);
        topics.handed_on(&channel, incarnation, 9);
        topics.pushed(&channel, &numbered(10, 9), NODE);
        topics.stream_ended(&channel, incarnation);
        let owed = topics.owed(&channel, incarnation);
        assert!(matches!(owed, Owed::After { last: 9, heard: 10 }));
        topics.handed_on(&channel, incarnation, 10);
        topics.stream_ended(&channel, incarnation);
        assert!(matches!(topics.owed(&channel, incarnation), Owed::Nothing));
        topics.pushed(&channel, &numbered(11, 10), NODE);
        assert_eq!(heard(&mut inbox), ["11"]);
    }

    #[test]
    fn a_tuning_of_before_takes_nothing_from_one_of_after() {
        let (topics, channel, _inbox, before) = tuned(7);
        let (_, ears) = topics.ears(&channel).unwrap();
        let ear = &ears[0];
        assert!(topics.untune(&channel, ear, None), "it was the last");
        topics.tune(&channel, "t", ear);
        assert!(!topics.untune(&channel, ear, Some(before.incarnation)));
        assert!(topics.is_tuned(&channel));
    }
}
