//! What loops have to know of each other when the phases are over: everybody's sent pages, by which each loop finds out who
//! of its own misses something that somebody on another loop has sent, be it in this process or in another.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::ledger::reckon::SentPage;
use crate::schedule::Nanos;

/// One loop's sent pages.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) sent: Arc<[SentPage]>,
    /// When the last of its messages was sent.
    pub(crate) last_sent: Nanos,
}

/// Where all loops of a run post their pages, once each.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Of this process, and one more where there are other parts: for all of theirs.
    posts: usize,
    loops: usize,
    posted: Mutex<Vec<Posted>>,
    count: watch::Sender<usize>,
}

impl Exchange {
    /// Between the loops of one process.
    pub(crate) fn new(loops: u32) -> Self {
        Self {
            posts: loops as usize,
            loops: loops as usize,
            posted: Mutex::default(),
            count: watch::Sender::default(),
        }
    }

    /// The same, where somebody [posts](Self::post) for all loops of other processes as well.
    pub(crate) fn with_others(loops: u32) -> Self {
        Self {
            posts: loops as usize + 1,
            ..Self::new(loops)
        }
    }

    pub(crate) fn post(&self, pages: Posted) {
        let count = {
            let mut posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
            posted.push(pages);
            posted.len()
        };
        self.count.send_replace(count);
    }

    /// Everybody's, once all have posted theirs.
    pub(super) async fn all(&self) -> Vec<Posted> {
        self.first(self.posts).await
    }

    /// Those of this process, once all its loops have posted theirs; nobody may have posted for others by then.
    pub(crate) async fn own(&self) -> Vec<Posted> {
        self.first(self.loops).await
    }

    async fn first(&self, posts: usize) -> Vec<Posted> {
        let mut count = self.count.subscribe();
        // Its sender is this exchange itself: it cannot be gone.
        let _there = count.wait_for(|count| *count >= posts).await;
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
