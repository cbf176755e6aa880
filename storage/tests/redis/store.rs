//! The store in Redis.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touchstone_storage::redis::{Durability, LinkTerms, Redis, RedisStore, RedisUrl};
use touchstone_storage::{
    Account, Accounts, Arrived, Channels, CreateError, Dialogues, Events, NewChannel, NewEvent, NewPost,
    Posts, Timestamp, Window,
};

use crate::contract;
use crate::support::proxy::{Mode, Proxy};
use crate::support::server::{Cluster, Memory, Server};

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_123);

struct Opened {
    store: RedisStore,
    link: Redis,
    _stop: DropGuard,
}

async fn open(url: RedisUrl) -> Opened {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let terms = LinkTerms {
        answer_deadline: Duration::from_millis(500),
        pause_max: Duration::from_millis(50),
        connect_deadline: Duration::from_secs(5),
        ..LinkTerms::default()
    };
    let link = Redis::open(url, terms, &tasks, stop.clone()).await.unwrap();
    Opened {
        store: RedisStore::new(link.clone(), "touchstone"),
        link,
        _stop: stop.drop_guard(),
    }
}

async fn keeps_the_contract(store: &RedisStore) {
    contract::accounts::keeps(store.clone()).await;
    contract::conversations::keeps(store.clone()).await;
    contract::channels::keeps(store.clone()).await;
    contract::dialogues::keeps(store.clone()).await;
    contract::events::keeps(store.clone()).await;
    contract::resources::keeps(store.clone()).await;
    contract::revocations::keeps(store.clone()).await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_server() {
    let server = Server::start(Memory::Lost);
    keeps_the_contract(&open(server.url()).await.store).await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_a_cluster() {
    let cluster = Cluster::start();
    keeps_the_contract(&open(cluster.url()).await.store).await;
}

fn channel(realm: &str, id: &str) -> NewChannel {
    NewChannel {
        realm: realm.into(),
        id: id.to_owned(),
        name: None,
        members: vec!["ann".to_owned()],
    }
}

fn post(channel: &str, id: usize) -> NewPost {
    NewPost {
        realm: "r".into(),
        channel: channel.into(),
        id: id.to_string(),
        author: "ann".into(),
        text: "said".to_owned(),
        at: AT,
    }
}

#[tokio::test]
async fn channels_of_several_realms_are_made_all_or_none() {
    let server = Server::start(Memory::Lost);
    let opened = open(server.url()).await;
    let create = |channels| opened.store.create_channels(channels);
    create(vec![channel("b", "taken")]).await.unwrap();
    let made = create(vec![
        channel("a", "new"),
        channel("b", "new"),
        channel("b", "taken"),
    ])
    .await;
    let (index, field) = (2, "id");
    assert_eq!(made, Err(CreateError::Taken { index, field }));
    for realm in ["a", "b"] {
        let members = opened.store.members(realm, "new", 9).await.unwrap();
        assert!(members.is_empty(), "{realm}");
    }
}

#[tokio::test]
async fn names_that_look_like_keys_are_kept_apart() {
    let cluster = Cluster::start();
    let opened = open(cluster.url()).await;
    for realm in ["}", "{}", "a:b", "a%3ab", "{a}{b}"] {
        for id in ["x", "x:y", "}", "%7d", ""] {
            opened
                .store
                .create_channels(vec![channel(realm, id)])
                .await
                .unwrap();
        }
        let mut his = opened.store.channels_of(realm, "ann").await.unwrap();
        his.sort();
        assert_eq!(his, ["", "%7d", "x", "x:y", "}"], "{realm}");
    }
}

#[tokio::test]
async fn what_was_confirmed_survives_a_kill_of_redis() {
    let mut server = Server::start(Memory::AppendedAlways);
    let opened = open(server.url()).await;
    let store = &opened.store;
    store.create_channels(vec![channel("r", "c")]).await.unwrap();
    let mut confirmed = Vec::new();
    for id in 0..60 {
        if id == 30 {
            server.kill();
            server.start_again();
        }
        // What fails may or may not have been done.
        if let Ok(numbers) = store.say(vec![post("c", id)]).await {
            confirmed.push((numbers[0].unwrap(), id.to_string()));
        }
    }
    assert!(confirmed.len() >= 55, "{}", confirmed.len());
    let window = Window {
        posts: 100,
        readers: 0,
    };
    let view = store.view("r", "c", "ann", window).await.unwrap().unwrap();
    let kept: Vec<_> = view
        .posts
        .into_iter()
        .map(|post| (post.sequence, post.id))
        .collect();
    assert!(
        confirmed.iter().all(|post| kept.contains(post)),
        "{confirmed:?} {kept:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_away_says_so_and_is_there_again() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let opened = open(proxy.url()).await;
    for mode in [Mode::Cut, Mode::Holding, Mode::Unanswered] {
        proxy.set(mode);
        assert!(opened.store.tenant("r", "t").await.is_err(), "{mode:?}");
        proxy.set(Mode::Passing);
        while opened.store.tenant("r", "t").await != Ok(None) {}
    }
}

#[tokio::test]
async fn what_survives_a_kill_is_known() {
    let lost = Server::start(Memory::Lost);
    let always = Server::start(Memory::AppendedAlways);
    let durability = async |url| open(url).await.link.durability().await.unwrap();
    assert_eq!(durability(lost.url()).await, Durability::Snapshots);
    assert_eq!(durability(always.url()).await, Durability::Everything);
    let _: () = always.ask(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let appendfsync = "everysec".to_owned();
    assert_eq!(
        durability(always.url()).await,
        Durability::AllButTheLast { appendfsync }
    );
    let cluster = Cluster::start();
    assert_eq!(durability(cluster.url()).await, Durability::Snapshots);
}

#[tokio::test]
async fn a_user_who_is_removed_leaves_no_key_behind() {
    let server = Server::start(Memory::Lost);
    let opened = open(server.url()).await;
    let store = &opened.store;
    let ann = Account {
        id: "ann".to_owned(),
        username: "ann".to_owned(),
        email: Some("ann@example.test".to_owned()),
        ..Account::default()
    };
    store.create_accounts("r", vec![ann]).await.unwrap();
    let event = NewEvent {
        id: "e".to_owned(),
        user: "ann".to_owned(),
        kind: "k".to_owned(),
        data: "{}".into(),
        scheduled_at: AT,
        claimed_until: AT,
    };
    let numbers = store.store_events("r", vec![event.clone(), event]).await.unwrap();
    let arrived = Arrived {
        number: numbers[0],
        at: AT,
    };
    store.note_arrived("r", vec![arrived]).await.unwrap();
    store.remove_events("r", "ann").await.unwrap();
    assert!(store.remove_account("r", "ann").await.unwrap());
    store.remove_dialogues("r", "ann").await.unwrap();
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(keys, ["touchstone:store:{r}:events:last"]);
}
