//! What every store of dialogues promises.

use touchstone_storage::{DialogueMessage, Dialogues, Keep, MessagePlace, Progress, Timestamp};

const REALM: &str = "here";

const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_123 + seconds * 1_000)
}

/// Written `seconds` after the beginning; the content is the id.
fn message(id: &str, sender: &str, receiver: &str, seconds: u64) -> DialogueMessage {
    DialogueMessage {
        id: id.to_owned(),
        sender: sender.to_owned(),
        receiver: receiver.to_owned(),
        content: id.to_owned(),
        kind: "text".to_owned(),
        created: at(seconds),
        progress: Progress::Stored,
    }
}

async fn append(store: &impl Dialogues, ids: &[&str], sender: &str, receiver: &str) -> Vec<MessagePlace> {
    let mut places = Vec::new();
    for (seconds, id) in ids.iter().enumerate() {
        let message = message(id, sender, receiver, seconds as u64);
        places.push(store.append(REALM, message).await.unwrap());
    }
    places
}

async fn ids(store: &impl Dialogues, user: &str, other: &str, skip: usize, limit: usize) -> Vec<String> {
    let page = store.dialogue(REALM, user, other, skip, limit).await.unwrap();
    page.into_iter().map(|message| message.id).collect()
}

async fn progress(store: &impl Dialogues, user: &str, other: &str) -> Vec<Progress> {
    let page = store.dialogue(REALM, user, other, 0, 100).await.unwrap();
    page.into_iter().map(|message| message.progress).collect()
}

/// The whole contract of dialogues.
pub(crate) async fn keeps(store: impl Dialogues) {
    a_dialogue_has_one_order_for_both_and_pages_from_its_end(&store).await;
    a_delivery_is_news_once(&store).await;
    reading_is_news_of_what_was_not_read(&store).await;
    dialogues_come_with_their_last_message_and_the_newest_first(&store).await;
    who_is_removed_takes_his_dialogues_along(&store).await;
    what_is_not_kept_goes_with_its_count(&store).await;
}

async fn a_dialogue_has_one_order_for_both_and_pages_from_its_end(store: &impl Dialogues) {
    let whole = message("\u{1F980} one", "b", "a", 0);
    store.append(REALM, whole.clone()).await.unwrap();
    append(store, &["2", "3"], "a", "b").await;
    store.append(REALM, message("4", "b", "a", 0)).await.unwrap();
    store.append("there", message("5", "b", "a", 0)).await.unwrap();
    for (user, other) in [("a", "b"), ("b", "a")] {
        assert_eq!(ids(store, user, other, 0, 9).await, [&whole.id, "2", "3", "4"]);
        assert_eq!(ids(store, user, other, 0, 2).await, ["3", "4"]);
        assert_eq!(ids(store, user, other, 2, 2).await, [&whole.id, "2"]);
        assert!(ids(store, user, other, 4, 2).await.is_empty());
    }
    assert_eq!(store.dialogue(REALM, "a", "b", 3, 1).await.unwrap(), [whole]);
    assert!(ids(store, "a", "c", 0, 9).await.is_empty());
}

async fn a_delivery_is_news_once(store: &impl Dialogues) {
    let places = append(store, &["1", "2", "3"], "d1", "d2").await;
    let noted = store
        .note_delivered(vec![(places[0], at(5)), (places[2], at(6))])
        .await;
    assert_eq!(noted.unwrap(), [true, true]);
    let noted = store
        .note_delivered(vec![(places[0], at(7)), (places[1], at(7))])
        .await;
    assert_eq!(noted.unwrap(), [false, true]);
    let expected = [5, 7, 6].map(|seconds| Progress::Delivered { at: at(seconds) });
    assert_eq!(progress(store, "d2", "d1").await, expected);
}

async fn reading_is_news_of_what_was_not_read(store: &impl Dialogues) {
    let read = |reader, sender, seconds| store.note_read(REALM, reader, sender, at(seconds));
    assert_eq!(read("r2", "r1", 1).await.unwrap(), 0, "there is no dialogue");
    let places = append(store, &["1", "2"], "r1", "r2").await;
    append(store, &["3"], "r2", "r1").await;
    store.note_delivered(vec![(places[0], at(5))]).await.unwrap();
    assert_eq!(store.unread(REALM, "r2").await.unwrap(), 2);
    assert_eq!(read("r2", "r1", 6).await.unwrap(), 2);
    assert_eq!(read("r2", "r1", 7).await.unwrap(), 0);
    let delivered_before = Progress::Read {
        delivered: at(5),
        at: at(6),
    };
    let delivered_by_it = Progress::Read {
        delivered: at(6),
        at: at(6),
    };
    let expected = [delivered_before, delivered_by_it, Progress::Stored];
    assert_eq!(progress(store, "r1", "r2").await, expected);
    assert_eq!(
        store.unread(REALM, "r1").await.unwrap(),
        1,
        "his own are not touched"
    );
    assert_eq!(store.unread(REALM, "r2").await.unwrap(), 0);
    let noted = store.note_delivered(vec![(places[1], at(8))]).await.unwrap();
    assert_eq!(noted, [false], "what was read had been delivered");
    append(store, &["4"], "r1", "r2").await;
    assert_eq!(read("r2", "r1", 9).await.unwrap(), 1);
}

async fn dialogues_come_with_their_last_message_and_the_newest_first(store: &impl Dialogues) {
    for (id, sender, receiver, seconds) in [
        ("1", "m", "old", 1),
        ("2", "zoe", "m", 2),
        ("3", "zoe", "m", 3),
        ("4", "m", "new", 4),
        ("5", "new", "m", 5),
        ("6", "zoe", "new", 6),
    ] {
        store
            .append(REALM, message(id, sender, receiver, seconds))
            .await
            .unwrap();
    }
    let dialogues = |skip, limit| store.dialogues(REALM, "m", skip, limit);
    let shown = dialogues(0, 9).await.unwrap();
    let shown: Vec<_> = shown
        .iter()
        .map(|dialogue| (&*dialogue.other, &*dialogue.last.id, dialogue.unread))
        .collect();
    assert_eq!(shown, [("new", "5", 1), ("zoe", "3", 2), ("old", "1", 0)]);
    let second = dialogues(1, 1).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!((&*second[0].other, &*second[0].last.sender), ("zoe", "zoe"));
    assert_eq!(store.unread(REALM, "m").await.unwrap(), 3);
    assert!(store.dialogues("there", "m", 0, 9).await.unwrap().is_empty());
}

async fn who_is_removed_takes_his_dialogues_along(store: &impl Dialogues) {
    let places = append(store, &["1", "2"], "x", "gone").await;
    append(store, &["3"], "gone", "y").await;
    append(store, &["4"], "x", "y").await;
    store.remove_dialogues(REALM, "gone").await.unwrap();
    assert!(ids(store, "x", "gone", 0, 9).await.is_empty());
    assert_eq!(ids(store, "y", "x", 0, 9).await, ["4"]);
    assert_eq!(store.unread(REALM, "y").await.unwrap(), 1);
    assert_eq!(
        store.note_delivered(vec![(places[0], at(1))]).await.unwrap(),
        [false]
    );
    append(store, &["5"], "x", "gone").await;
    assert_eq!(ids(store, "gone", "x", 0, 9).await, ["5"]);
}

async fn what_is_not_kept_goes_with_its_count(store: &impl Dialogues) {
    let append = async |id: &str, sender: &str, receiver: &str, seconds| {
        let place = store
            .append("trimmed", message(id, sender, receiver, seconds))
            .await;
        place.unwrap()
    };
    for (number, id) in ["1", "2", "3", "4", "5"].iter().enumerate() {
        append(id, "t1", "t2", number as u64).await;
    }
    append("other", "t3", "t2", 9).await;
    for id in ["a", "b", "c"] {
        append(id, "t4", "t5", 9).await;
    }
    let trim = |keep, limit| store.trim_dialogues("trimmed", keep, limit);
    assert_eq!(trim(Keep::default(), 9).await.unwrap(), 0);
    let by_age = Keep {
        since: Some(at(2)),
        count_max: None,
    };
    assert_eq!(trim(by_age, 1).await.unwrap(), 1, "no more than the limit");
    assert_eq!(trim(by_age, 9).await.unwrap(), 1);
    let by_count = Keep {
        since: None,
        count_max: Some(2),
    };
    assert_eq!(
        trim(by_count, 9).await.unwrap(),
        2,
        "one of each crowded dialogue"
    );
    assert_eq!(trim(by_count, 9).await.unwrap(), 0);
    let left = store.dialogue("trimmed", "t1", "t2", 0, 9).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|message| message.id).collect();
    assert_eq!(left, ["4", "5"]);
    assert_eq!(store.unread("trimmed", "t2").await.unwrap(), 3);
    assert_eq!(store.note_read("trimmed", "t2", "t1", at(9)).await.unwrap(), 2);
    let all = Keep {
        since: Some(at(20)),
        count_max: None,
    };
    assert_eq!(trim(all, 99).await.unwrap(), 5);
    assert!(store.dialogues("trimmed", "t2", 0, 9).await.unwrap().is_empty());
    assert_eq!(store.unread("trimmed", "t2").await.unwrap(), 0);
    assert_eq!(append("6", "t1", "t2", 30).await.number, 6, "numbers go on");
    assert!(
        !ids(store, "a", "b", 0, 9).await.is_empty(),
        "another realm keeps its own"
    );
}
