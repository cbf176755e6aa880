//! The floor: one thread and epoll. After the opening handshake it writes the same masked bytes on schedule and reads whatever comes
//! without looking at it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use super::{Crowd, PERIOD, TEXT};
use crate::epoll::Epoll;

/// A masked text frame; the mask is zero, so that the payload stands in it as it is.
fn frame() -> Vec<u8> {
    let length = u8::try_from(TEXT.len()).expect("it is short");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(TEXT.as_bytes());
    frame
}

fn open(crowd: &Crowd, number: usize) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(&crowd.address)?;
    socket.set_nodelay(true)?;
    write!(
        socket,
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        crowd.path(number),
        crowd.address
    )?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub fn run(crowd: &Crowd) -> io::Result<()> {
    let epoll = Epoll::new()?;
    let mut sessions = Vec::with_capacity(crowd.sessions);
    for number in 0..crowd.sessions {
        let socket = open(crowd, number)?;
        epoll.add(socket.as_raw_fd(), number as u64)?;
        sessions.push(socket);
    }
    let frame = frame();
    let mut events = Epoll::events();
    let mut buffer = vec![0; 64 << 10];
    let mut period = Instant::now() + Duration::from_millis(100);
    let mut next = 0;
    loop {
        let due = period + crowd.phase(next);
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // A frame is small, and the server reads: the socket takes all of it.
            sessions[next].write_all(&frame)?;
            next += 1;
            if next == sessions.len() {
                next = 0;
                period += PERIOD;
            }
        }
        let ready = epoll.wait(&mut events, Some(left))?;
        for event in &events[..ready] {
            let session = usize::try_from(event.u64).expect("the number of a session");
            if sessions[session].read(&mut buffer)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
