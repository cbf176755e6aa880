//! Several nodes on one database: each store has connections and a writer of its own, as if it were on another machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use touchstone_storage::{
    Account, Accounts, Channels, CreateError, DialogueMessage, Dialogues, Event, Events, Fields, NewChannel,
    NewEvent, NewPost, NewReading, Postgres, PostgresOptions, Posts, Progress, Reading, Resources, Shelf,
    Timestamp, Window,
};

use crate::server::{Fsync, Server};
use crate::{node, parsed};

const REALM: &str = "rooms:acme";

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn two_nodes(server: &Server) -> [Postgres; 2] {
    let one = node(server).await;
    let url = parsed(&server.url());
    let other = Postgres::open(&url, PostgresOptions::default()).await.unwrap();
    [one, other]
}

/// Nodes that got in each other's way would have tried again, and nobody would have seen it but the server.
fn no_transaction_failed(server: Server) {
    let log = server.end();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR:")).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn channel(realm: &str, id: &str) -> NewChannel {
    NewChannel {
        realm: realm.into(),
        id: id.to_owned(),
        name: None,
        members: vec!["ann".to_owned(), "bob".to_owned()],
    }
}

fn post(channel: &str, id: String) -> NewPost {
    NewPost {
        realm: REALM.into(),
        channel: channel.into(),
        id,
        author: "ann".into(),
        text: "hello".to_owned(),
        at: at(1_000),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_claimed_by_one_node_alone() {
    let server = Server::start(Fsync::Off);
    let nodes = two_nodes(&server).await;
    let events = (0..400).map(|number| NewEvent {
        id: number.to_string(),
        user: format!("user {}", number % 7),
        kind: "kind".to_owned(),
        data: "{}".into(),
        scheduled_at: at(100),
        claimed_until: at(0),
    });
    let numbers = nodes[0].store_events("outbox", events.collect()).await.unwrap();
    let mut claiming = JoinSet::new();
    for place in 0..8 {
        let store = nodes[place % 2].clone();
        claiming.spawn(async move {
            let users: Vec<_> = (0..7).map(|number| format!("user {number}")).collect();
            let mut claimed: Vec<Event> = Vec::new();
            // What another has locked is passed over, so that a short claim may find nothing although some are left.
            for _ in 0..40 {
                let some = store.claim_events("outbox", users.clone(), at(200), at(900), 20);
                claimed.extend(some.await.unwrap());
            }
            claimed.into_iter().map(|event| event.number).collect::<Vec<_>>()
        });
    }
    let mut claimed = claiming.join_all().await.concat();
    claimed.sort_unstable();
    assert_eq!(claimed, numbers, "each once, and all of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sees_a_post_sees_all_before_it() {
    const WRITERS: usize = 6;
    const POSTS: usize = 40;
    let server = Server::start(Fsync::Off);
    let nodes = two_nodes(&server).await;
    let channels = vec![channel(REALM, "a"), channel(REALM, "b")];
    nodes[0].create_channels(channels).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut looking = JoinSet::new();
    for store in nodes.clone() {
        let is_over = Arc::clone(&is_over);
        looking.spawn(async move {
            let window = Window {
                posts: WRITERS * POSTS,
                readers: 0,
            };
            let mut last = 0;
            while !is_over.load(Ordering::Acquire) {
                let view = store.view(REALM, "a", "bob", window).await.unwrap();
                let view = view.expect("a member");
                let numbers: Vec<_> = view.posts.iter().map(|post| post.sequence).collect();
                assert_eq!(
                    numbers,
                    (1..=view.sequence).collect::<Vec<_>>(),
                    "nothing is missing"
                );
                assert!(view.sequence >= last, "nothing goes back");
                last = view.sequence;
            }
        });
    }
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let store = nodes[writer % 2].clone();
        writing.spawn(async move {
            let mut last = 0;
            for number in 0..POSTS {
                let id = |channel| format!("{channel} {writer} {number}");
                // Some name one channel first, some the other: that is how two nodes could wait for each other.
                let mut both = vec![post("a", id("a")), post("b", id("b"))];
                both.rotate_left(writer % 2);
                let numbers = store.say(both).await.unwrap();
                let given = numbers[writer % 2].expect("a member");
                assert!(given > last, "in the order in which he said it");
                last = given;
                let reading = NewReading {
                    realm: REALM.into(),
                    channel: "a".into(),
                    post: id("a"),
                    reader: "bob".into(),
                    at: at(2_000),
                };
                let noted = store.note_readings(vec![reading]).await.unwrap();
                assert_eq!(noted, [Reading::Noted]);
            }
        });
    }
    writing.join_all().await;
    is_over.store(true, Ordering::Release);
    looking.join_all().await;
    let view = nodes[1].view(REALM, "b", "bob", Window::BARE).await.unwrap();
    let view = view.expect("a member");
    let all = (WRITERS * POSTS) as u64;
    assert_eq!((view.sequence, view.channel.unread), (all, all));
    let view = nodes[0].view(REALM, "a", "bob", Window::BARE).await.unwrap();
    assert_eq!(view.expect("a member").channel.unread, 0, "all were read");
    no_transaction_failed(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_nodes_make_at_once_is_made_once_and_whole() {
    let server = Server::start(Fsync::Off);
    let nodes = two_nodes(&server).await;
    let mut making = JoinSet::new();
    for maker in 0..8 {
        let store = nodes[maker % 2].clone();
        making.spawn(async move {
            let account = |id: String| Account {
                username: id.clone(),
                id,
                ..Account::default()
            };
            // A tenant that nobody has made a schema for, and one user that all want.
            let accounts = vec![account(format!("own {maker}")), account("wanted".to_owned())];
            let made = store.create_accounts(REALM, accounts).await;
            // In two schemas at once.
            let channels = vec![
                channel(REALM, &format!("own {maker}")),
                channel("rooms:b", "wanted"),
            ];
            (made, store.create_channels(channels).await)
        });
    }
    let made = making.join_all().await;
    let taken = Err(CreateError::Taken {
        index: 1,
        field: "id",
    });
    let (accounts, channels): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    for outcomes in [accounts, channels] {
        assert_eq!(
            outcomes.iter().filter(|made| made.is_ok()).count(),
            1,
            "{outcomes:?}"
        );
        assert_eq!(
            outcomes.iter().filter(|made| **made == taken).count(),
            7,
            "{outcomes:?}"
        );
    }
    let accounts = nodes[1].accounts(REALM, None, 99).await.unwrap();
    assert_eq!(accounts.len(), 2, "{accounts:?}");
    assert_eq!(nodes[0].channels_of(REALM, "ann").await.unwrap().len(), 1);
    assert_eq!(nodes[0].channels_of("rooms:b", "ann").await.unwrap(), ["wanted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_of_a_dialogue_number_it_together() {
    let server = Server::start(Fsync::Off);
    let nodes = two_nodes(&server).await;
    let mut writing = JoinSet::new();
    for (store, sender, receiver) in [(&nodes[0], "ann", "bob"), (&nodes[1], "bob", "ann")] {
        let store = store.clone();
        writing.spawn(async move {
            let mut numbers = Vec::new();
            for number in 0..60 {
                let message = DialogueMessage {
                    id: format!("{sender} {number}"),
                    sender: sender.to_owned(),
                    receiver: receiver.to_owned(),
                    content: "hello".to_owned(),
                    kind: "text".to_owned(),
                    created: at(number),
                    progress: Progress::Stored,
                };
                numbers.push(store.append("direct", message).await.unwrap().number);
                store
                    .note_read("direct", sender, receiver, at(number))
                    .await
                    .unwrap();
            }
            assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            numbers
        });
    }
    let numbers: BTreeSet<_> = writing.join_all().await.concat().into_iter().collect();
    assert_eq!(numbers, (1..=120).collect());
    for user in ["ann", "bob"] {
        let other = if user == "ann" { "bob" } else { "ann" };
        nodes[0].note_read("direct", user, other, at(900)).await.unwrap();
        assert_eq!(nodes[1].unread("direct", user).await.unwrap(), 0);
    }
    no_transaction_failed(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_several_nodes_set_at_once_are_all_set() {
    let server = Server::start(Fsync::Off);
    let nodes = two_nodes(&server).await;
    let shelf = Shelf {
        name: "feed/things",
        inside: None,
    };
    let made = nodes[0].create_resource(shelf, "ann", at(1), Fields::new()).await;
    let id = made.unwrap().expect("it is inside of nothing").id;
    let mut revising = JoinSet::new();
    for number in 0..12 {
        let store = nodes[number % 2].clone();
        revising.spawn(async move {
            let fields = Fields::from_iter([(format!("field {number}"), number.into())]);
            store.revise_resource(shelf, id, fields).await.unwrap()
        });
    }
    revising.join_all().await;
    let found = nodes[0].resource(shelf, id).await.unwrap().expect("it is there");
    assert_eq!(found.fields.len(), 12, "{:?}", found.fields);
}
