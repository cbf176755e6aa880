//! Clients that a load generator is measured against: each opens sessions of `echo` and says 64 bytes a second on every one, on
//! the same uniform schedule. Neither measures anything.

#[cfg(target_os = "linux")]
pub mod bare;
pub mod tungstenite;

use std::time::Duration;

/// From one message of a session to its next.
pub const PERIOD: Duration = Duration::from_secs(1);

/// What is said: as long as the messages of a ready-made workload.
pub const TEXT: &str = "sixty-four bytes of text that come back as they are, and no more";

/// Where sessions go, and how many they are.
pub struct Crowd {
    pub address: String,
    pub sessions: usize,
}

impl Crowd {
    /// `None` if the words are no address and number.
    pub fn read(words: &[String]) -> Option<Self> {
        let [address, sessions] = words else {
            return None;
        };
        Some(Self {
            address: address.clone(),
            sessions: sessions.parse().ok()?,
        })
    }

    /// The path of a session's own.
    pub fn path(&self, number: usize) -> String {
        format!("/ws/chat/?session=rival-{}-{number}", std::process::id())
    }

    /// How long after the start of each period the session speaks: on an even millisecond, which is the grid of the load generator's
    /// schedule for crowds of up to 5,000.
    pub fn phase(&self, number: usize) -> Duration {
        let phase = PERIOD.mul_f64(number as f64 / self.sessions as f64);
        let millis = u64::try_from(phase.as_millis()).expect("a period is short");
        Duration::from_millis(millis / 2 * 2)
    }
}
