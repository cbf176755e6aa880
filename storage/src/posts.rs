//! What was said in channels, and who has read it.

use std::future::Future;
use std::sync::Arc;

use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// Something to be said in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPost {
    /// Where the channel is.
    pub realm: Arc<str>,
    /// The channel's id.
    pub channel: Arc<str>,
    /// Unique over all posts.
    pub id: String,
    /// Who says it.
    pub author: Arc<str>,
    /// What he says; the store doesn't look inside.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its place in its channel.
    pub sequence: u64,
    /// Unique over all posts.
    pub id: String,
    /// Who said it.
    pub author: String,
    /// What he said.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// Who has read it, as far as the window shows them, the first reader first.
    pub readers: Vec<String>,
}

/// How much of a channel is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Posts at most.
    pub posts: usize,
    /// Readers of each post at most; the member who asks is always among them if he has read it.
    pub readers: usize,
}

impl Window {
    /// Nothing at all.
    pub const BARE: Self = Self { posts: 0, readers: 0 };
}

/// Some posts of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The oldest of them first.
    pub posts: Vec<Post>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPage {
    /// There is no such channel, or the member is none.
    Channel,
    /// The channel has no such post.
    Post,
}

/// Somebody has read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReading {
    /// Where the channel is.
    pub realm: Arc<str>,
    /// The channel's id.
    pub channel: Arc<str>,
    /// The post's id.
    pub post: String,
    /// Who has read it.
    pub reader: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is noted.
    Noted,
    /// It says nothing new: he had read it before, or wrote it himself.
    Known,
    /// There is no such post in a channel of his.
    Unknown,
}

/// Keeps what is said in channels.
///
/// Guarantees of every implementation: what was said is seen by every later call; the posts of a channel have ascending
/// numbers, none of which is given twice, and whoever sees a post sees all with lower numbers that were not removed.
pub trait Posts: Send + Sync + 'static {
    /// Says several things, all or nothing, those in one channel in their order. Returns their numbers, in the same
    /// order; `None` for one whose author is not a member of its channel.
    fn say(&self, posts: Vec<NewPost>) -> impl Future<Output = Result<Vec<Option<u64>>, StoreError>> + Send;

    /// The newest posts of the channel, or the newest before the post with the id `before`.
    fn page(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        before: Option<&str>,
        window: Window,
    ) -> impl Future<Output = Result<Result<Page, NoPage>, StoreError>> + Send;

    /// Notes readings, all or nothing. Returns what became of each.
    fn note_readings(
        &self,
        readings: Vec<NewReading>,
    ) -> impl Future<Output = Result<Vec<Reading>, StoreError>> + Send;

    /// Removes posts that are not kept, of each channel the oldest first and at most `limit`, with all that belongs to
    /// them. Returns how many went; if that is none, none are left. In all realms.
    fn trim_posts(&self, keep: Keep, limit: usize) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
