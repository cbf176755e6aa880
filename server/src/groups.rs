//! Who belongs where on this node: connections by user, by channel, or by whatever else a dialect tells things to.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Comings and goings are spread over this many locks.
const SHARDS: usize = 16;

/// Members of groups. Most groups have one or two.
#[derive(Debug)]
pub(crate) struct Groups<M> {
    shards: [Mutex<Shard<M>>; SHARDS],
    hasher: RandomState,
    next: AtomicU64,
    count: AtomicUsize,
}

type Shard<M> = HashMap<Arc<str>, Vec<(u64, M)>>;

/// A moment between two joins: who has joined before, and who after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

/// A place in a group; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Membership<M> {
    groups: Arc<Groups<M>>,
    group: Arc<str>,
    number: u64,
}

impl<M> Groups<M> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        })
    }

    /// Takes a member in, until its membership is dropped.
    pub(crate) fn join(self: &Arc<Self>, group: &str, member: M) -> Membership<M> {
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        let mut shard = self.shard(group);
        let name = match shard.get_key_value(group) {
            Some((name, _)) => Arc::clone(name),
            None => group.into(),
        };
        shard
            .entry(Arc::clone(&name))
            .or_insert_with(|| Vec::with_capacity(1))
            .push((number, member));
        self.count.fetch_add(1, Ordering::Relaxed);
        Membership {
            groups: Arc::clone(self),
            group: name,
            number,
        }
    }

    /// Now, as a moment between two joins.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.next.load(Ordering::Acquire))
    }

    /// How many are in the group.
    pub(crate) fn count_in(&self, group: &str) -> usize {
        self.shard(group).get(group).map_or(0, Vec::len)
    }

    /// How many memberships there are in all groups together.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The groups that have members now, one shard after the other.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let names = |shard| lock(shard).keys().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(names).collect()
    }

    fn shard(&self, group: &str) -> MutexGuard<'_, Shard<M>> {
        lock(&self.shards[self.hasher.hash_one(group) as usize % SHARDS])
    }
}

impl<M: Clone> Groups<M> {
    /// Those who are in the group now. No lock is held once they are returned.
    pub(crate) fn members(&self, group: &str) -> Vec<M> {
        let shard = self.shard(group);
        let members = shard.get(group).into_iter().flatten();
        members.map(|(_, member)| member.clone()).collect()
    }

    /// Visits those who are in any group, with its name, one shard after the other. No lock is held meanwhile, and a large
    /// crowd does not hold up those who wait for the same thread.
    pub(crate) async fn visit(&self, visit: impl FnMut(&str, &M)) {
        self.visit_joined_before(Moment(u64::MAX), visit).await;
    }

    /// The same of those who had joined by then.
    pub(crate) async fn visit_joined_before(&self, moment: Moment, mut visit: impl FnMut(&str, &M)) {
        for shard in &self.shards {
            for (group, member) in present(shard, moment) {
                visit(&group, &member);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Those who are in any group now, with its name, one shard after the other.
    pub(crate) fn everyone_by_group(&self) -> Vec<(Arc<str>, M)> {
        let all = |shard| present(shard, Moment(u64::MAX));
        self.shards.iter().flat_map(all).collect()
    }

    /// Those who are in any group now, one shard after the other.
    pub(crate) fn everyone(&self) -> Vec<M> {
        let mut everyone = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            everyone.extend(shard.values().flatten().map(|(_, member)| member.clone()));
        }
        everyone
    }
}

fn present<M: Clone>(shard: &Mutex<Shard<M>>, before: Moment) -> Vec<(Arc<str>, M)> {
    let mut present = Vec::new();
    for (group, members) in &*lock(shard) {
        let had_joined = members.iter().filter(|(number, _)| *number < before.0);
        present.extend(had_joined.map(|(_, member)| (Arc::clone(group), member.clone())));
    }
    present
}

impl<M> Membership<M> {
    /// The group's name.
    pub(crate) fn group(&self) -> &Arc<str> {
        &self.group
    }
}

impl<M> Drop for Membership<M> {
    fn drop(&mut self) {
        let mut shard = self.groups.shard(&self.group);
        if let Some(members) = shard.get_mut(&self.group) {
            if let Some(at) = members.iter().position(|(number, _)| *number == self.number) {
                members.swap_remove(at);
                self.groups.count.fetch_sub(1, Ordering::Relaxed);
            }
            if members.is_empty() {
                shard.remove(&self.group);
            }
        }
        // A crowd that has gone gives its memory back.
        if shard.capacity() > 4 * shard.len().max(16) {
            shard.shrink_to_fit();
        }
    }
}

fn lock<M>(shard: &Mutex<Shard<M>>) -> MutexGuard<'_, Shard<M>> {
    shard
        .lock()
        .expect("the groups' lock is never poisoned: no code panics while holding it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_in_its_groups_until_its_membership_is_dropped() {
        let groups = Groups::new();
        let ann = groups.join("a", "ann");
        let both = [groups.join("a", "bob"), groups.join("b", "bob")];
        assert_eq!(groups.members("a"), ["ann", "bob"]);
        assert_eq!(
            (groups.everyone().len(), groups.count(), groups.count_in("a")),
            (3, 3, 2)
        );
        let mut names = groups.names();
        names.sort();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        drop(ann);
        assert_eq!(groups.members("a"), ["bob"]);
        drop(both);
        assert!(groups.everyone().is_empty());
        assert_eq!((groups.count(), groups.count_in("a")), (0, 0));
    }
}
