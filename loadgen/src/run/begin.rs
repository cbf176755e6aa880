//! When a run begins that is prepared: users are made, and the target was reached.

use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// When the first phase begins.
#[derive(Debug, Default)]
pub enum Begin {
    /// As soon as everything is prepared.
    #[default]
    Prepared,
    /// At this moment; as soon as everything is prepared if it is past by then.
    At(SystemTime),
    /// Says that everything is prepared, and begins at the moment that it is then told.
    Told {
        /// Hears of it; dropped if it never comes to that.
        prepared: oneshot::Sender<()>,
        /// The moment. When its sender is gone, the run does not begin.
        at: oneshot::Receiver<SystemTime>,
    },
}

impl Begin {
    /// Waits for it. Returns the first phase's start on both clocks; `None` if it does not come to that.
    pub(super) async fn wait(self) -> Option<(SystemTime, Instant)> {
        let at = match self {
            Self::Prepared => None,
            Self::At(at) => Some(at),
            Self::Told { prepared, at } => {
                prepared.send(()).ok()?;
                Some(at.await.ok()?)
            }
        };
        let (now, instant) = both_clocks();
        let left = at.map_or(Duration::ZERO, |at| at.duration_since(now).unwrap_or_default());
        let start = instant + left;
        tokio::time::sleep_until(start).await;
        Some((now + left, start))
    }
}

/// Readings of both clocks at one moment. Parts of a run begin at a moment that each finds on its own clock, and whoever is interrupted
/// between two readings finds another one, which then is in every latency between two parts: the closest of several readings counts.
fn both_clocks() -> (SystemTime, Instant) {
    const READINGS: usize = 16;
    let reading = || {
        let before = Instant::now();
        let now = SystemTime::now();
        let between = before.elapsed();
        (between, now, before + between / 2)
    };
    let closest = (0..READINGS)
        .map(|_| reading())
        .min_by_key(|(between, ..)| *between);
    let (_, now, instant) = closest.expect("there are several");
    (now, instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_waits_for_its_moment_and_not_for_one_that_is_past() {
        let begun = Instant::now();
        let hour = Duration::from_secs(3_600);
        let at = SystemTime::now() + hour;
        let (started_at, start) = Begin::At(at).wait().await.unwrap();
        assert_eq!(started_at, at);
        let waited = start - begun;
        assert!(
            waited <= hour && waited > hour - Duration::from_secs(60),
            "{waited:?}"
        );
        let now = Instant::now();
        let past = Begin::At(SystemTime::UNIX_EPOCH).wait().await.unwrap();
        assert_eq!(past.1, now);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_says_first_that_all_is_prepared() {
        let ((prepared, heard), (tell, at)) = (oneshot::channel(), oneshot::channel());
        let moment = SystemTime::now() + Duration::from_secs(5);
        let telling = async {
            heard.await.unwrap();
            tell.send(moment).unwrap();
        };
        let (begun, ()) = tokio::join!(Begin::Told { prepared, at }.wait(), telling);
        assert_eq!(begun.map(|(at, _)| at), Some(moment));
        let ((prepared, _heard), (tell, at)) = (oneshot::channel(), oneshot::channel());
        drop(tell);
        assert_eq!(
            Begin::Told { prepared, at }.wait().await,
            None,
            "nobody tells it any more"
        );
    }
}
