//! The bus over Redis.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use touchstone_storage::redis::{BusTerms, LinkTerms, RedisBus, RedisUrl};
use touchstone_storage::{Bus, BusError, Ear, Inbox, bus};

use crate::contract;
use crate::support::proxy::{Mode, Proxy};
use crate::support::server::{Cluster, Memory, Server};

/// A node's bus, which ends with it.
struct Node {
    bus: RedisBus,
    _stop: DropGuard,
}

async fn node(url: RedisUrl) -> Node {
    node_with(url, BusTerms::default()).await
}

async fn node_with(url: RedisUrl, terms: BusTerms) -> Node {
    let stop = CancellationToken::new();
    let link = LinkTerms {
        heartbeat: Duration::from_millis(50),
        answer_deadline: Duration::from_millis(500),
        connect_deadline: Duration::from_secs(5),
        pause_max: Duration::from_millis(100),
        ..LinkTerms::default()
    };
    let bus = RedisBus::open(url, link, terms, &TaskTracker::new(), stop.clone()).await;
    Node {
        bus: bus.unwrap(),
        _stop: stop.drop_guard(),
    }
}

/// Publishes on one node and listens on another.
struct Across {
    publisher: Node,
    listener: Node,
}

impl Across {
    async fn of(url: RedisUrl) -> Self {
        Self {
            publisher: node(url.clone()).await,
            listener: node(url).await,
        }
    }
}

impl Bus for Across {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.publisher.bus.publish(topic, payload).await
    }

    async fn tune(&self, ear: &Ear, topic: &str) -> Result<(), BusError> {
        self.listener.bus.tune(ear, topic).await
    }

    async fn untune(&self, ear: &Ear, topic: &str) {
        self.listener.bus.untune(ear, topic).await;
    }
}

async fn publish(bus: &impl Bus, topic: &str, text: impl ToString) -> Result<(), BusError> {
    bus.publish(topic, Bytes::from(text.to_string())).await
}

async fn hears(inbox: &mut Inbox, expected: impl IntoIterator<Item = impl ToString>) {
    for text in expected {
        let next = tokio::time::timeout(Duration::from_secs(30), inbox.next()).await;
        let payload = next.expect("it comes").expect("the ears are still there");
        assert_eq!(String::from_utf8_lossy(&payload.bytes), text.to_string());
    }
}

async fn away(node: &Node) {
    while node.bus.state().is_up() {
        node.bus.state_after(node.bus.state()).await.unwrap();
    }
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_server() {
    let server = Server::start(Memory::Lost);
    contract::bus::keeps(node(server.url()).await.bus.clone()).await;
}

#[tokio::test]
async fn it_keeps_the_contract_between_two_nodes() {
    let server = Server::start(Memory::Lost);
    contract::bus::keeps(Across::of(server.url()).await).await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_a_cluster() {
    let cluster = Cluster::start();
    contract::bus::keeps(node(cluster.url()).await.bus.clone()).await;
    contract::bus::keeps(Across::of(cluster.url()).await).await;
    // Topics of every slot reach another node.
    let across = Across::of(cluster.url()).await;
    let (ear, mut inbox) = bus::inbox();
    for topic in 0..50 {
        across.tune(&ear, &format!("room:{{{topic}")).await.unwrap();
        publish(&across, &format!("room:{{{topic}"), topic).await.unwrap();
        hears(&mut inbox, [topic]).await;
    }
    let subscribed = cluster.servers().iter().map(|server| {
        let channels: Vec<String> = server.ask(&["PUBSUB", "SHARDCHANNELS"]);
        channels.len()
    });
    let subscribed: Vec<_> = subscribed.collect();
    assert!(subscribed.iter().all(|&channels| channels > 5), "{subscribed:?}");
}

// The test looks at Redis without a runtime, so another thread has to unsubscribe meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_subscribed_to_what_its_ears_are_tuned_to_and_to_nothing_else() {
    let server = Server::start(Memory::Lost);
    let node = node(server.url()).await;
    let (ear, _inbox) = bus::inbox();
    let channels = || server.ask::<Vec<String>>(&["PUBSUB", "SHARDCHANNELS"]);
    node.bus.tune(&ear, "a:1").await.unwrap();
    node.bus.tune(&ear, "a:1").await.unwrap();
    publish(&node.bus, "b", "nobody listens").await.unwrap();
    assert_eq!(channels(), ["touchstone:bus:0:{a%3a1}"]);
    node.bus.untune(&ear, "a:1").await;
    assert_eq!(channels().len(), 1);
    node.bus.untune(&ear, "a:1").await;
    crate::support::server::until("it is unsubscribed", || channels().is_empty());
}

#[tokio::test]
async fn a_payload_costs_one_command() {
    let server = Server::start(Memory::Lost);
    let across = Across::of(server.url()).await;
    let (ear, mut inbox) = bus::inbox();
    across.tune(&ear, "t").await.unwrap();
    publish(&across, "t", "the script is known now").await.unwrap();
    let calls = || {
        let stats: String = server.ask(&["INFO", "commandstats"]);
        let of = |command: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(command))?;
            line.split_once(',')?.0.parse::<u64>().ok()
        };
        (of("cmdstat_evalsha:calls="), of("cmdstat_xrange:calls="))
    };
    let (scripts, reads) = calls();
    for number in 0..10 {
        publish(&across, "t", number).await.unwrap();
    }
    hears(&mut inbox, ["the script is known now"]).await;
    hears(&mut inbox, 0..10).await;
    assert_eq!(calls(), (scripts.map(|scripts| scripts + 10), reads));
}

#[tokio::test]
async fn a_node_that_was_cut_off_hears_what_it_missed_once_and_in_order() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let (publisher, listener) = (node(server.url()).await, node(proxy.url()).await);
    let (ear, mut inbox) = bus::inbox();
    for topic in ["t", "u"] {
        listener.bus.tune(&ear, topic).await.unwrap();
    }
    publish(&publisher.bus, "t", 0).await.unwrap();
    hears(&mut inbox, [0]).await;
    for mode in [Mode::Cut, Mode::Holding] {
        proxy.set(mode);
        for number in 1..300 {
            publish(&publisher.bus, "t", number).await.unwrap();
        }
        away(&listener).await;
        proxy.set(Mode::Passing);
        hears(&mut inbox, 1..300).await;
        publish(&publisher.bus, "t", 300).await.unwrap();
        hears(&mut inbox, [300]).await;
    }
    publish(&publisher.bus, "u", "another topic").await.unwrap();
    hears(&mut inbox, ["another topic"]).await;
    assert_eq!(inbox.next_now(), None);
    assert!(listener.bus.caught_up() >= 598, "{}", listener.bus.caught_up());
    assert_eq!(listener.bus.gaps(), 0);
}

#[tokio::test]
async fn cuts_while_much_is_published_lose_and_double_nothing() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let (publisher, listener) = (node(server.url()).await, node(proxy.url()).await);
    let (ear, mut inbox) = bus::inbox();
    for topic in ["t", "u"] {
        listener.bus.tune(&ear, topic).await.unwrap();
    }
    let publishing = async {
        for number in 0..3_000 {
            publish(&publisher.bus, "t", number).await.unwrap();
        }
    };
    let cutting = async {
        for _ in 0..5 {
            proxy.set(Mode::Cut);
            away(&listener).await;
            proxy.set(Mode::Passing);
            while !listener.bus.state().is_up() {
                listener.bus.state_after(listener.bus.state()).await.unwrap();
            }
        }
    };
    let hearing = hears(&mut inbox, 0..3_000);
    tokio::join!(publishing, cutting, hearing);
    assert_eq!((inbox.next_now(), listener.bus.gaps()), (None, 0));
}

#[tokio::test]
async fn what_was_confirmed_is_heard_although_redis_was_killed() {
    let mut server = Server::start(Memory::AppendedAlways);
    let across = Across::of(server.url()).await;
    let (ear, mut inbox) = bus::inbox();
    across.tune(&ear, "t").await.unwrap();
    for number in 0..50 {
        publish(&across, "t", number).await.unwrap();
    }
    server.kill();
    let waiting = publish(&across, "t", 50);
    let again = async {
        away(&across.publisher).await;
        server.start_again();
    };
    let (published, ()) = tokio::join!(waiting, again);
    assert_eq!(published, Ok(()), "it waits for Redis");
    for number in 51..100 {
        publish(&across, "t", number).await.unwrap();
    }
    hears(&mut inbox, 0..100).await;
    assert_eq!((inbox.next_now(), across.listener.bus.gaps()), (None, 0));
}

#[tokio::test]
async fn a_redis_that_forgot_everything_deafens_nobody() {
    let mut server = Server::start(Memory::Lost);
    let across = Across::of(server.url()).await;
    let (ear, mut inbox) = bus::inbox();
    across.tune(&ear, "t").await.unwrap();
    publish(&across, "t", 0).await.unwrap();
    hears(&mut inbox, [0]).await;
    for round in 0..3 {
        server.kill();
        away(&across.publisher).await;
        server.start_again();
        for number in 0..5 {
            publish(&across, "t", 10 * round + number).await.unwrap();
        }
        hears(&mut inbox, (0..5).map(|number| 10 * round + number)).await;
    }
    assert_eq!(inbox.next_now(), None);
}

#[tokio::test]
async fn while_redis_is_away_a_node_hears_itself_and_the_publisher_is_told() {
    let mut server = Server::start(Memory::Lost);
    let terms = BusTerms {
        publish_deadline: Duration::from_millis(200),
        ..BusTerms::default()
    };
    let node = node_with(server.url(), terms).await;
    let (ear, mut inbox) = bus::inbox();
    node.bus.tune(&ear, "t").await.unwrap();
    server.kill();
    away(&node).await;
    let published = publish(&node.bus, "t", "to ourselves").await;
    assert!(
        matches!(published, Err(BusError::Unavailable(_))),
        "{published:?}"
    );
    hears(&mut inbox, ["to ourselves"]).await;
    let (other_ear, mut other_inbox) = bus::inbox();
    node.bus.tune(&other_ear, "t").await.unwrap();
    let tuned = node.bus.tune(&other_ear, "a new topic").await;
    assert!(matches!(tuned, Err(BusError::Unavailable(_))), "{tuned:?}");
    server.start_again();
    publish(&node.bus, "t", "once more").await.ok();
    while !node.bus.state().is_up() {
        node.bus.state_after(node.bus.state()).await.unwrap();
    }
    node.bus.tune(&other_ear, "a new topic").await.unwrap();
    publish(&node.bus, "a new topic", "heard").await.unwrap();
    hears(&mut other_inbox, ["once more", "heard"]).await;
    hears(&mut inbox, ["once more"]).await;
    assert_eq!((inbox.next_now(), other_inbox.next_now()), (None, None));
}

#[tokio::test]
async fn a_publish_whose_answer_was_lost_is_not_done_twice() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let (publisher, listener) = (node(proxy.url()).await, node(server.url()).await);
    let (ear, mut inbox) = bus::inbox();
    listener.bus.tune(&ear, "t").await.unwrap();
    publish(&publisher.bus, "t", "one").await.unwrap();
    proxy.set(Mode::Unanswered);
    let passing = async {
        hears(&mut inbox, ["one", "two"]).await;
        proxy.set(Mode::Cut);
        away(&publisher).await;
        proxy.set(Mode::Passing);
    };
    let (published, ()) = tokio::join!(publish(&publisher.bus, "t", "two"), passing);
    assert_eq!(published, Ok(()));
    publish(&publisher.bus, "t", "three").await.unwrap();
    hears(&mut inbox, ["three"]).await;
    assert_eq!(inbox.next_now(), None);
}

#[tokio::test]
async fn an_inbox_that_was_full_misses_nothing_and_holds_up_no_other() {
    let server = Server::start(Memory::Lost);
    let across = Across::of(server.url()).await;
    let (ear, mut inbox) = bus::inbox();
    let (other_ear, mut other_inbox) = bus::inbox();
    across.tune(&ear, "t").await.unwrap();
    across.tune(&other_ear, "u").await.unwrap();
    for number in 0..1_500 {
        publish(&across, "t", number).await.unwrap();
    }
    publish(&across, "u", "past the full one").await.unwrap();
    hears(&mut other_inbox, ["past the full one"]).await;
    hears(&mut inbox, 0..1_500).await;
    publish(&across, "t", 1_500).await.unwrap();
    hears(&mut inbox, [1_500]).await;
    assert_eq!((inbox.next_now(), across.listener.bus.gaps()), (None, 0));
}

#[tokio::test]
async fn what_no_stream_kept_is_counted_as_a_gap() {
    let server = Server::start(Memory::Lost);
    let proxy = Proxy::before(server.port()).await;
    let terms = BusTerms {
        kept_payloads_max: 100,
        ..BusTerms::default()
    };
    let publisher = node_with(server.url(), terms).await;
    let listener = node(proxy.url()).await;
    let (ear, mut inbox) = bus::inbox();
    listener.bus.tune(&ear, "t").await.unwrap();
    proxy.set(Mode::Cut);
    for number in 0..1_000 {
        publish(&publisher.bus, "t", number).await.unwrap();
    }
    away(&listener).await;
    proxy.set(Mode::Passing);
    let first = inbox.next().await.unwrap();
    let first: u32 = std::str::from_utf8(&first.bytes).unwrap().parse().unwrap();
    assert!(
        (700..=900).contains(&first),
        "about a hundred are kept, from {first} on"
    );
    hears(&mut inbox, first + 1..1_000).await;
    assert_eq!(listener.bus.gaps(), 1);
}
