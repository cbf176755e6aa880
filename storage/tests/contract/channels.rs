//! What every store of channels, and of what is said in them, promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use touchstone_storage::{
    Channels, CreateError, Keep, NewChannel, NewPost, NewReading, NoPage, Posts, Reading, Timestamp, View,
    Window,
};

const WINDOW: Window = Window {
    posts: 50,
    readers: 2,
};

fn channel(realm: &str, id: &str, members: &[&str]) -> NewChannel {
    NewChannel {
        realm: realm.into(),
        id: id.to_owned(),
        name: Some(format!("channel {id}")),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    }
}

fn post(realm: &str, channel: &str, id: &str, author: &str) -> NewPost {
    NewPost {
        realm: realm.into(),
        channel: channel.into(),
        id: id.to_owned(),
        author: author.into(),
        text: format!("this is {id}"),
        at: Timestamp::from_millis(1_000),
    }
}

fn reading(realm: &str, channel: &str, post: &str, reader: &str, at: u64) -> NewReading {
    NewReading {
        realm: realm.into(),
        channel: channel.into(),
        post: post.to_owned(),
        reader: reader.into(),
        at: Timestamp::from_millis(at),
    }
}

async fn view(store: &impl Channels, realm: &str, channel: &str, member: &str) -> View {
    let view = store.view(realm, channel, member, WINDOW).await.unwrap();
    view.expect("he is a member")
}

fn ids(view: &View) -> Vec<&str> {
    view.posts.iter().map(|post| &*post.id).collect()
}

/// The whole contract of channels and posts, in the realms of tenants.
pub(crate) async fn keeps<S: Channels + Posts>(store: S) {
    let store = Arc::new(store);
    channels_are_made_all_or_nothing_and_known_to_members_only(&*store).await;
    posts_have_ascending_numbers_and_are_seen_by_members_only(&*store).await;
    pages_go_back_post_by_post(&*store).await;
    what_is_read_is_noted_once_per_member_and_post(&*store).await;
    what_is_not_kept_goes_with_all_that_belongs_to_it(&*store).await;
    a_member_goes_with_all_that_is_his(&*store).await;
    no_number_is_given_twice(&store).await;
}

async fn channels_are_made_all_or_nothing_and_known_to_members_only(store: &(impl Channels + Posts)) {
    let made = vec![
        channel("rooms:here", "a", &["1", "2", "1"]),
        channel("rooms:here", "b", &["1"]),
    ];
    store.create_channels(made).await.unwrap();
    let again = vec![
        channel("rooms:here", "c", &["1"]),
        channel("rooms:here", "b", &["2"]),
    ];
    let taken = CreateError::Taken {
        index: 1,
        field: "id",
    };
    assert_eq!(store.create_channels(again).await, Err(taken));
    store
        .create_channels(vec![channel("rooms:there", "a", &["3"])])
        .await
        .unwrap();
    for (realm, id, member) in [
        ("rooms:here", "c", "1"),
        ("rooms:here", "b", "2"),
        ("rooms:here", "a", "3"),
        ("rooms:there", "a", "1"),
        ("rooms:nowhere", "a", "1"),
    ] {
        assert_eq!(
            store.view(realm, id, member, WINDOW).await.unwrap(),
            None,
            "{realm} {id} {member}"
        );
    }
    let seen = view(store, "rooms:here", "a", "2").await;
    assert_eq!(seen.channel.name.as_deref(), Some("channel a"));
    assert_eq!(
        (seen.channel.members_total, seen.channel.unread, seen.sequence),
        (2, 0, 0)
    );
    assert_eq!(store.members("rooms:here", "a", 9).await.unwrap(), ["1", "2"]);
    assert_eq!(store.members("rooms:here", "a", 1).await.unwrap(), ["1"]);
    assert!(store.members("rooms:here", "c", 9).await.unwrap().is_empty());
    let mut his = store.channels_of("rooms:here", "1").await.unwrap();
    his.sort();
    assert_eq!(his, ["a", "b"]);
    let page = store.memberships("rooms:here", "1", 1, 1).await.unwrap();
    assert_eq!(page.total, 2);
    assert_eq!(page.channels.len(), 1);
    assert_eq!((&*page.channels[0].0.id, &page.channels[0].1), ("b", &None));
    assert_eq!(
        store.memberships("rooms:there", "1", 0, 9).await.unwrap().total,
        0
    );
}

async fn posts_have_ascending_numbers_and_are_seen_by_members_only(store: &(impl Channels + Posts)) {
    let said = vec![
        post("rooms:here", "a", "p1", "1"),
        post("rooms:there", "a", "q1", "3"),
        post("rooms:here", "a", "p2", "2"),
        post("rooms:here", "a", "x1", "3"),
        post("rooms:here", "c", "x2", "1"),
        post("rooms:here", "a", "p3", "1"),
    ];
    let numbers = store.say(said).await.unwrap();
    assert_eq!(numbers, [Some(1), Some(1), Some(2), None, None, Some(3)]);
    let seen = view(store, "rooms:here", "a", "1").await;
    assert_eq!(ids(&seen), ["p1", "p2", "p3"]);
    assert_eq!(
        (seen.channel.unread, seen.sequence),
        (1, 3),
        "his own are not unread"
    );
    let first = &seen.posts[0];
    assert_eq!(
        (first.sequence, &*first.author, &*first.text),
        (1, "1", "this is p1")
    );
    assert_eq!(first.at, Timestamp::from_millis(1_000));
    assert_eq!(view(store, "rooms:here", "a", "2").await.channel.unread, 2);
    assert_eq!(ids(&view(store, "rooms:there", "a", "3").await), ["q1"]);
    let few = Window { posts: 2, readers: 0 };
    let seen = store
        .view("rooms:here", "a", "1", few)
        .await
        .unwrap()
        .expect("a member");
    assert_eq!(ids(&seen), ["p2", "p3"], "the newest, the oldest of them first");
    let memberships = store.memberships("rooms:here", "2", 0, 9).await.unwrap();
    let (channel, last) = &memberships.channels[0];
    assert_eq!(
        (channel.unread, last.as_ref().map(|post| &*post.id)),
        (2, Some("p3"))
    );
}

async fn pages_go_back_post_by_post(store: &(impl Channels + Posts)) {
    let two = Window { posts: 2, readers: 0 };
    for (before, expected, more) in [
        (None, &["p2", "p3"][..], true),
        (Some("p3"), &["p1", "p2"], false),
        (Some("p2"), &["p1"], false),
        (Some("p1"), &[], false),
    ] {
        let page = store
            .page("rooms:here", "a", "1", before, two)
            .await
            .unwrap()
            .unwrap();
        let ids: Vec<_> = page.posts.iter().map(|post| &*post.id).collect();
        assert_eq!((&*ids, page.has_more), (expected, more), "before {before:?}");
    }
    for (realm, channel, member, before, why) in [
        ("rooms:here", "a", "3", None, NoPage::Channel),
        ("rooms:here", "c", "1", None, NoPage::Channel),
        ("rooms:there", "a", "1", None, NoPage::Channel),
        ("rooms:here", "a", "1", Some("q1"), NoPage::Post),
        ("rooms:here", "b", "1", Some("p1"), NoPage::Post),
    ] {
        let page = store.page(realm, channel, member, before, two).await.unwrap();
        assert_eq!(page, Err(why), "{realm} {channel} {member} {before:?}");
    }
}

async fn what_is_read_is_noted_once_per_member_and_post(store: &(impl Channels + Posts)) {
    let readings = vec![
        reading("rooms:here", "a", "p1", "2", 5),
        reading("rooms:here", "a", "p1", "2", 6),
        reading("rooms:here", "a", "p2", "2", 6),
        reading("rooms:here", "a", "q1", "2", 6),
        reading("rooms:here", "b", "p1", "1", 6),
        reading("rooms:here", "a", "p1", "3", 6),
        reading("rooms:there", "a", "p1", "3", 6),
        reading("rooms:here", "a", "p2", "1", 7),
    ];
    use Reading::{Known, Noted, Unknown};
    let expected = [Noted, Known, Known, Unknown, Unknown, Unknown, Unknown, Noted];
    assert_eq!(store.note_readings(readings).await.unwrap(), expected);
    let seen = view(store, "rooms:here", "a", "2").await;
    assert_eq!(seen.channel.unread, 1);
    let readers: Vec<_> = seen.posts.iter().map(|post| post.readers.clone()).collect();
    assert_eq!(readers, [vec!["2"], vec!["1"], vec![]]);
    assert_eq!(view(store, "rooms:here", "a", "1").await.channel.unread, 0);

    // Of many readers some are shown, the one who asks among them, the first reader first.
    let crowd = channel("rooms:here", "crowd", &["w", "x", "y", "z"]);
    store.create_channels(vec![crowd]).await.unwrap();
    store
        .say(vec![post("rooms:here", "crowd", "c1", "w")])
        .await
        .unwrap();
    let readings =
        [("x", 9), ("y", 8), ("z", 7)].map(|(reader, at)| reading("rooms:here", "crowd", "c1", reader, at));
    store.note_readings(readings.to_vec()).await.unwrap();
    assert_eq!(
        view(store, "rooms:here", "crowd", "z").await.posts[0].readers,
        ["z", "x"]
    );
    assert_eq!(
        view(store, "rooms:here", "crowd", "w").await.posts[0].readers,
        ["y", "x"]
    );
}

async fn what_is_not_kept_goes_with_all_that_belongs_to_it(store: &(impl Channels + Posts)) {
    store
        .create_channels(vec![
            channel("rooms:kept", "k", &["1", "2"]),
            channel("rooms:kept", "l", &["1"]),
        ])
        .await
        .unwrap();
    let mut said: Vec<_> = (1..=6)
        .map(|n| {
            post(
                "rooms:kept",
                "k",
                &format!("k{n}"),
                if n % 2 == 0 { "1" } else { "2" },
            )
        })
        .collect();
    for (n, post) in said.iter_mut().enumerate() {
        post.at = Timestamp::from_millis(100_000 + n as u64);
    }
    said.push(post("rooms:kept", "l", "l1", "1"));
    said[6].at = Timestamp::from_millis(200_000);
    store.say(said).await.unwrap();
    let readings = ["k1", "k3", "k5"].map(|post| reading("rooms:kept", "k", post, "1", 9));
    store.note_readings(readings.to_vec()).await.unwrap();
    let clear = async |since: Option<u64>, count_max: Option<u64>| {
        let keep = Keep {
            since: since.map(Timestamp::from_millis),
            count_max,
        };
        let mut removed = 0;
        loop {
            match store.trim_posts(keep, 2).await.unwrap() {
                0 => return removed,
                some => removed += some,
            }
        }
    };
    // What the other tests said is older, and goes as well.
    assert!(clear(Some(100_002), None).await >= 2);
    let seen = view(store, "rooms:kept", "k", "1").await;
    assert_eq!(
        (ids(&seen), seen.channel.unread, seen.sequence),
        (vec!["k3", "k4", "k5", "k6"], 0, 6)
    );
    assert_eq!(view(store, "rooms:kept", "k", "2").await.channel.unread, 2);
    assert_eq!(clear(None, Some(1)).await, 3);
    let seen = view(store, "rooms:kept", "k", "1").await;
    assert_eq!((ids(&seen), seen.channel.unread), (vec!["k6"], 0));
    assert_eq!(view(store, "rooms:kept", "k", "2").await.channel.unread, 1);
    assert_eq!(ids(&view(store, "rooms:kept", "l", "1").await), ["l1"]);
    assert_eq!(clear(None, None).await, 0);
    assert_eq!(
        store.say(vec![post("rooms:kept", "k", "k7", "1")]).await.unwrap(),
        [Some(7)],
        "numbers go on"
    );
}

async fn a_member_goes_with_all_that_is_his(store: &(impl Channels + Posts)) {
    let made = vec![
        channel("rooms:gone", "g", &["1", "2", "3"]),
        channel("rooms:gone", "h", &["1"]),
    ];
    store.create_channels(made).await.unwrap();
    let said =
        [("g1", "1"), ("g2", "2"), ("g3", "3")].map(|(id, author)| post("rooms:gone", "g", id, author));
    store.say(said.to_vec()).await.unwrap();
    let readings = [("g1", "2"), ("g1", "3"), ("g2", "1"), ("g3", "1")];
    let readings = readings.map(|(post, reader)| reading("rooms:gone", "g", post, reader, 9));
    store.note_readings(readings.to_vec()).await.unwrap();
    store.remove_member("rooms:gone", "1").await.unwrap();
    store.remove_member("rooms:gone", "nobody").await.unwrap();
    assert!(store.channels_of("rooms:gone", "1").await.unwrap().is_empty());
    assert_eq!(store.view("rooms:gone", "h", "1", WINDOW).await.unwrap(), None);
    assert_eq!(
        store.say(vec![post("rooms:gone", "g", "g4", "1")]).await.unwrap(),
        [None]
    );
    let seen = view(store, "rooms:gone", "g", "2").await;
    assert_eq!(ids(&seen), ["g2", "g3"]);
    assert_eq!((seen.channel.members_total, seen.channel.unread), (2, 1));
    assert!(
        seen.posts.iter().all(|post| post.readers.is_empty()),
        "{:?}",
        seen.posts
    );
}

async fn no_number_is_given_twice<S: Channels + Posts>(store: &Arc<S>) {
    let rooms: Vec<_> = (0..4)
        .map(|n| channel("rooms:busy", &n.to_string(), &["1"]))
        .collect();
    store.create_channels(rooms).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = Arc::clone(store);
        writers.spawn(async move {
            let mut given = Vec::new();
            for batch in 0..10 {
                let said = (0..8).map(|n| {
                    let room = (n % 4).to_string();
                    post("rooms:busy", &room, &format!("{writer}-{batch}-{n}"), "1")
                });
                let numbers = store.say(said.collect()).await.unwrap();
                given.extend(numbers.into_iter().enumerate().map(|(n, number)| (n % 4, number)));
            }
            given
        });
    }
    let mut given: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for (room, number) in writers.join_all().await.concat() {
        assert!(given.entry(room).or_default().insert(number.expect("a member")));
    }
    assert!(given.values().all(|numbers| numbers.iter().copied().eq(1..=160)));
}
