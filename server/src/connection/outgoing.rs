//! What leaves a connection: written straight while the socket takes it, queued while it doesn't, joined where several
//! frames come together. One lock owns the writing half and the queue, so there is one order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use touchstone_protocol::close::{CloseCode, REASON_SLOW_CONSUMER};
use touchstone_wire as wire;

use super::buffers::Scratch;
use super::deflating::Lasting;
use super::frames::frames_end;
use super::transport::Transport;

/// Pieces that go into one `writev`: beyond this the system call is no longer what costs.
const PIECES_MAX: usize = 64;

/// Answers of one turn are held together up to this many bytes, then written.
const CORK_BYTES_MAX: usize = 64 << 10;

/// How full a queue may get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
}

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Messages are taken.
    Open,
    /// The close frame is written or queued; nothing comes behind it.
    Closing,
    /// The socket is broken; nothing arrives any more.
    Broken,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Written, or queued in its order.
    Taken,
    /// The queue was full: the peer is being closed 1008.
    Overflowed,
    /// The connection has ended, or is about to.
    Refused,
}

/// The writing half, behind the connection's lock.
#[derive(Debug)]
pub(super) struct Outgoing {
    phase: Phase,
    /// Each piece is one or more whole frames; of the first, `written` bytes have left.
    queue: VecDeque<Bytes>,
    written: usize,
    queued_bytes: usize,
    /// While there is one, frames are collected in it instead of being written.
    cork: Option<Scratch>,
    /// What lasts from one compressed message to the next, if that was granted.
    lasting: Option<Box<Lasting>>,
    /// The connection's task; woken when there is something for it to write.
    task: Option<Waker>,
}

impl Outgoing {
    pub(super) fn new(lasting: Option<Box<Lasting>>) -> Self {
        Self {
            phase: Phase::Open,
            queue: VecDeque::new(),
            written: 0,
            queued_bytes: 0,
            cork: None,
            lasting,
            task: None,
        }
    }

    /// What waits to be written, each piece by itself.
    #[cfg(test)]
    pub(super) fn pieces_queued(&self) -> Vec<Vec<u8>> {
        self.queue.iter().map(|piece| piece.to_vec()).collect()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) fn queued_pieces(&self) -> usize {
        self.queue.len()
    }

    /// Does what a full queue does, whatever is in it.
    pub(super) fn give_up(&mut self) -> Sent {
        if self.phase == Phase::Open {
            self.overflow()
        } else {
            Sent::Refused
        }
    }

    pub(super) fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Sends a frame that others may be sent as well.
    pub(super) fn send(&mut self, frame: &Bytes, transport: &Transport, limits: QueueLimits) -> Sent {
        if self.phase != Phase::Open {
            return Sent::Refused;
        }
        let deflated = self.lasting.as_mut().and_then(|lasting| lasting.deflate(frame));
        let frame = deflated.as_ref().unwrap_or(frame);
        if let Some(cork) = &mut self.cork {
            cork.extend_from_slice(frame);
            return self.spill(transport, limits);
        }
        if !self.queue.is_empty() {
            return self.enqueue(frame.clone(), limits);
        }
        match write_now(transport, frame) {
            Ok(written) if written == frame.len() => self.all_taken(transport),
            Ok(written) => {
                self.start_queue(frame.clone(), written);
                Sent::Taken
            }
            Err(_) => self.break_off(),
        }
    }

    /// Sends a frame that is made for this peer alone. The payload may be deflated already.
    pub(super) fn append(
        &mut self,
        opcode: wire::OpCode,
        form: wire::PayloadForm,
        payload: &[u8],
        transport: &Transport,
        limits: QueueLimits,
    ) -> Sent {
        if self.phase != Phase::Open {
            return Sent::Refused;
        }
        let corked = self.cork.is_some();
        let cork = self.cork.get_or_insert_with(Scratch::for_frames);
        match (form, &mut self.lasting) {
            (wire::PayloadForm::Deflated, _) => wire::encode_deflated(cork, opcode, payload, None),
            (wire::PayloadForm::Plain, Some(lasting)) => lasting.encode(cork, opcode, payload),
            (wire::PayloadForm::Plain, None) => wire::encode_unmasked(cork, opcode, payload),
        }
        if corked {
            self.spill(transport, limits)
        } else {
            self.uncork(transport, limits)
        }
    }

    /// From now on frames are collected, until [`uncork`](Self::uncork).
    pub(super) fn cork(&mut self) {
        self.cork.get_or_insert_with(Scratch::for_frames);
    }

    /// Writes what was collected, in one piece.
    pub(super) fn uncork(&mut self, transport: &Transport, limits: QueueLimits) -> Sent {
        let Some(cork) = self.cork.take() else {
            return Sent::Taken;
        };
        if cork.is_empty() || self.phase == Phase::Broken {
            return Sent::Taken;
        }
        if !self.queue.is_empty() {
            return self.enqueue(Bytes::copy_from_slice(&cork), limits);
        }
        match write_now(transport, &cork) {
            Ok(written) if written == cork.len() => self.all_taken(transport),
            Ok(written) => {
                let whole = frames_end(&cork, written).0;
                self.start_queue(Bytes::copy_from_slice(&cork[whole..]), written - whole);
                // One turn's answers alone may pass the limit, when the peer reads none of them.
                if self.queued_bytes > limits.bytes {
                    self.overflow()
                } else {
                    Sent::Taken
                }
            }
            Err(_) => self.break_off(),
        }
    }

    /// Puts a close frame behind everything else. False if there is one already, or nobody to read it.
    pub(super) fn close(&mut self, frame: Bytes, transport: &Transport, limits: QueueLimits) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        match &mut self.cork {
            Some(cork) => {
                cork.extend_from_slice(&frame);
                // An overflow here closes with another frame, which is as good.
                let _ = self.uncork(transport, limits);
            }
            None if self.queue.is_empty() => match write_now(transport, &frame) {
                Ok(written) if written == frame.len() => {
                    self.all_taken(transport);
                }
                Ok(written) => self.start_queue(frame, written),
                Err(_) => {
                    self.break_off();
                }
            },
            None => {
                self.queued_bytes += frame.len();
                self.queue.push_back(frame);
            }
        }
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        self.wake();
        true
    }

    /// Writes what is queued; ready once all of it has left. To be called by the connection's task only.
    pub(super) fn poll_flush(&mut self, transport: &Transport, cx: &mut Context<'_>) -> Poll<()> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
        while !self.queue.is_empty() {
            match transport.try_write_vectored(&self.pieces()[..self.queue.len().min(PIECES_MAX)]) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if std::task::ready!(transport.poll_write_ready(cx)).is_err() {
                        self.break_off();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.break_off();
                }
            }
        }
        if std::task::ready!(transport.poll_flush(cx)).is_err() {
            self.break_off();
        }
        Poll::Ready(())
    }

    fn pieces(&self) -> [IoSlice<'_>; PIECES_MAX] {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        for (piece, bytes) in pieces.iter_mut().zip(&self.queue) {
            *piece = IoSlice::new(bytes);
        }
        if let Some(first) = self.queue.front() {
            pieces[0] = IoSlice::new(&first[self.written..]);
        }
        pieces
    }

    fn advance(&mut self, written: usize) {
        self.queued_bytes -= written;
        self.written += written;
        while let Some(first) = self.queue.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            // What an idle session would keep for good costs more than to ask for it the next time a peer is slow.
            self.queue = VecDeque::new();
        }
    }

    /// Everything was written straight. If it is on its way only as far as TLS, the task sees to the rest.
    fn all_taken(&self, transport: &Transport) -> Sent {
        if transport.holds_back() {
            self.wake();
        }
        Sent::Taken
    }

    fn start_queue(&mut self, piece: Bytes, written: usize) {
        self.queued_bytes = piece.len() - written;
        self.written = written;
        self.queue.push_back(piece);
        self.wake();
    }

    fn enqueue(&mut self, piece: Bytes, limits: QueueLimits) -> Sent {
        if self.queued_bytes + piece.len() > limits.bytes || self.queue.len() >= limits.frames {
            return self.overflow();
        }
        self.queued_bytes += piece.len();
        self.queue.push_back(piece);
        Sent::Taken
    }

    /// Writes a cork that has become too long to hold together.
    fn spill(&mut self, transport: &Transport, limits: QueueLimits) -> Sent {
        if self.cork.as_ref().is_none_or(|cork| cork.len() < CORK_BYTES_MAX) {
            return Sent::Taken;
        }
        let sent = self.uncork(transport, limits);
        if self.phase == Phase::Open {
            self.cork();
        }
        sent
    }

    /// Discards what is queued, but for the rest of a frame that has left in part, and closes 1008 (common/7a).
    fn overflow(&mut self) -> Sent {
        let half_written = self
            .queue
            .pop_front()
            .filter(|_| self.written > 0)
            .map(|mut piece| {
                piece.truncate(frames_end(&piece, self.written).1);
                piece
            });
        self.queue.clear();
        self.cork = None;
        match half_written {
            Some(piece) if piece.len() > self.written => self.queue.push_back(piece),
            _ => self.written = 0,
        }
        self.queue
            .push_back(wire::server_close(CloseCode::POLICY.0, REASON_SLOW_CONSUMER));
        self.queued_bytes = self.queue.iter().map(Bytes::len).sum::<usize>() - self.written;
        self.phase = Phase::Closing;
        self.wake();
        Sent::Overflowed
    }

    /// Ends it here and now: nothing more is written, not even a close frame.
    pub(super) fn terminate(&mut self) {
        self.break_off();
    }

    fn break_off(&mut self) -> Sent {
        self.phase = Phase::Broken;
        self.queue = VecDeque::new();
        self.written = 0;
        self.queued_bytes = 0;
        self.cork = None;
        self.wake();
        Sent::Refused
    }
}

/// Writes what the socket takes at once; 0 when it takes nothing now.
fn write_now(transport: &Transport, bytes: &[u8]) -> io::Result<usize> {
    match transport.try_write(bytes) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(0)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::frames::frame_bytes;

    fn frames(payloads: &[usize]) -> Vec<u8> {
        let mut frames = Vec::new();
        for bytes in payloads {
            wire::encode_unmasked(&mut frames, wire::OpCode::Text, &vec![b'x'; *bytes]);
        }
        frames
    }

    #[test]
    fn an_overflow_keeps_the_half_written_frame_and_nothing_else() {
        let close = wire::server_close(1008, "slow consumer");
        for (written, kept) in [(0, 0..0), (3, 0..7), (7, 0..0), (9, 0..211)] {
            let mut outgoing = Outgoing::new(None);
            outgoing.start_queue(Bytes::from(frames(&[5, 200, 10])), written);
            outgoing.queue.push_back(Bytes::from(frames(&[30])));
            assert_eq!(outgoing.overflow(), Sent::Overflowed);
            let left = outgoing.queue.make_contiguous().concat();
            let expected = [&frames(&[5, 200])[kept], &close].concat();
            assert_eq!(left, expected, "{written} bytes written");
            assert_eq!(outgoing.queued_bytes, left.len() - outgoing.written);
            assert_eq!(outgoing.phase(), Phase::Closing);
        }
    }

    /// The payload lengths of frames one behind the other; `None` if the last is not whole.
    fn payloads(mut bytes: &[u8]) -> Option<Vec<usize>> {
        let mut payloads = Vec::new();
        while bytes.len() >= 2 {
            let frame = frame_bytes(bytes);
            payloads.push(frame);
            bytes = bytes.get(frame..)?;
        }
        bytes.is_empty().then_some(payloads)
    }

    proptest::proptest! {
        #[test]
        fn whatever_has_left_an_overflow_goes_on_with_whole_frames(
            pieces in proptest::collection::vec(proptest::collection::vec(0_usize..300, 1..5), 1..5),
            share in 0.0..1.0_f64,
        ) {
            let pieces: Vec<_> = pieces.iter().map(|payloads| Bytes::from(frames(payloads))).collect();
            let written = (pieces[0].len() as f64 * share) as usize;
            let mut outgoing = Outgoing::new(None);
            outgoing.start_queue(pieces[0].clone(), written);
            outgoing.queue.extend(pieces[1..].iter().cloned());
            outgoing.overflow();
            let left = outgoing.queue.make_contiguous().concat();
            let read = [&pieces[0][..written], &left[outgoing.written..]].concat();
            let close = wire::server_close(1008, REASON_SLOW_CONSUMER);
            proptest::prop_assert!(payloads(&read).is_some(), "only whole frames");
            proptest::prop_assert!(read.ends_with(&close));
            let (_, end) = frames_end(&pieces[0], written);
            proptest::prop_assert_eq!(read.len(), end + close.len(), "nothing but the half-written frame was kept");
        }
    }
}
