//! Whatever a server says, a client half makes something of it: nothing panics, and no text goes unmentioned.
#![cfg(feature = "messages")]

use proptest::prelude::*;
use touchstone_protocol::client::{Asked, ClientHalf, Draft, Heard, Key, Persona, Stamp, Turn};
use touchstone_protocol::direct::client::DirectClient;
use touchstone_protocol::echo::client::{EchoClient, Persistence};
use touchstone_protocol::feed::client::FeedClient;
use touchstone_protocol::outbox::client::OutboxClient;
use touchstone_protocol::rooms::client::RoomsClient;

/// What server messages are made of, so that some make sense.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "\"\\u007e3.a.5.1~\"",
    "\"~3.a.5.1~\"",
    "\"type\":",
    "\"data\":",
    "\"message\":",
    "\"messages\":",
    "\"content\":",
    "\"id\":",
    "\"_id\":",
    "\"user_id\":",
    "\"senderId\":",
    "\"event_id\":",
    "\"notification\":",
    "\"results\":",
    "\"count\":",
    "\"next\":",
    "\"has_more\":true",
    "\"totalOnline\":",
    "\"echo\":",
    "\"chat.message\"",
    "\"messages.history\"",
    "\"channel.info\"",
    "\"message_sent\"",
    "\"new_message\"",
    "\"online_users\"",
    "\"user_offline\"",
    "\"message_generate\"",
    "\"pending_check_complete\"",
    "\"MESSAGE_CREATED\"",
    "\"SYSTEM_NOTIFICATION\"",
    "\"PING\"",
];

const STAMP: Stamp = Stamp {
    key: Key {
        sender: 3,
        sequence: 10,
    },
    intended_micros: 5,
    lag_micros: 1,
};

/// Texts of any kind, and some that are nearly messages.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let near =
        proptest::collection::vec(proptest::sample::select(WORDS), 0..24).prop_map(|words| words.concat());
    let object = proptest::collection::vec(proptest::sample::select(WORDS), 0..12)
        .prop_map(|words| format!("{{{}}}", words.concat()));
    proptest::collection::vec(prop_oneof![any::<String>(), near, object], 1..8)
}

fn persona() -> Persona {
    Persona {
        id: "ann".to_owned(),
        group: ["ann", "bob"].map(str::to_owned).into(),
        ..Persona::default()
    }
}

/// A session in which the server answers everything with any text.
fn talk(client: &mut impl ClientHalf, acts: usize, texts: &[String]) {
    client.opened(&mut drop::<Heard<'static>>);
    let mut draft = Draft::default();
    for (step, text) in (0..).zip(texts) {
        for act in 0..acts {
            let turn = Turn {
                act,
                stamp: STAMP,
                content_bytes: 40,
                recipient: 1,
            };
            let _ = client.act(turn, &mut draft);
            let asked = Asked::Act { act, stamp: STAMP };
            client.answered(asked, 200, text, &mut drop::<Heard<'_>>);
        }
        let mut told = 0;
        client.hear(text, &mut |_| told += 1);
        assert!(told > 0, "nothing was made of {text:?}");
        let _ = client.catch_up(step, &mut draft);
        client.answered(Asked::CatchUp, 200, text, &mut drop::<Heard<'_>>);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd(texts in texts()) {
        talk(&mut EchoClient::new(3, Persistence::Count), 1, &texts);
        talk(&mut RoomsClient::new(persona()), 4, &texts);
        talk(&mut DirectClient::new(persona()), 5, &texts);
        talk(&mut OutboxClient::new(persona()), 3, &texts);
        talk(&mut FeedClient::new(persona()), 3, &texts);
    }
}
