//! How tokens, users and channels come to be on a target: what its file says, with exactly one way chosen.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use touchstone_protocol::Dialect;
use touchstone_scenarios::template::Template;

use crate::file::{
    FileAuth, FileChannels, FileSecret, FileTenants, FileText, FileUsers, FileWay, PerDialect,
};
use crate::target::{TargetError, one_of, texts};
use crate::tokens::Algorithm;

/// How a token comes to be.
#[derive(Debug, Clone)]
pub enum TokensBy {
    /// We sign it.
    Secret(Signing),
    /// The server gives it out.
    Login {
        /// By this request.
        way: FileWay,
        /// A JSON pointer to it in the answer.
        token: String,
    },
    /// A program writes it.
    Command(Vec<String>),
}

/// What tokens are signed with.
#[derive(Clone)]
pub struct Signing {
    pub(crate) secret: String,
    pub(crate) algorithm: Algorithm,
    /// In place of the spec's.
    pub(crate) claims: Option<Template>,
}

impl Signing {
    /// HS256, and the claims of the spec.
    pub(crate) fn with(secret: String) -> Self {
        Self {
            secret,
            algorithm: Algorithm::default(),
            claims: None,
        }
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signing({:?})", self.algorithm)
    }
}

/// How users come to be.
#[derive(Debug, Clone)]
pub enum UsersBy {
    /// By the admin interface.
    Admin(AdminKey),
    /// By requests.
    Steps(Vec<FileWay>),
    /// By a program.
    Command(Vec<String>),
    /// They are there already.
    List(Vec<Map<String, Value>>),
}

/// The key of an admin interface.
#[derive(Clone, PartialEq, Eq)]
pub enum AdminKey {
    /// The one that the built-in server was told.
    Told,
    /// This one.
    Is(String),
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminKey(…)")
    }
}

/// How a channel or a tenant comes to be, where it is not by the admin interface.
#[derive(Debug, Clone)]
pub enum MadeBy {
    /// By a request.
    Way(FileWay),
    /// By a program.
    Command(Vec<String>),
}

/// What a target file says of them, by dialect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    pub(crate) auth: BTreeMap<Dialect, TokensBy>,
    pub(crate) users: BTreeMap<Dialect, UsersBy>,
    pub(crate) tenants: BTreeMap<Dialect, MadeBy>,
    pub(crate) channels: BTreeMap<Dialect, MadeBy>,
}

impl Accounts {
    /// Texts that must never appear in a report.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let keys = self.users.values().filter_map(|users| match users {
            UsersBy::Admin(AdminKey::Is(key)) => Some(key.as_str()),
            UsersBy::Admin(AdminKey::Told) | UsersBy::Steps(_) | UsersBy::Command(_) | UsersBy::List(_) => {
                None
            }
        });
        let secrets = self.auth.values().filter_map(|auth| match auth {
            TokensBy::Secret(signing) => Some(signing.secret.as_str()),
            TokensBy::Login { .. } | TokensBy::Command(_) => None,
        });
        keys.chain(secrets)
    }

    pub(crate) fn read(
        auth: Option<PerDialect<FileAuth>>,
        users: Option<PerDialect<FileUsers>>,
        tenants: Option<PerDialect<FileTenants>>,
        channels: Option<PerDialect<FileChannels>>,
    ) -> Result<Self, TargetError> {
        Ok(Self {
            auth: each("auth", auth, tokens_by)?,
            users: each("users", users, users_by)?,
            tenants: each("tenants", tenants, tenants_by)?,
            channels: each("channels", channels, channels_by)?,
        })
    }
}

fn each<F: Clone, T>(
    key: &str,
    file: Option<PerDialect<F>>,
    read: fn(&str, F) -> Result<T, TargetError>,
) -> Result<BTreeMap<Dialect, T>, TargetError> {
    let by_dialect = matches!(file, Some(PerDialect::Each(_)));
    let entries = file.map(PerDialect::by_dialect).unwrap_or_default();
    entries
        .into_iter()
        .map(|(dialect, entry)| {
            let key = if by_dialect {
                format!("{key}.{dialect}")
            } else {
                key.to_owned()
            };
            Ok((dialect, read(&key, entry)?))
        })
        .collect()
}

fn tokens_by(key: &str, auth: FileAuth) -> Result<TokensBy, TargetError> {
    match (auth.secret, auth.login, auth.command.is_empty()) {
        (Some(secret), None, true) => signing(&format!("{key}.secret"), secret).map(TokensBy::Secret),
        (None, Some(login), true) => Ok(TokensBy::Login {
            way: FileWay {
                post: Some(login.post),
                headers: login.headers,
                json: login.json,
                ..FileWay::default()
            },
            token: login.token,
        }),
        (None, None, false) => Ok(TokensBy::Command(auth.command)),
        _ => Err(one_of(key, "secret, login and command")),
    }
}

fn signing(key: &str, secret: FileSecret) -> Result<Signing, TargetError> {
    let found = match (secret.env, secret.file, secret.text) {
        (Some(name), None, None) => looked_up(key, "env", FileText::Env(name))?,
        (None, Some(path), None) => read_secret(key, &path)?,
        (None, None, Some(text)) => text,
        _ => return Err(one_of(key, "env, file and text")),
    };
    Ok(Signing {
        secret: found,
        algorithm: secret.algorithm,
        claims: secret.claims.map(Template::new),
    })
}

fn users_by(key: &str, users: FileUsers) -> Result<UsersBy, TargetError> {
    match (
        users.admin,
        users.steps.is_empty(),
        users.command.is_empty(),
        users.list.is_empty(),
    ) {
        (Some(admin), true, true, true) => Ok(UsersBy::Admin(AdminKey::Is(looked_up(
            &format!("{key}.admin"),
            "key",
            admin.key,
        )?))),
        (None, false, true, true) => Ok(UsersBy::Steps(users.steps)),
        (None, true, false, true) => Ok(UsersBy::Command(users.command)),
        (None, true, true, false) => Ok(UsersBy::List(users.list)),
        _ => Err(one_of(key, "admin, steps, command and list")),
    }
}

fn tenants_by(key: &str, tenants: FileTenants) -> Result<MadeBy, TargetError> {
    made_by(key, tenants.step, tenants.command)
}

fn channels_by(key: &str, channels: FileChannels) -> Result<MadeBy, TargetError> {
    made_by(key, channels.step, channels.command)
}

fn made_by(key: &str, step: Option<FileWay>, command: Vec<String>) -> Result<MadeBy, TargetError> {
    match (step, command.is_empty()) {
        (Some(way), true) => Ok(MadeBy::Way(way)),
        (None, false) => Ok(MadeBy::Command(command)),
        _ => Err(one_of(key, "step and command")),
    }
}

/// What a file holds, without the end of its line.
fn read_secret(key: &str, path: &std::path::Path) -> Result<String, TargetError> {
    let key = format!("{key}.file");
    let read = std::fs::read_to_string(path).map_err(|error| {
        TargetError::key(
            &key,
            format!("`{key}`: could not read {}: {error}", path.display()),
        )
    })?;
    match read.trim_end_matches(['\n', '\r']) {
        "" => Err(TargetError::key(
            &key,
            format!("`{key}`: {} is empty", path.display()),
        )),
        secret => Ok(secret.to_owned()),
    }
}

/// A text, or what the environment holds.
fn looked_up(key: &str, name: &str, text: FileText) -> Result<String, TargetError> {
    let found = texts(key, BTreeMap::from([(name.to_owned(), text)]))?;
    Ok(found.into_iter().next().map(|(_, text)| text).unwrap_or_default())
}
