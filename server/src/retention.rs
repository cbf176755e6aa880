//! What is kept no longer: messages and events that are older, or more, than the configuration allows.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use touchstone_storage::{Keep, StoreError, Timestamp};

use crate::clock::Clock;
use crate::config::Retention;

/// Time between two looks for what is to go: what is a little too old hurts nobody, and a look goes over all that is kept.
const PAUSE: Duration = Duration::from_secs(600);

/// Rows that go at once: so few that nobody who writes waits long.
const ROWS_AT_ONCE: usize = 1_000;

/// A dialect that keeps what may go one day.
pub(crate) trait Retains: Send + Sync + 'static {
    /// Removes at most `limit` rows of each kind that are not to be kept. Returns how many of the kind of which most went.
    fn trim(&self, keep: Keep, limit: usize) -> impl Future<Output = Result<usize, StoreError>> + Send;
}

/// Removes what is not to be kept, again and again, until `stop`.
pub(crate) async fn run(dialect: &impl Retains, retention: Retention, clock: Clock, stop: CancellationToken) {
    if retention == Retention::default() {
        return;
    }
    loop {
        // A failure has been noted where the store is watched; the next look finds what is left.
        let _ = trim(dialect, retention, clock, &stop).await;
        let pause = stop.run_until_cancelled(tokio::time::sleep(PAUSE));
        if pause.await.is_none() {
            return;
        }
    }
}

async fn trim(
    dialect: &impl Retains,
    retention: Retention,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let since = |age: Duration| {
        let millis = clock.now().millis().saturating_sub(age.as_millis() as u64);
        Timestamp::from_millis(millis)
    };
    let keep = Keep {
        since: retention.age.map(since),
        count_max: retention.count.map(|count| count as u64),
    };
    while !stop.is_cancelled() && dialect.trim(keep, ROWS_AT_ONCE).await? >= ROWS_AT_ONCE {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::shared::Shared;
    use std::sync::Mutex;
    use tokio::time::Instant;
    use touchstone_storage::{Channels, NewChannel, NewPost, Posts, Window};

    /// Keeps nothing but what it was asked.
    #[derive(Default)]
    struct Asked(Mutex<Vec<(Instant, Keep)>>);

    impl Retains for Asked {
        async fn trim(&self, keep: Keep, limit: usize) -> Result<usize, StoreError> {
            let mut asked = self.0.lock().unwrap();
            asked.push((Instant::now(), keep));
            match asked.len() {
                1 => Ok(limit),
                2 => Err(StoreError::Unavailable("for once".to_owned())),
                _ => Ok(limit - 1),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_until_little_is_left_and_again_after_a_pause() {
        let (asked, clock, stop) = (Asked::default(), Clock::start(), CancellationToken::new());
        let (started, now) = (Instant::now(), clock.now());
        let retention = Retention {
            age: Some(Duration::from_secs(60)),
            count: Some(7),
        };
        let running = run(&asked, retention, clock, stop.clone());
        let stopping = async {
            tokio::time::sleep(PAUSE * 3 / 2).await;
            stop.cancel();
        };
        tokio::join!(running, stopping);
        let asked = asked.0.into_inner().unwrap();
        let times: Vec<_> = asked.iter().map(|(at, _)| *at - started).collect();
        assert_eq!(times, [Duration::ZERO, Duration::ZERO, PAUSE]);
        let keep = Keep {
            since: Some(Timestamp::from_millis(now.millis() - 60_000)),
            count_max: Some(7),
        };
        assert_eq!(asked[0].1, keep);
    }

    #[tokio::test]
    async fn of_a_channel_only_the_newest_messages_stay() {
        let shared = Shared::new(Config::default(), fastrand::Rng::with_seed(7))
            .await
            .unwrap();
        let channel = NewChannel {
            realm: "r".into(),
            id: "c".to_owned(),
            name: None,
            members: vec!["ann".to_owned()],
        };
        shared.store.create_channels(vec![channel]).await.unwrap();
        let post = |number: u64| NewPost {
            realm: "r".into(),
            channel: "c".into(),
            id: number.to_string(),
            author: "ann".into(),
            text: "x".to_owned(),
            at: Timestamp::from_millis(number),
        };
        shared.store.say((0..5).map(post).collect()).await.unwrap();
        let keep = Keep {
            since: None,
            count_max: Some(3),
        };
        assert_eq!(shared.rooms.dialect.trim(keep, ROWS_AT_ONCE).await, Ok(2));
        let window = Window {
            posts: 10,
            readers: 0,
        };
        let view = shared.store.view("r", "c", "ann", window).await.unwrap();
        let left: Vec<_> = view
            .expect("a member")
            .posts
            .into_iter()
            .map(|post| post.id)
            .collect();
        assert_eq!(left, ["2", "3", "4"]);
    }

    #[tokio::test]
    async fn without_a_limit_nothing_is_looked_at() {
        let asked = Asked::default();
        run(
            &asked,
            Retention::default(),
            Clock::start(),
            CancellationToken::new(),
        )
        .await;
        assert!(asked.0.into_inner().unwrap().is_empty());
    }
}
