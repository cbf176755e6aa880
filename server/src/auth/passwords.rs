//! Passwords: hashed by argon2id, so slowly that only a few are done at a time, beside the threads that serve.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// A longer password is none: hashing is not done over what anybody cares to send.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    /// Each hash takes 19 MiB and a core for some 20 ms.
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The PHC string to store; `None` for a password that is too long.
    pub(crate) async fn hash(&self, password: String) -> Option<String> {
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        self.in_turn(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.ok().map(|hash| hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one of `stored`. Takes as long when nothing is stored, so that nobody learns from the
    /// time it takes who has an account.
    pub(crate) async fn matches(&self, password: String, stored: Option<String>) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
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
        checked.await.unwrap_or(false)
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
        assert!(
            passwords
                .matches("correct horse".to_owned(), Some(hash.clone()))
                .await
        );
        for (password, stored) in [
            ("battery staple", Some(hash)),
            ("correct horse", None),
            ("correct horse", Some("not a hash".to_owned())),
        ] {
            assert!(!passwords.matches(password.to_owned(), stored).await);
        }
        assert_eq!(passwords.hash("x".repeat(2_000)).await, None);
    }
}
