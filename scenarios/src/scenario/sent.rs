//! What is sent: handshakes and frames written by hand, payloads, requests over HTTP.

use super::{ActorName, Bearer, Template};
use crate::source::Spanned;

/// An opening handshake written by hand; what is left out is as it should be.
#[derive(Debug, Clone, Default)]
pub struct RawHandshake {
    /// The actor it becomes if it is upgraded.
    pub actor: Option<ActorName>,
    /// Method; `GET`.
    pub method: Option<Template>,
    /// Request target; the dialect's own path and query.
    pub target: Option<Template>,
    /// Query of the target; as for [`Connection`](super::Connection). Not with `target`.
    pub query: Vec<(String, Template)>,
    /// The query as a whole; as for [`Connection`](super::Connection).
    pub query_whole: Option<Template>,
    /// `HTTP/1.1`.
    pub version: Option<Template>,
    /// A value replaces the header, a list repeats it, `null` leaves it out.
    pub headers: Vec<(Spanned<String>, Template)>,
    /// `headers: "${headers}"`, an object of the same. Then `headers` is empty.
    pub headers_whole: Option<Template>,
    /// Extra bytes of headers, for a request that is too large.
    pub padding_bytes: usize,
    /// Frames in the same TCP segment as the request.
    pub frames: Vec<RawFrame>,
    /// Write only so many bytes and then nothing more.
    pub stop_after_bytes: Option<usize>,
}

/// How often one frame can be sent by a step: more is a load test.
pub const FRAME_TIMES_MAX: u64 = 100_000;

/// A frame as the file writes it; every field can be wrong on purpose. Kept as a template, because a table's cells
/// fill it in: `{op: text|binary|cont|close|ping|pong|0..15, fin: true, rsv: 0..7, mask: true, length: declared,
/// length_form: minimal|16|64, payload: …, hex: …, code: 1000, reason: …}` or `{bytes: hex}` for bytes that are no
/// frame; with `times: N` the same one is sent so often, at most [`FRAME_TIMES_MAX`] times.
#[derive(Debug, Clone)]
pub struct RawFrame(pub Template);

/// What is sent: text, JSON, bytes in hex, or something repeated. Written as a string (text), `{hex: "…"}`,
/// `{repeat: x, times: 65536}`, or any other map or list (JSON); `{$json: …}` is JSON whatever its keys are.
/// A text that is one variable alone, as tables have it, may turn out to be any of these once it is resolved.
#[derive(Debug, Clone)]
pub enum Payload {
    /// As text, after variables are put in.
    Text(Template),
    /// As JSON, compact.
    Json(Template),
    /// Bytes.
    Hex(Template),
    /// `{repeat: x, times: 65536}`.
    Repeat {
        /// What.
        unit: Template,
        /// How often.
        times: Template,
    },
}

/// An HTTP request of a step.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Path of the dialect, found through the target (`/chat/api/sessions/${id}/`), or a literal one from the root
    /// for the common endpoints.
    pub path: Template,
    /// Whose token the request carries.
    pub bearer: Option<Bearer>,
    /// Request headers.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: HttpBody,
}

/// The body of a request.
#[derive(Debug, Clone, Default)]
pub enum HttpBody {
    /// None.
    #[default]
    Empty,
    /// `json: …`
    Json(Template),
    /// `body: …`, letter for letter.
    Text(Template),
}
