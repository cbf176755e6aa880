//! Frames as a scenario writes them, legal or not, as bytes.

use serde_json::{Map, Value};
use touchstone_scenarios::read::FRAME_KEYS;
use touchstone_scenarios::scenario::{FRAME_TIMES_MAX, RawFrame};
use touchstone_scenarios::template::TemplateError;
use touchstone_wire::deflate::{Level, WindowBits, deflate_shared};
use touchstone_wire::raw::{LengthForm, Mask, RawFrame as WireFrame};

use crate::frames::{RSV1, opcode};
use crate::matching::{PAYLOAD_BYTES_MAX, PayloadError, from_hex, written_bytes};

/// The key of the RFC's own example (5.7): a frame that is masked looks the same in every run.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A frame that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A variable has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Its payload is none.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A field of it means nothing.
    #[error("a frame with {field}: {value} cannot be written")]
    Field {
        /// Its key.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// So often, it is too much for one step.
    #[error(
        "a frame of {bytes} bytes cannot be written {times} times: at most {PAYLOAD_BYTES_MAX} bytes together"
    )]
    TooMuch {
        /// Of one.
        bytes: usize,
        /// How many.
        times: usize,
    },
}

/// The bytes of these frames, one after the other.
///
/// # Errors
/// When a variable has no value or a field means nothing.
pub fn frame_bytes(
    frames: &[RawFrame],
    variable: &dyn Fn(&str) -> Option<Value>,
) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    for frame in frames {
        match frame.0.resolve(variable)? {
            Value::Array(frames) => frames.iter().try_for_each(|frame| write(frame, &mut out))?,
            frame => write(&frame, &mut out)?,
        }
    }
    Ok(out)
}

/// Writes a frame as often as it says.
fn write(frame: &Value, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    encode(frame, out)?;
    let Some(value) = frame.get("times") else {
        return Ok(());
    };
    let times = value
        .as_u64()
        .filter(|times| (1..=FRAME_TIMES_MAX).contains(times));
    let times = times
        .and_then(|times| usize::try_from(times).ok())
        .ok_or_else(|| field("times", value))?;
    let one = out.split_off(start);
    let bytes = one.len();
    if bytes.checked_mul(times).is_none_or(|all| all > PAYLOAD_BYTES_MAX) {
        return Err(FrameError::TooMuch { bytes, times });
    }
    out.extend(one.repeat(times));
    Ok(())
}

fn encode(frame: &Value, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let wrong = || FrameError::Field {
        field: "frame",
        value: frame.to_string(),
    };
    let fields = frame.as_object().ok_or_else(wrong)?;
    // The reader has seen to it, except in what a variable holds.
    if let Some((key, value)) = fields.iter().find(|(key, _)| !FRAME_KEYS.contains(&key.as_str())) {
        return Err(FrameError::Field {
            field: "an unknown key",
            value: format!("`{key}: {value}`"),
        });
    }
    if let Some(bytes) = fields.get("bytes") {
        let text = bytes.as_str().ok_or_else(wrong)?;
        out.extend(from_hex(text).ok_or_else(wrong)?);
        return Ok(());
    }
    let op = match fields.get("op") {
        Some(Value::String(name)) => opcode_named(name).ok_or_else(wrong)?,
        Some(number) => small(number, "op", 15)?,
        None => return Err(wrong()),
    };
    let deflate = fields.contains_key("deflate") && flag(fields, "deflate")?;
    let rsv = if deflate { RSV1 } else { 0 };
    let plain = payload(fields)?;
    let whole = WireFrame {
        fin: flag(fields, "fin")?,
        rsv: fields.get("rsv").map_or(Ok(rsv), |rsv| small(rsv, "rsv", 7))?,
        op,
        mask: if flag(fields, "mask")? {
            Mask::Key(MASK)
        } else {
            Mask::None
        },
        length_form: length_form(fields)?,
        declared: match fields.get("length") {
            Some(length) => Some(length.as_u64().ok_or_else(|| field("length", length))?),
            None => None,
        },
        payload: if deflate { deflated(&plain) } else { plain },
    };
    match fields.get("fragment_bytes") {
        None => whole.encode(out),
        Some(bytes) => {
            let wrong = || field("fragment_bytes", bytes);
            let fragment = bytes.as_u64().and_then(|bytes| usize::try_from(bytes).ok());
            in_fragments(
                &whole,
                fragment.filter(|bytes| *bytes > 0).ok_or_else(wrong)?,
                out,
            );
        }
    }
    Ok(())
}

/// A raw actor may speak our own codec: what it makes of a message is judged by the server, not by us.
fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    deflate_shared(WindowBits::MAX, Level::FASTEST, plain, &mut compressed);
    compressed
}

/// The message of a frame in fragments; the reserved bits are the first one's.
pub(crate) fn in_fragments(whole: &WireFrame, bytes: usize, out: &mut Vec<u8>) {
    let last = whole.payload.len().div_ceil(bytes).saturating_sub(1);
    for index in 0..=last {
        let start = index * bytes;
        let end = whole.payload.len().min(start + bytes);
        let first = index == 0;
        WireFrame {
            fin: whole.fin && index == last,
            rsv: if first { whole.rsv } else { 0 },
            op: if first { whole.op } else { opcode::CONTINUATION },
            payload: whole.payload[start..end].to_vec(),
            ..whole.clone()
        }
        .encode(out);
    }
}

fn field(field: &'static str, value: &Value) -> FrameError {
    FrameError::Field {
        field,
        value: value.to_string(),
    }
}

fn opcode_named(name: &str) -> Option<u8> {
    Some(match name {
        "cont" => opcode::CONTINUATION,
        "text" => opcode::TEXT,
        "binary" => opcode::BINARY,
        "close" => opcode::CLOSE,
        "ping" => opcode::PING,
        "pong" => opcode::PONG,
        digits => digits.parse().ok().filter(|op| *op < 16)?,
    })
}

fn small(value: &Value, name: &'static str, max: u8) -> Result<u8, FrameError> {
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    number
        .filter(|number| *number <= max)
        .ok_or_else(|| field(name, value))
}

/// Frames are final and masked unless they say otherwise.
fn flag(fields: &Map<String, Value>, name: &'static str) -> Result<bool, FrameError> {
    match fields.get(name) {
        None => Ok(true),
        Some(value) => value.as_bool().ok_or_else(|| field(name, value)),
    }
}

fn length_form(fields: &Map<String, Value>) -> Result<LengthForm, FrameError> {
    match fields.get("length_form") {
        None => Ok(LengthForm::Minimal),
        Some(value) => match value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
            .as_str()
        {
            "minimal" => Ok(LengthForm::Minimal),
            "16" => Ok(LengthForm::Sixteen),
            "64" => Ok(LengthForm::SixtyFour),
            _ => Err(field("length_form", value)),
        },
    }
}

fn payload(fields: &Map<String, Value>) -> Result<Vec<u8>, FrameError> {
    let mut payload = match fields.get("code") {
        None => Vec::new(),
        Some(code) => {
            let number = code.as_u64().and_then(|code| u16::try_from(code).ok());
            number.ok_or_else(|| field("code", code))?.to_be_bytes().to_vec()
        }
    };
    for key in ["reason", "payload"] {
        if let Some(value) = fields.get(key) {
            payload.extend(written_bytes(value.clone())?);
        }
    }
    if let Some(hex) = fields.get("hex") {
        payload.extend(hex.as_str().and_then(from_hex).ok_or_else(|| field("hex", hex))?);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;
    use touchstone_scenarios::template::Template;

    use super::*;
    use crate::frames::{Decoder, Frame};

    fn bytes(frame: Value) -> Result<Vec<u8>, FrameError> {
        frame_bytes(&[RawFrame(Template::new(frame))], &|name| {
            (name == "cell").then(|| json!([{"op": "ping"}, {"op": "pong"}]))
        })
    }

    fn frames(frame: Value) -> Vec<Frame> {
        Decoder::default().push(&bytes(frame).unwrap(), Instant::now())
    }

    #[test]
    fn a_frame_is_final_and_masked_unless_it_says_otherwise() {
        let [text] = frames(json!({"op": "text", "payload": "hi"})).try_into().unwrap();
        assert!(text.header.fin && text.header.mask.is_some() && text.header.is_minimal());
        assert_eq!((text.header.opcode, text.payload.as_slice()), (1, &b"hi"[..]));
        let [bare] = frames(json!({"op": 3, "fin": false, "mask": false, "rsv": 5}))
            .try_into()
            .unwrap();
        assert!(!bare.header.fin && bare.header.mask.is_none());
        assert_eq!((bare.header.opcode, bare.header.rsv), (3, 5));
    }

    #[test]
    fn every_field_can_be_wrong_on_purpose() {
        assert_eq!(
            bytes(json!({"op": "text", "mask": false, "length_form": "16", "payload": "x"})).unwrap(),
            [0x81, 126, 0, 1, b'x']
        );
        assert_eq!(
            bytes(json!({"op": "binary", "mask": false, "length": 70_000, "payload": ""})).unwrap(),
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
        );
        assert_eq!(
            bytes(json!({"op": "close", "mask": false, "code": 1005, "reason": "no"})).unwrap(),
            [0x88, 4, 0x03, 0xED, b'n', b'o']
        );
        assert_eq!(bytes(json!({"bytes": "ff 00"})).unwrap(), [0xFF, 0]);
        assert_eq!(
            bytes(json!({"op": "ping", "mask": false, "payload": {"repeat": "x", "times": 3}})).unwrap(),
            [0x89, 3, b'x', b'x', b'x']
        );
    }

    #[test]
    fn a_payload_is_compressed_and_cut_into_fragments() {
        // "Hello" as RFC 7692 7.2.3.1 has it.
        let hello = json!({"op": "text", "mask": false, "payload": "Hello", "deflate": true});
        assert_eq!(
            bytes(hello).unwrap(),
            [0xC1, 7, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        );
        let cut =
            json!({"op": "text", "mask": false, "payload": "Hello", "deflate": true, "fragment_bytes": 3});
        assert_eq!(
            bytes(cut).unwrap(),
            [
                0x41, 3, 0xF2, 0x48, 0xCD, 0x00, 3, 0xC9, 0xC9, 0x07, 0x80, 1, 0x00
            ]
        );
        let unmarked = json!({"op": "text", "mask": false, "payload": "", "deflate": true, "rsv": 0});
        assert_eq!(bytes(unmarked).unwrap(), [0x81, 1, 0]);
        let empty = json!({"op": "text", "mask": false, "payload": "", "fragment_bytes": 3});
        assert_eq!(bytes(empty).unwrap(), [0x81, 0]);
    }

    #[test]
    fn a_variable_may_hold_a_list_of_frames() {
        let opcodes: Vec<_> = frames(json!("${cell}"))
            .iter()
            .map(|frame| frame.header.opcode)
            .collect();
        assert_eq!(opcodes, [opcode::PING, opcode::PONG]);
    }

    #[test]
    fn a_frame_is_sent_as_often_as_it_says() {
        let pings = frames(json!({"op": "ping", "payload": "x", "times": 3}));
        assert_eq!(pings.len(), 3);
        assert!(pings.iter().all(|ping| ping.payload == b"x"));
        assert_eq!(bytes(json!({"bytes": "ff", "times": 2})).unwrap(), [0xFF, 0xFF]);
        let large =
            json!({"op": "text", "mask": false, "payload": {"repeat": "x", "times": 60_000}, "times": 1000});
        assert_eq!(
            bytes(large),
            Err(FrameError::TooMuch {
                bytes: 60_004,
                times: 1000
            })
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for frame in [
            json!({}),
            json!({"op": "text", "finn": false}),
            json!({"op": "text", "rsv": 8}),
            json!({"op": "text", "times": 0}),
            json!({"op": "text", "times": 100_001}),
            json!({"op": "text", "times": "often"}),
            json!("text"),
            json!({"op": "shout"}),
            json!({"op": 16}),
            json!({"op": "text", "hex": "0"}),
            json!({"op": "text", "fin": "yes"}),
            json!({"op": "close", "code": 70_000}),
            json!({"op": "text", "length_form": 8}),
            json!({"op": "text", "deflate": 1}),
            json!({"op": "text", "fragment_bytes": 0}),
        ] {
            assert!(bytes(frame.clone()).is_err(), "{frame}");
        }
    }
}
