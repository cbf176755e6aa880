//! For tests: a made-up protocol with rooms, tokens, history over HTTP and beats, and a server of it that does what its script
//! says, on the virtual time of the test, and remembers what it did.
//!
//! A client says `hello`, is told `ready`, and then: `say CONTENT` is confirmed and delivered to the others of the room, `ask` is
//! replied to, `beat` is answered, and so is `shrug CONTENT` where it says as which of his it is. `GET /history/ROOM` has a line for
//! each message, `POST /say/ROOM` is another way to say it.

mod guest;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use touchstone_protocol::client::Stamp;
use touchstone_wire::{Event, server_close, server_text};

use super::connect::Connector;
use super::scripted::{accept, read_head, receiver};

pub(crate) use guest::{ACTS, ACTS_THAT_ARE_ANSWERED, Desk, Guest};

/// Who asks is replied to so much later.
pub(crate) const REPLY_AFTER: Duration = Duration::from_millis(700);

/// What a guest said, as the server heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    /// The author's session number.
    pub(crate) author: u32,
    pub(crate) sequence: u32,
    pub(crate) at: Duration,
    /// When it was meant to be said.
    pub(crate) intended_micros: u64,
}

/// What the server does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Keeps, confirms and delivers it.
    Deliver,
    /// Keeps and confirms it, and tells nobody.
    KeepOnly,
    /// Confirms it, and neither keeps it nor tells anybody.
    Lose,
    /// Delivers it twice.
    Double,
    /// Keeps and delivers it, and does not say so to its author.
    Unconfirmed,
    /// Keeps, confirms, and delivers it after the next one.
    HoldBack,
    /// Ends the author's connection with this code, and does nothing with it.
    Close(u16),
    /// Keeps, confirms and delivers it so much later.
    After(Duration),
}

type Script = Box<dyn Fn(&Said) -> Deed>;

/// The server.
#[derive(Clone)]
pub(crate) struct Hall(Rc<State>);

struct State {
    start: Instant,
    script: Script,
    /// Connections are refused from here to there.
    shut: Cell<(Duration, Duration)>,
    rooms: RefCell<Vec<Seat>>,
    history: RefCell<Vec<(String, String, String)>>,
    record: RefCell<Vec<(Said, Deed)>>,
    beats: RefCell<Vec<(String, Duration)>>,
    openings: RefCell<Vec<(String, Duration)>>,
    http_connections: Cell<u32>,
    requests: RefCell<Vec<String>>,
    held_back: RefCell<Vec<(String, String, String)>>,
    next_seat: Cell<u32>,
}

struct Seat {
    number: u32,
    room: String,
    guest: String,
    ready: bool,
    to: mpsc::UnboundedSender<Out>,
}

enum Out {
    Text(String),
    Close(u16),
}

impl Hall {
    pub(crate) fn new(start: Instant, script: impl Fn(&Said) -> Deed + 'static) -> Self {
        Self(Rc::new(State {
            start,
            script: Box::new(script),
            shut: Cell::default(),
            rooms: RefCell::default(),
            history: RefCell::default(),
            record: RefCell::default(),
            beats: RefCell::default(),
            openings: RefCell::default(),
            http_connections: Cell::default(),
            requests: RefCell::default(),
            held_back: RefCell::default(),
            next_seat: Cell::default(),
        }))
    }

    /// Takes no connection from `from` to `to`.
    pub(crate) fn shut(self, from: Duration, to: Duration) -> Self {
        self.0.shut.set((from, to));
        self
    }

    pub(crate) fn record(&self) -> Vec<(Said, Deed)> {
        self.0.record.borrow().clone()
    }

    pub(crate) fn met(&self, deed: Deed) -> u64 {
        self.0
            .record
            .borrow()
            .iter()
            .filter(|(_, met)| *met == deed)
            .count() as u64
    }

    /// When each guest beat.
    pub(crate) fn beats(&self) -> Vec<(String, Duration)> {
        self.0.beats.borrow().clone()
    }

    /// The queries of all WebSockets, and when they were opened.
    pub(crate) fn openings(&self) -> Vec<(String, Duration)> {
        self.0.openings.borrow().clone()
    }

    pub(crate) fn http_connections(&self) -> u32 {
        self.0.http_connections.get()
    }

    /// First line and token of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.requests.borrow().clone()
    }
}

impl Connector for Hall {
    type Stream = DuplexStream;

    async fn open(&self, _node: usize) -> io::Result<DuplexStream> {
        let (from, to) = self.0.shut.get();
        let now = self.0.start.elapsed();
        if now >= from && now < to {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::task::spawn_local(Rc::clone(&self.0).serve(theirs));
        Ok(ours)
    }
}

impl State {
    async fn serve(self: Rc<Self>, mut stream: DuplexStream) {
        let Ok(head) = read_head(&mut stream).await else {
            return;
        };
        // An error is the other side being gone.
        let _gone = if head.to_ascii_lowercase().contains("sec-websocket-key") {
            self.talk(head, &mut stream).await
        } else {
            self.http_connections.set(self.http_connections.get() + 1);
            self.answer(head, &mut stream).await
        };
    }

    async fn talk(&self, head: String, stream: &mut DuplexStream) -> io::Result<()> {
        stream.write_all(accept(&head).as_bytes()).await?;
        let path = head.split(' ').nth(1).expect("a request line");
        let (place, query) = path.split_once('?').expect("guests have a query");
        self.openings
            .borrow_mut()
            .push((query.to_owned(), self.start.elapsed()));
        let guest = query.split(['=', '&']).nth(1).expect("an id").to_owned();
        let room = place.rsplit('/').next().expect("a room").to_owned();
        let (to, mut out) = mpsc::unbounded_channel();
        let number = self.next_seat.get();
        self.next_seat.set(number + 1);
        self.rooms.borrow_mut().push(Seat {
            number,
            room,
            guest,
            ready: false,
            to,
        });
        let talked = self.converse(number, stream, &mut out).await;
        self.rooms.borrow_mut().retain(|seat| seat.number != number);
        talked
    }

    async fn converse(
        &self,
        number: u32,
        stream: &mut DuplexStream,
        out: &mut mpsc::UnboundedReceiver<Out>,
    ) -> io::Result<()> {
        let (mut receiver, mut buffer) = receiver();
        loop {
            let read = tokio::select! {
                biased;
                Some(out) = out.recv() => {
                    match out {
                        Out::Text(text) => stream.write_all(&server_text(&text)).await?,
                        Out::Close(code) => return stream.write_all(&server_close(code, "")).await,
                    }
                    continue;
                }
                read = stream.read(&mut buffer) => read?,
            };
            if read == 0 {
                return Ok(());
            }
            let mut at = 0;
            loop {
                let step = receiver
                    .next(&mut buffer[at..read])
                    .expect("guests keep to RFC 6455");
                at += step.consumed;
                match step.event {
                    None => break,
                    Some(Event::Text(text)) => self.hear(number, text),
                    Some(Event::Close(_)) => return stream.write_all(&server_close(1000, "")).await,
                    Some(other) => panic!("guests only send text: {other:?}"),
                }
            }
        }
    }

    fn tell(&self, number: u32, out: Out) {
        let rooms = self.rooms.borrow();
        if let Some(seat) = rooms.iter().find(|seat| seat.number == number) {
            // Whoever is gone hears nothing.
            let _gone = seat.to.send(out);
        }
    }

    fn hear(&self, number: u32, text: &str) {
        let (room, guest) = {
            let rooms = self.rooms.borrow();
            let seat = rooms.iter().find(|seat| seat.number == number).expect("seated");
            (seat.room.clone(), seat.guest.clone())
        };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("hello", _) => {
                let mut rooms = self.rooms.borrow_mut();
                let seat = rooms
                    .iter_mut()
                    .find(|seat| seat.number == number)
                    .expect("seated");
                seat.ready = true;
                drop(rooms);
                self.tell(number, Out::Text("ready".into()));
            }
            ("say", content) => self.said((&room, &guest), content, Some(number)),
            ("ask", _) => {
                let rooms = self.rooms.borrow();
                let seat = rooms.iter().find(|seat| seat.number == number).expect("seated");
                let to = seat.to.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(REPLY_AFTER).await;
                    let _gone = to.send(Out::Text("reply".into()));
                });
            }
            ("beat", _) => {
                self.beats.borrow_mut().push((guest, self.start.elapsed()));
                self.tell(number, Out::Text("alive".into()));
            }
            ("shrug", content) => {
                if Guest::stamp_of(content).key.sequence > 0 {
                    self.tell(number, Out::Text(format!("shrugged {content}")));
                }
            }
            ("yes", _) => {}
            other => panic!("guests do not say {other:?}"),
        }
    }

    fn said(&self, (room, guest): (&str, &str), content: &str, author: Option<u32>) {
        let Stamp {
            key, intended_micros, ..
        } = Stamp::read(content).expect("a stamp");
        let said = Said {
            author: key.sender as u32,
            sequence: key.sequence,
            at: self.start.elapsed(),
            intended_micros,
        };
        let deed = (self.script)(&said);
        self.record.borrow_mut().push((said, deed));
        let kept = (room.to_owned(), guest.to_owned(), content.to_owned());
        match deed {
            Deed::Close(code) => return author.map_or((), |number| self.tell(number, Out::Close(code))),
            Deed::Lose => {}
            _ => self.history.borrow_mut().push(kept.clone()),
        }
        if let (Some(number), false) = (author, deed == Deed::Unconfirmed) {
            self.tell(number, Out::Text(format!("confirmed {content}")));
        }
        match deed {
            Deed::KeepOnly | Deed::Lose | Deed::Close(_) => return,
            Deed::HoldBack => {
                self.held_back.borrow_mut().push(kept);
                return;
            }
            Deed::After(wait) => {
                let later: Vec<_> = self.others(room, guest).collect();
                let text = format!("delivered {content}");
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(wait).await;
                    for to in later {
                        let _gone = to.send(Out::Text(text.clone()));
                    }
                });
                return;
            }
            Deed::Deliver | Deed::Unconfirmed => self.deliver(&kept),
            Deed::Double => {
                self.deliver(&kept);
                self.deliver(&kept);
            }
        }
        let held_back = self
            .held_back
            .borrow_mut()
            .extract_if(.., |(of, ..)| of == room)
            .collect::<Vec<_>>();
        for message in held_back {
            self.deliver(&message);
        }
    }

    fn others(&self, room: &str, guest: &str) -> impl Iterator<Item = mpsc::UnboundedSender<Out>> {
        let rooms = self.rooms.borrow();
        let there = rooms
            .iter()
            .filter(|seat| seat.ready && seat.room == room && seat.guest != guest);
        there.map(|seat| seat.to.clone()).collect::<Vec<_>>().into_iter()
    }

    fn deliver(&self, (room, guest, content): &(String, String, String)) {
        for to in self.others(room, guest) {
            let _gone = to.send(Out::Text(format!("delivered {content}")));
        }
    }

    async fn answer(&self, mut head: String, stream: &mut DuplexStream) -> io::Result<()> {
        loop {
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                let mut named = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
                named.next().map(|(_, value)| value.to_owned())
            };
            let length = header("content-length").map_or(0, |length| length.parse().unwrap());
            let token = header("authorization").unwrap_or_default();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let line = head.lines().next().expect("a request line").to_owned();
            self.requests.borrow_mut().push(format!("{line} {token}"));
            let path = line.split(' ').nth(1).expect("a path");
            let (place, query) = path.split_once('?').unwrap_or((path, ""));
            let (status, text) = match place.strip_prefix("/v2").and_then(|place| place.rsplit_once('/')) {
                Some(("/history", room)) => {
                    let history = self.history.borrow();
                    let lines = history.iter().filter(|(of, ..)| of == room);
                    (
                        200,
                        lines
                            .map(|(_, guest, content)| format!("{guest} {content}\n"))
                            .collect(),
                    )
                }
                Some(("/say", room)) => {
                    let guest = query.strip_prefix("id=").expect("an id");
                    self.said((room, guest), std::str::from_utf8(&body).expect("text"), None);
                    (201, String::new())
                }
                _ => (404, String::new()),
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            head = read_head(stream).await?;
        }
    }
}
