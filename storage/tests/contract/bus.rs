//! What every bus promises.

use bytes::Bytes;
use touchstone_storage::{Bus, Inbox, bus};

/// The whole contract of a bus.
pub(crate) async fn keeps(bus: impl Bus) {
    let published = |topic, text: &'static str| bus.publish(topic, Bytes::from_static(text.as_bytes()));
    let (ear, mut first) = bus::inbox();
    let (other_ear, mut second) = bus::inbox();
    published("t", "before anybody listens").await.unwrap();
    bus.tune(&ear, "t").await.unwrap();
    bus.tune(&ear, "t").await.unwrap();
    bus.tune(&other_ear, "t").await.unwrap();
    bus.tune(&other_ear, "u").await.unwrap();
    for text in ["one", "two", "three"] {
        published("t", text).await.unwrap();
    }
    published("u", "for another topic").await.unwrap();
    hears(&mut first, &[("t", "one"), ("t", "two"), ("t", "three")]).await;
    let expected = [
        ("t", "one"),
        ("t", "two"),
        ("t", "three"),
        ("u", "for another topic"),
    ];
    hears(&mut second, &expected).await;

    bus.untune(&ear, "t").await;
    published("t", "tuned twice, untuned once").await.unwrap();
    bus.untune(&ear, "t").await;
    published("t", "for one ear alone").await.unwrap();
    bus.untune(&ear, "never tuned").await;
    hears(&mut first, &[("t", "tuned twice, untuned once")]).await;
    let expected = [("t", "tuned twice, untuned once"), ("t", "for one ear alone")];
    hears(&mut second, &expected).await;

    drop(first);
    bus.tune(&ear, "t").await.unwrap();
    published("t", "to an inbox that is gone").await.unwrap();
    hears(&mut second, &[("t", "to an inbox that is gone")]).await;
}

/// These payloads in this order, each once, and nothing else.
async fn hears(inbox: &mut Inbox, expected: &[(&str, &str)]) {
    for (topic, text) in expected {
        let payload = inbox.next().await.expect("the ears are still there");
        assert_eq!((&*payload.topic, &*payload.bytes), (*topic, text.as_bytes()));
    }
    assert_eq!(inbox.next_now(), None, "each payload once");
}
