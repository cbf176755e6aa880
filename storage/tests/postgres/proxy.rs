//! A network between a store and its server: it cuts, keeps silent, or takes its time, and counts the ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::server::Server;

/// How often somebody has asked after an answer had come: ways to the server and back, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl Turns {
    fn note(&self, side: Side) {
        match side {
            // As many answers as questions, or this is still the same one.
            Side::Front if self.asked.load(Ordering::Acquire) == self.answered.load(Ordering::Acquire) => {
                self.asked.fetch_add(1, Ordering::AcqRel);
            }
            Side::Front => {}
            Side::Back => {
                let asked = self.asked.load(Ordering::Acquire);
                self.answered.store(asked, Ordering::Release);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

/// Where something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Front,
    Back,
}

/// Stands between a store and its server.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    pub(crate) turns: Arc<Turns>,
    _tasks: JoinSet<()>,
}

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Every connection is reset, and none is taken.
    Cut,
    /// Nothing arrives, and nobody is told.
    Silent,
    /// Everything arrives [`DELAY`] later.
    Slow,
}

/// Long for a network, short for a test.
const DELAY: Duration = Duration::from_millis(20);

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, seen) = watch::channel(Weather::Clear);
        let mut tasks = JoinSet::new();
        let (behind, turns) = (server.port(), Arc::new(Turns::default()));
        let counted = Arc::clone(&turns);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (front, _) = listener.accept().await.unwrap();
                connections.spawn(pass(front, behind, seen.clone(), Arc::clone(&counted)));
            }
        });
        Self {
            port,
            weather,
            turns,
            _tasks: tasks,
        }
    }

    pub(crate) fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn pass(mut front: TcpStream, behind: u16, weather: watch::Receiver<Weather>, turns: Arc<Turns>) {
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let mut back = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
    let (mut from_front, mut to_front) = front.split();
    let (mut from_back, mut to_back) = back.split();
    let mut changes = weather.clone();
    // The end of a direction is the end of all.
    tokio::select! {
        () = pass_on(&mut from_front, &mut to_back, weather.clone(), || turns.note(Side::Front)) => {}
        () = pass_on(&mut from_back, &mut to_front, weather, || turns.note(Side::Back)) => {}
        _ = changes.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

/// Until an end, or until the weather has changed over something that it swallowed.
async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
    note: impl Fn(),
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else {
            return;
        };
        note();
        let now = *weather.borrow();
        match now {
            Weather::Silent => {
                // An error means that the test is over.
                let _ = weather.wait_for(|weather| *weather != Weather::Silent).await;
                return;
            }
            Weather::Slow => tokio::time::sleep(DELAY).await,
            Weather::Clear | Weather::Cut => {}
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
