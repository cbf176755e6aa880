//! Reads from a topic's stream what this node has missed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::numbered::{Entry, Numbered, stream_key};
use super::topics::{IsBehind, Owed};
use crate::bus::Payload;
use crate::redis::link::LinkError;

/// Payloads that are read at once.
const PAGE: usize = 128;

/// Between two attempts while Redis is there and yet does not answer.
const PAUSE: Duration = Duration::from_millis(100);

impl Inner {
    /// Starts the one reader of a topic that is behind.
    pub(super) fn catch_up(self: &Arc<Self>, channel: &str, behind: IsBehind) {
        let (inner, channel): (_, Arc<str>) = (Arc::clone(self), channel.into());
        self.spawn(async move { inner.read_on(&channel, behind.incarnation).await });
    }

    async fn read_on(&self, channel: &str, incarnation: u64) {
        while let Owed::After { last, heard } = self.topics.owed(channel, incarnation) {
            let page = match self.page(channel, last).await {
                Ok(page) => page,
                Err(_) => {
                    self.until_another_try().await;
                    continue;
                }
            };
            let is_last = page.len() < PAGE;
            let mut last = last;
            for payload in page.into_iter().filter_map(Numbered::of_entry) {
                if payload.previous > last {
                    self.gaps.fetch_add(1, Ordering::Relaxed);
                }
                last = payload.number;
                self.hand_on(channel, incarnation, payload).await;
            }
            if is_last && heard > last {
                self.gaps.fetch_add(1, Ordering::Relaxed);
                self.topics.give_up(channel, incarnation, heard);
            } else if is_last {
                self.topics.stream_ended(channel, incarnation);
            }
        }
    }

    async fn until_another_try(&self) {
        let state = self.link.state();
        if state.is_up() {
            tokio::time::sleep(PAUSE).await;
        } else if self.link.state_after(state).await.is_none() {
            // The bus has been stopped, and so is this.
            std::future::pending::<()>().await;
        }
    }

    async fn page(&self, channel: &str, last: u64) -> Result<Vec<Entry>, LinkError> {
        let _permit = self.reads.acquire().await;
        let mut command = redis::cmd("XRANGE");
        command
            .arg(stream_key(channel))
            .arg(format!("({last}-0"))
            .arg("+")
            .arg("COUNT")
            .arg(PAGE);
        self.link.run(&command).await
    }

    /// Puts the payload into the inboxes that are owed it, and waits for those that are full.
    async fn hand_on(&self, channel: &str, incarnation: u64, payload: Numbered) {
        let number = payload.number;
        // What this node has published, its own ears have heard.
        if payload.node != self.node
            && let Some((topic, ears)) = self.topics.owed_to(channel, incarnation, number)
        {
            self.caught_up.fetch_add(1, Ordering::Relaxed);
            for ear in ears {
                let payload = Payload {
                    topic: Arc::clone(&topic),
                    bytes: payload.bytes.clone(),
                };
                ear.hear(payload).await;
            }
        }
        self.topics.handed_on(channel, incarnation, number);
    }
}
