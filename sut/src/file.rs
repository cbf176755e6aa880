//! The target file: what `conform` and `load` need to know of a server they did not write.
//!
//! Everything but `urls` has a default. These are the types as they are written; [`crate::Target`] is what follows
//! from them.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use touchstone_protocol::Dialect;
use touchstone_scenarios::duration::FixedDuration;

use crate::schema;
use crate::tokens::Algorithm;

/// A target file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Where the server listens, `ws://HOST:PORT` or `wss://HOST:PORT`; several are the nodes of one cluster. `${port}` is the port that
    /// was given to a spawned server.
    #[schemars(length(min = 1), inner(regex(pattern = "^wss?://[^/]+/?$")))]
    pub urls: Vec<String>,
    /// What it speaks; all that this version knows if left out.
    #[serde(default)]
    #[schemars(schema_with = "schema::dialects")]
    pub dialects: Vec<String>,
    /// Per dialect, where its paths are not the documented ones.
    #[serde(default)]
    #[schemars(schema_with = "schema::by_dialect::<FilePaths>")]
    pub paths: BTreeMap<String, FilePaths>,
    /// How the server is set, by configuration key: `echo.heartbeat.interval: 1s`. The suite scales its windows to it.
    #[serde(default)]
    #[schemars(schema_with = "schema::timings")]
    pub timings: BTreeMap<String, FixedDuration>,
    /// Limits the server says it has, by name: `message_bytes: 65536`. A case about one that is not here is skipped.
    #[serde(default)]
    #[schemars(schema_with = "schema::limits")]
    pub limits: BTreeMap<String, u64>,
    /// What the server can and cannot: `restart: false`. A case that needs what is false is skipped, never green.
    #[serde(default)]
    #[schemars(schema_with = "schema::capabilities")]
    pub capabilities: BTreeMap<String, bool>,
    /// Per dialect and audience (`user`, `users`, `channel`, `all`): how to make the server emit.
    #[serde(default)]
    #[schemars(schema_with = "schema::inject")]
    pub inject: BTreeMap<String, BTreeMap<String, FileCall>>,
    /// Per dialect and act (`disconnect`, `delete_user`, `drain`, `sweep`): how an operator acts on the server, where that is not by
    /// `users.admin`.
    #[serde(default)]
    #[schemars(schema_with = "schema::operate")]
    pub operate: BTreeMap<String, BTreeMap<String, FileCall>>,
    /// How to make the store or a handler fail: `store`, `handler`.
    #[serde(default)]
    #[schemars(schema_with = "schema::faults")]
    pub faults: BTreeMap<String, FileCall>,
    /// How to start and stop the server.
    pub spawn: Option<FileSpawn>,
    /// How a token comes to be: `secret`, `login` or `command`. For all dialects, or by dialect, like the three below.
    pub auth: Option<PerDialect<FileAuth>>,
    /// How users come to be, and channels unless `channels` says otherwise.
    pub users: Option<PerDialect<FileUsers>>,
    /// How a tenant comes to be, where users do not come by `users.admin`. Left out: users bring theirs along, all the same one.
    pub tenants: Option<PerDialect<FileTenants>>,
    /// How a channel comes to be.
    pub channels: Option<PerDialect<FileChannels>>,
    /// Per dialect, how the queued events of a user are listed.
    #[serde(default)]
    #[schemars(schema_with = "schema::by_dialect::<FileEvents>")]
    pub events: BTreeMap<String, FileEvents>,
    /// Who is believed to be the server, with `wss://`. Left out: whom the system believes.
    pub tls: Option<FileTls>,
    /// Sent with every request and handshake.
    pub headers: Option<PerDialect<BTreeMap<String, FileText>>>,
}

/// Who is believed to be the server. At most one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = serde_json::json!({ "required": ["ca", "insecure"], "properties": { "insecure": { "enum": [true] } } })))]
pub struct FileTls {
    /// A PEM file with the authorities that are believed, in place of the system's; or with the server's own certificate.
    pub ca: Option<PathBuf>,
    /// Whoever answers is believed.
    #[serde(default)]
    pub insecure: bool,
}

/// How a token comes to be. Exactly one of the three.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["secret", "login", "command"])))]
pub struct FileAuth {
    /// We sign it.
    pub secret: Option<FileSecret>,
    /// The server gives it out.
    pub login: Option<FileLogin>,
    /// A program writes it to its standard output; `${user.…}` in its arguments.
    #[serde(default)]
    pub command: Vec<String>,
}

/// What tokens are signed with. Exactly one of `env`, `file` and `text`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["env", "file", "text"])))]
pub struct FileSecret {
    /// The environment variable that holds the secret.
    pub env: Option<String>,
    /// The file that holds it.
    pub file: Option<PathBuf>,
    /// The secret itself, for one that is none.
    pub text: Option<String>,
    /// `HS256`, `HS384` or `HS512`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The claims besides `exp` and `iat`, in place of the spec's.
    pub claims: Option<serde_json::Value>,
}

/// A request that is answered with a token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileLogin {
    /// Path of a POST.
    #[schemars(regex(pattern = "^/"))]
    pub post: String,
    /// Headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, FileText>,
    /// Its body, with `${user.email}`, `${user.password}` and the like.
    #[serde(default)]
    pub json: serde_json::Value,
    /// Where the token stands in the answer: a JSON pointer.
    #[schemars(regex(pattern = "^(/.*)?$"))]
    pub token: String,
}

/// How users come to be. Exactly one of the four.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["admin", "steps", "command", "list"])))]
pub struct FileUsers {
    /// By the admin interface that the built-in server has.
    pub admin: Option<FileAdmin>,
    /// By requests, one after the other, for each user.
    #[serde(default)]
    pub steps: Vec<FileWay>,
    /// By a program that writes a JSON object of what is to be known of the user: `id` at least.
    #[serde(default)]
    pub command: Vec<String>,
    /// They are there already: `{id, username, email, password, tenant: {…}}`, lent to one case at a time.
    #[serde(default)]
    pub list: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// An admin interface.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileAdmin {
    /// Its key.
    pub key: FileText,
}

/// How a tenant comes to be. Exactly one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["step", "command"])))]
pub struct FileTenants {
    /// By a request; `${tenant.name}` and `${tenant.schema_name}` in it, which the suite makes up.
    pub step: Option<FileWay>,
    /// By a program that writes a JSON object with the tenant's `id`.
    #[serde(default)]
    pub command: Vec<String>,
}

/// How a channel comes to be. Exactly one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["step", "command"])))]
pub struct FileChannels {
    /// By a request; `${channel.name}`, `${channel.members}`, `${user.…}` (the first member) in it.
    pub step: Option<FileWay>,
    /// By a program that writes a JSON object with the channel's `id`.
    #[serde(default)]
    pub command: Vec<String>,
}

/// A request, and what is kept of its answer. Exactly one of `get`, `post`, `put`, `patch`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["get", "post", "put", "patch"])))]
pub struct FileWay {
    /// Path of a GET.
    #[schemars(regex(pattern = "^/"))]
    pub get: Option<String>,
    /// Path of a POST.
    #[schemars(regex(pattern = "^/"))]
    pub post: Option<String>,
    /// Path of a PUT.
    #[schemars(regex(pattern = "^/"))]
    pub put: Option<String>,
    /// Path of a PATCH.
    #[schemars(regex(pattern = "^/"))]
    pub patch: Option<String>,
    /// Headers of the request, with variables.
    #[serde(default)]
    pub headers: BTreeMap<String, FileText>,
    /// Its body, with variables in its strings.
    #[serde(default)]
    pub json: serde_json::Value,
    /// What is kept of the answer: a name, and a JSON pointer to its value. `id: /data/user/_id`.
    #[serde(default)]
    pub take: BTreeMap<String, String>,
}

/// How queued events are listed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEvents {
    /// Path of a GET, with `${user.id}`.
    #[schemars(regex(pattern = "^/"))]
    pub get: String,
    /// Headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, FileText>,
    /// Where the list stands in the answer: a JSON pointer. Left out: the answer is the list.
    #[serde(default)]
    #[schemars(regex(pattern = "^(/.*)?$"))]
    pub items: String,
    /// Where in each of them the status stands: a JSON pointer.
    #[schemars(regex(pattern = "^(/.*)?$"))]
    pub status: Option<String>,
}

/// The same for all dialects, or for each that is named.
#[derive(Debug, Clone)]
pub enum PerDialect<T> {
    /// For all.
    All(T),
    /// For these.
    Each(BTreeMap<Dialect, T>),
}

impl<T> PerDialect<T> {
    /// By dialect.
    #[must_use]
    pub fn by_dialect(self) -> BTreeMap<Dialect, T>
    where
        T: Clone,
    {
        match self {
            Self::All(all) => Dialect::ALL
                .iter()
                .map(|dialect| (*dialect, all.clone()))
                .collect(),
            Self::Each(each) => each,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PerDialect<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PerDialectVisitor(PhantomData))
    }
}

struct PerDialectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for PerDialectVisitor<T> {
    type Value = PerDialect<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a mapping, or one for each dialect")
    }

    /// The first key decides: a dialect's name, or a key of what is the same for all.
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<PerDialect<T>, A::Error> {
        use serde::de::Error as _;
        let first = map.next_key::<String>()?;
        let Some(first) = first else {
            return Err(A::Error::custom("empty: say how"));
        };
        let Ok(dialect) = first.parse::<Dialect>() else {
            let rest = serde::de::value::MapAccessDeserializer::new(Resumed {
                first: Some(first),
                rest: map,
            });
            return T::deserialize(rest).map(PerDialect::All);
        };
        let mut each = BTreeMap::from([(dialect, map.next_value()?)]);
        while let Some(name) = map.next_key::<String>()? {
            let dialect = name.parse::<Dialect>().map_err(A::Error::custom)?;
            each.insert(dialect, map.next_value()?);
        }
        Ok(PerDialect::Each(each))
    }
}

/// A mapping whose first key was read already.
struct Resumed<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: serde::de::MapAccess<'de>> serde::de::MapAccess<'de> for Resumed<A> {
    type Error = A::Error;

    fn next_key_seed<K: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: serde::de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}

/// Where a dialect is, if not at its documented paths.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePaths {
    /// Path of the WebSocket.
    #[schemars(regex(pattern = "^/"))]
    pub ws: Option<String>,
    /// Root of the HTTP endpoints.
    #[schemars(regex(pattern = "^/"))]
    pub http: Option<String>,
}

/// A request to the server, or a command on this machine. Exactly one of `post`, `put`, `delete`, `command`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = schema::one_of(&["post", "put", "delete", "command"])))]
pub struct FileCall {
    /// Path of a POST.
    #[schemars(regex(pattern = "^/"))]
    pub post: Option<String>,
    /// Path of a PUT.
    #[schemars(regex(pattern = "^/"))]
    pub put: Option<String>,
    /// Path of a DELETE.
    #[schemars(regex(pattern = "^/"))]
    pub delete: Option<String>,
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    #[serde(default)]
    #[schemars(schema_with = "schema::optional_time")]
    pub deadline: Option<FixedDuration>,
}

/// How a spawned server shows that it is ready.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileReady {
    /// It accepts TCP.
    #[default]
    Tcp,
    /// This path answers 2xx.
    Http(String),
}

/// The signal that asks a server to stop.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
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
