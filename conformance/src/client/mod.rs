//! The judge's connections: a well-behaved client on `tokio-tungstenite`, or an actor that writes any bytes. Both
//! stand on the [`Tap`](crate::tap::Tap), and both read from the first byte on, whether or not a step is waiting.

mod alive;
mod arrivals;
mod dial;
mod judge;
mod raw;
mod request;
mod shared;
mod written;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::DropGuard;
use touchstone_report::number;
use touchstone_scenarios::scenario::Client;
use touchstone_sut::transport::TlsError;

pub use alive::{Manners, Unasked};
pub use arrivals::Arrival;
pub use dial::Address;
pub use request::{RequestError, WrittenRequest, add_query, write_request};
pub(crate) use written::in_fragments;
pub use written::{FrameError, frame_bytes};

use crate::tap::{Gate, Log, OurEnd, Record};

/// How long a case that is over waits for the server to answer its farewell. Nothing is judged by it.
const FAREWELL_DEADLINE: Duration = Duration::from_millis(250);

/// What a client answers by itself to a text, if anything.
pub type Reflex = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none that this program can reach.
    #[error("`{0}` is no address of a WebSocket")]
    Address(String),
    /// Nobody accepts TCP there: the server is gone.
    #[error("cannot reach {address}: {error}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// Somebody is there, but not in TLS that we believe.
    #[error("no TLS with {address}: {source}")]
    NoTls {
        /// Host and port.
        address: String,
        /// What is wrong, and what to change.
        source: TlsError,
    },
    /// The handshake was answered otherwise, or not at all. What was answered is in the log.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// No answer within the deadline.
    #[error("no answer to the handshake within {duration}", duration = number::duration(*.0))]
    Timeout(Duration),
}

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
    /// The client library or the socket refused.
    #[error("{0}")]
    Refused(String),
    /// The server takes nothing any more.
    #[error("the server took nothing for {duration}", duration = number::duration(*.0))]
    Timeout(Duration),
}

/// One open connection.
///
/// The reading half is a task on the case's `JoinSet`. It writes the log, ends when TCP ends or when `stop` is
/// cancelled (which dropping the connection does), and then drops its half of the socket.
#[derive(Debug)]
pub struct Connection {
    log: Log,
    writer: Writer,
    gate: Gate,
    control: socket2::Socket,
    stop: DropGuard,
    finished: oneshot::Receiver<()>,
}

#[derive(Debug)]
enum Writer {
    Judge(judge::Outbox),
    Raw(raw::Half),
}

impl Connection {
    /// Connects the well-behaved client. `reflex` is what it answers by itself.
    ///
    /// # Errors
    /// When there is no upgraded connection; `log` holds what was seen until then.
    pub async fn open(
        address: &Address,
        log: Log,
        deadline: Instant,
        reflex: Option<Reflex>,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, OpenError> {
        judge::open(address, log, deadline, reflex, tasks).await
    }

    /// Opens TCP, writes these bytes as they are (inside TLS, where there is one) and reads whatever comes. `manners` is what
    /// it does by itself.
    ///
    /// # Errors
    /// When nobody accepts TCP. An answer is not awaited.
    pub async fn open_raw(
        address: &Address,
        bytes: &[u8],
        log: Log,
        deadline: Instant,
        manners: Manners,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, OpenError> {
        raw::open(address, bytes, log, deadline, manners, tasks).await
    }

    /// All that is known of it.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Who drives it.
    #[must_use]
    pub fn client(&self) -> Client {
        match self.writer {
            Writer::Judge(_) => Client::Judge,
            Writer::Raw(_) => Client::Raw,
        }
    }

    /// Sends a message with the well-behaved client; a raw actor's is masked and in one frame, like anybody's.
    ///
    /// # Errors
    /// When the connection is over or the server takes nothing until the deadline.
    pub async fn send(&mut self, message: Message, deadline: Instant) -> Result<(), SendError> {
        match &mut self.writer {
            Writer::Judge(outbox) => outbox.send(message, deadline).await,
            Writer::Raw(half) => half.write(&raw::masked(&message), None, deadline).await,
        }
    }

    /// Writes bytes as they are, cut into pieces of `chop` bytes if asked.
    ///
    /// # Errors
    /// [`SendError::Refused`] for a well-behaved client, which does not do such things.
    pub async fn write(
        &mut self,
        bytes: &[u8],
        chop: Option<usize>,
        deadline: Instant,
    ) -> Result<(), SendError> {
        match &mut self.writer {
            Writer::Judge(_) => Err(SendError::Refused(
                "only a raw actor writes frames of its own".to_owned(),
            )),
            Writer::Raw(half) => half.write(bytes, chop, deadline).await,
        }
    }

    /// Sends FIN, with TLS after its `close_notify`, and reads on.
    ///
    /// # Errors
    /// When the socket is gone, or takes no goodbye until the deadline.
    pub async fn half_close(&mut self, deadline: Instant) -> Result<(), SendError> {
        self.log.note_our_end(OurEnd::HalfClosed);
        match &mut self.writer {
            Writer::Judge(outbox) => outbox.end(deadline).await,
            Writer::Raw(half) => half.end(deadline).await,
        }
    }

    /// Reads nothing more, so that the server's queue fills.
    pub fn stop_reading(&self) {
        self.gate.close();
    }

    /// Reads on.
    pub fn resume_reading(&self) {
        self.gate.open();
    }

    /// Ends TCP by RST, without a close frame and without a goodbye of TLS.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn reset(self) -> Result<(), SendError> {
        self.control
            .set_linger(Some(Duration::ZERO))
            .map_err(|error| SendError::Refused(error.to_string()))?;
        self.log.note_our_end(OurEnd::Reset);
        self.abandon().await;
        Ok(())
    }

    /// Leaves as a good client does: says 1000 if the connection is open, gives the server a moment, ends TCP.
    pub async fn leave(mut self) {
        let open = {
            let record = self.log.record();
            record.is_upgraded() && record.server_ended_at().is_none() && record.client_close().is_none()
        };
        if open && self.client() == Client::Judge {
            self.gate.open();
            let deadline = Instant::now() + FAREWELL_DEADLINE;
            let farewell = Message::Close(Some(judge::close_frame(1000, "")));
            if self.send(farewell, deadline).await.is_ok() {
                let ended = |record: &Record| record.server_end.is_some().then_some(());
                self.log.wait_for(deadline, ended).await;
            }
        }
        self.log.note_our_end(OurEnd::Closed);
        self.abandon().await;
    }

    async fn abandon(self) {
        let Self {
            log: _,
            writer,
            gate,
            control,
            stop,
            finished,
        } = self;
        drop(stop);
        gate.open();
        drop(writer);
        // The only error is that the task has ended without a word, which is what is awaited.
        let _ended = finished.await;
        drop(control);
    }
}

/// The close frame of the well-behaved client.
#[must_use]
pub fn close_message(code: Option<u16>, reason: &str) -> Message {
    Message::Close(code.map(|code| judge::close_frame(code, reason)))
}
