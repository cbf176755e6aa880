//! The floor: one thread, epoll, and the bytes themselves.
//!
//! The first byte of a connection says what it is: `s` is a subscriber, `e` is echoed from then on. `p` is a publisher: each
//! message is a length and a number, both u32 in little endian, and then so many bytes, which are written to every
//! subscriber as often as the number says, in one write.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use crate::epoll::Epoll;

enum Peer {
    New,
    Subscriber,
    Echoed,
    Publisher { heard: Vec<u8> },
}

struct Connection {
    socket: TcpStream,
    peer: Peer,
}

pub fn serve(announce: impl Fn(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new()?;
    add(&epoll, listener.as_raw_fd())?;
    announce(listener.local_addr()?);
    let mut connections = HashMap::new();
    let mut events = Epoll::events();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let ready = epoll.wait(&mut events, None)?;
        for event in &events[..ready] {
            let socket = event.u64 as RawFd;
            if socket == listener.as_raw_fd() {
                accept(&listener, &epoll, &mut connections)?;
            } else {
                heard(socket, &mut connections, &mut buffer);
            }
        }
    }
}

/// A socket's events are told by its descriptor.
fn add(epoll: &Epoll, socket: RawFd) -> io::Result<()> {
    epoll.add(
        socket,
        u64::try_from(socket).expect("an open descriptor is not negative"),
    )
}

fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut HashMap<RawFd, Connection>,
) -> io::Result<()> {
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        add(epoll, socket.as_raw_fd())?;
        let peer = Peer::New;
        connections.insert(socket.as_raw_fd(), Connection { socket, peer });
    }
    Ok(())
}

fn heard(socket: RawFd, connections: &mut HashMap<RawFd, Connection>, buffer: &mut [u8]) {
    let Some(connection) = connections.get_mut(&socket) else {
        return;
    };
    let mut bytes = match connection.socket.read(buffer) {
        Ok(0) | Err(_) => {
            connections.remove(&socket);
            return;
        }
        Ok(read) => &buffer[..read],
    };
    if let Peer::New = connection.peer {
        connection.peer = match bytes[0] {
            b's' => Peer::Subscriber,
            b'e' => Peer::Echoed,
            _ => Peer::Publisher { heard: Vec::new() },
        };
        bytes = &bytes[1..];
    }
    let publications = match &mut connection.peer {
        Peer::New | Peer::Subscriber => return,
        Peer::Echoed => {
            // What is echoed is small, and its sender waits for it: the socket takes all of it.
            let _ = connection.socket.write(bytes);
            return;
        }
        Peer::Publisher { heard } => {
            heard.extend_from_slice(bytes);
            publications(heard)
        }
    };
    for frames in publications {
        for subscriber in connections.values_mut() {
            if let Peer::Subscriber = subscriber.peer {
                // A subscriber that reads has room for it.
                let _ = subscriber.socket.write(&frames);
            }
        }
    }
}

/// Takes every whole publication out of what was heard, as the bytes to be written.
fn publications(heard: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((head, rest)) = heard.split_at_checked(8) {
        let number =
            |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let (length, times) = (number(0), number(4));
        let Some(payload) = rest.get(..length) else { break };
        found.push(payload.repeat(times));
        heard.drain(..8 + length);
    }
    found
}
