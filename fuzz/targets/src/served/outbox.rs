//! `outbox`: somebody says whatever he likes on one of his connections; his other one and another user hear nothing of it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, Message};
use super::{Stage, Words, closes, make};
use crate::model::outbox::{Said, said};

/// Who is there in every case.
struct Cast {
    /// The speaker's stream.
    path: String,
    user: String,
    bystanders: [Client; 2],
}

/// Says the messages.
pub fn outbox(input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    STAGE.play(set_up, |cast| cast.case(input));
}

fn set_up() -> Cast {
    let [(user, path), (_, other)] = ["speaker", "bystander"].map(|name| {
        let user = Uuid::new_v4().to_string();
        // Names are given once.
        let entry = json!({"id": user, "username": format!("{name} {user}")});
        let (user, token) = make("users", "outbox", &entry);
        let path = format!("/ws/user/{user}?token={token}");
        (user, path)
    });
    Cast {
        bystanders: [greeted(&path), greeted(&other)],
        path,
        user,
    }
}

fn greeted(path: &str) -> Client {
    let mut client = Client::connect(path);
    assert_eq!(client.hear_text()["type"], "connection_established");
    client
}

impl Cast {
    fn case(&mut self, input: &[u8]) {
        let words = Words {
            own: &self.user,
            other: "somebody",
        };
        let mut messages = words.messages(input);
        messages.push(Message::Text(r#"{"type":"ping"}"#.to_owned()));
        let mut speaker = greeted(&self.path);
        speaker.say(&messages);
        let closed = messages.iter().find_map(closes);
        for message in messages {
            let Message::Text(text) = message else { break };
            if text.len() > super::MESSAGE_BYTES_MAX {
                break;
            }
            let told = speaker.hear_text();
            match said(&text) {
                Said::Ping => assert_eq!(told["type"], "pong"),
                Said::GetPending => {
                    assert_eq!(
                        told,
                        json!({"type": "pending_check_complete", "data": {"count": 0}})
                    );
                }
                Said::Wrong => assert_eq!(told["type"], "error"),
            }
        }
        match closed {
            Some(code) => assert_eq!(speaker.hear_until(|_| true), (Vec::new(), Some(code))),
            None => assert_eq!(speaker.leave(), Vec::<Value>::new()),
        }
        for bystander in &mut self.bystanders {
            bystander.say_text(r#"{"type":"ping"}"#);
            assert_eq!(bystander.hear_text()["type"], "pong");
        }
    }
}
