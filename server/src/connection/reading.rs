//! The connection's task: from the handshake to the end of TCP.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use touchstone_protocol::close::{CloseCode, REASON_RATE_LIMIT};
use touchstone_wire as wire;

use super::buffers::ReadBuffer;
use super::closing::{self, Answer};
use super::{Arrival, Close, Connection, Expected, Handshake, Mailbox, OwnAnswers, Phase, Terms};
use crate::admission::Admitted;
use crate::dialects::{DialectServer, Heard};
use crate::hub::Seat;
use crate::rate::Bucket;
use crate::route::Route;
use crate::stop::Parting;

/// Why the reading came to its end.
#[derive(Debug)]
enum End {
    /// The peer sent a close frame, with this code.
    PeerClosed(Option<u16>),
    /// The peer ended TCP, or it broke.
    PeerGone,
    /// The peer broke the protocol.
    Violated(wire::Violation),
    /// The server ends it.
    Close(Close),
    /// A close frame is on its way already.
    ClosingAlready,
    /// The server stops, or is drained.
    SeenOff(Parting),
}

/// What there is to do.
enum News {
    Readable,
    /// Nothing more is to be heard.
    Rest,
    End(End),
}

/// The task's own half of a connection.
struct Conversation<D: DialectServer> {
    route: Arc<Route<D>>,
    mailbox: Mailbox,
    receiver: wire::Receiver,
    bucket: Option<Box<Bucket>>,
    session: D::Session,
    seat: Seat,
    admitted: Admitted,
    /// Held until the peer is heard no longer, and what it has said is done.
    hearing: Option<TaskTrackerToken>,
}

/// Opens the dialect's session, lets the handshake be answered, and speaks the dialect over the socket until TCP has
/// ended. Never longer than the close deadline after the connection was told to end, plus what the dialect takes for the
/// message in hand and for its last write.
///
/// There is one of these futures per connection, and most of the time it waits for a message: what belongs to the
/// beginning, to a turn or to the end is boxed and lives no longer than that.
pub(crate) async fn converse<D: DialectServer>(
    route: Arc<Route<D>>,
    expected: Box<Expected>,
    handshake: Box<Handshake>,
) {
    if let Some(mut conversation) = Box::pin(begin(route, expected, handshake)).await {
        let end = conversation.read().await;
        Box::pin(conversation.end(end)).await;
    }
}

/// Opens the dialect's session and hears what came together with the handshake. `None` if that was the end already.
async fn begin<D: DialectServer>(
    route: Arc<Route<D>>,
    expected: Box<Expected>,
    handshake: Box<Handshake>,
) -> Option<Conversation<D>> {
    let Expected {
        connection,
        inflated,
        seat,
        request,
        admitted,
        hearing,
    } = *expected;
    let mailbox = Mailbox(connection);
    let opening = isolated(&mailbox.0, route.dialect.open(request, &mailbox)).await;
    // An error means that nobody answers the handshake any more; the next line finds that out as well.
    let _ = handshake.opened.send(());
    let leftover = match handshake.arriving.await {
        Ok(Arrival { socket, leftover }) => {
            mailbox.0.transport.arrive(socket);
            leftover
        }
        Err(_) => {
            mailbox.0.terminate();
            Bytes::new()
        }
    };
    let mut leftover = Vec::from(leftover);
    let Terms { rules, rate, .. } = *route.terms;
    let mut receiver = match inflated {
        None => wire::Receiver::new(wire::Role::Server, rules),
        Some(half) => wire::Receiver::with_deflate(wire::Role::Server, rules, half),
    };
    match opening.unwrap_or_else(|panic| Err(panic.into())) {
        Ok(session) => {
            let Terms { metrics, .. } = &*route.terms;
            metrics.opened.inc();
            metrics.open.inc();
            if let Some(heartbeats) = &route.heartbeats {
                heartbeats.join(seat.whereabouts(&mailbox.0));
            }
            let bucket = rate.map(|rate| Box::new(Bucket::new(rate, Instant::now())));
            let mut conversation = Conversation {
                route,
                mailbox,
                receiver,
                bucket,
                session,
                seat,
                admitted,
                hearing: Some(hearing),
            };
            if conversation.mailbox.0.rests() {
                closing::disregard(&mut conversation.receiver, &mut leftover);
                return Some(conversation);
            }
            match conversation.hear_all(&mut leftover).await {
                Ok(()) => return Some(conversation),
                Err(end) => conversation.end(end).await,
            }
        }
        Err(Close { code, reason }) => {
            drop(seat);
            drop(hearing);
            mailbox.0.close(wire::server_close(code.0, &reason));
            closing::disregard(&mut receiver, &mut leftover);
            closing::finish(&mailbox.0, &mut receiver, Answer::Seen).await;
            drop(admitted);
        }
    }
    None
}

impl<D: DialectServer> Conversation<D> {
    /// Reads and hands on until something ends it.
    async fn read(&mut self) -> End {
        loop {
            let news = match self.route.terms.own_answers {
                OwnAnswers::HeldBack { patience } if self.mailbox.0.waiting_bytes() > 0 => {
                    Box::pin(self.news_while_it_takes(patience)).await
                }
                OwnAnswers::HeldBack { .. } | OwnAnswers::Limited => poll_fn(|cx| self.poll_news(cx)).await,
            };
            let heard = match news {
                News::Readable => Box::pin(self.turn()).await,
                News::Rest => {
                    Box::pin(self.rest()).await;
                    Ok(())
                }
                News::End(end) => Err(end),
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    /// Nothing more is heard: what the peer has said is done, and told.
    async fn rest(&mut self) {
        // A panic here has been counted and logged, and the connection is about to end anyway.
        let _ = isolated(&self.mailbox.0, self.route.dialect.settle(&mut self.session)).await;
        self.hearing = None;
    }

    /// The next news of a peer who has yet to take its answers. Taking not one byte for `patience` ends it.
    async fn news_while_it_takes(&self, patience: Duration) -> News {
        let connection = &self.mailbox.0;
        loop {
            let waiting = connection.waiting_bytes();
            match tokio::time::timeout(patience, poll_fn(|cx| self.poll_news(cx))).await {
                Ok(news) => return news,
                Err(_) if waiting > 0 && connection.waiting_bytes() == waiting => connection.give_up(),
                Err(_) => {}
            }
        }
    }

    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<News> {
        let connection = &self.mailbox.0;
        let flushed = connection.poll_flush(cx);
        match connection.phase() {
            Phase::Open => {}
            Phase::Closing => return Poll::Ready(News::End(End::ClosingAlready)),
            Phase::Broken => return Poll::Ready(News::End(End::PeerGone)),
        }
        if let Some(parting) = connection.parting() {
            return Poll::Ready(News::End(End::SeenOff(parting)));
        }
        if connection.rests() {
            return match self.hearing {
                Some(_) => Poll::Ready(News::Rest),
                None => Poll::Pending,
            };
        }
        if let OwnAnswers::HeldBack { .. } = connection.terms.own_answers {
            ready!(flushed);
        }
        match ready!(connection.transport.poll_read_ready(cx)) {
            Ok(()) => Poll::Ready(News::Readable),
            Err(_) => Poll::Ready(News::End(End::PeerGone)),
        }
    }

    /// One read, and all the messages in it.
    async fn turn(&mut self) -> Result<(), End> {
        let mut buffer = ReadBuffer::take();
        let arrived = match self.mailbox.0.transport.try_read(&mut buffer) {
            Ok(0) => return Err(End::PeerGone),
            Ok(arrived) => arrived,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            Err(_) => return Err(End::PeerGone),
        };
        self.mailbox.0.quiet_rounds.store(0, Ordering::Relaxed);
        self.hear_all(&mut buffer[..arrived]).await
    }

    /// Hears everything in `input`. What is sent meanwhile is written in one piece.
    async fn hear_all(&mut self, input: &mut [u8]) -> Result<(), End> {
        self.mailbox.0.cork();
        let mut dealt_with = 0;
        let heard = self.hear_each(input, &mut dealt_with).await;
        self.mailbox.0.uncork();
        if heard.is_err() {
            closing::disregard(&mut self.receiver, &mut input[dealt_with..]);
        }
        heard
    }

    /// The same without the cork. What is behind `dealt_with` when it ends has not been looked at.
    async fn hear_each(&mut self, input: &mut [u8], dealt_with: &mut usize) -> Result<(), End> {
        let Self {
            route,
            mailbox,
            receiver,
            bucket,
            session,
            ..
        } = self;
        loop {
            let step = receiver.next(&mut input[*dealt_with..]).map_err(End::Violated)?;
            *dealt_with += step.consumed;
            let heard = match step.event {
                None => return Ok(()),
                Some(wire::Event::Text(text)) => Heard::Text(text),
                Some(wire::Event::Binary(bytes)) => Heard::Binary(bytes),
                Some(wire::Event::Ping(payload)) => {
                    mailbox.0.append(wire::OpCode::Pong, payload);
                    continue;
                }
                Some(wire::Event::Pong(payload)) => {
                    let ponged = route.dialect.ponged(session, payload, mailbox);
                    isolated(&mailbox.0, ponged)
                        .await
                        .map_err(|panic| End::Close(panic.into()))?;
                    continue;
                }
                Some(wire::Event::Close(close)) => {
                    let code = close.map(|close| close.code);
                    mailbox.0.terms.metrics.close_received(code);
                    return Err(End::PeerClosed(code));
                }
            };
            let metrics = &route.terms.metrics;
            metrics.received.inc();
            let begun = Instant::now();
            if bucket.as_mut().is_some_and(|bucket| !bucket.take(begun)) {
                metrics.rate_limited.inc();
                return Err(End::Close(Close::new(CloseCode::RATE_LIMIT, REASON_RATE_LIMIT)));
            }
            mailbox.0.is_heard.store(true, Ordering::Release);
            let hearing = route.dialect.hear(session, heard, mailbox);
            let heard = isolated(&mailbox.0, hearing).await;
            mailbox.0.is_heard.store(false, Ordering::Release);
            heard
                .unwrap_or_else(|panic| Err(panic.into()))
                .map_err(End::Close)?;
            metrics.hearing.note(begun.elapsed());
            if mailbox.0.phase() != Phase::Open {
                return Err(End::ClosingAlready);
            }
        }
    }

    /// The dialect's last words and its last write, then the close frame and the end of TCP.
    async fn end(mut self, end: End) {
        if let (End::SeenOff(_), Some(_)) = (&end, &self.hearing) {
            self.rest().await;
        }
        let Self {
            route,
            mailbox,
            mut receiver,
            mut session,
            seat,
            admitted,
            hearing,
            ..
        } = self;
        // From here on nobody else has anything for this peer.
        drop(seat);
        let connection = &mailbox.0;
        let metrics = &connection.terms.metrics;
        metrics.open.dec();
        metrics.closed.inc();
        connection.cork();
        if let End::SeenOff(Parting::GoingAway { .. }) = end {
            route.dialect.farewell(&mut session, &mailbox);
        }
        // A panic here has been counted and logged, and the connection ends anyway.
        let _ = isolated(connection, route.dialect.closed(session)).await;
        drop(hearing);
        let answer = match end {
            End::Violated(wire::Violation::TooBig | wire::Violation::BinaryRefused) => Answer::Unseen,
            End::Violated(_)
            | End::PeerClosed(_)
            | End::PeerGone
            | End::Close(_)
            | End::ClosingAlready
            | End::SeenOff(_) => Answer::Seen,
        };
        match end {
            End::PeerClosed(Some(code)) => connection.close(wire::server_close(code, "")),
            End::PeerClosed(None) => connection.close(wire::server_close_empty()),
            End::Violated(violation) => {
                connection.close(wire::server_close(violation.close_code(), violation.reason()));
            }
            End::Close(Close { code, reason }) => connection.close(wire::server_close(code.0, &reason)),
            End::SeenOff(parting) => connection.end(&parting.close()),
            End::PeerGone | End::ClosingAlready => {}
        }
        connection.uncork();
        closing::finish(connection, &mut receiver, answer).await;
        drop(admitted);
    }
}

/// A dialect's code panicked. It has been counted and logged.
struct Panicked;

impl From<Panicked> for Close {
    fn from(Panicked: Panicked) -> Self {
        Self::new(CloseCode::INTERNAL, "internal error")
    }
}

/// Runs a piece of a dialect so that its panic costs this connection only (common/7c), and writes what it has sent
/// whenever it has to wait for something.
async fn isolated<F: Future>(connection: &Connection, piece: F) -> Result<F::Output, Panicked> {
    let mut piece = pin!(piece);
    poll_fn(|cx| {
        let polled = poll_isolated(piece.as_mut(), cx);
        match polled {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => {
                connection.uncork();
                // Ready or not: whatever is left in the queue, its waker is set, and this future is polled again.
                let _ = connection.poll_flush(cx);
                Poll::Pending
            }
            Err(Panicked) => {
                connection.terms.metrics.panics.inc();
                if let Some(errors) = &connection.terms.errors {
                    errors.inc();
                }
                tracing::error!("a handler panicked; its connection is closed 1011");
                Poll::Ready(Err(Panicked))
            }
        }
    })
    .await
}

fn poll_isolated<F: Future>(piece: Pin<&mut F>, cx: &mut Context<'_>) -> Result<Poll<F::Output>, Panicked> {
    catch_unwind(AssertUnwindSafe(|| piece.poll(cx))).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Asking;
    use crate::config::Config;
    use crate::connection::OpenRequest;
    use crate::dialects::raw_echo::RawEcho;
    use crate::shared::Shared;
    use crate::socket::Socket;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket};

    async fn shared() -> Shared {
        let config = Config {
            raw_echo: Some("/raw".to_owned()),
            ..Config::default()
        };
        Shared::new(config, fastrand::Rng::with_seed(7)).await.unwrap()
    }

    /// A conversation on the raw echo, before its socket is there: what it would write stays in its queue.
    fn waiting(shared: &Shared) -> Conversation<RawEcho> {
        let route = Arc::clone(shared.raw_echo.as_ref().expect("it was asked for"));
        let admitted = shared
            .admission
            .admit(Asking::default())
            .expect("nobody else is here");
        let held = (admitted, shared.hearing.token());
        let expected = Expected::new(&route.hub, &route.terms, OpenRequest::default(), held, None);
        Conversation {
            receiver: wire::Receiver::new(wire::Role::Server, route.terms.rules),
            mailbox: Mailbox(expected.connection),
            bucket: None,
            session: (),
            seat: expected.seat,
            admitted: expected.admitted,
            hearing: Some(expected.hearing),
            route,
        }
    }

    #[tokio::test]
    async fn answers_to_what_came_in_one_read_leave_in_one_piece() {
        let shared = shared().await;
        let mut conversation = waiting(&shared);
        let mut arrived = Vec::new();
        let mut answers = Vec::new();
        for (asked, answered) in [
            (wire::OpCode::Text, wire::OpCode::Text),
            (wire::OpCode::Ping, wire::OpCode::Pong),
            (wire::OpCode::Binary, wire::OpCode::Binary),
        ] {
            wire::encode_masked(&mut arrived, asked, b"abc", [1, 2, 3, 4]);
            wire::encode_unmasked(&mut answers, answered, b"abc");
        }
        conversation.hear_all(&mut arrived).await.unwrap();
        assert_eq!(conversation.mailbox.0.outgoing().pieces_queued(), [answers]);
    }

    #[tokio::test]
    async fn a_peer_that_takes_none_of_its_answers_is_given_up_and_one_that_takes_some_is_not() {
        const PATIENCE: Duration = Duration::from_millis(300);
        let shared = shared().await;
        let conversation = waiting(&shared);
        let connection = &conversation.mailbox.0;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpSocket::new_v4().unwrap();
        // Little room in the kernel: what is read makes room for what waits.
        client.set_recv_buffer_size(256 << 10).unwrap();
        let client = client.connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let mut client = client.unwrap();
        connection.transport.arrive(Socket::Plain(accepted.unwrap().0));
        let mut message = vec![b'x'; 16 << 20];
        conversation.mailbox.binary(&message);
        let mut waiting = std::pin::pin!(conversation.news_while_it_takes(PATIENCE));
        for _ in 0..3 {
            let given_up = tokio::time::timeout(PATIENCE.mul_f64(0.6), &mut waiting).await;
            assert!(given_up.is_err(), "it has taken some");
            client.read_exact(&mut message[..2 << 20]).await.unwrap();
        }
        assert_eq!(connection.phase(), Phase::Open);
        let given_up = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(matches!(given_up, Ok(News::End(End::ClosingAlready))));
        assert_eq!(conversation.route.terms.metrics.slow_consumers.get(), 1);
    }
}
