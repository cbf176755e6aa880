//! The floor: one thread, epoll, and the bytes themselves.
//!
//! The first byte of a connection says what it is: `s` is a subscriber, `e` is echoed from then on. `p` is a publisher: each
//! message is a length and a number, both u32 in little endian, and then so many bytes, which are written to every
//! subscriber as often as the number says, in one write.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

const EVENTS: usize = 256;

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

struct Epoll(RawFd);

impl Epoll {
    fn add(&self, socket: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLRDHUP) as u32,
            u64: socket as u64,
        };
        // SAFETY: both descriptors are open, and the event outlives the call.
        match unsafe { libc::epoll_ctl(self.0, libc::EPOLL_CTL_ADD, socket, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn wait(&self, events: &mut [libc::epoll_event]) -> io::Result<usize> {
        // SAFETY: the slice is valid for as many events as are said to fit.
        let ready = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), events.len() as i32, -1) };
        usize::try_from(ready).map_err(|_| io::Error::last_os_error())
    }
}

pub fn serve(announce: impl Fn(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    // SAFETY: takes a flag and returns a descriptor, or -1.
    let epoll = Epoll(unsafe { libc::epoll_create1(0) });
    epoll.add(listener.as_raw_fd())?;
    announce(listener.local_addr()?);
    let mut connections = HashMap::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut buffer = vec![0; 64 << 10];
    loop {
        let ready = match epoll.wait(&mut events) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            ready => ready?,
        };
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

fn accept(listener: &TcpListener, epoll: &Epoll, connections: &mut HashMap<RawFd, Connection>) -> io::Result<()> {
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        epoll.add(socket.as_raw_fd())?;
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
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let (length, times) = (number(0), number(4));
        let Some(payload) = rest.get(..length) else { break };
        found.push(payload.repeat(times));
        heard.drain(..8 + length);
    }
    found
}
