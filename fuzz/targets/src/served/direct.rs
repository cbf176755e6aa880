//! `direct`: somebody says whatever he likes, to another user or to nobody; a third one hears only that he comes and goes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::client::{Client, Message};
use super::{CONTENT_CHARS_MAX, Stage, Words, closes, make};
use crate::model::direct::{Said, id, said};

/// Who is there in every case.
struct Cast {
    path: String,
    speaker: String,
    /// To whom is spoken.
    receiver: String,
    receivers: Client,
    bystander: Client,
    /// What he wrote to the speaker and was not read.
    unread: u64,
}

/// What is to be heard.
#[derive(Debug, Default)]
struct Expected {
    /// By the speaker, in order.
    answers: Vec<Value>,
    /// How many of his messages are delivered.
    delivered: usize,
    /// By the receiver, in order.
    told: Vec<Value>,
    closed: Option<u16>,
}

/// Says the messages.
pub fn direct(input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    STAGE.play(set_up, |cast| cast.case(input));
}

fn set_up() -> Cast {
    static STAGES: AtomicU64 = AtomicU64::new(0);
    let stage = STAGES.fetch_add(1, Ordering::Relaxed);
    let [speaker, receiver, bystander] = ["speaker", "receiver", "bystander"].map(|name| {
        let entry = json!({"username": format!("{name} {stage}")});
        let (user, token) = make("users", "direct", &entry);
        (user, format!("/ws?token={token}"))
    });
    let mut receivers = greeted(&receiver.1);
    let bystander = greeted(&bystander.1);
    assert_eq!(receivers.hear_text()["type"], "user_online");
    Cast {
        path: speaker.1,
        speaker: speaker.0,
        receiver: receiver.0,
        receivers,
        bystander,
        unread: 0,
    }
}

fn greeted(path: &str) -> Client {
    let mut client = Client::connect(path);
    assert_eq!(client.hear_text()["type"], "connection_established");
    assert_eq!(client.hear_text()["type"], "online_users");
    client
}

impl Cast {
    fn case(&mut self, input: &[u8]) {
        // Something to be read, written while he is away.
        let waiting = json!({"receiverId": self.speaker, "content": "read this"});
        let waiting = json!({"type": "chat_message", "data": waiting}).to_string();
        self.receivers.say_text(&waiting);
        assert_eq!(self.receivers.hear_text()["type"], "message_sent");
        // Once the next is answered, this one has gone wherever it goes: he is not to be there in time for it.
        self.receivers.say_text(r#"{"type":"get_online_users"}"#);
        assert_eq!(self.receivers.hear_text()["type"], "online_users");
        self.unread += 1;
        let mut speaker = greeted(&self.path);
        for other in [&mut self.receivers, &mut self.bystander] {
            assert_eq!(other.hear_text()["type"], "user_online");
        }
        let words = Words {
            own: &self.speaker,
            other: &self.receiver,
        };
        let mut messages = words.messages(input);
        let last =
            json!({"type": "chat_message", "data": {"receiverId": self.receiver, "content": "the last"}});
        messages.push(Message::Text(last.to_string()));
        let expected = self.expect(&messages);
        speaker.say(&messages);
        check_speaker(speaker, &expected);
        self.check_receiver(&expected);
        assert_eq!(self.bystander.hear_text()["type"], "user_offline");
        assert_eq!(self.bystander.hear_text()["type"], "online_users");
    }

    /// He hears what was said, in order, and that the speaker has left: what was said last may come behind that.
    fn check_receiver(&mut self, expected: &Expected) {
        let (mut heard, mut left) = (Vec::new(), Vec::new());
        while left.len() < 2 || heard.len() < expected.told.len() {
            let frame = self.receivers.hear_text();
            match frame["type"].as_str() {
                Some("user_offline" | "online_users") => left.push(frame["type"].clone()),
                Some(_) | None => heard.push(told(&frame)),
            }
        }
        assert_eq!(heard, expected.told);
        assert_eq!(left, ["user_offline", "online_users"]);
    }

    /// What comes of these.
    fn expect(&mut self, messages: &[Message]) -> Expected {
        let mut expected = Expected::default();
        for message in messages {
            let text = match (message, closes(message)) {
                (_, Some(code)) => {
                    expected.closed = Some(code);
                    break;
                }
                (Message::Text(text), None) => text,
                (Message::Binary(_), None) => unreachable!("a binary message closes"),
            };
            let answer = match said(text, &self.speaker, CONTENT_CHARS_MAX) {
                Said::Message {
                    receiver,
                    content,
                    kind,
                } => {
                    if receiver == self.receiver {
                        expected.delivered += 1;
                        expected.told.push(json!({"content": content, "kind": kind}));
                    }
                    json!({"sent": content, "to": receiver})
                }
                Said::Typing { receiver, is_typing } => {
                    if receiver == self.receiver {
                        expected.told.push(json!({"types": is_typing}));
                    }
                    continue;
                }
                Said::MarkRead { sender } => {
                    let of = id(&sender).unwrap_or(sender);
                    let count = if of == self.receiver {
                        std::mem::take(&mut self.unread)
                    } else {
                        0
                    };
                    if count > 0 {
                        expected.told.push(json!({"read_by": self.speaker}));
                    }
                    json!({"read": count, "of": of})
                }
                Said::GetOnlineUsers => json!({"online": 3}),
                Said::Wrong(why) => json!({"error": why}),
            };
            expected.answers.push(answer);
        }
        expected
    }
}

/// What a frame says to somebody else.
fn told(frame: &Value) -> Value {
    let data = &frame["data"];
    match frame["type"].as_str() {
        Some("new_message") => json!({"content": data["content"], "kind": data["messageType"]}),
        Some("typing_indicator") => json!({"types": data["isTyping"]}),
        Some("messages_read") => json!({"read_by": data["readBy"]}),
        _ => panic!("nothing called for {frame}"),
    }
}

/// What a frame answers.
fn answered(frame: &Value) -> Value {
    let data = &frame["data"];
    match frame["type"].as_str() {
        Some("message_sent") => json!({"sent": data["content"], "to": data["receiverId"]}),
        Some("mark_read_success") => json!({"read": data["markedCount"], "of": data["senderId"]}),
        Some("online_users") => json!({"online": data["totalOnline"]}),
        Some("error") => json!({"error": data["message"]}),
        _ => panic!("nothing called for {frame}"),
    }
}

/// He is answered in order, and told what was delivered, each once and behind its confirmation (direct/4c).
fn check_speaker(mut speaker: Client, expected: &Expected) {
    let (mut answers, mut sent, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    // What he said on a connection that was closed for what came next: he may be told of it on this one.
    let mut earlier = Vec::new();
    while answers.len() < expected.answers.len()
        || (expected.closed.is_none() && delivered.len() < expected.delivered)
    {
        let frame = speaker.hear_text();
        let id = frame["data"]["messageId"].clone();
        if frame["type"] == "message_delivered" {
            assert!(!delivered.contains(&id) && !earlier.contains(&id), "{frame}");
            let told = if sent.contains(&id) {
                &mut delivered
            } else {
                &mut earlier
            };
            told.push(id);
        } else {
            assert!(
                !earlier.contains(&id),
                "delivered before it was confirmed: {frame}"
            );
            answers.push(answered(&frame));
            sent.push(id);
        }
    }
    assert_eq!(answers, expected.answers);
    match expected.closed {
        None => assert_eq!(speaker.leave(), Vec::<Value>::new()),
        Some(code) => {
            let (heard, closed) = speaker.hear_until(|_| false);
            assert!(
                heard.iter().all(|frame| frame["type"] == "message_delivered"),
                "{heard:?}"
            );
            assert_eq!(closed, Some(code));
        }
    }
}
