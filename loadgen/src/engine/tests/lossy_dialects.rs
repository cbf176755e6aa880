//! `direct`, `feed` and `outbox` with a server that drops, doubles, swaps and delays deliveries, and remembers which: messages that
//! are said over the WebSocket and over HTTP, to one, to a group and to everybody, are counted as the server did it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use touchstone_protocol::client::{ClientHalf, Persona, Stamp};
use touchstone_protocol::{direct, feed, outbox};
use touchstone_wire::{Binary, Event, Receiver, Role, Rules, server_close};

use super::lossy_room::{DEADLINE, Fate, MESSAGES, Taken, Writer, fate, say, taken};
use super::*;
use crate::engine::Connector;
use crate::engine::scripted::{accept, read_head};
use crate::ledger::reckon::{Beside, Reckoning, Terms, reckon};

const SESSIONS: u32 = 40;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// Said and confirmed over the WebSocket, to one other.
    Direct,
    /// Said over HTTP, to everybody.
    Feed,
    /// Said over HTTP, to all of the group, the author included.
    Outbox,
}

impl Speech {
    fn plan(self) -> Plan {
        let (dialect, groups) = match self {
            Self::Direct => ("direct", serde_json::json!("pairs")),
            Self::Feed => ("feed", serde_json::json!("alone")),
            Self::Outbox => ("outbox", serde_json::json!({"rooms": {"size": 4}})),
        };
        workload(serde_json::json!({
            "title": "lossy", "dialect": dialect, "sessions": SESSIONS, "groups": groups, "deadline": "5s",
            "phases": [{"steady": {"for": format!("{MESSAGES}s")}}],
        }))
    }

    fn greetings(self) -> &'static [&'static str] {
        match self {
            Self::Direct => &[
                r#"{"type":"connection_established","data":{}}"#,
                r#"{"type":"online_users","data":{"users":[],"totalOnline":1}}"#,
            ],
            Self::Feed => &[],
            Self::Outbox => &[r#"{"type":"connection_established"}"#],
        }
    }

    /// Who is to have what `sender` says.
    fn recipients(self, sender: u32, said: &Value) -> Vec<u32> {
        let number = |key| said.pointer(key).and_then(Value::as_str)?.parse::<u32>().ok();
        match self {
            Self::Direct => vec![number("/data/receiverId").expect("it names its recipient")],
            Self::Feed => (0..SESSIONS).collect(),
            Self::Outbox => {
                let group = number("/conversation_uuid").expect("it names its conversation");
                assert_eq!(group, sender / 4);
                (group * 4..group * 4 + 4).collect()
            }
        }
    }

    fn delivery(self, (sender, sequence): (u32, u32), content: &str) -> String {
        match self {
            Self::Direct => format!(
                r#"{{"type":"new_message","data":{{"_id":"{sender}.{sequence}","senderId":"{sender}","content":"{content}"}}}}"#
            ),
            Self::Feed => format!(
                r#"{{"type":"MESSAGE_CREATED","data":{{"data":{{"id":"{sender}.{sequence}","content":"{content}"}}}}}}"#
            ),
            Self::Outbox => format!(
                r#"{{"type":"message_generate","event_id":"{sender}.{sequence}","message":{{"content":"{content}"}}}}"#
            ),
        }
    }

    /// How many are owed each message.
    const fn owed(self) -> u32 {
        match self {
            Self::Direct => 1,
            Self::Feed => SESSIONS,
            Self::Outbox => 4,
        }
    }
}

#[derive(Clone)]
struct LossyServer(Rc<State>);

struct State {
    speech: Speech,
    present: RefCell<HashMap<u32, Writer>>,
    held_back: RefCell<HashMap<(u32, u32), String>>,
    fates: RefCell<HashMap<Fate, u64>>,
    forgotten: Cell<u64>,
}

impl Connector for LossyServer {
    type Stream = DuplexStream;

    async fn open(&self, _node: usize) -> std::io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        // The test's runtime owns the task; an error is the other side being gone.
        let state = Rc::clone(&self.0);
        tokio::task::spawn_local(async move { state.serve(theirs).await });
        Ok(ours)
    }
}

impl State {
    async fn serve(self: Rc<Self>, mut stream: DuplexStream) -> std::io::Result<()> {
        let head = read_head(&mut stream).await?;
        if head.starts_with("POST ") {
            return self.answer_http(head, stream).await;
        }
        stream.write_all(accept(&head).as_bytes()).await?;
        let path = head.split(' ').nth(1).expect("a request line");
        let (_, user) = path.rsplit_once('=').expect("a token in the query");
        let user: u32 = user.parse().expect("the token is the user's number");
        let (mut reader, writer) = tokio::io::split(stream);
        let writer: Writer = Rc::new(tokio::sync::Mutex::new(writer));
        for greeting in self.speech.greetings() {
            say(&writer, greeting).await;
        }
        self.present.borrow_mut().insert(user, Rc::clone(&writer));
        let rules = Rules {
            message_bytes_max: 65_536,
            binary: Binary::Accepted,
        };
        let mut receiver = Receiver::new(Role::Server, rules);
        let mut buffer = vec![0; 65_536];
        loop {
            let read = reader.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let mut at = 0;
            loop {
                let step = receiver
                    .next(&mut buffer[at..read])
                    .expect("the generator keeps to RFC 6455");
                at += step.consumed;
                match step.event {
                    None => break,
                    Some(Event::Text(text)) => {
                        let said = serde_json::from_str(text).expect("JSON");
                        self.hear(&said, Some(&writer)).await;
                    }
                    Some(Event::Close(_)) => {
                        return writer.lock().await.write_all(&server_close(1000, "")).await;
                    }
                    Some(other) => panic!("the generator only sends text: {other:?}"),
                }
            }
        }
    }

    /// One request after the other.
    async fn answer_http(&self, mut head: String, mut stream: DuplexStream) -> std::io::Result<()> {
        loop {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().ok())?
            });
            let mut body = vec![0; length.expect("a body of known length")];
            stream.read_exact(&mut body).await?;
            let said = serde_json::from_slice(&body).expect("JSON");
            let status = match self.hear(&said, None).await {
                Taken::Confirmed => "201 Created",
                Taken::Forgotten => "503 Service Unavailable",
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await?;
            head = read_head(&mut stream).await?;
        }
    }

    /// Takes in a message; `author` is where it is confirmed, if not by an answer.
    async fn hear(&self, said: &Value, author: Option<&Writer>) -> Taken {
        let content = said.pointer("/data/content").or_else(|| said.get("content"));
        let content = content.and_then(Value::as_str).expect("they only talk");
        let key = Stamp::read(content).expect("it bears a stamp").key;
        let (sender, sequence) = (key.sender as u32, key.sequence);
        let taken = taken(sender, sequence);
        if taken == Taken::Forgotten {
            self.forgotten.set(self.forgotten.get() + 1);
            return taken;
        }
        if let Some(author) = author {
            let confirmation = format!(r#"{{"type":"message_sent","data":{{"content":"{content}"}}}}"#);
            say(author, &confirmation).await;
        }
        let message = self.speech.delivery((sender, sequence), content);
        for recipient in self.speech.recipients(sender, said) {
            let fate = fate(sender, sequence, recipient);
            *self.fates.borrow_mut().entry(fate).or_default() += 1;
            let writer = Rc::clone(&self.present.borrow()[&recipient]);
            self.deliver(fate, (sender, recipient), writer, &message).await;
        }
        taken
    }

    async fn deliver(&self, fate: Fate, pair: (u32, u32), writer: Writer, message: &str) {
        match fate {
            Fate::Drop => return,
            Fate::HoldBack => {
                self.held_back.borrow_mut().insert(pair, message.to_owned());
                return;
            }
            Fate::Delay => {
                let message = message.to_owned();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(DEADLINE + seconds(0.5)).await;
                    say(&writer, &message).await;
                });
                return;
            }
            Fate::Twice => say(&writer, message).await,
            Fate::Deliver => {}
        }
        say(&writer, message).await;
        let held_back = self.held_back.borrow_mut().remove(&pair);
        if let Some(message) = held_back {
            say(&writer, &message).await;
        }
    }
}

fn talk<C: ClientHalf + 'static>(
    speech: Speech,
    acts: &'static [touchstone_protocol::client::Act],
    client: fn(Persona) -> C,
) -> (Reckoning, LoopReport, Rc<State>) {
    let plan = speech.plan();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let terms = Terms {
        deadline: plan.deadline,
        catch_up: CatchUp::Impossible,
    };
    let server = LossyServer(Rc::new(State {
        speech,
        present: RefCell::default(),
        held_back: RefCell::default(),
        fates: RefCell::default(),
        forgotten: Cell::default(),
    }));
    let report = runtime.block_on(async {
        let mut job = job(plan, Instant::now(), 0, 1);
        job.acts = acts.into();
        let groups = job.plan.groups.clone();
        let client = |sender: u64| {
            let session = sender as u32;
            let group = groups.of(session);
            client(Persona {
                id: session.to_string(),
                token: session.to_string(),
                channel: group.to_string(),
                group: groups.members(group).map(|member| member.to_string()).collect(),
                place: groups.place(session) as usize,
                ..Persona::default()
            })
        };
        let (to_reader, _from_loop) = mpsc::channel(10_000);
        let running = run_loop(job, server.clone(), client, to_reader, CancellationToken::new());
        tokio::time::timeout(FOREVER, running).await.expect("a run ends")
    });
    (reckon(terms, &report.sent, &report.heard), report, server.0)
}

fn check<C: ClientHalf + 'static>(
    speech: Speech,
    acts: &'static [touchstone_protocol::client::Act],
    client: fn(Persona) -> C,
) {
    let (reckoning, report, state) = talk(speech, acts, client);
    let met = |fate| state.fates.borrow().get(&fate).copied().unwrap_or(0);
    let all = [
        Fate::Drop,
        Fate::Twice,
        Fate::HoldBack,
        Fate::Delay,
        Fate::Deliver,
    ];
    for fate in all {
        assert!(met(fate) >= 30, "{fate:?}: {}", met(fate));
    }
    let totals = reckoning.totals;
    assert_eq!(totals.sent, u64::from(SESSIONS * MESSAGES));
    assert_eq!(totals.unconfirmed, state.forgotten.get());
    assert!(totals.unconfirmed > 0);
    let owed = (totals.sent - totals.unconfirmed) * u64::from(speech.owed());
    assert_eq!(all.map(met).iter().sum::<u64>(), owed);
    assert_eq!(totals.expected, owed);
    assert_eq!(totals.lost, met(Fate::Drop));
    assert_eq!(totals.received, owed - met(Fate::Drop));
    assert_eq!(totals.late, met(Fate::Delay));
    assert_eq!(totals.duplicated, met(Fate::Twice));
    assert_eq!(totals.reordered, met(Fate::HoldBack) + met(Fate::Delay));
    assert_eq!(reckoning.beside, Beside::default());
    assert_eq!(report.recorder.errors.of(ErrorKind::ForeignDelivery), 0);
}

#[test]
fn what_is_said_to_one_other_is_counted_as_the_server_did_it() {
    check(
        Speech::Direct,
        direct::client::ACTS,
        direct::client::DirectClient::new,
    );
}

#[test]
fn what_is_said_to_everybody_over_http_is_counted_as_the_server_did_it() {
    check(Speech::Feed, feed::client::ACTS, feed::client::FeedClient::new);
}

#[test]
fn what_is_said_to_a_group_over_http_is_counted_as_the_server_did_it() {
    check(
        Speech::Outbox,
        outbox::client::ACTS,
        outbox::client::OutboxClient::new,
    );
}
