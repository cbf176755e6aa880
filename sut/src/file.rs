//! The target file: what `conform` and `load` need to know of a server they did not write.
//!
//! Everything but `urls` has a default. These are the types as they are written; [`crate::Target`] is what follows
//! from them.

use std::collections::BTreeMap;

use serde::Deserialize;
use touchstone_scenarios::duration::FixedDuration;

/// A target file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Where the server listens, `ws://HOST:PORT`; several are the nodes of one cluster. `${port}` is the port that
    /// was given to a spawned server.
    pub urls: Vec<String>,
    /// What it speaks; all that this version knows if left out.
    #[serde(default)]
    pub dialects: Vec<String>,
    /// Per dialect, where its paths are not the documented ones.
    #[serde(default)]
    pub paths: BTreeMap<String, FilePaths>,
    /// How the server is set, by configuration key: `echo.heartbeat.interval: 1s`. The suite scales its windows to it.
    #[serde(default)]
    pub timings: BTreeMap<String, FixedDuration>,
    /// Limits the server says it has, by name: `message_bytes: 65536`. A case about one that is not here is skipped.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// What the server can and cannot: `restart: false`. A case that needs what is false is skipped, never green.
    #[serde(default)]
    pub capabilities: BTreeMap<String, bool>,
    /// Per dialect and audience (`user`, `users`, `channel`, `all`): how to make the server emit.
    #[serde(default)]
    pub inject: BTreeMap<String, BTreeMap<String, FileCall>>,
    /// How to make the store or a handler fail: `store`, `handler`.
    #[serde(default)]
    pub faults: BTreeMap<String, FileCall>,
    /// How to start and stop the server.
    pub spawn: Option<FileSpawn>,
    /// Sent with every request and handshake.
    #[serde(default)]
    pub headers: BTreeMap<String, FileText>,
}

/// Where a dialect is, if not at its documented paths.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePaths {
    /// Path of the WebSocket.
    pub ws: Option<String>,
    /// Root of the HTTP endpoints.
    pub http: Option<String>,
}

/// A request to the server, or a command on this machine. Exactly one of `post`, `put`, `command`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileCall {
    /// Path of a POST.
    pub post: Option<String>,
    /// Path of a PUT.
    pub put: Option<String>,
    /// Headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, FileText>,
    /// Body of the request, with variables in its strings.
    #[serde(default)]
    pub json: serde_json::Value,
    /// A program and its arguments, with variables. Exit status 0 is success.
    #[serde(default)]
    pub command: Vec<String>,
}

/// How to start and stop the server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpawn {
    /// The program and its arguments; `${port}` is a free port.
    pub command: Vec<String>,
    /// Added to the environment, which also gets `PORT`.
    #[serde(default)]
    pub env: BTreeMap<String, FileText>,
    /// How it shows that it is ready. Left out: it accepts TCP.
    #[serde(default)]
    pub ready: FileReady,
    /// The signal that asks it to stop: `TERM` or `INT`.
    #[serde(default)]
    pub stop: FileSignal,
    /// How long it may take to be ready, and to stop. Left out: 20 s.
    pub deadline: Option<FixedDuration>,
}

/// How a spawned server shows that it is ready.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileReady {
    /// It accepts TCP.
    #[default]
    Tcp,
    /// This path answers 2xx.
    Http(String),
}

/// The signal that asks a server to stop.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
}

/// A text, or the name of the environment variable that holds it: secrets are not written into files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileText {
    /// As written.
    Literal(String),
    /// `{env: NAME}`.
    Env(String),
}

impl<'de> Deserialize<'de> for FileText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FileTextVisitor)
    }
}

struct FileTextVisitor;

impl<'de> serde::de::Visitor<'de> for FileTextVisitor {
    type Value = FileText;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, or `{env: NAME}`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileText, E> {
        Ok(FileText::Literal(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<FileText, E> {
        Ok(FileText::Literal(number.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<FileText, E> {
        Ok(FileText::Literal(number.to_string()))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<FileText, A::Error> {
        use serde::de::Error as _;
        match map.next_entry::<String, String>()? {
            Some((key, name)) if key == "env" => match map.next_key::<String>()? {
                None => Ok(FileText::Env(name)),
                Some(extra) => Err(A::Error::custom(format_args!(
                    "unexpected `{extra}` beside `env`"
                ))),
            },
            Some((key, _)) => Err(A::Error::custom(format_args!(
                "`{key}` is not known here: write `{{env: NAME}}`"
            ))),
            None => Err(A::Error::custom("empty: write a text or `{env: NAME}`")),
        }
    }
}
