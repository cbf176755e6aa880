//! The well-behaved client: `tokio-tungstenite`, which shares nothing with the server's codec.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream as _};
use http::{HeaderName, HeaderValue, Request};
use tokio::io::{AsyncReadExt, AsyncWrite as _, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;
use touchstone_sut::transport::Stream;

use super::arrivals::Stamped;
use super::dial::{Address, dial};
use super::{Connection, OpenError, Reflex, SendError, Writer};
use crate::tap::{Gate, LOG_BYTES_MAX, Log, OurEnd, Tap};

type Socket = WebSocketStream<Tap<Stream<Stamped>>>;

/// Its read buffer, in bytes. The library's default of 128 KiB is filled with zeroes before each read.
const READ_BUFFER_BYTES: usize = 4096;

struct Command {
    what: Outgoing,
    written: oneshot::Sender<Result<(), Error>>,
}

/// What is to go out.
enum Outgoing {
    Message(Message),
    /// It was handed to the library, which has yet to write it.
    Handed,
    /// The end of our half.
    End,
}

/// Where steps hand in what is to be sent; the task that owns the socket writes it.
#[derive(Debug)]
pub(super) struct Outbox {
    commands: mpsc::Sender<Command>,
}

impl Outbox {
    pub(super) async fn send(&self, message: Message, deadline: Instant) -> Result<(), SendError> {
        self.hand_in(Outgoing::Message(message), deadline).await
    }

    /// Ends our half, below the library.
    pub(super) async fn end(&self, deadline: Instant) -> Result<(), SendError> {
        self.hand_in(Outgoing::End, deadline).await
    }

    async fn hand_in(&self, what: Outgoing, deadline: Instant) -> Result<(), SendError> {
        let began = Instant::now();
        let (written, done) = oneshot::channel();
        let sending = async {
            self.commands
                .send(Command { what, written })
                .await
                .map_err(|_| SendError::Closed)?;
            match done.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | Err(_) => Err(SendError::Closed),
                Ok(Err(error)) => Err(SendError::Refused(error.to_string())),
            }
        };
        timeout_at(deadline, sending)
            .await
            .unwrap_or_else(|_| Err(SendError::Timeout(began.elapsed())))
    }
}

pub(super) async fn open(
    address: &Address,
    log: Log,
    deadline: Instant,
    reflex: Option<Reflex>,
    tasks: &mut JoinSet<()>,
) -> Result<Connection, OpenError> {
    let began = Instant::now();
    let gate = Gate::default();
    let request = request(address)?;
    let (tap, control) = dial(address, &log, &gate, deadline).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(LOG_BYTES_MAX))
        .max_frame_size(Some(LOG_BYTES_MAX));
    let handshake = timeout_at(deadline, client_async_with_config(request, tap, Some(config))).await;
    let socket = match handshake {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(error)) => {
            log.note_our_end(OurEnd::Closed);
            return Err(OpenError::Handshake(error.to_string()));
        }
        Err(_) => {
            log.note_our_end(OurEnd::Closed);
            return Err(OpenError::Timeout(began.elapsed()));
        }
    };
    let stop = CancellationToken::new();
    // A step awaits the writing of what it sends, so there is never more than one command.
    let (commands, inbox) = mpsc::channel(1);
    let (done, finished) = oneshot::channel();
    let (drive_log, drive_stop) = (log.clone(), stop.clone());
    tasks.spawn(async move {
        drive_stop
            .run_until_cancelled(drive(socket, inbox, drive_log, reflex))
            .await;
        // Nobody listens any more if the connection was dropped without a farewell.
        let _gone = done.send(());
    });
    Ok(Connection {
        log,
        writer: Writer::Judge(Outbox { commands }),
        gate,
        control,
        stop: stop.drop_guard(),
        finished,
    })
}

fn request(address: &Address) -> Result<Request<()>, OpenError> {
    let wrong = |error: http::Error| OpenError::Address(format!("{}: {error}", address.target));
    let mut request = Request::builder()
        .uri(address.url())
        .header("Host", &address.authority)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .body(())
        .map_err(wrong)?;
    for (name, value) in &address.headers {
        let name = HeaderName::try_from(name).map_err(|error| wrong(error.into()))?;
        let value = HeaderValue::try_from(value).map_err(|error| wrong(error.into()))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// A close frame with a code and a reason, whatever the code.
pub(super) fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }
}

/// Owns the socket: writes what it is told and reads all the time, so that neither ever waits for the other.
async fn drive(mut socket: Socket, mut commands: mpsc::Receiver<Command>, log: Log, reflex: Option<Reflex>) {
    let mut writing: Option<Command> = None;
    // At most one heartbeat is under way at a time, so this stays short.
    let mut answers: VecDeque<String> = VecDeque::new();
    loop {
        if writing.is_none()
            && let Some(answer) = answers.pop_front()
        {
            // Nobody waits for it to be written.
            let (written, _) = oneshot::channel();
            writing = Some(Command {
                what: Outgoing::Message(Message::text(answer)),
                written,
            });
        }
        tokio::select! {
            Some(command) = commands.recv(), if writing.is_none() => writing = Some(command),
            turn = poll_fn(|context| poll_turn(&mut socket, writing.as_mut(), context)) => match turn {
                Turn::Written(result) => {
                    if let Some(done) = writing.take() {
                        // The step may have given up waiting.
                        let _gone = done.written.send(result);
                    }
                }
                Turn::Read(text) => {
                    let answer = reflex.as_ref().zip(text).and_then(|(reflex, text)| reflex(&text));
                    answers.extend(answer);
                }
                Turn::Ended(error) => {
                    note(&log, error);
                    break;
                }
            },
        }
    }
    drop((writing, commands));
    // The close handshake is over for the library; how TCP ends is still to be seen.
    read_to_the_end(socket.get_mut()).await;
    // A server that waits for the end of our half gets it now; one that has gone does not mind.
    let _gone = socket.get_mut().shutdown().await;
}

/// Reads and forgets, because the tap remembers.
pub(super) async fn read_to_the_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut buffer = [0; READ_BUFFER_BYTES];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

enum Turn {
    Written(Result<(), Error>),
    Read(Option<String>),
    Ended(Option<Error>),
}

fn poll_turn(socket: &mut Socket, writing: Option<&mut Command>, context: &mut Context<'_>) -> Poll<Turn> {
    if let Some(writing) = writing
        && let Poll::Ready(result) = poll_write(socket, &mut writing.what, context)
    {
        return Poll::Ready(Turn::Written(result));
    }
    match Pin::new(socket).poll_next(context) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Some(Ok(Message::Text(text)))) => Poll::Ready(Turn::Read(Some(text.as_str().to_owned()))),
        Poll::Ready(Some(Ok(_))) => Poll::Ready(Turn::Read(None)),
        Poll::Ready(Some(Err(error))) => Poll::Ready(Turn::Ended(Some(error))),
        Poll::Ready(None) => Poll::Ready(Turn::Ended(None)),
    }
}

fn poll_write(
    socket: &mut Socket,
    what: &mut Outgoing,
    context: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    if matches!(what, Outgoing::End) {
        return Pin::new(socket.get_mut())
            .poll_shutdown(context)
            .map_err(Error::from);
    }
    let mut socket = Pin::new(socket);
    match what {
        Outgoing::End | Outgoing::Handed => {}
        Outgoing::Message(_) => {
            std::task::ready!(socket.as_mut().poll_ready(context))?;
            if let Outgoing::Message(message) = std::mem::replace(what, Outgoing::Handed) {
                socket.as_mut().start_send(message)?;
            }
        }
    }
    socket.poll_flush(context)
}

/// What the library objects to is a finding; that TCP ended is in the log already.
fn note(log: &Log, error: Option<Error>) {
    match error {
        None
        | Some(
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
        ) => {}
        Some(error) => log.note_client_error(error.to_string()),
    }
}
