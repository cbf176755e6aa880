//! What a newcomer is sent before anything else: the channel with its members, and what was said (rooms/3).

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use touchstone_protocol::rooms::messages::{CHANNEL_TYPE, CONTENT_TYPE, Channel, Message, Participant, Told};
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_storage::{
    Account, Accounts, Channel as StoredChannel, Channels, Post, Posts, Presence, StoreError, View, Window,
};

use super::Rooms;
use super::admission::Caller;
use super::member::wire_id;

/// A channel and what is needed to show it.
#[derive(Debug)]
pub(super) struct Greeting {
    view: View,
    /// Who is shown of its members, in the order in which they are shown.
    participants: Vec<Shown>,
    people: People,
    caller: Caller,
}

/// A member who is shown.
#[derive(Debug)]
struct Shown {
    id: String,
    is_online: bool,
}

/// Users by their ids, as far as they still exist.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<String, Account>);

impl<S, B, P> Rooms<S, B, P>
where
    S: Accounts + Channels + Posts,
    P: Presence,
{
    /// Looks at the channel as somebody who is about to be there. `None` if he may not.
    pub(super) async fn look(
        &self,
        caller: &Caller,
        topic: &str,
        channel: &str,
    ) -> Result<Option<Greeting>, StoreError> {
        let store = &self.backing.store;
        let window = self.window(self.config.history_messages);
        let view = store.view(&caller.realm, channel, &caller.user.id, window);
        let Some(view) = store.call(view).await? else {
            return Ok(None);
        };
        let ids = self.members_shown(caller, topic, channel).await?;
        let named: Vec<_> = ids.iter().map(|id| &**id).collect();
        let present = self.backing.presence.are_present(&caller.realm, &named).await?;
        let people = self.people(&caller.realm, &view.posts, &ids).await?;
        let mut participants: Vec<_> = ids
            .into_iter()
            .zip(present)
            .filter(|(id, _)| people.0.contains_key(id))
            .map(|(id, is_present)| Shown {
                // He is about to be counted in.
                is_online: is_present || *id == *caller.user.id,
                id,
            })
            .collect();
        // Those who are connected to the channel come in the order of their connecting already.
        participants.sort_by_key(|shown| {
            let last_seen = people.0.get(&shown.id).and_then(|account| account.last_seen);
            (!shown.is_online, Reverse(last_seen.filter(|_| !shown.is_online)))
        });
        Ok(Some(Greeting {
            view,
            participants,
            people,
            caller: caller.clone(),
        }))
    }

    /// Members of the channel, as many as a list may have (common/11b): the newcomer, then who connected to it last, then others.
    async fn members_shown(
        &self,
        caller: &Caller,
        topic: &str,
        channel: &str,
    ) -> Result<Vec<String>, StoreError> {
        let most = self.backing.presence_terms.listed_users;
        let here = self.backing.presence.latest(topic, most).await?;
        let mut shown = vec![caller.user.id.to_string()];
        let mut seen: HashSet<String> = shown.iter().cloned().collect();
        let here = here.members.iter().map(|member| member.to_string());
        shown.extend(here.filter(|member| seen.insert(member.clone())));
        if shown.len() < most {
            let store = &self.backing.store;
            let members = store.members(&caller.realm, channel, most);
            let members = store.call(members).await?.into_iter();
            shown.extend(members.filter(|member| seen.insert(member.clone())));
        }
        shown.truncate(most);
        Ok(shown)
    }
}

impl<S: Accounts, B, P> Rooms<S, B, P> {
    /// What is shown of so many posts.
    pub(super) fn window(&self, posts: usize) -> Window {
        Window {
            posts,
            readers: self.backing.presence_terms.listed_users,
        }
    }

    /// Those who wrote or read the posts, and others.
    pub(super) async fn people<'a>(
        &self,
        realm: &str,
        posts: impl IntoIterator<Item = &'a Post>,
        others: &[String],
    ) -> Result<People, StoreError> {
        let mut ids: HashSet<&str> = others.iter().map(|id| &**id).collect();
        for post in posts {
            ids.insert(&post.author);
            ids.extend(post.readers.iter().map(|reader| &**reader));
        }
        if ids.is_empty() {
            return Ok(People::default());
        }
        let ids = ids.into_iter().map(str::to_owned).collect();
        let store = &self.backing.store;
        let accounts = store.call(store.accounts_by_id(realm, ids)).await?;
        let by_id = accounts.into_iter().map(|account| (account.id.clone(), account));
        Ok(People(by_id.collect()))
    }
}

impl Greeting {
    /// The number of the last message that it can know.
    pub(super) fn sequence(&self) -> u64 {
        self.view.sequence
    }

    /// Hands out its messages, first the channel and then the history.
    pub(super) fn tell(&self, mut send: impl FnMut(&Told<'_>)) {
        let messages = self.people.messages(&self.view.posts, &self.caller.user.id);
        let participants = self.participants.iter().filter_map(|shown| {
            let account = self.people.0.get(&shown.id)?;
            Some(Participant {
                id: wire_id(&account.id, account.id_form),
                username: &account.username,
                is_online: shown.is_online,
                last_seen: account.last_seen.map(|at| Rfc3339(at.millis())),
            })
        });
        let channel = Channel {
            participants: Some(participants.collect()),
            ..channel(&self.view.channel, messages.last())
        };
        send(&Told::ChannelInfo { channel });
        send(&Told::History { messages: &messages });
    }
}

/// A channel without its members.
pub(super) fn channel<'a>(channel: &'a StoredChannel, last: Option<&'a Message<'a>>) -> Channel<'a> {
    Channel {
        id: &channel.id,
        name: channel.name.as_deref(),
        channel_type: CHANNEL_TYPE,
        participants: None,
        participants_total: channel.members_total,
        unread_count: channel.unread,
        last_message: last,
    }
}

impl People {
    /// The posts as `asker` is shown them. One whose author was deleted meanwhile is not shown any more.
    pub(super) fn messages<'a>(
        &'a self,
        posts: impl IntoIterator<Item = &'a Post>,
        asker: &str,
    ) -> Vec<Message<'a>> {
        let message = |post: &'a Post| {
            let author = self.0.get(&post.author)?;
            let readers = post.readers.iter().filter_map(|reader| self.0.get(reader));
            Some(Message {
                id: &post.id,
                content: &post.text,
                content_type: CONTENT_TYPE,
                user_id: wire_id(&author.id, author.id_form),
                username: &author.username,
                timestamp: Rfc3339(post.at.millis()),
                is_own: post.author == asker,
                read_by: readers
                    .map(|reader| wire_id(&reader.id, reader.id_form))
                    .collect(),
            })
        };
        posts.into_iter().filter_map(message).collect()
    }
}
