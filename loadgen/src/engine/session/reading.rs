//! How a session writes what waits and hears what has arrived, woken by the runtime or told by the lookout.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;
use touchstone_protocol::client::ClientHalf;
use touchstone_wire::{Event, OpCode};

use super::{Connection, End, Farewell, Session, Turn};
use crate::engine::lookout::Told;
use crate::engine::socket::Pipe;

impl<C: ClientHalf, S: Pipe> Session<C, S> {
    /// Writes what waits and hears what has arrived, until the socket has no more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        if !self.waker.will_wake(cx.waker()) {
            self.waker = cx.waker().clone();
        }
        self.poll_in(cx, turn)
    }

    /// As [`poll`](Self::poll), where not the session's task is woken but the loop is told.
    pub(crate) fn told(&mut self, told: Told, turn: &mut Turn<'_>) -> Poll<End> {
        let Some(connection) = &mut self.connection else {
            // Cut meanwhile: what is told is about a connection that is no more.
            return Poll::Pending;
        };
        match told {
            Told::Ready => {}
            Told::Ending => connection.outgoing.stream.ending(),
        }
        self.poll_in(&mut Context::from_waker(Waker::noop()), turn)
    }

    /// Keeps for the session's task how the connection ended.
    pub(crate) fn keep_end(&mut self, end: End) {
        self.rare.get_or_insert_default().end = Some(end);
        self.waker.wake_by_ref();
    }

    pub(crate) fn take_end(&mut self) -> Option<End> {
        self.rare.as_mut()?.end.take()
    }

    fn poll_in(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        // The buffer is the loop's; it is lent to this session for the turn.
        let mut buffer = std::mem::take(&mut turn.scratch.read);
        let polled = self.poll_with(&mut buffer, cx, turn);
        turn.scratch.read = buffer;
        polled
    }

    fn poll_with(&mut self, buffer: &mut [u8], cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(End::Cut);
            };
            connection.outgoing.flush(cx);
            // Whoever is deaf is woken when he is so no more.
            if self.rare.as_ref().is_some_and(|rare| turn.now < rare.deaf_until) {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut connection.outgoing.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    if let Some(end) = self.hear(read.filled_mut(), turn) {
                        return Poll::Ready(end);
                    }
                    self.heard(turn);
                }
                Poll::Ready(Ok(()) | Err(_)) => {
                    return Poll::Ready(match connection.farewell {
                        Farewell::Said => End::Farewell,
                        Farewell::Unsaid => End::Dropped,
                    });
                }
            }
        }
    }

    pub(super) fn hear(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> Option<End> {
        let Connection {
            outgoing,
            receiver,
            farewell,
        } = self.connection.as_mut()?;
        turn.scratch.pen.traffic.heard.wire += bytes.len() as u64;
        let mut at = 0;
        loop {
            let step = match receiver.next(&mut bytes[at..]) {
                Ok(step) => step,
                Err(violation) => {
                    outgoing.close(
                        turn.scratch,
                        violation.close_code(),
                        violation.reason(),
                        &self.waker,
                    );
                    return Some(End::Violated);
                }
            };
            at += step.consumed;
            match step.event? {
                Event::Text(text) => {
                    turn.scratch.pen.traffic.heard.payload += text.len() as u64;
                    let reply = self.hearing.text(&mut self.client, text, turn);
                    if let Some(reply) = reply {
                        outgoing.reply(turn.scratch, OpCode::Text, reply.as_bytes(), &self.waker);
                    }
                }
                Event::Ping(payload) => outgoing.reply(turn.scratch, OpCode::Pong, payload, &self.waker),
                Event::Pong(_) | Event::Binary(_) => {}
                Event::Close(close) => {
                    return match farewell {
                        // Ours is answered; TCP's end is still to come.
                        Farewell::Said => None,
                        Farewell::Unsaid => Some(outgoing.closed(close, turn.scratch, &self.waker)),
                    };
                }
            }
        }
    }
}
