//! What a rule does to what passes: changes of it, and a plan of what becomes of it.

use std::time::Duration;

use serde_json::Value;
use touchstone_scenarios::mutant::{Deed, Edit, FrameFlaw, TcpEnd, Way};
use touchstone_scenarios::scenario::Payload;
use touchstone_wire::raw::{LengthForm, Mask, RawFrame};

use super::cut::Frame;
use super::edits;
use super::http::HttpUnit;
use super::tokens;
use crate::client::in_fragments;
use crate::frames::{CloseBody, opcode};
use crate::matching::payload_bytes;

/// The key of what the proxy writes to a server: that of the RFC's own example (5.7).
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The most bytes of a close frame's reason.
const REASON_BYTES_MAX: usize = 123;

/// What is kept for [`Edit::Stale`], and what signs tokens: the mutant's own, over all connections.
pub(super) trait Memory {
    /// Keeps the value that stands at a place, for the edit of this number, and gives the one before.
    fn before(&self, edit: (usize, usize, usize), place: &str, now: Value) -> Option<Value>;
    /// A token with the same claims but for these, in force.
    fn sign(&self, token: &str, claims: &serde_json::Map<String, Value>) -> Option<String>;
}

/// Something that passes and can be changed.
#[derive(Debug)]
pub(super) enum Unit {
    /// A frame, or a message whose fragments have been joined.
    Frame(FrameUnit),
    /// A request or an answer.
    Http {
        /// As it is to be.
        unit: HttpUnit,
        /// As it came, as long as nothing of it was changed.
        raw: Option<Vec<u8>>,
    },
    /// Nothing that has bytes: an opening, an end.
    Event,
}

impl Unit {
    /// As it goes on.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Frame(frame) => frame.bytes(),
            Self::Http { raw: Some(raw), .. } => raw.clone(),
            Self::Http { unit, raw: None } => unit.bytes(),
            Self::Event => Vec::new(),
        }
    }
}

/// A frame that can be changed.
#[derive(Debug)]
pub(super) struct FrameUnit {
    whole: RawFrame,
    flaw: FrameFlaw,
    /// As it came, as long as nothing of it was changed.
    raw: Option<Vec<u8>>,
}

impl FrameUnit {
    /// A frame that came, or several whose payloads are one message.
    pub(super) fn of(frames: Vec<Frame>) -> Option<Self> {
        let first = frames.first()?;
        let mut whole = RawFrame::new(first.header.opcode, mask_of(first), Vec::new());
        whole.rsv = first.header.rsv;
        whole.fin = frames.last()?.header.fin;
        let raw = frames
            .iter()
            .flat_map(|frame| frame.raw.iter().copied())
            .collect();
        whole.payload = frames.into_iter().flat_map(|frame| frame.payload).collect();
        Some(Self {
            whole,
            flaw: FrameFlaw::default(),
            raw: Some(raw),
        })
    }

    fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut frame = self.whole.clone();
        let flaw = &self.flaw;
        frame.payload.extend_from_slice(&flaw.payload_suffix);
        if flaw.mask_flipped {
            frame.mask = match frame.mask {
                Mask::None => Mask::Key(MASK),
                Mask::Key(_) => Mask::None,
            };
        }
        if flaw.length_longest {
            frame.length_form = LengthForm::SixtyFour;
        }
        frame.rsv = flaw.rsv.unwrap_or(frame.rsv);
        frame.op = flaw.opcode.unwrap_or(frame.op);
        frame.fin = flaw.fin.unwrap_or(frame.fin);
        if let Some(bytes) = flaw.cut_to_bytes {
            frame.declared = Some(frame.payload.len() as u64);
            frame.payload.truncate(bytes);
        }
        let mut out = Vec::new();
        match flaw.fragment_bytes {
            Some(bytes) => in_fragments(&frame, bytes.max(1), &mut out),
            None => frame.encode(&mut out),
        }
        out
    }

    fn set_payload(&mut self, payload: Vec<u8>) {
        self.whole.payload = payload;
        self.raw = None;
    }

    fn spoil(&mut self, more: &FrameFlaw) {
        let flaw = &mut self.flaw;
        flaw.mask_flipped |= more.mask_flipped;
        flaw.rsv = more.rsv.or(flaw.rsv);
        flaw.opcode = more.opcode.or(flaw.opcode);
        flaw.fin = more.fin.or(flaw.fin);
        flaw.length_longest |= more.length_longest;
        flaw.fragment_bytes = more.fragment_bytes.or(flaw.fragment_bytes);
        flaw.payload_suffix.extend_from_slice(&more.payload_suffix);
        flaw.cut_to_bytes = more.cut_to_bytes.or(flaw.cut_to_bytes);
        self.raw = None;
    }

    fn set_close(&mut self, code: Option<u16>, reason: &str) {
        self.set_payload(close_payload(code, reason));
    }
}

fn mask_of(frame: &Frame) -> Mask {
    frame.header.mask.map_or(Mask::None, Mask::Key)
}

fn close_payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else {
        return Vec::new();
    };
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

/// A frame of the proxy's own.
pub(super) fn frame_bytes(way: Way, op: u8, payload: Vec<u8>) -> Vec<u8> {
    let mask = match way {
        Way::Up => Mask::Key(MASK),
        Way::Down => Mask::None,
    };
    let mut out = Vec::new();
    RawFrame::new(op, mask, payload).encode(&mut out);
    out
}

/// A close frame of the proxy's own.
pub(super) fn close_bytes(code: u16) -> Vec<u8> {
    frame_bytes(Way::Down, opcode::CLOSE, close_payload(Some(code), ""))
}

/// A message of the proxy's own.
fn message_bytes(way: Way, payload: &Payload) -> Vec<u8> {
    let op = match payload {
        Payload::Hex(_) => opcode::BINARY,
        Payload::Text(_) | Payload::Json(_) | Payload::Repeat { .. } => opcode::TEXT,
    };
    frame_bytes(way, op, literal(payload))
}

/// The reader takes no variables, and a proxy is not started with what cannot be written.
fn literal(payload: &Payload) -> Vec<u8> {
    payload_bytes(payload, &|_| None).expect("payloads are tried before the proxy is started")
}

/// The payloads of a deed, which have to be literal.
pub(super) fn payload_of(deed: &Deed) -> Option<&Payload> {
    match deed {
        Deed::Replace(payload) | Deed::Reply(payload) | Deed::Also(payload) => Some(payload),
        _ => None,
    }
}

/// How passing ends after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The client is sent a close frame, and nothing more passes.
    Close(u16),
    /// TCP ends on both sides.
    End(TcpEnd),
    /// Nothing more passes this way.
    Hang,
}

/// What becomes of something that passes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// How often it is passed on.
    pub(super) times: u32,
    /// How much later.
    pub(super) delay: Duration,
    /// Whether what follows overtakes it.
    pub(super) overtaken: bool,
    /// After the next message.
    pub(super) swap: bool,
    /// Also to all others.
    pub(super) leak: bool,
    /// Also to all who come later.
    pub(super) keep: bool,
    /// To one other only.
    pub(super) divert: bool,
    /// Once more after these times.
    pub(super) again: Vec<Duration>,
    /// What goes back.
    pub(super) replies: Vec<Vec<u8>>,
    /// What follows the same way.
    pub(super) also: Vec<Vec<u8>>,
    /// What a request is answered with in place of the server.
    pub(super) response: Option<Vec<u8>>,
    /// What comes after it.
    pub(super) after: Option<After>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            times: 1,
            delay: Duration::ZERO,
            overtaken: false,
            swap: false,
            leak: false,
            keep: false,
            divert: false,
            again: Vec::new(),
            replies: Vec::new(),
            also: Vec::new(),
            response: None,
            after: None,
        }
    }
}

/// Does what a rule says; `rule` is its number. `way` is that of the unit.
pub(super) fn apply(
    (rule, deeds): (usize, &[Deed]),
    way: Way,
    unit: &mut Unit,
    plan: &mut Plan,
    memory: &dyn Memory,
) {
    for (number, deed) in deeds.iter().enumerate() {
        match deed {
            Deed::Drop => plan.times = 0,
            Deed::Times(times) => plan.times = *times,
            Deed::Delay { by, overtaken } => (plan.delay, plan.overtaken) = (*by, *overtaken),
            Deed::Swap => plan.swap = true,
            Deed::Leak => plan.leak = true,
            Deed::Keep => plan.keep = true,
            Deed::Divert => plan.divert = true,
            Deed::Again(after) => plan.again.push(*after),
            Deed::Reply(payload) => plan.replies.push(message_bytes(opposite(way), payload)),
            Deed::Also(payload) => plan.also.push(message_bytes(way, payload)),
            Deed::Close(code) => plan.after = Some(After::Close(*code)),
            Deed::End(end) => plan.after = Some(After::End(*end)),
            Deed::Hang => plan.after = Some(After::Hang),
            Deed::Respond {
                status,
                headers,
                json,
            } => plan.response = Some(response(*status, headers, json)),
            Deed::Edit(changes) => edit(unit, (rule, number), changes, memory),
            Deed::Replace(_)
            | Deed::Frame(_)
            | Deed::Code(_)
            | Deed::Reason(_)
            | Deed::Method(_)
            | Deed::Status(_)
            | Deed::Header { .. }
            | Deed::Body(_)
            | Deed::Substitute { .. }
            | Deed::Sign(_) => change(unit, deed, memory),
        }
    }
}

/// The other way.
pub(super) fn opposite(way: Way) -> Way {
    match way {
        Way::Up => Way::Down,
        Way::Down => Way::Up,
    }
}

fn response(status: u16, headers: &[(String, String)], json: &Value) -> Vec<u8> {
    let body = match json {
        Value::Null => Vec::new(),
        json => json.to_string().into_bytes(),
    };
    let mut unit = HttpUnit::answer(status, headers, body);
    if !json.is_null() && unit.header("content-type").is_none() {
        unit.set_header("Content-Type", Some("application/json"));
    }
    unit.bytes()
}

fn edit(unit: &mut Unit, (rule, deed): (usize, usize), changes: &[Edit], memory: &dyn Memory) {
    let body = match unit {
        Unit::Frame(frame) => &frame.whole.payload,
        Unit::Http { unit, .. } => &unit.body,
        Unit::Event => return,
    };
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let before = json.clone();
    for (number, change) in changes.iter().enumerate() {
        edits::apply(change, &mut json, &mut |place, now| {
            memory.before((rule, deed, number), place, now)
        });
    }
    if json == before {
        // Nor is anything changed in how it is written.
        return;
    }
    let body = json.to_string().into_bytes();
    match unit {
        Unit::Frame(frame) => frame.set_payload(body),
        Unit::Http { unit, raw } => {
            unit.set_body(body);
            *raw = None;
        }
        Unit::Event => {}
    }
}

/// A deed that changes what passes. What a deed means for a unit it is not for, the reader has refused.
fn change(unit: &mut Unit, deed: &Deed, memory: &dyn Memory) {
    match unit {
        Unit::Frame(frame) => change_frame(frame, deed),
        Unit::Http { unit, raw } => {
            *raw = None;
            change_http(unit, deed, memory);
        }
        Unit::Event => {}
    }
}

fn change_frame(frame: &mut FrameUnit, deed: &Deed) {
    match deed {
        Deed::Replace(payload) => frame.set_payload(literal(payload)),
        Deed::Frame(flaw) => frame.spoil(flaw),
        Deed::Code(code) => {
            let reason = CloseBody::read(&frame.whole.payload).reason;
            frame.set_close(*code, &reason);
        }
        Deed::Reason(reason) => {
            let code = CloseBody::read(&frame.whole.payload).code;
            frame.set_close(code.or(Some(1000)), reason);
        }
        Deed::Substitute { from, to } => {
            if let Ok(text) = std::str::from_utf8(&frame.whole.payload) {
                let changed = from.replace_all(text, to).into_owned().into_bytes();
                frame.set_payload(changed);
            }
        }
        _ => {}
    }
}

fn change_http(unit: &mut HttpUnit, deed: &Deed, memory: &dyn Memory) {
    match deed {
        Deed::Method(method) => unit.set_method(method),
        Deed::Status(status) => unit.set_status(*status),
        Deed::Header { name, value } => unit.set_header(name, value.as_deref()),
        Deed::Body(text) => unit.set_body(text.clone().into_bytes()),
        Deed::Substitute { from, to } => {
            if unit.status() == 0 {
                let target = from.replace_all(unit.target(), to).into_owned();
                unit.set_target(&target);
            }
            let body = std::str::from_utf8(&unit.body)
                .ok()
                .filter(|body| !body.is_empty());
            if let Some(body) = body {
                let changed = from.replace_all(body, to).into_owned().into_bytes();
                unit.set_body(changed);
            }
        }
        Deed::Sign(claims) => {
            tokens::replace(unit, &|token| memory.sign(token, claims));
        }
        _ => {}
    }
}
