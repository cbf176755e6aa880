//! Rooms whose server drops, doubles, swaps and delays deliveries, and remembers which: every number is the one it has.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, WriteHalf};
use touchstone_protocol::client::{Persona, Stamp};
use touchstone_protocol::rooms::client::{ACTS, RoomsClient};
use touchstone_wire::{Binary, Event, Receiver, Role, Rules, server_close, server_text};

use super::*;
use crate::engine::Connector;
use crate::engine::scripted::upgrade;
use crate::ledger::reckon::{Reckoning, Terms, reckon};

const SESSIONS: u32 = 40;
const ROOM_SIZE: u32 = 5;
/// Each session says so many, one a second.
pub(super) const MESSAGES: u32 = 20;
/// From one message on until so long before the last, whatever is held back or delayed still comes within the run.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// What the room does with one message for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Deliver,
    Drop,
    Twice,
    /// Delivers it after the sender's next one.
    HoldBack,
    /// Delivers it when the deadline is long over, and five others have overtaken it.
    Delay,
}

/// What befalls a message before anybody is to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Confirmed,
    /// Its sender never hears of it, nor does anybody else.
    Forgotten,
}

pub(super) fn taken(sender: u32, sequence: u32) -> Taken {
    match (sender + sequence) % 11 {
        0 => Taken::Forgotten,
        _ => Taken::Confirmed,
    }
}

/// No two messages in a row of one sender are touched for the same recipient.
pub(super) fn fate(sender: u32, sequence: u32, recipient: u32) -> Fate {
    match (sender * 3 + sequence + recipient) % 10 {
        0 => Fate::Drop,
        3 => Fate::Twice,
        5 if sequence < MESSAGES - 2 => Fate::HoldBack,
        8 if sequence < MESSAGES - 7 => Fate::Delay,
        _ => Fate::Deliver,
    }
}

pub(super) type Writer = Rc<tokio::sync::Mutex<WriteHalf<DuplexStream>>>;

#[derive(Clone, Default)]
struct LossyRooms(Rc<Rooms>);

#[derive(Default)]
struct Rooms {
    members: RefCell<HashMap<String, Vec<(u32, Writer)>>>,
    held_back: RefCell<HashMap<(u32, u32), String>>,
    fates: RefCell<HashMap<Fate, u64>>,
    forgotten: Cell<u64>,
}

impl Connector for LossyRooms {
    type Stream = DuplexStream;

    async fn open(&self, _node: usize) -> std::io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        // The test's runtime owns the task; an error is the other side being gone.
        let rooms = Rc::clone(&self.0);
        tokio::task::spawn_local(async move { rooms.serve(theirs).await });
        Ok(ours)
    }
}

impl Rooms {
    fn met(&self, fate: Fate) -> u64 {
        self.fates.borrow().get(&fate).copied().unwrap_or(0)
    }

    async fn serve(self: Rc<Self>, mut stream: DuplexStream) -> std::io::Result<()> {
        let path = upgrade(&mut stream).await?;
        let (room, user) = path
            .trim_start_matches("/ws/")
            .split_once("/?token=")
            .expect("the path of a room");
        let user: u32 = user.parse().expect("the token is the user's number");
        let (mut reader, writer) = tokio::io::split(stream);
        let writer: Writer = Rc::new(tokio::sync::Mutex::new(writer));
        let members = || self.members.borrow_mut();
        members()
            .entry(room.to_owned())
            .or_default()
            .push((user, Rc::clone(&writer)));
        for greeting in [
            r#"{"type":"channel.info"}"#,
            r#"{"type":"messages.history","messages":[]}"#,
        ] {
            say(&writer, greeting).await;
        }
        let mut receiver = Receiver::new(
            Role::Server,
            Rules {
                message_bytes_max: 65_536,
                binary: Binary::Accepted,
            },
        );
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
                        let text = text.to_owned();
                        self.relay(room, user, &text).await;
                    }
                    Some(Event::Close(_)) => {
                        return writer.lock().await.write_all(&server_close(1000, "")).await;
                    }
                    Some(other) => panic!("the generator only sends text: {other:?}"),
                }
            }
        }
    }

    async fn relay(&self, room: &str, sender: u32, text: &str) {
        let said: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let content = said["content"].as_str().expect("they only talk");
        let sequence = Stamp::read(content).expect("it bears a stamp").key.sequence;
        if taken(sender, sequence) == Taken::Forgotten {
            self.forgotten.set(self.forgotten.get() + 1);
            return;
        }
        let message = format!(
            r#"{{"type":"chat.message","message":{{"id":"{sender}.{sequence}","user_id":"{sender}","content":"{content}"}}}}"#
        );
        let members = self.members.borrow()[room].clone();
        for (recipient, writer) in members {
            if recipient == sender {
                say(&writer, &message).await;
                continue;
            }
            let fate = fate(sender, sequence, recipient);
            *self.fates.borrow_mut().entry(fate).or_default() += 1;
            self.deliver(fate, (sender, recipient), &writer, &message).await;
        }
    }

    async fn deliver(&self, fate: Fate, pair: (u32, u32), writer: &Writer, message: &str) {
        match fate {
            Fate::Drop => return,
            Fate::HoldBack => {
                self.held_back.borrow_mut().insert(pair, message.to_owned());
                return;
            }
            Fate::Delay => {
                let (writer, message) = (Rc::clone(writer), message.to_owned());
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(DEADLINE + seconds(0.5)).await;
                    say(&writer, &message).await;
                });
                return;
            }
            Fate::Twice => say(writer, message).await,
            Fate::Deliver => {}
        }
        say(writer, message).await;
        let held_back = self.held_back.borrow_mut().remove(&pair);
        if let Some(message) = held_back {
            say(writer, &message).await;
        }
    }
}

pub(super) async fn say(writer: &Writer, text: &str) {
    // Who has left hears nothing any more.
    let _gone = writer.lock().await.write_all(&server_text(text)).await;
}

fn talk_in_rooms() -> (Reckoning, LoopReport, LossyRooms) {
    let plan = workload(serde_json::json!({
        "title": "rooms", "dialect": "rooms", "sessions": SESSIONS, "groups": {"rooms": {"size": ROOM_SIZE}},
        "deadline": "5s", "phases": [{"steady": {"for": format!("{MESSAGES}s")}}],
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let rooms = LossyRooms::default();
    let terms = Terms {
        deadline: plan.deadline,
        catch_up: CatchUp::Impossible,
    };
    let report = runtime.block_on(async {
        let mut job = job(plan, Instant::now(), 0, 1);
        job.acts = ACTS.into();
        job.nodes = Arc::new([Node {
            host: "rooms".to_owned(),
            path: "/ws/{room}/".to_owned(),
            headers: http::HeaderMap::new(),
            offer: None,
        }]);
        let plan = Arc::clone(&job.plan);
        let client = |sender: u64| {
            let session = sender as u32;
            RoomsClient::new(Persona {
                id: session.to_string(),
                token: session.to_string(),
                channel: plan.groups.of(session).to_string(),
                ..Persona::default()
            })
        };
        let (to_reader, _from_loop) = mpsc::channel(10_000);
        let running = run_loop(job, rooms.clone(), client, to_reader, CancellationToken::new());
        tokio::time::timeout(FOREVER, running).await.expect("a run ends")
    });
    (reckon(terms, &report.sent, &report.heard), report, rooms)
}

#[test]
fn deliveries_that_are_dropped_doubled_swapped_and_delayed_are_counted_as_the_server_did_it() {
    let (reckoning, report, LossyRooms(rooms)) = talk_in_rooms();
    let met = |fate| rooms.met(fate);
    for fate in [
        Fate::Drop,
        Fate::Twice,
        Fate::HoldBack,
        Fate::Delay,
        Fate::Deliver,
    ] {
        assert!(met(fate) > 100, "{fate:?}: {}", met(fate));
    }
    let totals = reckoning.totals;
    assert_eq!(totals.sent, u64::from(SESSIONS * MESSAGES));
    assert_eq!(totals.unconfirmed, rooms.forgotten.get());
    assert!(totals.unconfirmed > 0);
    let owed = (totals.sent - totals.unconfirmed) * u64::from(ROOM_SIZE - 1);
    assert_eq!(totals.expected, owed, "to everybody else in the room");
    assert_eq!(totals.lost, met(Fate::Drop));
    assert_eq!(totals.received, owed - met(Fate::Drop));
    assert_eq!(totals.late, met(Fate::Delay));
    assert_eq!(totals.duplicated, met(Fate::Twice));
    assert_eq!(
        totals.reordered,
        met(Fate::HoldBack) + met(Fate::Delay),
        "whatever came after one that was said later"
    );
    assert_eq!(report.recorder.errors.of(ErrorKind::ForeignDelivery), 0);
}

#[test]
fn the_latency_of_a_delivery_is_taken_of_each_recipient() {
    let (reckoning, report, LossyRooms(rooms)) = talk_in_rooms();
    let deliveries = &report.recorder.measured(Latency::Delivery).latency;
    assert_eq!(
        deliveries.count(),
        reckoning.totals.received,
        "each once per recipient, and no double"
    );
    let confirms = &report.recorder.measured(Latency::Confirm).latency;
    assert_eq!(confirms.count(), reckoning.totals.sent - rooms.forgotten.get());
    // On virtual time whatever is not held back takes no time, what is held back a second, what is delayed 5.5 s.
    let share = |fate| rooms.met(fate) as f64 / reckoning.totals.received as f64;
    let on_time = 1.0 - share(Fate::HoldBack) - share(Fate::Delay);
    let quantile = |q| deliveries.quantile_ms(q).unwrap();
    assert!(quantile(on_time - 0.01) < 2.0, "{}", quantile(on_time - 0.01));
    let held_back = quantile(on_time + share(Fate::HoldBack) / 2.0);
    assert!((999.0..=1_002.0).contains(&held_back), "{held_back}");
    let delayed = deliveries.max_ms().unwrap();
    assert!((5_495.0..=5_510.0).contains(&delayed), "{delayed}");
}
