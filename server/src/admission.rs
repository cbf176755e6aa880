//! The limits on WebSocket connections: in total, of one address, of one user.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::config::Limits;
use crate::slots::{Slot, Slots};

/// Who may still come.
#[derive(Debug)]
pub(crate) struct Admission {
    total: Arc<Slots>,
    /// `None` where the number is not limited.
    by_address: Option<Arc<Shares<IpAddr>>>,
    by_user: Option<Arc<Shares<Box<str>>>>,
}

/// One connection's part of the limits; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Admitted {
    _slot: Slot,
    _shares: Option<Box<TakenShares>>,
}

#[derive(Debug)]
struct TakenShares {
    _address: Option<Share<IpAddr>>,
    _user: Option<Share<Box<str>>>,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are as many connections as there may be.
    Total,
    /// So many of this address.
    Address,
    /// So many of this user.
    User,
}

/// Who wants a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asking<'a> {
    pub(crate) address: Option<IpAddr>,
    /// Unique over all dialects and tenants.
    pub(crate) user: Option<&'a str>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            total: Slots::new(limits.connections),
            by_address: limits.connections_per_ip.map(Shares::new),
            by_user: limits.connections_per_user.map(Shares::new),
        }
    }

    /// How many may still come.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.total.left()
    }

    /// Whether it matters who the user is.
    pub(crate) fn counts_users(&self) -> bool {
        self.by_user.is_some()
    }

    /// Lets one more in, if no limit is reached.
    pub(crate) fn admit(&self, asking: Asking<'_>) -> Result<Admitted, Full> {
        let slot = self.total.take().ok_or(Full::Total)?;
        let address = match (&self.by_address, asking.address) {
            (Some(shares), Some(address)) => Some(shares.take(subscriber(address)).ok_or(Full::Address)?),
            (_, _) => None,
        };
        let user = match (&self.by_user, asking.user) {
            (Some(shares), Some(user)) => Some(shares.take(user.into()).ok_or(Full::User)?),
            (_, _) => None,
        };
        let shares = (address.is_some() || user.is_some()).then(|| {
            Box::new(TakenShares {
                _address: address,
                _user: user,
            })
        });
        Ok(Admitted {
            _slot: slot,
            _shares: shares,
        })
    }
}

/// What stands for one subscriber: an IPv4 address, or the 64 bits of an IPv6 address that he was given; of the other 64
/// he makes as many as he likes.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// Counts what each of many has, up to the same limit.
#[derive(Debug)]
struct Shares<K> {
    limit: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// One of what `key` has; dropping it gives it back.
#[derive(Debug)]
struct Share<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: Mutex::default(),
        })
    }

    fn take(self: &Arc<Self>, key: K) -> Option<Share<K>> {
        let mut taken = self.taken();
        let count = taken.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Share {
            shares: Arc::clone(self),
            key,
        })
    }
}

impl<K> Shares<K> {
    fn taken(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken
            .lock()
            .expect("the shares' lock is never poisoned: no code panics while holding it")
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        let key: &K = self.key.borrow();
        if let Some(count) = taken.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(key);
            }
        }
        // A crowd that has gone gives its memory back.
        if taken.capacity() > 4 * taken.len().max(16) {
            taken.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(total: usize, of_address: Option<usize>, of_user: Option<usize>) -> Admission {
        Admission::new(&Limits {
            connections: total,
            connections_per_ip: of_address,
            connections_per_user: of_user,
            ..Limits::default()
        })
    }

    fn admit(admission: &Admission, address: &str, user: &str) -> Result<Admitted, Full> {
        admission.admit(Asking {
            address: Some(address.parse().unwrap()),
            user: Some(user),
        })
    }

    #[test]
    fn each_limit_counts_for_itself_and_what_is_dropped_is_given_back() {
        let admission = admission(4, Some(2), Some(2));
        let first = admit(&admission, "192.0.2.1", "ann").unwrap();
        let second = admit(&admission, "192.0.2.1", "bob").unwrap();
        assert_eq!(admit(&admission, "192.0.2.1", "cid").unwrap_err(), Full::Address);
        let third = admit(&admission, "192.0.2.2", "ann").unwrap();
        assert_eq!(admit(&admission, "192.0.2.3", "ann").unwrap_err(), Full::User);
        let fourth = admit(&admission, "192.0.2.3", "cid").unwrap();
        assert_eq!(admit(&admission, "192.0.2.4", "dan").unwrap_err(), Full::Total);
        drop((first, fourth));
        assert_eq!(admission.left(), 2, "who was refused keeps nothing");
        let again = admit(&admission, "192.0.2.1", "ann").unwrap();
        drop((second, third, again));
        assert_eq!(admission.left(), 4);
        let shares = admission.by_address.as_ref().unwrap();
        assert!(shares.taken().is_empty(), "who has none is not remembered");
    }

    #[test]
    fn of_ipv6_a_subscriber_is_his_prefix() {
        let admission = admission(9, Some(1), None);
        let _one = admit(&admission, "2001:db8:0:7::1", "ann").unwrap();
        assert_eq!(
            admit(&admission, "2001:db8:0:7:ffff::2", "ann").unwrap_err(),
            Full::Address
        );
        let _two = admit(&admission, "2001:db8:0:8::1", "ann").unwrap();
        let _three = admit(&admission, "::ffff:192.0.2.1", "ann").unwrap();
        assert_eq!(admit(&admission, "192.0.2.1", "ann").unwrap_err(), Full::Address);
    }

    #[test]
    fn what_is_not_limited_is_not_counted() {
        let admission = admission(1_000, None, None);
        let taken: Vec<_> = (0..1_000)
            .map(|_| admit(&admission, "192.0.2.1", "ann").unwrap())
            .collect();
        assert!(taken.iter().all(|admitted| admitted._shares.is_none()));
        assert_eq!(admit(&admission, "192.0.2.1", "ann").unwrap_err(), Full::Total);
    }
}
