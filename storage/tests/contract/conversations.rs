//! What every store of conversations promises.

use touchstone_storage::{
    Conversation, ConversationMessage, Conversations, CreateError, Events, Keep, NewEvent, Timestamp,
};

fn conversation(id: &str, members: &[&str]) -> Conversation {
    Conversation {
        id: id.to_owned(),
        name: Some(id.to_uppercase()),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        created_at: Timestamp::from_millis(1_700_000_000_123),
    }
}

fn message(id: &str, conversation: &str, sender: &str, millis: u64) -> ConversationMessage {
    ConversationMessage {
        id: id.to_owned(),
        conversation: conversation.to_owned(),
        sender: sender.to_owned(),
        content: "said \u{1F980}".to_owned(),
        created_at: Timestamp::from_millis(millis),
    }
}

fn event(user: &str) -> NewEvent {
    NewEvent {
        id: format!("for {user}"),
        user: user.to_owned(),
        kind: "kind".to_owned(),
        data: "{}".into(),
        scheduled_at: Timestamp::from_millis(5),
        claimed_until: Timestamp::from_millis(0),
    }
}

/// The whole contract of conversations.
pub(crate) async fn keeps(store: impl Conversations + Events) {
    let (one, two) = (
        conversation("one", &["ann", "bob"]),
        conversation("two", &["ann"]),
    );
    let create = |conversations| store.create_conversations("talk", conversations);
    create(vec![one.clone(), two.clone()]).await.unwrap();
    let taken = create(vec![
        conversation("three", &["ann"]),
        conversation("one", &["eve"]),
    ]);
    let (index, field) = (1, "id");
    assert_eq!(taken.await, Err(CreateError::Taken { index, field }));
    assert_eq!(
        store.conversation("talk", "three").await.unwrap(),
        None,
        "all or nothing"
    );
    assert_eq!(
        store.conversation("talk", "one").await.unwrap(),
        Some(one.clone())
    );
    assert_eq!(store.conversation("there", "one").await.unwrap(), None);
    let of_ann = |after, limit| store.conversations_of("talk", "ann", after, limit);
    assert_eq!(of_ann(None, 9).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(of_ann(None, 1).await.unwrap(), [one]);
    assert_eq!(of_ann(Some("one"), 9).await.unwrap(), [two]);
    assert_eq!(store.conversations_of("talk", "eve", None, 9).await.unwrap(), []);

    let events = vec![event("ann"), event("bob")];
    let numbers = store
        .post_message("talk", message("m1", "one", "ann", 100), events)
        .await
        .unwrap();
    assert_eq!(numbers.len(), 2);
    for (user, number) in [("ann", numbers[0]), ("bob", numbers[1])] {
        let events = store.events("talk", user, 0, 9).await.unwrap();
        assert_eq!((events.len(), events[0].number), (1, number));
    }
    messages_are_trimmed_by_age_and_number(&store).await;

    store.remove_from_conversations("talk", "ann").await.unwrap();
    assert_eq!(
        store.conversation("talk", "two").await.unwrap(),
        None,
        "nobody is left in it"
    );
    let left = store.conversation("talk", "one").await.unwrap();
    assert_eq!(left.unwrap().members, ["bob"]);
}

async fn messages_are_trimmed_by_age_and_number(store: &impl Conversations) {
    let posted = [
        ("a1", "one", 100),
        ("b1", "two", 150),
        ("a2", "one", 200),
        ("a3", "one", 300),
        ("b2", "two", 300),
    ];
    for (id, conversation, millis) in posted {
        let message = message(id, conversation, "ann", millis);
        store.post_message("trimmed", message, vec![]).await.unwrap();
    }
    let trim = |since: Option<u64>, count_max, limit| {
        let since = since.map(Timestamp::from_millis);
        store.trim_messages_of_conversations("trimmed", Keep { since, count_max }, limit)
    };
    assert_eq!(trim(None, None, 9).await.unwrap(), 0);
    assert_eq!(trim(Some(200), None, 1).await.unwrap(), 1);
    assert_eq!(trim(Some(200), None, 9).await.unwrap(), 1);
    assert_eq!(trim(None, Some(1), 9).await.unwrap(), 1, "a2, and none of `two`");
    assert_eq!(trim(None, Some(0), 9).await.unwrap(), 2);
}
