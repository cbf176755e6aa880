//! `feed`: somebody says whatever he likes; another user hears of him only that he comes and goes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::client::{Client, Message};
use super::{Stage, Words, closes, make};
use crate::model::feed::{Said, said};

/// Who is there in every case.
struct Cast {
    path: String,
    user: String,
    bystander: Client,
}

/// Says the messages.
pub fn feed(input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    STAGE.play(set_up, |cast| cast.case(input));
}

fn set_up() -> Cast {
    static STAGES: AtomicU64 = AtomicU64::new(0);
    let stage = STAGES.fetch_add(1, Ordering::Relaxed);
    let [(user, path), (_, other)] = ["speaker", "bystander"].map(|name| {
        let entry = json!({"username": format!("{name} {stage}")});
        let (user, token) = make("users", "feed", &entry);
        (user, format!("/ws/?accessToken={token}"))
    });
    Cast {
        bystander: Client::connect(&other),
        path,
        user,
    }
}

impl Cast {
    fn case(&mut self, input: &[u8]) {
        let words = Words {
            own: &self.user,
            other: "0",
        };
        let mut messages = words.messages(input);
        messages.push(Message::Text("no JSON".to_owned()));
        let mut speaker = Client::connect(&self.path);
        self.hear_presence("USER_PRESENCE_CONNECTED");
        speaker.say(&messages);
        let closed = messages.iter().find_map(closes);
        let heeded = messages.iter().take_while(|message| closes(message).is_none());
        let wrong = heeded.filter(|message| match message {
            Message::Text(text) => said(text) == Said::Wrong,
            Message::Binary(_) => false,
        });
        for _ in wrong {
            let told = json!({"type": "ERROR", "data": {"message": "Invalid JSON format"}});
            assert_eq!(speaker.hear_text(), told);
        }
        match closed {
            Some(code) => assert_eq!(speaker.hear_until(|_| true), (Vec::new(), Some(code))),
            None => assert_eq!(speaker.leave(), Vec::<Value>::new()),
        }
        self.hear_presence("USER_PRESENCE_DISCONNECTED");
    }

    fn hear_presence(&mut self, kind: &str) {
        let told = self.bystander.hear_text();
        assert_eq!(told["type"], kind);
        assert_eq!(told["data"]["user_id"].to_string(), self.user);
    }
}
