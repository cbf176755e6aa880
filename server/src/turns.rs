//! Turns: what is stored and then told is told in the order in which it was stored.

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::{Semaphore, SemaphorePermit};

/// So many things can have their turn at the same time; two that share a place only wait for each other.
const PLACES: usize = 64;

/// Lets one at a time do something about the same thing on this node.
#[derive(Debug)]
pub(crate) struct Turns {
    places: [Semaphore; PLACES],
    hasher: RandomState,
}

/// Somebody's turn; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held until it is dropped")] SemaphorePermit<'a>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            places: std::array::from_fn(|_| Semaphore::new(1)),
            hasher: RandomState::new(),
        }
    }

    /// Waits for the turn about `thing`. Those who wait get it in the order in which they came. No second one may be
    /// waited for by whoever has one.
    pub(crate) async fn take(&self, thing: impl Hash) -> Turn<'_> {
        let place = &self.places[self.hasher.hash_one(thing) as usize % PLACES];
        Turn(place.acquire().await.expect("nobody closes the places"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_in_the_order_of_coming() {
        let turns = Turns::new();
        let told = std::sync::Mutex::new(Vec::new());
        let act = async |number: u32| {
            let _turn = turns.take("ann").await;
            told.lock().unwrap().push((number, "begins"));
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            told.lock().unwrap().push((number, "ends"));
        };
        tokio::join!(act(1), act(2), act(3));
        let expected = [1, 2, 3].map(|number| [(number, "begins"), (number, "ends")]);
        assert_eq!(told.into_inner().unwrap(), expected.concat());
    }
}
