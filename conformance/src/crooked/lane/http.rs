//! Requests on their way up, answers on their way down.

use tokio::time::Instant;
use touchstone_scenarios::mutant::{TcpEnd, Way};

use super::{Asked, Cutting, Lane};
use crate::crooked::cut::FrameCutter;
use crate::crooked::deeds::Unit;
use crate::crooked::http::{Body, Course, HttpPiece, HttpUnit};
use crate::crooked::outbox::{End, Then};
use crate::crooked::rules::{Subject, want_answer, want_request};

/// What has become of a request or an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    /// It never was, for who awaits it.
    Kept,
}

impl Lane<'_> {
    /// Looks at what was read, as far as whole heads and wanted bodies are there.
    pub(super) fn heed_http(&mut self) {
        loop {
            let Cutting::Http(cutter) = &mut self.cutting else {
                return;
            };
            let Some(piece) = cutter.next() else {
                return;
            };
            match piece {
                HttpPiece::Head(head) => {
                    let (course, body) = match self.way {
                        Way::Up => self.request_head(&head),
                        Way::Down => self.answer_head(&head),
                    };
                    if let Cutting::Http(cutter) = &mut self.cutting {
                        cutter.proceed(course, body);
                    }
                }
                HttpPiece::Bytes(bytes) => self.give_up(Some(HttpPiece::Bytes(bytes))),
                HttpPiece::End => self.http_passed(Fate::Passed),
                HttpPiece::Unit(unit, raw) => {
                    self.held_since = None;
                    let fate = match self.way {
                        Way::Up => self.request(unit, raw),
                        Way::Down => self.answer(&unit, raw),
                    };
                    self.http_passed(fate);
                }
            }
        }
    }

    fn pass_http(&mut self, bytes: Vec<u8>) {
        if !self.swallows {
            self.outbox.pass(Instant::now(), bytes);
        }
    }

    /// Bytes that pass as they came. What was held and is not whole in time is no rule's business any more.
    pub(super) fn give_up(&mut self, piece: Option<HttpPiece>) {
        let bytes = match piece {
            None | Some(HttpPiece::Head(_) | HttpPiece::End) => return,
            // A body that ends with TCP is whole now.
            Some(HttpPiece::Unit(unit, raw)) if self.way == Way::Down => {
                let fate = self.answer(&unit, raw);
                self.http_passed(fate);
                return;
            }
            Some(HttpPiece::Unit(_, bytes) | HttpPiece::Bytes(bytes)) => bytes,
        };
        if let Some(request) = self.current.take().filter(|_| self.way == Way::Up) {
            self.connection.ask(Asked::Server(request));
        }
        self.pass_http(bytes);
    }

    fn request_head(&mut self, head: &HttpUnit) -> (Course, Body) {
        let crook = &self.connection.crook;
        crook.note_tokens(head);
        self.turns = head.is_handshake();
        self.connection.meet(head);
        let meant = !self.turns || self.connection.is_meant();
        let held = meant && !head.waits_for_consent() && want_request(crook.rules(), head);
        if held {
            self.current = Some(head.clone());
            return (Course::Hold, head.request_body());
        }
        self.connection.ask(Asked::Server(head.clone()));
        (Course::Pass, head.request_body())
    }

    fn answer_head(&mut self, head: &HttpUnit) -> (Course, Body) {
        if (100..200).contains(&head.status()) && head.status() != 101 {
            // It only announces the answer.
            return (Course::Pass, Body::Length(0));
        }
        let to = match self.connection.next_asked() {
            Some(Asked::Server(request)) => request,
            Some(Asked::Again(request)) => {
                self.swallows = true;
                return (Course::Pass, head.answer_body(request.method()));
            }
            Some(Asked::Proxy(_)) | None => HttpUnit::default(),
        };
        self.turns = head.status() == 101;
        if to.is_handshake() && !self.turns {
            self.connection.refuse();
        }
        let body = head.answer_body(to.method());
        let meant = !to.is_handshake() || self.connection.is_meant();
        let held = meant && want_answer(self.connection.crook.rules(), head, &to);
        self.current = Some(to);
        (if held { Course::Hold } else { Course::Pass }, body)
    }

    fn request(&mut self, unit: HttpUnit, raw: Vec<u8>) -> Fate {
        self.current = None;
        let crook = &self.connection.crook;
        let subject = Subject::Request(&unit);
        let make = || Unit::Http {
            unit: unit.clone(),
            raw: Some(raw.clone()),
        };
        let Some((changed, plan)) = crook.treat(subject, self.way, &mut self.counts, make) else {
            self.connection.ask(Asked::Server(unit));
            self.outbox.pass_whole(Instant::now(), raw);
            return Fate::Passed;
        };
        if let Some(response) = plan.response {
            self.respond(response);
            return Fate::Kept;
        }
        let due = Instant::now() + plan.delay;
        for time in 0..plan.times {
            self.connection.ask(match time {
                0 => Asked::Server(unit.clone()),
                _ => Asked::Again(unit.clone()),
            });
            self.outbox.pass_whole(due, changed.bytes());
        }
        if let Some(after) = plan.after {
            self.then(due, after);
        }
        if plan.times == 0 { Fate::Kept } else { Fate::Passed }
    }

    /// Answers in place of the server, when it is this answer's turn.
    fn respond(&mut self, response: Vec<u8>) {
        self.connection.ask(Asked::Proxy(response));
        for answer in self.connection.own_answers() {
            self.inject_into(Way::Down, answer, Then::Everything);
        }
    }

    fn answer(&mut self, unit: &HttpUnit, raw: Vec<u8>) -> Fate {
        let to = self.current.take().unwrap_or_default();
        let subject = Subject::Answer {
            answer: unit,
            to: &to,
        };
        let make = || Unit::Http {
            unit: unit.clone(),
            raw: Some(raw.clone()),
        };
        let crook = &self.connection.crook;
        let Some((changed, plan)) = crook.treat(subject, self.way, &mut self.counts, make) else {
            self.outbox.pass_whole(Instant::now(), raw);
            return Fate::Passed;
        };
        let due = Instant::now() + plan.delay;
        for _ in 0..plan.times {
            self.outbox.pass_whole(due, changed.bytes());
        }
        match plan.after {
            Some(after) => self.then(due, after),
            // TCP ends without the answer.
            None if plan.times == 0 => self.outbox.end(due, End::Both(TcpEnd::Fin)),
            None => {}
        }
        if plan.times == 0 { Fate::Kept } else { Fate::Passed }
    }

    /// A request or an answer is through: what comes next.
    fn http_passed(&mut self, fate: Fate) {
        self.current = None;
        if !std::mem::take(&mut self.swallows) && fate == Fate::Passed {
            self.outbox.boundary();
        }
        let turns = std::mem::take(&mut self.turns) && fate == Fate::Passed;
        if self.way == Way::Down {
            for answer in self.connection.own_answers() {
                self.outbox.pass_whole(Instant::now(), answer);
            }
        }
        if turns {
            self.turn_to_frames();
        }
    }

    /// What comes now are frames: after a handshake has passed, or after the upgrade.
    fn turn_to_frames(&mut self) {
        let cutting = std::mem::replace(&mut self.cutting, Cutting::Frames(FrameCutter::default()));
        if self.way == Way::Down {
            self.opened();
        }
        if let (Cutting::Http(http), Cutting::Frames(frames)) = (cutting, &mut self.cutting) {
            frames.feed(&http.into_rest());
            self.heed_frames();
        }
    }

    fn opened(&mut self) {
        self.connection.open();
        if !self.connection.is_meant() {
            return;
        }
        // It is the client who opens: what goes back goes to it.
        let crook = &self.connection.crook;
        let opened = crook.treat(Subject::Opened, Way::Up, &mut self.counts, || Unit::Event);
        let Some((_, plan)) = opened else {
            return;
        };
        let now = Instant::now();
        for reply in plan.replies {
            self.outbox.pass_whole(now, reply);
        }
        if let Some(after) = plan.after {
            self.then(now, after);
        }
    }
}
