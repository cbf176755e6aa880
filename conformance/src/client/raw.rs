//! An actor that writes any bytes, and answers by itself no close, and no ping either if it is silent.

use std::future::pending;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use touchstone_sut::transport::Stream;

use super::alive::{Manners, stay_alive};
use super::arrivals::Stamped;
use super::dial::{Address, dial};
use super::judge::read_to_the_end;
use super::shared::Shared;
use super::{Connection, OpenError, SendError, Writer};
use crate::frames::opcode;
use crate::tap::{Gate, Log, Tap};

/// Between two pieces of chopped bytes, so that the server's reads fall where the pieces end.
const BETWEEN_PIECES: Duration = Duration::from_millis(1);
/// More pieces than this follow each other without a rest: a large message is not held up for minutes.
const RESTED_PIECES_MAX: usize = 256;

/// The writing half of a raw actor.
#[derive(Debug)]
pub(super) struct Half {
    stream: Shared<Tap<Stream<Stamped>>>,
}

impl Half {
    pub(super) async fn write(
        &mut self,
        bytes: &[u8],
        chop: Option<usize>,
        deadline: Instant,
    ) -> Result<(), SendError> {
        let began = Instant::now();
        let size = chop.unwrap_or(bytes.len()).max(1);
        let rests = bytes.len().div_ceil(size) <= RESTED_PIECES_MAX;
        let writing = async {
            for (index, piece) in bytes.chunks(size).enumerate() {
                if rests && index > 0 {
                    tokio::time::sleep(BETWEEN_PIECES).await;
                }
                self.stream.write_all(piece).await?;
            }
            self.stream.flush().await
        };
        match timeout_at(deadline, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SendError::Refused(error.to_string())),
            Err(_) => Err(SendError::Timeout(began.elapsed())),
        }
    }

    /// Ends our half.
    pub(super) async fn end(&mut self, deadline: Instant) -> Result<(), SendError> {
        let began = Instant::now();
        match timeout_at(deadline, self.stream.shutdown()).await {
            Ok(ended) => ended.map_err(|error| SendError::Refused(error.to_string())),
            Err(_) => Err(SendError::Timeout(began.elapsed())),
        }
    }
}

pub(super) async fn open(
    address: &Address,
    bytes: &[u8],
    log: Log,
    deadline: Instant,
    manners: Manners,
    tasks: &mut JoinSet<()>,
) -> Result<Connection, OpenError> {
    let gate = Gate::default();
    let (tap, control) = dial(address, &log, &gate, deadline).await?;
    let stream = Shared::new(tap);
    let mut reader = stream.clone();
    let stop = CancellationToken::new();
    let (done, finished) = oneshot::channel();
    let read_stop = stop.clone();
    let alive = stay_alive(stream.clone(), log.clone(), gate.clone(), manners);
    tasks.spawn(async move {
        let to_the_end = async {
            read_to_the_end(&mut reader).await;
            // A server that waits for the end of our half gets it now; one that has gone does not mind.
            let _gone = reader.shutdown().await;
        };
        let both = async {
            tokio::select! {
                () = to_the_end => {}
                () = async { alive.await; pending().await } => {}
            }
        };
        Box::pin(read_stop.run_until_cancelled(both)).await;
        drop(reader);
        // Nobody listens any more if the connection was dropped without a farewell.
        let _gone = done.send(());
    });
    let mut half = Half { stream };
    // A server may refuse before it has read everything; what it said is in the log.
    let _refused = half.write(bytes, None, deadline).await;
    Ok(Connection {
        log,
        writer: Writer::Raw(half),
        gate,
        control,
        stop: stop.drop_guard(),
        finished,
    })
}

/// A message in one frame, masked with a key that changes nothing.
pub(super) fn masked(message: &Message) -> Vec<u8> {
    let (opcode, payload) = match message {
        Message::Text(text) => (opcode::TEXT, text.as_bytes().to_vec()),
        Message::Binary(bytes) => (opcode::BINARY, bytes.to_vec()),
        Message::Ping(bytes) => (opcode::PING, bytes.to_vec()),
        Message::Pong(bytes) => (opcode::PONG, bytes.to_vec()),
        Message::Close(frame) => (opcode::CLOSE, frame.as_ref().map_or_else(Vec::new, close_payload)),
        Message::Frame(frame) => (frame.header().opcode.into(), frame.payload().to_vec()),
    };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).expect("at most 125")),
        middle @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).expect("at most 65535").to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn close_payload(frame: &tokio_tungstenite::tungstenite::protocol::CloseFrame) -> Vec<u8> {
    let mut payload = u16::from(frame.code).to_be_bytes().to_vec();
    payload.extend(frame.reason.as_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Decoder;

    #[test]
    fn a_raw_actors_own_messages_are_legal_frames() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let bytes = masked(&Message::binary(vec![7; length]));
            let frames = Decoder::default().push(&bytes, Instant::now());
            assert_eq!(frames.len(), 1, "{length}");
            assert!(
                frames[0].header.is_minimal() && frames[0].header.mask.is_some(),
                "{length}"
            );
            assert_eq!(frames[0].payload, vec![7; length]);
        }
    }
}
