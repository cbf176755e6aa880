//! How clients come back: not all at once, and less and less often.

use std::time::Duration;

/// How long to wait before coming back, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first attempt.
    pub first: Duration,
    /// From one to the next.
    pub growth: Growth,
    /// No wait is longer, advice of the server apart.
    pub max: Duration,
    /// After so many attempts in a row that failed, the client gives up; `None`: never.
    pub attempts_max: Option<u32>,
}

/// How a wait grows from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By a factor, in percent: 200 doubles.
    Percent(u32),
    /// By the first wait, each time.
    Linear,
}

impl Backoff {
    /// The wait before reconnect attempt `attempt` (from 0), shortened by at most a fifth so that a crowd that was dropped together
    /// does not come back together; `None` if the client gives up.
    ///
    /// `jitter` is in [0, 1): the caller's chance. `advice` is the server's own (common/6b): it replaces the back-off where it is
    /// longer, and the jitter is then added, because a client must not come before it was asked to.
    #[must_use]
    pub fn wait(self, attempt: u32, jitter: f64, advice: Option<Duration>) -> Option<Duration> {
        if self.attempts_max.is_some_and(|max| attempt >= max) {
            return None;
        }
        let factor = match self.growth {
            Growth::Percent(percent) => (f64::from(percent) / 100.0).powf(f64::from(attempt)),
            Growth::Linear => f64::from(attempt) + 1.0,
        };
        let seconds = (self.first.as_secs_f64() * factor).min(self.max.as_secs_f64());
        let own = Duration::from_secs_f64(seconds);
        let spread = own.mul_f64(0.2 * jitter.clamp(0.0, 1.0));
        Some(match advice {
            Some(advice) if advice > own => advice + spread,
            _ => own - spread,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_follows_longer_advice() {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            growth: Growth::Percent(200),
            max: Duration::from_secs(10),
            attempts_max: None,
        };
        let seconds = Duration::from_secs;
        let rows: &[(&str, u32, f64, Option<Duration>, Duration)] = &[
            ("at first", 0, 0.0, None, Duration::from_millis(500)),
            ("doubles", 1, 0.0, None, seconds(1)),
            ("doubles again", 4, 0.0, None, seconds(8)),
            ("up to its limit", 5, 0.0, None, seconds(10)),
            ("and never overflows", 4_000, 0.0, None, seconds(10)),
            (
                "jitter shortens by up to a fifth",
                1,
                1.0,
                None,
                Duration::from_millis(800),
            ),
            ("longer advice wins", 0, 0.0, Some(seconds(7)), seconds(7)),
            (
                "and jitter then lengthens",
                0,
                1.0,
                Some(seconds(7)),
                Duration::from_millis(7_100),
            ),
            ("shorter advice does not", 5, 0.0, Some(seconds(7)), seconds(10)),
        ];
        for (name, attempt, jitter, advice, expected) in rows {
            assert_eq!(
                backoff.wait(*attempt, *jitter, *advice),
                Some(*expected),
                "{name}"
            );
        }
    }

    #[test]
    fn a_wait_may_grow_evenly_and_end() {
        let backoff = Backoff {
            first: Duration::from_secs(3),
            growth: Growth::Linear,
            max: Duration::from_secs(3600),
            attempts_max: Some(5),
        };
        let waits: Vec<_> = (0..6)
            .map(|attempt| backoff.wait(attempt, 0.0, None).map(|wait| wait.as_secs()))
            .collect();
        assert_eq!(waits, [Some(3), Some(6), Some(9), Some(12), Some(15), None]);
    }
}
