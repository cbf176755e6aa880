//! Frames on their way.

use tokio::time::Instant;

use super::{Cutting, Lane};
use crate::crooked::cut::{Frame, Piece, UNIT_BYTES_MAX};
use crate::crooked::deeds::{FrameUnit, Unit};
use crate::crooked::rules::{Subject, is_plain_data, message_of, want_frame};
use crate::frames::{Header, opcode};

impl Lane<'_> {
    /// Looks at what was read, as far as whole frames are there.
    pub(super) fn heed_frames(&mut self) {
        let rules = self.connection.crook.rules();
        let (way, meant) = (self.way, self.connection.is_meant());
        loop {
            let Cutting::Frames(cutter) = &mut self.cutting else {
                return;
            };
            match cutter.next(|header| meant && want_frame(rules, way, header)) {
                None => return,
                Some(Piece::Frame(frame)) => {
                    self.held_since = None;
                    self.notice_answer(&frame.header);
                    self.frame(frame);
                }
                piece => self.pass_piece(piece),
            }
        }
    }

    /// Passes on part of a frame that nobody wants.
    pub(super) fn pass_piece(&mut self, piece: Option<Piece>) {
        let (bytes, begins, whole) = match piece {
            None => return,
            Some(Piece::Bytes { bytes, begins, whole }) => (bytes, begins, whole),
            Some(Piece::Frame(frame)) => (frame.raw, Some(frame.header), true),
        };
        if let Some(header) = &begins {
            self.notice_answer(header);
            // What begins a message, or goes on with one, comes after what is held of it; a ping need not wait.
            if !header.is_control() {
                self.release_fragments();
            }
        }
        self.outbox.pass(Instant::now(), bytes);
        if whole {
            self.outbox.boundary();
        }
    }

    /// After a close frame of our own, the client's is its answer.
    fn notice_answer(&self, header: &Header) {
        if header.opcode == opcode::CLOSE && self.connection.is_closing() {
            self.connection.answered.notify_one();
        }
    }

    fn frame(&mut self, frame: Frame) {
        let header = frame.header;
        let begins = matches!(header.opcode, opcode::TEXT | opcode::BINARY);
        let plain = is_plain_data(&header);
        if begins {
            // A message in the middle of another is the server's to refuse.
            self.release_fragments();
        }
        let message = (begins && plain && header.fin).then(|| message_of(header.opcode, &frame.payload));
        let subject = Subject::Frame {
            way: self.way,
            header: &header,
            payload: &frame.payload,
            message: message.as_ref(),
        };
        let goes_on = header.opcode == opcode::CONTINUATION && !self.fragments.is_empty();
        let held = plain && self.wants_messages() && ((begins && !header.fin) || goes_on);
        let follower = self.outbox.is_swapping();
        let unit = frame.clone();
        if self.treat(subject, || Unit::Frame(one(unit))) {
            self.message_passed(&header, follower);
        } else if held {
            self.fragment(frame);
        } else {
            self.outbox.pass_whole(Instant::now(), frame.raw);
            self.message_passed(&header, follower);
        }
    }

    /// Holds a fragment, until the message is there or too large.
    fn fragment(&mut self, frame: Frame) {
        let last = frame.header;
        self.fragments.push(frame);
        let bytes: usize = self.fragments.iter().map(|frame| frame.raw.len()).sum();
        if bytes > UNIT_BYTES_MAX {
            self.release_fragments();
        }
        if !last.fin || self.fragments.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.fragments);
        let payload: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.payload.iter().copied())
            .collect();
        let message = message_of(frames[0].header.opcode, &payload);
        let subject = Subject::Message {
            way: self.way,
            message: &message,
        };
        let follower = self.outbox.is_swapping();
        let raw: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.raw.iter().copied())
            .collect();
        if !self.treat(subject, || {
            Unit::Frame(FrameUnit::of(frames).expect("a message has a frame"))
        }) {
            self.outbox.pass_whole(Instant::now(), raw);
        }
        self.message_passed(&last, follower);
    }

    /// Who waited for this message follows it.
    fn message_passed(&mut self, header: &Header, follower: bool) {
        if follower && !header.is_control() && header.fin {
            self.outbox.message_passed(Instant::now());
        }
    }

    pub(super) fn release_fragments(&mut self) {
        for frame in std::mem::take(&mut self.fragments) {
            self.outbox.pass_whole(Instant::now(), frame.raw);
        }
    }
}

fn one(frame: Frame) -> FrameUnit {
    FrameUnit::of(vec![frame]).expect("there is one")
}
