//! Where several people talk: channels, and who is a member of them.

use std::future::Future;
use std::sync::Arc;

use crate::accounts::CreateError;
use crate::posts::{Post, Window};
use crate::session::StoreError;

/// A channel to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Where it is to be.
    pub realm: Arc<str>,
    /// Unique in the realm.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Who may be there. Somebody named twice is a member once.
    pub members: Vec<String>,
}

/// A channel as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Unique in the realm.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// How many members it has.
    pub members_total: u64,
    /// How many posts of others the member has not read.
    pub unread: u64,
}

/// A channel with its newest posts, both of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The channel.
    pub channel: Channel,
    /// Its newest posts, the oldest of them first.
    pub posts: Vec<Post>,
    /// The number of the last post that was ever made here, 0 before the first: every later post has a higher one.
    pub sequence: u64,
}

/// Some of a member's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memberships {
    /// How many he is a member of.
    pub total: u64,
    /// Those that were asked for, each with its newest post.
    pub channels: Vec<(Channel, Option<Post>)>,
}

/// Keeps channels and their members, apart by realm.
///
/// Guarantees of every implementation: what was made is found by every later call; making several is all or nothing; who
/// is no member of a channel is told the same as if there were none.
pub trait Channels: Send + Sync + 'static {
    /// Makes channels. Whether the members exist is for the caller to know.
    fn create_channels(
        &self,
        channels: Vec<NewChannel>,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// The channel as `member` sees it, with what `window` shows of its newest posts. `None` unless he is a member.
    fn view(
        &self,
        realm: &str,
        channel: &str,
        member: &str,
        window: Window,
    ) -> impl Future<Output = Result<Option<View>, StoreError>> + Send;

    /// At most `limit` members of the channel, in the order of their ids.
    fn members(
        &self,
        realm: &str,
        channel: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// At most `limit` of the member's channels in the order of their ids, without the first `skipped`.
    fn memberships(
        &self,
        realm: &str,
        member: &str,
        skipped: usize,
        limit: usize,
    ) -> impl Future<Output = Result<Memberships, StoreError>> + Send;

    /// The ids of all channels of the member.
    fn channels_of(
        &self,
        realm: &str,
        member: &str,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Takes the member out of all channels, with his posts and with what he has read.
    fn remove_member(&self, realm: &str, member: &str)
    -> impl Future<Output = Result<(), StoreError>> + Send;
}
