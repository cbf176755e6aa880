//! What is said and heard in each dialect: the main kinds of messages, a refusal, and the end. The clauses themselves are
//! checked by the conformance suite; here it is seen that such a client gets along with them.

use serde_json::{Value, json};

use crate::support::within;
use crate::talk::{ANY, Peer, Talk, User};

/// More than ASCII, more than one UTF-16 unit, and what JSON escapes.
const TEXT: &str = "žluťoučký kůň 🐎 \u{2028}\"\\\u{7f}";

/// The longest message there may be (common/5a).
const MESSAGE_BYTES_MAX: usize = 65_536;

pub(crate) async fn echo(talk: &Talk<'_>) {
    let mut echo = talk
        .open("echo", "/ws/chat/?session=k%C5%AF%C5%88+%F0%9F%90%8E")
        .await;
    echo.say("hello").await;
    echo.hears(json!({"count": 1, "echo": "hello"})).await;
    echo.say(TEXT).await;
    echo.hears(json!({"count": 2, "echo": TEXT})).await;
    echo.say_bytes(TEXT).await;
    echo.hears(json!({"count": 3, "echo": TEXT})).await;
    echo.say("").await;
    echo.hears(json!({"count": 4})).await;
    let longest = "🐎".repeat(MESSAGE_BYTES_MAX / "🐎".len());
    echo.say(&longest).await;
    echo.hears(json!({"count": 5, "echo": longest})).await;
    let broadcast = json!({"message": TEXT, "title": "🐎", "level": "success"});
    talk.operate("POST /chat/api/broadcast/", broadcast).await;
    let told =
        json!({"type": "broadcast", "message": TEXT, "title": "🐎", "level": "success", "timestamp": ANY});
    echo.hears(told).await;
    echo.hears_heartbeat().await;
    echo.hears_heartbeat().await;
    echo.close().await;

    let mut back = talk
        .open("back", "/ws/chat/?session=k%C5%AF%C5%88+%F0%9F%90%8E")
        .await;
    back.say("back").await;
    back.hears(json!({"count": 6, "echo": "back"})).await;
    back.say(&(longest + "!")).await;
    back.sees_close(1009, "message too big").await;
    let refused = talk
        .open("refused", &format!("/ws/chat/?session={}", "x".repeat(129)))
        .await;
    refused.sees_close(1008, "session id too long").await;
}

pub(crate) async fn rooms(talk: &Talk<'_>) {
    let tenant = json!({"name": "Acme", "schema_name": "acme"});
    talk.make("tenants", json!({"dialect": "rooms", "tenants": [tenant]}))
        .await;
    let [ann_account, bob_account] = talk.make_users("rooms", ["Žofie 🐎", "bob"]).await;
    let id = make_channel(talk, json!([ann_account.id, bob_account.id])).await;
    let path = |token: &str| format!("/ws/chat/{id}/?token={token}");
    let participant = |user: &User, username: &str, is_online: bool| json!({"id": user.id, "username": username, "is_online": is_online, "last_seen": null});
    let greeting = |participants: Value| {
        json!({"type": "channel.info", "channel": {
            "id": id, "name": "kůň", "channel_type": ANY, "participants": participants, "participants_total": 2,
            "unread_count": 0, "last_message": null,
        }})
    };

    let mut ann = talk.open("ann", &path(&ann_account.token)).await;
    let bob_away = json!([
        participant(&ann_account, "Žofie 🐎", true),
        participant(&bob_account, "bob", false)
    ]);
    ann.hears(greeting(bob_away)).await;
    ann.hears(json!({"type": "messages.history", "messages": []}))
        .await;
    let mut bob = talk.open("bob", &path(&bob_account.token)).await;
    let both_here = json!([
        participant(&bob_account, "bob", true),
        participant(&ann_account, "Žofie 🐎", true)
    ]);
    bob.hears(greeting(both_here)).await;
    bob.hears(json!({"type": "messages.history", "messages": []}))
        .await;
    ann.hears(json!({"type": "user.join", "user_id": bob_account.id, "username": "bob", "timestamp": ANY}))
        .await;
    ann.hears(json!({"type": "presence", "user_id": bob_account.id, "is_online": true, "last_seen": null}))
        .await;

    talk_in_room([&mut ann, &mut bob], [&ann_account.id, &bob_account.id]).await;
    bob.close().await;
    ann.hears(json!({"type": "user.leave", "user_id": bob_account.id, "username": "bob", "timestamp": ANY}))
        .await;
    ann.hears(json!({"type": "presence", "user_id": bob_account.id, "is_online": false, "last_seen": ANY}))
        .await;
    ann.say_bytes("a picture").await;
    ann.sees_close(1003, "binary is not spoken here").await;
    let refused = talk.open("refused", &path("no-token")).await;
    refused.sees_close(4000, "invalid token").await;
}

/// A channel of the tenant, with these members.
async fn make_channel(talk: &Talk<'_>, members: Value) -> String {
    let channel = json!({"name": "kůň", "members": members, "tenant": "acme"});
    let channels = json!({"dialect": "rooms", "channels": [channel]});
    let made = talk.make("channels", channels).await;
    made[0]["id"].as_str().unwrap().to_owned()
}

async fn talk_in_room([ann, bob]: [&mut Peer<'_>; 2], [ann_id, bob_id]: [&Value; 2]) {
    bob.say_json(json!({"type": "typing", "is_typing": true})).await;
    ann.hears(json!({"type": "typing", "user_id": bob_id, "username": "bob", "is_typing": true}))
        .await;
    ann.say_json(json!({"type": "chat.message", "content": TEXT}))
        .await;
    let message = |is_own: bool| {
        json!({"type": "chat.message", "message": {
            "id": ANY, "content": TEXT, "content_type": "text/plain", "user_id": ann_id, "username": "Žofie 🐎",
            "timestamp": ANY, "is_own": is_own, "read_by": [],
        }})
    };
    ann.hears(message(true)).await;
    let message_id = bob.hears(message(false)).await["message"]["id"].take();
    bob.say_json(json!({"type": "message.read", "message_id": message_id}))
        .await;
    let read = json!({"type": "message.read", "message_id": message_id, "user_id": bob_id, "read_at": ANY});
    ann.hears(read.clone()).await;
    bob.hears(read).await;
    ann.say_json(json!({"type": "heartbeat"})).await;
    ann.hears(json!({"type": "heartbeat.ack", "timestamp": ANY}))
        .await;
    ann.say("no JSON").await;
    ann.hears(json!({"type": "error", "message": "Invalid JSON format"}))
        .await;
}

pub(crate) async fn outbox(talk: &Talk<'_>) {
    let [ann_account] = talk.make_users("outbox", ["ann"]).await;
    let id = ann_account.id.as_str().unwrap();
    let path = |token: &str| format!("/ws/user/{id}?token={token}");
    let publication = |content: &str| {
        let data = json!({"message": {"content": content}});
        json!({"dialect": "outbox", "to": id, "type": "message_generate", "data": data})
    };
    let event = |content: &str| {
        json!({"type": "message_generate", "event_id": ANY,
            "message": {"uuid": ANY, "content": content, "sender_uuid": ANY, "created_at": ANY},
            "response_message": {"conversation_uuid": ANY},
        })
    };
    talk.operate("POST /admin/publish", publication("while away"))
        .await;
    let mut ann = talk.open("ann", &path(&ann_account.token)).await;
    ann.hears(json!({"type": "connection_established", "user_uuid": id, "timestamp": ANY}))
        .await;
    ann.hears(event("while away")).await;
    talk.operate("POST /admin/publish", publication(TEXT)).await;
    ann.hears(event(TEXT)).await;
    // That takes the client's answer to a ping, with the ping's own bytes.
    let list = format!("GET /admin/events?user={id}");
    let sent = async {
        loop {
            let events = talk.operate(&list, Value::Null).await;
            let events = events["events"].as_array().unwrap();
            assert_eq!(events.len(), 2);
            if events.iter().all(|event| event["status"] == "sent") {
                break;
            }
        }
    };
    within(sent).await;
    ann.say_json(json!({"type": "ping"})).await;
    ann.hears(json!({"type": "pong", "timestamp": ANY})).await;
    ann.say_json(json!({"type": "get_pending"})).await;
    ann.hears(json!({"type": "pending_check_complete", "data": {"count": 0}}))
        .await;

    let (status, _) = talk
        .ask("POST /outbox/api/auth/logout", "", &ann_account.token)
        .await;
    assert_eq!(status, 204);
    ann.sees_close(1000, "logged out").await;
    let refused = talk.open("refused", &path(&ann_account.token)).await;
    refused.sees_close(4002, "invalid token").await;
}

pub(crate) async fn feed(talk: &Talk<'_>) {
    let [ann_account, bob_account] = talk.make_users("feed", ["ann", "Bób 🐎"]).await;
    let path = |token: &str| format!("/ws/?accessToken={token}");
    let silent = talk.open("silent", &path(&ann_account.token)).await;
    let mut ann = talk.open("ann", &path(&ann_account.token)).await;
    let mut bob = talk.open("bob", &path(&bob_account.token)).await;
    ann.hears(json!({"type": "USER_PRESENCE_CONNECTED", "data": {"user_id": bob_account.id, "name": ANY}}))
        .await;
    let notice = json!({"title": "🐎", "message": TEXT, "level": "info"});
    let publish =
        |to: Value| json!({"dialect": "feed", "to": to, "type": "SYSTEM_NOTIFICATION", "data": notice});
    let told = json!({"type": "SYSTEM_NOTIFICATION", "data": notice});
    talk.operate("POST /admin/publish", publish(json!("all"))).await;
    ann.hears(told.clone()).await;
    bob.hears(told.clone()).await;
    // One is under way at a time: there is a second one because the first was answered (feed/7b).
    for _ in 0..2 {
        ann.hears_heartbeat().await;
        bob.hears_heartbeat().await;
    }
    ann.say("no JSON").await;
    ann.hears(json!({"type": "ERROR", "data": {"message": "Invalid JSON format"}}))
        .await;
    talk.operate("POST /admin/publish", publish(bob_account.id.clone()))
        .await;
    bob.hears(told).await;
    bob.close().await;
    ann.hears(
        json!({"type": "USER_PRESENCE_DISCONNECTED", "data": {"user_id": bob_account.id, "name": ANY}}),
    )
    .await;
    ann.close().await;
    silent.sees_cut_off(4408, "heartbeat missed").await;
    let refused = talk.open("refused", &path("no-token")).await;
    refused.sees_close(4001, "unauthenticated").await;
}

pub(crate) async fn direct(talk: &Talk<'_>) {
    let [ann_account, bob_account, mute_account] = talk.make_users("direct", ["ann", "bob", "mute"]).await;
    let path = |token: &str| format!("/ws?token={token}");

    let mut ann = talk.open("ann", &path(&ann_account.token)).await;
    ann.hears(established(&ann_account, "ann")).await;
    ann.hears(online(&[(&ann_account, "ann")])).await;
    let mut bob = talk.open("bob", &path(&bob_account.token)).await;
    bob.hears(established(&bob_account, "bob")).await;
    bob.hears(online(&[(&bob_account, "bob"), (&ann_account, "ann")]))
        .await;
    ann.hears(frame(
        "user_online",
        json!({"userId": bob_account.id, "username": "bob"}),
    ))
    .await;

    chat([&mut ann, &mut bob], [&ann_account.id, &bob_account.id]).await;
    outlive_who_answers_no_ping(
        talk,
        &mute_account,
        &path(&mute_account.token),
        [&mut ann, &mut bob],
    )
    .await;
    ann.hears(online(&[(&bob_account, "bob"), (&ann_account, "ann")]))
        .await;
    bob.hears(online(&[(&bob_account, "bob"), (&ann_account, "ann")]))
        .await;

    let mut ann_again = talk.open("ann again", &path(&ann_account.token)).await;
    ann.sees_close(4005, "New connection established").await;
    ann_again.hears(established(&ann_account, "ann")).await;
    ann_again
        .hears(online(&[(&ann_account, "ann"), (&bob_account, "bob")]))
        .await;
    ann_again.close().await;
    bob.hears(frame(
        "user_offline",
        json!({"userId": ann_account.id, "username": "ann"}),
    ))
    .await;
    bob.hears(online(&[(&bob_account, "bob")])).await;
    bob.close().await;
    for (path, code, reason) in [
        ("/ws".to_owned(), 4001, "Authentication required"),
        (path("no-token"), 4002, "Invalid token"),
    ] {
        let refused = talk.open("refused", &path).await;
        refused.sees_close(code, reason).await;
    }
}

/// A frame of `direct`.
fn frame(kind: &str, data: Value) -> Value {
    let mut frame = json!({"type": kind});
    frame["data"] = data;
    frame
}

fn established(user: &User, username: &str) -> Value {
    frame(
        "connection_established",
        json!({"userId": user.id, "username": username}),
    )
}

/// The list of those who are online, who came last first.
fn online(users: &[(&User, &str)]) -> Value {
    let entry =
        |(user, username): &(&User, &str)| json!({"_id": user.id, "username": username, "avatar": null});
    let entries: Vec<_> = users.iter().map(entry).collect();
    frame(
        "online_users",
        json!({"users": entries, "totalOnline": users.len(), "timestamp": ANY}),
    )
}

async fn chat([ann, bob]: [&mut Peer<'_>; 2], [ann_id, bob_id]: [&Value; 2]) {
    ann.say_json(frame(
        "chat_message",
        json!({"receiverId": bob_id, "content": TEXT}),
    ))
    .await;
    let sent =
        json!({"messageId": ANY, "receiverId": bob_id, "content": TEXT, "createdAt": ANY, "status": "sent"});
    let message_id = ann.hears(frame("message_sent", sent)).await["data"]["messageId"].take();
    ann.hears(frame(
        "message_delivered",
        json!({"messageId": message_id, "deliveredAt": ANY}),
    ))
    .await;
    let new = json!({"messageId": message_id, "senderId": ann_id, "senderUsername": "ann", "content": TEXT, "messageType": "text", "createdAt": ANY});
    bob.hears(frame("new_message", new)).await;
    bob.say_json(frame("typing_start", json!({"receiverId": ann_id})))
        .await;
    let typing = json!({"userId": bob_id, "username": "bob", "isTyping": true});
    ann.hears(frame("typing_indicator", typing)).await;
    bob.say_json(frame("mark_read", json!({"senderId": ann_id})))
        .await;
    bob.hears(frame(
        "mark_read_success",
        json!({"senderId": ann_id, "markedCount": 1}),
    ))
    .await;
    let read = json!({"readBy": bob_id, "readByUsername": "bob", "readAt": ANY});
    ann.hears(frame("messages_read", read)).await;
    ann.say("no JSON").await;
    let error = json!({"message": "Invalid message format. Please send valid JSON.", "timestamp": ANY});
    ann.hears(frame("error", error)).await;
}

/// Somebody comes who answers no ping, and is gone after a while. He came last: the others have been asked as often.
async fn outlive_who_answers_no_ping(talk: &Talk<'_>, mute: &User, path: &str, others: [&mut Peer<'_>; 2]) {
    let mut deaf = talk.raw(path).await;
    let _held_open = deaf.keep_open();
    let presence = |kind: &str| json!({"type": kind, "data": {"userId": mute.id, "username": "mute"}});
    let frames = deaf.until_cut().await;
    assert!(
        frames.iter().all(|frame| frame.opcode != 8),
        "it is terminated (direct/11c)"
    );
    for other in others {
        other.hears(presence("user_online")).await;
        other.hears(presence("user_offline")).await;
    }
}

/// A client that reads when it has time is told as well why it was closed, if it has within a moment (direct/7a).
pub(crate) async fn late_reader(talk: &Talk<'_>) {
    let [ann_account] = talk.make_users("direct", ["late"]).await;
    let path = format!("/ws?token={}", ann_account.token);
    let mut late = talk.open_unheard("late", &path).await;
    let mut prompt = talk.open("prompt", &path).await;
    prompt.hears(established(&ann_account, "late")).await;
    prompt.hears(online(&[(&ann_account, "late")])).await;
    // The other connection has been closed by now.
    late.listen().await;
    late.hears(established(&ann_account, "late")).await;
    late.hears(online(&[(&ann_account, "late")])).await;
    late.sees_close(4005, "New connection established").await;
    prompt.close().await;
}

/// Everybody is told goodbye, each with his own advice (common/6b).
pub(crate) async fn stop(talk: Talk<'_>) {
    let [in_rooms] = talk.make_users("rooms", ["last"]).await;
    let [in_outbox] = talk.make_users("outbox", ["last"]).await;
    let [in_feed] = talk.make_users("feed", ["last"]).await;
    let [in_direct] = talk.make_users("direct", ["last"]).await;
    let channel = make_channel(&talk, json!([in_rooms.id])).await;
    let uuid = in_outbox.id.as_str().unwrap();
    let mut peers = Vec::new();
    for (dialect, path, greetings) in [
        ("echo", "/ws/chat/".to_owned(), 0),
        (
            "rooms",
            format!("/ws/chat/{channel}/?token={}", in_rooms.token),
            2,
        ),
        ("outbox", format!("/ws/user/{uuid}?token={}", in_outbox.token), 1),
        ("feed", format!("/ws/?accessToken={}", in_feed.token), 0),
        ("direct", format!("/ws?token={}", in_direct.token), 2),
    ] {
        let mut peer = talk.open(dialect, &path).await;
        for _ in 0..greetings {
            peer.hears_something().await;
        }
        peers.push(peer);
    }
    talk.server.tell_to_stop();
    let farewell = json!({"bye": true, "total": 0, "message": "Server is shutting down gracefully"});
    peers[0].hears(farewell).await;
    for peer in peers {
        let reason = peer.sees_close_with(1001).await;
        let advice = reason
            .strip_prefix("server going away; retry after ")
            .and_then(|seconds| seconds.strip_suffix(" s")?.parse().ok());
        assert!(
            advice.is_some_and(|seconds| (3..=12).contains(&seconds)),
            "{reason}"
        );
    }
    assert_eq!(talk.server.stop().await.connections_left, 0);
}
