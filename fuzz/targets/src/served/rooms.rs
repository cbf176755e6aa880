//! `rooms`: in one channel somebody says whatever he likes; another one listens, and so does a stranger of another tenant
//! whose ids are the same.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::client::{Client, Message};
use super::{CONTENT_CHARS_MAX, Stage, Words, closes, make};
use crate::model::rooms::{Said, Wrong, said};

/// What a newcomer is sent of what was said before.
pub(super) const HISTORY_MESSAGES: usize = 8;

/// Who is there in every case.
struct Cast {
    /// Where the speaker connects.
    speakers_path: String,
    /// Connected to his channel.
    bystander: Client,
    /// In a tenant of his own.
    stranger: Client,
    /// What is stored of the channel.
    stored: Vec<String>,
    cases: u64,
}

/// What is to be heard.
#[derive(Debug, Default)]
struct Expected {
    /// By the bystander, in order.
    told: Vec<Value>,
    /// By the speaker of it.
    own: Vec<Value>,
    /// What the speaker is told to be wrong.
    wrong: Vec<Wrong>,
    acknowledged: usize,
    closed: Option<u16>,
}

/// Says the messages in a channel.
pub fn rooms(input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    STAGE.play(set_up, |cast| cast.case(input));
}

fn set_up() -> Cast {
    static STAGES: AtomicU64 = AtomicU64::new(0);
    let stage = STAGES.fetch_add(1, Ordering::Relaxed);
    let channel_of = |tenant: &str, members: &[u64]| {
        let name = json!({"name": tenant, "schema_name": tenant});
        make("tenants", "rooms", &name);
        let users = members.iter().map(|id| {
            let user = json!({"id": id, "username": format!("user {id}"), "tenant": tenant});
            make("users", "rooms", &user).1
        });
        let tokens: Vec<_> = users.collect();
        let channel = json!({"name": "the only one", "members": members, "tenant": tenant});
        let (channel, _) = make("channels", "rooms", &channel);
        tokens
            .iter()
            .map(|token| format!("/ws/chat/{channel}/?token={token}"))
            .collect::<Vec<_>>()
    };
    let paths = channel_of(&format!("tenant{stage}"), &[1, 2]);
    let others = channel_of(&format!("other{stage}"), &[1]);
    Cast {
        speakers_path: paths[0].clone(),
        bystander: greeted(&paths[1]).0,
        stranger: greeted(&others[0]).0,
        stored: Vec::new(),
        cases: 0,
    }
}

/// Somebody who has heard his greeting, and what was said before.
fn greeted(path: &str) -> (Client, Vec<Value>) {
    let mut client = Client::connect(path);
    assert_eq!(client.hear_text()["type"], "channel.info");
    let mut history = client.hear_text();
    assert_eq!(history["type"], "messages.history");
    let Value::Array(messages) = history["messages"].take() else {
        panic!("no list: {history}");
    };
    (client, messages)
}

impl Cast {
    fn case(&mut self, input: &[u8]) {
        self.cases += 1;
        let number = self.cases;
        let mark = format!("before {number}");
        let mark_id = self.mark(&mark);
        self.stored.push(mark);
        let (mut speaker, history) = greeted(&self.speakers_path);
        let history: Vec<_> = history
            .iter()
            .map(|message| message["content"].as_str())
            .collect();
        let newest = self.stored.len().saturating_sub(HISTORY_MESSAGES);
        let stored: Vec<_> = self.stored[newest..].iter().map(|text| Some(&**text)).collect();
        assert_eq!(history, stored, "what is stored is what was confirmed");
        self.hear_passage("user.join", true);

        let last = format!("after {number}");
        let last_message = json!({"type": "chat.message", "content": last}).to_string();
        let words = Words {
            own: "1",
            other: &mark_id,
        };
        let mut messages = words.messages(input);
        messages.push(Message::Text(last_message));
        let expected = self.expect(&messages, &mark_id);
        speaker.say(&messages);
        let (heard, closed) = speaker.hear_until(|told| told["message"]["content"] == last.as_str());
        assert_eq!(closed, expected.closed);
        check_speaker(&heard, &expected);
        if closed.is_none() {
            assert_eq!(speaker.leave(), Vec::<Value>::new());
        }
        let (heard, closed) = self.bystander.hear_until(|told| told["type"] == "user.leave");
        assert_eq!(closed, None);
        let told: Vec<_> = heard[..heard.len() - 1].iter().map(told).collect();
        assert_eq!(told, expected.told);
        let presence = self.bystander.hear_text();
        assert_eq!(
            (&presence["type"], &presence["is_online"]),
            (&json!("presence"), &json!(false))
        );

        self.stranger.say_text(r#"{"type":"heartbeat"}"#);
        assert_eq!(self.stranger.hear_text()["type"], "heartbeat.ack");
    }

    /// Something that the bystander says; returns its id.
    fn mark(&mut self, content: &str) -> String {
        let message = json!({"type": "chat.message", "content": content}).to_string();
        self.bystander.say_text(&message);
        let told = self.bystander.hear_text();
        assert_eq!(told["message"]["content"], content);
        told["message"]["id"].as_str().expect("an id").to_owned()
    }

    fn hear_passage(&mut self, kind: &str, is_online: bool) {
        assert_eq!(self.bystander.hear_text()["type"], kind);
        let presence = self.bystander.hear_text();
        assert_eq!(
            (&presence["type"], &presence["is_online"]),
            (&json!("presence"), &json!(is_online))
        );
    }

    /// What comes of these. What is stored is noted.
    fn expect(&mut self, messages: &[Message], mark_id: &str) -> Expected {
        let mut expected = Expected::default();
        let mut is_read = false;
        for message in messages {
            let text = match (message, closes(message)) {
                (_, Some(code)) => {
                    expected.closed = Some(code);
                    break;
                }
                (Message::Text(text), None) => text,
                (Message::Binary(_), None) => unreachable!("a binary message closes"),
            };
            match said(text, CONTENT_CHARS_MAX) {
                Said::Message(content) => {
                    let told = json!({"content": content, "of": 1});
                    expected.told.push(told.clone());
                    expected.own.push(told);
                    self.stored.push(content);
                }
                Said::Typing(is_typing) => expected.told.push(json!({"types": is_typing, "of": 1})),
                Said::Read(id) if id == mark_id => {
                    let told = json!({"read": id, "of": 1});
                    if !std::mem::replace(&mut is_read, true) {
                        expected.told.push(told.clone());
                        expected.own.push(told);
                    }
                }
                Said::Read(_) => expected.wrong.push(Wrong::Told("Message not found".to_owned())),
                Said::Heartbeat => expected.acknowledged += 1,
                Said::Wrong(wrong) => expected.wrong.push(wrong),
            }
        }
        expected
    }
}

/// What a frame says to a channel.
fn told(frame: &Value) -> Value {
    match frame["type"].as_str() {
        Some("chat.message") => {
            let message = &frame["message"];
            json!({"content": message["content"], "of": message["user_id"]})
        }
        Some("typing") => json!({"types": frame["is_typing"], "of": frame["user_id"]}),
        Some("message.read") => json!({"read": frame["message_id"], "of": frame["user_id"]}),
        _ => panic!("nothing called for {frame}"),
    }
}

/// He hears all of it, or the beginning of it if he is closed.
fn check_speaker(heard: &[Value], expected: &Expected) {
    let is = |frame: &&Value, kind: &str| frame["type"] == kind;
    let wrong: Vec<_> = heard.iter().filter(|frame| is(frame, "error")).collect();
    let acknowledged = heard.iter().filter(|frame| is(frame, "heartbeat.ack")).count();
    let own = heard
        .iter()
        .filter(|frame| !is(frame, "error") && !is(frame, "heartbeat.ack"));
    let own: Vec<_> = own.map(told).collect();
    if expected.closed.is_none() {
        assert_eq!(own, expected.own);
        assert_eq!(
            (wrong.len(), acknowledged),
            (expected.wrong.len(), expected.acknowledged),
            "{wrong:?}"
        );
    }
    assert_eq!(own, expected.own[..own.len()]);
    assert!(acknowledged <= expected.acknowledged);
    for (frame, wrong) in wrong.iter().zip(&expected.wrong) {
        let message = frame["message"].as_str();
        match wrong {
            Wrong::Told(why) => assert_eq!(message, Some(&**why)),
            Wrong::Any => assert!(message.is_some_and(|message| !message.is_empty()), "{frame}"),
        }
    }
}
