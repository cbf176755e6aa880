//! Two nodes that share store, bus and presence are one server to whoever is connected to either.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, KEY, Running, config, start_two};
use touchstone_server::{Config, OutboxConfig, Secret};

fn with_secret() -> Config {
    let mut config = config();
    config.auth.secret = Some(Secret::new("a secret of some length"));
    config
}

/// Whoever does not come back in this time after his node has stopped is gone.
fn gone_after(time: Duration) -> Config {
    let mut config = with_secret();
    config.presence.gone_after_stop = time;
    config
}

/// In which whoever is to come back does.
const LONG: Duration = Duration::from_secs(3_600);

/// In which nobody does.
const SHORT: Duration = Duration::from_millis(1);

/// A user with his token.
struct User {
    id: Value,
    token: String,
}

async fn made(node: &Running, what: &str, body: Value) -> Vec<Value> {
    let (status, made) = node
        .ask(&format!("POST /admin/{what}"), &body.to_string(), KEY)
        .await;
    assert_eq!(status, 201, "{made}");
    made[what].as_array().unwrap().clone()
}

async fn make_users<const N: usize>(node: &Running, dialect: &str, names: [&str; N]) -> [User; N] {
    let entry = |name: &&str| match dialect {
        "rooms" => json!({"username": name, "tenant": "acme"}),
        _ => json!({"username": name}),
    };
    let entries: Vec<_> = names.iter().map(entry).collect();
    let made = made(node, "users", json!({"dialect": dialect, "users": entries})).await;
    let user = |made: &Value| User {
        id: made["id"].clone(),
        token: made["token"].as_str().unwrap().to_owned(),
    };
    let users: Vec<_> = made.iter().map(user).collect();
    users.try_into().ok().expect("as many as were asked for")
}

async fn hear(client: &mut Client) -> Value {
    serde_json::from_str(&client.hear().await).unwrap()
}

fn kind(told: &Value) -> &str {
    told["type"].as_str().unwrap()
}

/// What is told up to the next message of this type, which is the last of it.
async fn hear_until(client: &mut Client, last: &str) -> Vec<Value> {
    let mut heard = vec![hear(client).await];
    while heard.last().is_some_and(|told| kind(told) != last) {
        heard.push(hear(client).await);
    }
    heard
}

async fn leave(mut client: Client) {
    client.0.close(None).await.unwrap();
    client.closed_by_us().await;
}

mod direct {
    use super::*;

    /// A connection that has been greeted.
    async fn connect(node: &Running, user: &User) -> Client {
        let mut client = node.connect(&format!("/ws?token={}", user.token)).await;
        hear_until(&mut client, "online_users").await;
        client
    }

    async fn chat(from: &mut Client, to: &User, content: &str) {
        let data = json!({"receiverId": to.id, "content": content});
        from.say(&json!({"type": "chat_message", "data": data}).to_string())
            .await;
    }

    #[tokio::test]
    async fn a_user_has_one_connection_over_all_nodes() {
        let [here, there] = start_two(&with_secret());
        let [ann, bob] = make_users(&here, "direct", ["ann", "bob"]).await;
        let mut of_bob = connect(&here, &bob).await;
        let mut first = connect(&here, &ann).await;
        assert_eq!(kind(&hear(&mut of_bob).await), "user_online");
        let mut second = connect(&there, &ann).await;
        let close = first.closed().await;
        assert_eq!(
            (u16::from(close.code), &*close.reason),
            (4005, "New connection established")
        );
        for content in ["one", "two"] {
            chat(&mut of_bob, &ann, content).await;
            let told = hear(&mut second).await;
            assert_eq!(
                (kind(&told), &told["data"]["content"]),
                ("new_message", &json!(content))
            );
            // Nobody was told that she went, or came again.
            assert_eq!(kind(&hear(&mut of_bob).await), "message_sent");
            assert_eq!(kind(&hear(&mut of_bob).await), "message_delivered");
        }
        leave(second).await;
        let gone = hear_until(&mut of_bob, "online_users").await;
        assert_eq!(
            gone.iter().map(kind).collect::<Vec<_>>(),
            ["user_offline", "online_users"]
        );
        assert_eq!(gone[1]["data"]["totalOnline"], 1);
    }

    #[tokio::test]
    async fn who_is_not_back_after_his_node_stopped_is_gone_and_who_is_has_never_been_away() {
        for (time, comes_back) in [(LONG, true), (SHORT, false)] {
            let [here, there] = start_two(&gone_after(time));
            let [ann, bob] = make_users(&here, "direct", ["ann", "bob"]).await;
            let mut of_ann = connect(&there, &ann).await;
            let mut of_bob = connect(&here, &bob).await;
            assert_eq!(kind(&hear(&mut of_ann).await), "user_online");
            here.tell_to_stop();
            assert_eq!(u16::from(of_bob.closed().await.code), 1001);
            here.stop().await;
            if comes_back {
                let mut of_bob = connect(&there, &bob).await;
                chat(&mut of_bob, &ann, "back").await;
                assert_eq!(kind(&hear(&mut of_ann).await), "new_message");
            } else {
                let gone = hear_until(&mut of_ann, "online_users").await;
                assert_eq!(
                    gone.iter().map(kind).collect::<Vec<_>>(),
                    ["user_offline", "online_users"]
                );
                assert_eq!(gone[0]["data"], json!({"userId": bob.id, "username": "bob"}));
                assert_eq!(gone[1]["data"]["totalOnline"], 1);
            }
        }
    }

    #[tokio::test]
    async fn who_is_deleted_is_sent_away_from_whatever_node() {
        let [here, there] = start_two(&with_secret());
        let [ann] = make_users(&here, "direct", ["ann"]).await;
        let mut client = connect(&there, &ann).await;
        let id = ann.id.as_str().unwrap();
        let (status, _) = here
            .ask(&format!("DELETE /admin/users/{id}?dialect=direct"), "", KEY)
            .await;
        assert_eq!(status, 204);
        assert_eq!(u16::from(client.closed().await.code), 4003);
    }
}

mod outbox {
    use super::*;

    async fn connect(node: &Running, user: &User) -> Client {
        let id = user.id.as_str().unwrap();
        let mut client = node.connect(&format!("/ws/user/{id}?token={}", user.token)).await;
        assert_eq!(kind(&hear(&mut client).await), "connection_established");
        client
    }

    async fn publish(node: &Running, to: &User, content: &str, scheduled_at: Value) {
        let data = json!({"message": {"content": content}});
        let body = json!({
            "dialect": "outbox", "to": to.id, "type": "message_generate", "data": data, "scheduled_at": scheduled_at
        });
        let (status, answer) = node.ask("POST /admin/publish", &body.to_string(), KEY).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn contents<const N: usize>(client: &mut Client) -> [String; N] {
        let mut contents = Vec::new();
        while contents.len() < N {
            let told = hear(client).await;
            contents.push(told["message"]["content"].as_str().unwrap().to_owned());
        }
        contents.try_into().expect("so many were heard")
    }

    #[tokio::test]
    async fn an_event_reaches_each_connection_once_on_whatever_node() {
        let [here, there] = start_two(&with_secret());
        let [ann] = make_users(&here, "outbox", ["ann"]).await;
        let mut clients = [connect(&here, &ann).await, connect(&there, &ann).await];
        for node in [&here, &there] {
            publish(node, &ann, "now", Value::Null).await;
            for client in &mut clients {
                assert_eq!(contents(client).await, ["now"]);
            }
        }
    }

    #[tokio::test]
    async fn what_is_due_is_sent_once_though_both_nodes_sweep() {
        let quick = OutboxConfig {
            sweep_interval: Duration::from_millis(1),
            ..OutboxConfig::default()
        };
        let [here, there] = start_two(&Config {
            outbox: quick,
            ..with_secret()
        });
        let [ann] = make_users(&here, "outbox", ["ann"]).await;
        let mut clients = [connect(&here, &ann).await, connect(&there, &ann).await];
        for number in 0..100 {
            // Each of them waits for a sweep: it is due after the next millisecond.
            let due = json!(due_soon());
            publish(&here, &ann, &number.to_string(), due).await;
        }
        for client in &mut clients {
            let mut numbers: [u32; 100] = contents(client).await.map(|content| content.parse().unwrap());
            numbers.sort_unstable();
            assert_eq!(numbers.to_vec(), (0..100).collect::<Vec<u32>>());
        }
        publish(&there, &ann, "last", Value::Null).await;
        for client in &mut clients {
            assert_eq!(contents(client).await, ["last"], "nothing came twice");
        }
    }

    /// A moment from now, as RFC 3339.
    fn due_soon() -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let millis = u64::try_from(now.as_millis()).unwrap() + 2;
        touchstone_protocol::timestamp::Rfc3339(millis).to_string()
    }

    #[tokio::test]
    async fn a_logout_on_one_node_is_one_on_all() {
        let [here, there] = start_two(&with_secret());
        let [ann] = make_users(&here, "outbox", ["ann"]).await;
        let mut clients = [connect(&here, &ann).await, connect(&there, &ann).await];
        let (status, _) = here.ask("POST /outbox/api/auth/logout", "", &ann.token).await;
        assert_eq!(status, 204);
        for client in &mut clients {
            let close = client.closed().await;
            assert_eq!((u16::from(close.code), &*close.reason), (1000, "logged out"));
        }
        for node in [&here, &there] {
            let id = ann.id.as_str().unwrap();
            let mut again = node.connect(&format!("/ws/user/{id}?token={}", ann.token)).await;
            assert_eq!(u16::from(again.closed().await.code), 4002);
        }
    }
}

mod rooms {
    use super::*;

    /// Two nodes and a channel of the tenant `acme`, with its members.
    async fn acme<const N: usize>(config: &Config, names: [&str; N]) -> ([Running; 2], String, [User; N]) {
        let nodes = start_two(config);
        let tenant = json!({"name": "Acme", "schema_name": "acme"});
        made(
            &nodes[0],
            "tenants",
            json!({"dialect": "rooms", "tenants": [tenant]}),
        )
        .await;
        let users = make_users(&nodes[0], "rooms", names).await;
        let members: Vec<_> = users.iter().map(|user| &user.id).collect();
        let channel = json!({"name": "all", "members": members, "tenant": "acme"});
        let channels = made(
            &nodes[1],
            "channels",
            json!({"dialect": "rooms", "channels": [channel]}),
        )
        .await;
        let channel = channels[0]["id"].as_str().unwrap().to_owned();
        (nodes, channel, users)
    }

    async fn enter(node: &Running, channel: &str, user: &User) -> (Client, Value) {
        let mut client = node
            .connect(&format!("/ws/chat/{channel}/?token={}", user.token))
            .await;
        let greeting = hear_until(&mut client, "messages.history").await;
        (client, greeting[0]["channel"].clone())
    }

    /// Whether somebody stands in a channel's data as online.
    fn is_online(channel: &Value, user: &User) -> bool {
        let participants = channel["participants"].as_array().unwrap();
        let he = participants.iter().find(|other| other["id"] == user.id);
        he.expect("he is a member")["is_online"] == json!(true)
    }

    #[tokio::test]
    async fn what_is_said_on_one_node_is_told_on_all_once() {
        let (nodes, channel, [ann, bob]) = acme(&with_secret(), ["ann", "bob"]).await;
        let [here, there] = &nodes;
        let (mut of_ann, _) = enter(here, &channel, &ann).await;
        let (mut of_bob, _) = enter(there, &channel, &bob).await;
        assert_eq!(kind(&hear_until(&mut of_ann, "presence").await[0]), "user.join");
        for content in (0..20).map(|number| number.to_string()) {
            for speaker in [&mut of_ann, &mut of_bob] {
                speaker
                    .say(&json!({"type": "chat.message", "content": content}).to_string())
                    .await;
            }
            let mut ids = Vec::new();
            for client in [&mut of_ann, &mut of_bob] {
                let mut told = [hear(client).await, hear(client).await];
                told.sort_by_key(|told| told["message"]["is_own"] == json!(true));
                assert!(
                    told.iter().all(|told| told["message"]["content"] == content),
                    "{told:?}"
                );
                let own = told
                    .each_ref()
                    .map(|told| told["message"]["is_own"] == json!(true));
                assert_eq!(own, [false, true], "one from each, and none twice");
                ids.push(told[0]["message"]["id"].clone());
            }
            assert_ne!(ids[0], ids[1]);
        }
    }

    #[tokio::test]
    async fn a_member_is_there_while_he_is_on_any_node() {
        let (nodes, channel, [ann, bob]) = acme(&with_secret(), ["ann", "bob"]).await;
        let [here, there] = &nodes;
        let (mut of_ann, _) = enter(here, &channel, &ann).await;
        let (first, _) = enter(here, &channel, &bob).await;
        let came = hear_until(&mut of_ann, "presence").await;
        assert_eq!(
            came.iter().map(kind).collect::<Vec<_>>(),
            ["user.join", "presence"]
        );
        let (second, _) = enter(there, &channel, &bob).await;
        leave(first).await;
        let (other, info) = enter(there, &channel, &ann).await;
        assert!(is_online(&info, &bob));
        leave(other).await;
        leave(second).await;
        // The first thing that she hears of his second connection, and of her own, is that he has left.
        let gone = hear_until(&mut of_ann, "presence").await;
        assert_eq!(
            gone.iter().map(kind).collect::<Vec<_>>(),
            ["user.leave", "presence"]
        );
        assert_eq!(gone[1]["is_online"], false);
        let (_, info) = enter(there, &channel, &ann).await;
        assert!(!is_online(&info, &bob));
    }

    #[tokio::test]
    async fn who_is_not_back_after_his_node_stopped_is_gone_and_who_is_has_never_been_away() {
        for (time, comes_back) in [(LONG, true), (SHORT, false)] {
            let (nodes, channel, [ann, bob]) = acme(&gone_after(time), ["ann", "bob"]).await;
            let [here, there] = nodes;
            let (mut of_ann, _) = enter(&there, &channel, &ann).await;
            let (mut of_bob, _) = enter(&here, &channel, &bob).await;
            hear_until(&mut of_ann, "presence").await;
            here.tell_to_stop();
            assert_eq!(u16::from(of_bob.closed().await.code), 1001);
            here.stop().await;
            if comes_back {
                let (other, info) = enter(&there, &channel, &ann).await;
                assert!(is_online(&info, &bob));
                drop(other);
                let (mut of_bob, _) = enter(&there, &channel, &bob).await;
                of_bob.say(r#"{"type":"chat.message","content":"back"}"#).await;
                assert_eq!(kind(&hear(&mut of_ann).await), "chat.message");
            } else {
                let gone = hear_until(&mut of_ann, "presence").await;
                assert_eq!(
                    gone.iter().map(kind).collect::<Vec<_>>(),
                    ["user.leave", "presence"]
                );
                assert_eq!((&gone[0]["user_id"], &gone[1]["user_id"]), (&bob.id, &bob.id));
                assert_eq!(gone[1]["is_online"], false);
                let (_, info) = enter(&there, &channel, &ann).await;
                assert!(!is_online(&info, &bob));
            }
        }
    }
}

mod feed {
    use super::*;

    async fn connect(node: &Running, user: &User) -> Client {
        node.connect(&format!("/ws/?accessToken={}", user.token)).await
    }

    async fn notify(node: &Running, to: Value, number: u32) {
        let data = json!({"number": number});
        let body = json!({"dialect": "feed", "to": to, "type": "SYSTEM_NOTIFICATION", "data": data});
        let (status, answer) = node.ask("POST /admin/publish", &body.to_string(), KEY).await;
        assert_eq!(status, 200, "{answer}");
    }

    #[tokio::test]
    async fn what_one_node_publishes_all_nodes_tell_once() {
        let [here, there] = start_two(&with_secret());
        let [ann] = make_users(&here, "feed", ["ann"]).await;
        let mut clients = [connect(&here, &ann).await, connect(&there, &ann).await];
        for (number, node) in (0..).zip([&here, &there, &here]) {
            let to = if number == 1 { json!(ann.id) } else { json!("all") };
            notify(node, to, number).await;
            for client in &mut clients {
                assert_eq!(hear(client).await["data"]["number"], number);
            }
        }
    }

    #[tokio::test]
    async fn who_is_not_back_after_his_node_stopped_is_gone_and_who_is_has_never_been_away() {
        for (time, comes_back) in [(LONG, true), (SHORT, false)] {
            let [here, there] = start_two(&gone_after(time));
            let [ann, bob] = make_users(&here, "feed", ["ann", "bob"]).await;
            let mut of_ann = connect(&there, &ann).await;
            let mut of_bob = connect(&here, &bob).await;
            assert_eq!(kind(&hear(&mut of_ann).await), "USER_PRESENCE_CONNECTED");
            here.tell_to_stop();
            assert_eq!(u16::from(of_bob.closed().await.code), 1001);
            here.stop().await;
            if comes_back {
                let _of_bob = connect(&there, &bob).await;
                notify(&there, json!(ann.id), 1).await;
                assert_eq!(hear(&mut of_ann).await["data"]["number"], 1);
            } else {
                let gone = hear(&mut of_ann).await;
                assert_eq!(kind(&gone), "USER_PRESENCE_DISCONNECTED");
                assert_eq!(gone["data"]["user_id"], bob.id);
            }
        }
    }

    #[tokio::test]
    async fn a_user_is_there_while_he_is_on_any_node() {
        let [here, there] = start_two(&with_secret());
        let [ann, bob] = make_users(&here, "feed", ["ann", "bob"]).await;
        let mut of_ann = [connect(&here, &ann).await, connect(&there, &ann).await];
        let first = connect(&here, &bob).await;
        for client in &mut of_ann {
            assert_eq!(kind(&hear(client).await), "USER_PRESENCE_CONNECTED");
        }
        let second = connect(&there, &bob).await;
        leave(first).await;
        leave(second).await;
        for client in &mut of_ann {
            // Neither that he came again nor that he went before.
            assert_eq!(kind(&hear(client).await), "USER_PRESENCE_DISCONNECTED");
        }
    }
}

mod echo {
    use super::*;

    #[tokio::test]
    async fn a_session_goes_on_where_it_was_and_broadcasts_reach_all() {
        let [here, there] = start_two(&with_secret());
        let mut first = here.connect("/ws/chat/?session=s").await;
        first.echo("one", 1).await;
        leave(first).await;
        let mut second = there.connect("/ws/chat/?session=s").await;
        second.echo("two", 2).await;
        let (status, _) = here
            .ask("POST /chat/api/broadcast/", r#"{"message":"to all"}"#, KEY)
            .await;
        assert_eq!(status, 200);
        assert_eq!(hear(&mut second).await["message"], "to all");
    }
}
