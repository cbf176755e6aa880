//! `echo`: everything comes back, and what came back is kept.

use serde_json::{Value, json};

use super::client::{Client, Heard, Message};
use super::{ADMIN_KEY, MESSAGE_BYTES_MAX, Stage, Words, http};

/// Who is there in every case.
struct Cast {
    /// In a session of its own.
    bystander: Client,
    cases: u64,
}

/// Says the messages in a session of their own.
pub fn echo(input: &[u8]) {
    static STAGE: Stage<Cast> = Stage::new();
    STAGE.play(set_up, |cast| cast.case(input));
}

fn set_up() -> Cast {
    Cast {
        bystander: Client::connect("/ws/chat/"),
        cases: 0,
    }
}

impl Cast {
    fn case(&mut self, input: &[u8]) {
        self.cases += 1;
        let last = Message::Text("the last one".to_owned());
        let words = Words {
            own: "me",
            other: "you",
        };
        let messages: Vec<_> = words.messages(input).into_iter().chain([last]).collect();
        // The process tells sessions of two runs apart, in case a stage was set up anew.
        let session = uuid::Uuid::new_v4().to_string();
        let mut speaker = Client::connect(&format!("/ws/chat/?session={session}&redis_persistence=true"));
        speaker.say(&messages);
        let mut kept = Vec::new();
        let mut closed = None;
        for message in &messages {
            match read(message) {
                Ok(text) => kept.push(text),
                Err(code) => {
                    closed = Some(code);
                    break;
                }
            }
            assert_eq!(speaker.hear(), Heard::Text(answer(&kept)));
        }
        match closed {
            Some(code) => assert_eq!(speaker.hear(), Heard::Closed(code)),
            None => assert_eq!(speaker.leave(), Vec::<Value>::new()),
        }
        check_kept(&session, &kept);
        self.bystander.say_text("still here");
        let unmoved = json!({"count": self.cases, "echo": "still here"});
        assert_eq!(self.bystander.hear(), Heard::Text(unmoved));
    }
}

/// What comes back of a message, or how it closes the connection (echo/2a, 4a, 4b).
fn read(message: &Message) -> Result<&str, u16> {
    let bytes = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
    };
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(1009);
    }
    std::str::from_utf8(bytes).map_err(|_| 1007)
}

/// The answer to the last of these (echo/2, 3a).
fn answer(said: &[&str]) -> Value {
    match said.last() {
        None | Some(&"") => json!({"count": said.len()}),
        Some(text) => json!({"count": said.len(), "echo": text}),
    }
}

/// What was answered is kept, and nothing else (echo/7a, 7d).
fn check_kept(session: &str, said: &[&str]) {
    let path = format!("/chat/api/sessions/{session}/messages/");
    let answer = http::Connection::open().ask("GET", &path, ADMIN_KEY, b"");
    let kept: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let kept = kept["messages"].as_array().expect("a list");
    let kept: Vec<_> = kept.iter().map(|message| message["content"].as_str()).collect();
    let said: Vec<_> = said.iter().copied().map(Some).collect();
    assert_eq!(kept, said);
}
