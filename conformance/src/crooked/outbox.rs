//! What waits to be written one way, in its order, and what is to be put between.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use touchstone_scenarios::mutant::TcpEnd;

/// How long a message that is to come after the next one waits for that.
const SWAP_DEADLINE: Duration = Duration::from_millis(200);

/// What may wait for its time. More is not read until some of it has been written.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How one way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As its source has ended.
    Passed(TcpEnd),
    /// With the other way, as a deed says.
    Both(TcpEnd),
    /// After a close frame of our own: when the client has answered it, or does not.
    Farewell,
}

/// What is put into a way from outside: whole frames, or a whole answer.
#[derive(Debug, Clone)]
pub(super) struct Injected {
    /// What.
    pub(super) bytes: Vec<u8>,
    /// What comes after it.
    pub(super) then: Then,
}

/// What comes after something that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Whatever comes.
    Everything,
    /// Nothing: it was a close frame of our own.
    Farewell,
}

#[derive(Debug)]
enum Parcel {
    /// Bytes, and whether a frame ends with them.
    Bytes {
        bytes: Vec<u8>,
        whole: bool,
    },
    End(End),
}

/// What waits to be written one way.
#[derive(Debug)]
pub(super) struct Outbox {
    /// In order, each with the time before which it is not written. What waits for its time keeps up what follows.
    queue: VecDeque<(Instant, Parcel)>,
    queued_bytes: usize,
    /// What is put between at its time, as soon as it cuts no frame.
    between: Vec<(Instant, Injected)>,
    /// A whole message that comes after the next one.
    swapped: Option<(Instant, Vec<u8>)>,
    /// Whether a frame ends where the last write did.
    written_whole: bool,
    /// Nothing is passed any more.
    hung: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            between: Vec::new(),
            swapped: None,
            written_whole: true,
            hung: false,
        }
    }
}

impl Outbox {
    /// Passes bytes on that may be part of something.
    pub(super) fn pass(&mut self, due: Instant, bytes: Vec<u8>) {
        if !self.hung && !bytes.is_empty() {
            self.queued_bytes += bytes.len();
            self.queue.push_back((due, Parcel::Bytes { bytes, whole: false }));
        }
    }

    /// What was passed is whole here: something else can follow.
    pub(super) fn boundary(&mut self) {
        match self.queue.back_mut() {
            Some((_, Parcel::Bytes { whole, .. })) => *whole = true,
            Some((_, Parcel::End(_))) => {}
            None => self.written_whole = true,
        }
    }

    /// Passes something whole on.
    pub(super) fn pass_whole(&mut self, due: Instant, bytes: Vec<u8>) {
        self.pass(due, bytes);
        self.boundary();
    }

    /// Puts something in at this time, whatever waits for its own, as soon as nothing is cut by it.
    pub(super) fn insert(&mut self, due: Instant, injected: Injected) {
        if !self.hung {
            self.between.push((due, injected));
        }
    }

    /// Keeps a whole message until the next one has been passed; one that comes while another is kept is that.
    pub(super) fn swap(&mut self, now: Instant, bytes: Vec<u8>) {
        if self.is_swapping() {
            self.pass_whole(now, bytes);
        } else {
            self.swapped = Some((now + SWAP_DEADLINE, bytes));
        }
    }

    /// Whether a message is kept until the next one.
    pub(super) fn is_swapping(&self) -> bool {
        self.swapped.is_some()
    }

    /// A message has been passed: who waits for that follows.
    pub(super) fn message_passed(&mut self, now: Instant) {
        if let Some((_, bytes)) = self.swapped.take() {
            self.pass_whole(now, bytes);
        }
    }

    /// The way ends, after what waits. Behind a farewell nothing is passed.
    pub(super) fn end(&mut self, due: Instant, end: End) {
        match end {
            End::Passed(_) if self.hung => {}
            End::Passed(_) | End::Both(_) => self.queue.push_back((due, Parcel::End(end))),
            End::Farewell => {
                self.queue.push_back((due, Parcel::End(end)));
                self.hang();
            }
        }
    }

    /// From now on nothing is taken but an end of both ways.
    pub(super) fn hang(&mut self) {
        self.hung = true;
        self.between.clear();
        self.swapped = None;
    }

    /// Whether nothing is passed any more, not even an end.
    pub(super) fn is_hung(&self) -> bool {
        self.hung
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.queued_bytes < WAITING_BYTES_MAX
    }

    /// Whether nothing waits for its time.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.swapped.is_none()
    }

    /// When something is next to be written.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let queued = self.queue.front().map(|(due, _)| *due);
        let between = self.between.iter().filter(|_| self.written_whole);
        let swapped = self.swapped.as_ref().map(|(due, _)| *due);
        let dues = between.map(|(due, _)| *due).chain(queued).chain(swapped);
        dues.min()
    }

    /// What is to be written now, joined, and how it ends then.
    pub(super) fn take_due(&mut self, now: Instant) -> (Vec<u8>, Option<End>) {
        if self.swapped.as_ref().is_some_and(|(due, _)| *due <= now) {
            self.message_passed(now);
        }
        let mut out = Vec::new();
        loop {
            if let Some(injected) = self.take_between(now) {
                out.extend(injected.bytes);
                match injected.then {
                    Then::Everything => continue,
                    Then::Farewell => {
                        self.hang();
                        return (out, Some(End::Farewell));
                    }
                }
            }
            match self.queue.pop_front_if(|(due, _)| *due <= now) {
                Some((_, Parcel::Bytes { bytes, whole })) => {
                    self.queued_bytes -= bytes.len();
                    self.written_whole = whole;
                    out.extend(bytes);
                }
                Some((_, Parcel::End(end))) => return (out, Some(end)),
                None => return (out, None),
            }
        }
    }

    /// The next one that is to be put in here.
    fn take_between(&mut self, now: Instant) -> Option<Injected> {
        if !self.written_whole {
            return None;
        }
        let due = self.between.iter().position(|(due, _)| *due <= now)?;
        Some(self.between.remove(due).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Injected {
        Injected {
            bytes: text.into(),
            then: Then::Everything,
        }
    }

    fn taken(outbox: &mut Outbox, now: Instant) -> String {
        String::from_utf8(outbox.take_due(now).0).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_keeps_up_what_follows_and_not_what_is_put_between() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        outbox.pass_whole(start, b"a".to_vec());
        outbox.pass_whole(later, b"b".to_vec());
        outbox.pass_whole(start, b"c".to_vec());
        assert_eq!(taken(&mut outbox, start), "a");
        assert_eq!(outbox.next_due(), Some(later));
        outbox.insert(start, frame("!"));
        assert_eq!(taken(&mut outbox, start), "!");
        outbox.end(start, End::Passed(TcpEnd::Fin));
        assert_eq!(
            outbox.take_due(later),
            (b"bc".to_vec(), Some(End::Passed(TcpEnd::Fin)))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_put_into_a_frame() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.pass(now, b"<".to_vec());
        assert_eq!(taken(&mut outbox, now), "<");
        outbox.insert(now, frame("!"));
        assert_eq!(taken(&mut outbox, now), "");
        assert_eq!(outbox.next_due(), None);
        outbox.pass(now, b"-".to_vec());
        outbox.pass(now, b">".to_vec());
        outbox.boundary();
        outbox.pass(now, b"<".to_vec());
        assert_eq!(taken(&mut outbox, now), "->!<");
    }

    #[tokio::test(start_paused = true)]
    async fn a_swapped_message_follows_the_next_or_comes_alone() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.swap(now, b"1".to_vec());
        assert_eq!(taken(&mut outbox, now), "");
        outbox.pass_whole(now, b"2".to_vec());
        outbox.message_passed(now);
        assert_eq!(taken(&mut outbox, now), "21");
        outbox.swap(now, b"3".to_vec());
        assert_eq!(outbox.next_due(), Some(now + SWAP_DEADLINE));
        assert_eq!(taken(&mut outbox, now + SWAP_DEADLINE), "3");
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_farewell_and_in_a_hung_way_nothing_is_passed() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.pass_whole(now, b"bye".to_vec());
        outbox.end(now, End::Farewell);
        outbox.pass_whole(now, b"more".to_vec());
        outbox.end(now, End::Passed(TcpEnd::Fin));
        assert_eq!(outbox.take_due(now), (b"bye".to_vec(), Some(End::Farewell)));
        assert_eq!(outbox.take_due(now), (Vec::new(), None));
    }
}
