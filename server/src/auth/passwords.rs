//! Passwords: hashed by argon2id, so slowly that only a few are done at a time, beside the threads that serve.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::slots::Slots;

/// A longer password is none: hashing is not done over what anybody cares to send.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Requests with a password at a time, for each core: the last of them waits for a second or so. With more than that somebody
/// floods us, and whoever came behind them would be answered when he no longer waits.
const REQUESTS_PER_CORE_MAX: usize = 32;

/// Why a password was not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NotHashed {
    /// Too many others wait to have theirs hashed. Come again.
    #[error("too many passwords wait for their turn")]
    Busy,
    /// It is longer than a password may be, or cannot be hashed.
    #[error("a password of more than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    /// Each hash takes 19 MiB and a core for some 20 ms.
    turns: Arc<Semaphore>,
    /// Requests that have a turn or wait for one.
    requests: Arc<Slots>,
    /// How many are hashed at a time.
    pub(crate) at_a_time: usize,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(cores)),
            requests: Slots::new(cores * REQUESTS_PER_CORE_MAX),
            at_a_time: cores,
        }
    }

    /// The PHC string to store, for somebody who registers himself.
    pub(crate) async fn hash(&self, password: String) -> Result<String, NotHashed> {
        let _slot = self.requests.take().ok_or(NotHashed::Busy)?;
        self.hash_patiently(password).await
    }

    /// The same for an administrator: however many ask, it waits. Who has many of them hashed has
    /// [`at_a_time`](Self::at_a_time) under way, so that somebody who logs in meanwhile gets a turn between them.
    pub(crate) async fn hash_patiently(&self, password: String) -> Result<String, NotHashed> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(NotHashed::TooLong);
        }
        let hashed = self.in_turn(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.ok().map(|hash| hash.to_string())
        });
        hashed.await.ok_or(NotHashed::TooLong)
    }

    /// Whether `password` is the one of `stored`. Takes as long when nothing is stored, so that nobody learns from the
    /// time it takes who has an account.
    ///
    /// # Errors
    /// [`NotHashed::Busy`].
    pub(crate) async fn matches(&self, password: String, stored: Option<String>) -> Result<bool, NotHashed> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let _slot = self.requests.take().ok_or(NotHashed::Busy)?;
        let checked = self.in_turn(move || match stored {
            Some(stored) => PasswordHash::new(&stored).ok().map(|stored| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &stored)
                    .is_ok()
            }),
            None => Argon2::default()
                .hash_password(password.as_bytes())
                .ok()
                .map(|_| false),
        });
        Ok(checked.await.unwrap_or(false))
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let _turn = self.turns.acquire().await.expect("nobody closes the semaphore");
        // The thread is awaited here; a panic in it is no match, and has been reported.
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_no_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let matches = |password: &str, stored| passwords.matches(password.to_owned(), stored);
        assert_eq!(matches("correct horse", Some(hash.clone())).await, Ok(true));
        for (password, stored) in [
            ("battery staple", Some(hash)),
            ("correct horse", None),
            ("correct horse", Some("not a hash".to_owned())),
        ] {
            assert_eq!(matches(password, stored).await, Ok(false));
        }
        assert_eq!(matches(&"x".repeat(2_000), None).await, Ok(false));
        assert_eq!(passwords.hash("x".repeat(2_000)).await, Err(NotHashed::TooLong));
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_an_administrator_waits() {
        let passwords = Passwords::new();
        // Nobody's turn ends meanwhile.
        let turns = passwords
            .turns
            .acquire_many(passwords.at_a_time as u32)
            .await
            .unwrap();
        let flood = (0..passwords.at_a_time * REQUESTS_PER_CORE_MAX)
            .map(|_| Box::pin(passwords.matches("wrong".to_owned(), None)));
        let mut flood: Vec<_> = flood.collect();
        for waiting in &mut flood {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        let more = || passwords.matches("correct horse".to_owned(), None);
        assert_eq!(more().await, Err(NotHashed::Busy));
        assert_eq!(
            passwords.hash("correct horse".to_owned()).await,
            Err(NotHashed::Busy)
        );
        let mut patient = Box::pin(passwords.hash_patiently("correct horse".to_owned()));
        assert!(futures_util::poll!(&mut patient).is_pending());
        // Who no longer waits makes room.
        drop(flood);
        drop(turns);
        assert_eq!(more().await, Ok(false));
        assert!(patient.await.is_ok());
    }
}
