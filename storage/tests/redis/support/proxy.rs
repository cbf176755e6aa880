//! A proxy before Redis that cuts connections, holds back what is sent, and leaves connections open that lead nowhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use touchstone_storage::redis::RedisUrl;

/// What it does about bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hands them on.
    Passing,
    /// Takes connections and leaves them open, but hands on nothing in either direction, until it passes again.
    Holding,
    /// Hands on what the client says, and no answer.
    Unanswered,
    /// Ends connections, those that come as well.
    Cut,
}

/// Ends with what it carries when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (mode, seen) = watch::channel(Mode::Passing);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, (Ipv4Addr::LOCALHOST, port).into(), seen));
        Self {
            port: own,
            mode,
            _task: task,
        }
    }

    pub(crate) fn url(&self) -> RedisUrl {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut carried = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let mode = mode.clone();
        carried.spawn(async move {
            if *mode.borrow() == Mode::Cut {
                return;
            }
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let both = async {
                let (client, server) = (Arc::new(client), Arc::new(server));
                tokio::select! {
                    () = carry(&client, &server, mode.clone(), Direction::Asked) => {}
                    () = carry(&server, &client, mode.clone(), Direction::Answered) => {}
                }
            };
            let mut watched = mode.clone();
            tokio::select! {
                () = both => {}
                _ = watched.wait_for(|mode| *mode == Mode::Cut) => {}
            }
        });
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Asked,
    Answered,
}

impl Direction {
    fn passes(self, mode: Mode) -> bool {
        match (mode, self) {
            (Mode::Passing | Mode::Cut, _) | (Mode::Unanswered, Self::Asked) => true,
            (Mode::Holding, _) | (Mode::Unanswered, Self::Answered) => false,
        }
    }
}

async fn carry(from: &TcpStream, to: &TcpStream, mut mode: watch::Receiver<Mode>, direction: Direction) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        if from.readable().await.is_err() {
            return;
        }
        let read = match from.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        if mode.wait_for(|mode| direction.passes(*mode)).await.is_err() {
            return;
        }
        let mut rest = &bytes[..read];
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
