//! The secrets: from files of their own or from the environment, never from the command line or the configuration
//! file, and never shown.

use std::path::Path;

use touchstone_protocol::Dialect;
use touchstone_server::{AuthConfig, Config, DialectAuth, Secret};

use super::{Environment, Origin, Resolved, Settings};
use crate::exit::Failure;

/// Where secrets come from, as advice.
pub(crate) const WHERE_FROM: &str = "secrets come from a file of their own (--secret-file, auth.secret_file, --admin-key-file, admin.key_file) or from \
     the environment (TOUCHSTONE_SECRET, TOUCHSTONE_ADMIN_KEY)";

/// HMAC-SHA256 has no use for more, and with less it is weaker than it looks (RFC 7518, 3.2).
const SECRET_BYTES_WANTED: usize = 32;

/// The key of the admin API.
const ADMIN_KEY: &str = "admin.key";
/// The secret of all dialects.
const COMMON: &str = "auth.secret";

/// A secret: where its value may come from, and which it is of the configuration.
struct Place {
    /// Its name where it is spoken of.
    name: &'static str,
    /// The key of its file.
    file_key: &'static str,
    /// What it is, in messages.
    what: &'static str,
    /// Its variables; the first that is set counts.
    variables: &'static [&'static str],
    file: fn(&Settings) -> Option<&Path>,
    set: fn(&mut Settings, Secret),
}

const PLACES: &[Place] = &[
    Place {
        name: ADMIN_KEY,
        file_key: "admin.key_file",
        what: "admin key",
        variables: &["TOUCHSTONE_ADMIN_KEY"],
        file: |settings| settings.admin_key_file.as_deref(),
        set: |settings, secret| settings.server.admin_key = Some(secret),
    },
    Place {
        name: COMMON,
        file_key: "auth.secret_file",
        what: "secret",
        variables: &["TOUCHSTONE_SECRET", "JWT_SECRET"],
        file: |settings| settings.secret_file.as_deref(),
        set: |settings, secret| settings.server.auth.secret = Some(secret),
    },
    Place {
        name: "rooms.auth.secret",
        file_key: "rooms.auth.secret_file",
        what: "secret",
        variables: &["TOUCHSTONE_ROOMS_SECRET"],
        file: |settings| settings.rooms_secret_file.as_deref(),
        set: |settings, secret| settings.server.rooms.auth.secret = Some(secret),
    },
    Place {
        name: "outbox.auth.secret",
        file_key: "outbox.auth.secret_file",
        what: "secret",
        variables: &["TOUCHSTONE_OUTBOX_SECRET"],
        file: |settings| settings.outbox_secret_file.as_deref(),
        set: |settings, secret| settings.server.outbox.auth.secret = Some(secret),
    },
    Place {
        name: "feed.auth.secret",
        file_key: "feed.auth.secret_file",
        what: "secret",
        variables: &["TOUCHSTONE_FEED_SECRET"],
        file: |settings| settings.feed_secret_file.as_deref(),
        set: |settings, secret| settings.server.feed.auth.secret = Some(secret),
    },
    Place {
        name: "direct.auth.secret",
        file_key: "direct.auth.secret_file",
        what: "secret",
        variables: &["TOUCHSTONE_DIRECT_SECRET"],
        file: |settings| settings.direct_secret_file.as_deref(),
        set: |settings, secret| settings.server.direct.auth.secret = Some(secret),
    },
];

/// The name that the document of `feed` has for its secret; it counts where nothing else is set (common/3e).
const FEED_SECRET: &str = "SECRET_KEY";

/// The variables that hold secrets and begin as ours do.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    PLACES.iter().flat_map(|place| place.variables).copied()
}

/// Whether somebody who writes this name, which is no key, wants to write a secret.
pub(super) fn is_one(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    ["secret", "password", "token", "key"].iter().any(|word| {
        last == *word || last.ends_with(&format!("_{word}")) || last.starts_with(&format!("{word}_"))
    })
}

/// Where the secrets came from.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(Vec<(&'static str, Origin)>);

impl Secrets {
    /// The secrets, each with its origin; [`Origin::Default`] is one that is not set.
    pub(super) fn origins(&self) -> Vec<(&'static str, Origin)> {
        self.0.clone()
    }
}

/// Reads the secrets into the settings: a file over the variables, in their order.
///
/// # Errors
/// If a file cannot be read, or is empty.
pub(crate) fn read(resolved: &mut Resolved, environment: &Environment) -> Result<Secrets, Failure> {
    let mut origins = Vec::new();
    for place in PLACES {
        let from_variable = || {
            place
                .variables
                .iter()
                .find_map(|name| Some((environment.get(name)?.to_owned(), variable(name))))
        };
        let found = match (place.file)(&resolved.settings) {
            Some(file) => Some((from_file(place.what, file)?, resolved.origins.of(place.file_key))),
            None => from_variable(),
        };
        let of_feed = || {
            let is_wanted =
                place.name == "feed.auth.secret" && resolved.settings.server.auth.secret.is_none();
            let key = environment.get(FEED_SECRET).filter(|_| is_wanted)?;
            Some((key.to_owned(), variable(FEED_SECRET)))
        };
        let Some((text, origin)) = found.or_else(of_feed) else {
            origins.push((place.name, Origin::Default));
            continue;
        };
        if text.len() < SECRET_BYTES_WANTED && place.what == "secret" {
            resolved.warnings.push(format!(
                "the secret `{}` ({origin}) has {} bytes; with fewer than {SECRET_BYTES_WANTED} it can be guessed",
                place.name,
                text.len()
            ));
        }
        (place.set)(&mut resolved.settings, Secret::new(text));
        origins.push((place.name, origin));
    }
    Ok(Secrets(origins))
}

fn variable(name: &str) -> Origin {
    Origin::Environment(name.to_owned())
}

/// The secret in a file, without the white space around it.
pub(crate) fn from_file(what: &str, file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!(
            "could not read the {what} file {}: {error}",
            file.display()
        ))
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(format!(
            "the {what} file {} is empty",
            file.display()
        )));
    }
    Ok(text.to_owned())
}

/// The keys of whoever started us take the place of all others.
pub(crate) fn replace(settings: &mut Settings, secret: Option<String>, admin_key: String) {
    let server = &mut settings.server;
    server.admin_key = Some(Secret::new(admin_key));
    if let Some(secret) = secret {
        server.auth.secret = Some(Secret::new(secret));
        for own in [
            &mut server.rooms.auth,
            &mut server.outbox.auth,
            &mut server.feed.auth,
            &mut server.direct.auth,
        ] {
            own.secret = None;
        }
    }
}

/// Refuses to serve a dialect whose tokens could not be checked (common/3e).
pub(crate) fn check_complete(settings: &Settings) -> Result<(), Failure> {
    let server = &settings.server;
    let auth = &server.auth;
    if auth.secret.is_some() || auth.jwks.is_some() || !auth.public_keys.is_empty() {
        return Ok(());
    }
    let without: Vec<&str> = server
        .dialects
        .iter()
        .filter(|dialect| !has_secret(settings, **dialect))
        .map(|dialect| dialect.name())
        .collect();
    if without.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "no secret for {}: their tokens could not be checked\n  \
         in production: --secret-file FILE, or TOUCHSTONE_SECRET\n  \
         to try it out: --dev, which makes one up and listens on loopback only",
        without.join(", ")
    )))
}

/// Whether a dialect has a secret of its own, or needs none.
fn has_secret(settings: &Settings, dialect: Dialect) -> bool {
    own(&settings.server, dialect).is_none_or(|own| own.secret.is_some())
}

/// What a dialect has of its own; `None` for one without tokens.
const fn own(server: &Config, dialect: Dialect) -> Option<&DialectAuth> {
    match dialect {
        Dialect::Echo => None,
        Dialect::Rooms => Some(&server.rooms.auth),
        Dialect::Outbox => Some(&server.outbox.auth),
        Dialect::Feed => Some(&server.feed.auth),
        Dialect::Direct => Some(&server.direct.auth),
    }
}

/// What signs the tokens of a dialect: the secret in `file`, or what `serve` would find in the environment.
///
/// # Errors
/// If the dialect has no tokens, or there is no secret.
pub(crate) fn of_dialect(
    dialect: Dialect,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<(AuthConfig, DialectAuth), Failure> {
    let mut resolved = Resolved::default();
    read(&mut resolved, environment)?;
    let server = resolved.settings.server;
    let own = own(&server, dialect)
        .ok_or_else(|| Failure::usage(format!("`{dialect}` has no users and no tokens")))?;
    let (mut common, mut own) = (server.auth.clone(), own.clone());
    if let Some(file) = file {
        common.secret = Some(Secret::new(from_file("secret", file)?));
        own.secret = None;
    }
    if common.secret.is_none() && own.secret.is_none() {
        return Err(Failure::usage(
            "no secret to sign with: give --secret-file FILE, or set TOUCHSTONE_SECRET",
        ));
    }
    Ok((common, own))
}

/// The flag that makes a secret up.
const DEV: &str = "--dev";

/// For the first five minutes: a secret that nobody knows, and only this machine can connect.
///
/// # Errors
/// If a secret is configured, or an address that others can reach.
pub(crate) fn make_up(settings: &mut Settings, secrets: &mut Secrets) -> Result<(), Failure> {
    for (name, origin) in &secrets.0 {
        if *name != ADMIN_KEY && *origin != Origin::Default {
            return Err(Failure::usage(format!(
                "{DEV} makes a secret up, and `{name}` is set ({origin}): leave one of them out"
            )));
        }
    }
    let server = &mut settings.server;
    let addresses = server.listen.iter().chain(&server.admin_listen);
    if let Some(address) = addresses.into_iter().find(|address| !address.ip().is_loopback()) {
        return Err(Failure::usage(format!(
            "{DEV} listens on loopback only, and {address} is not: give a secret with --secret-file FILE instead"
        )));
    }
    let mut bytes = [0; SECRET_BYTES_WANTED];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::usage(format!("this machine gives no random bytes: {error}")))?;
    server.auth.secret = Some(Secret::new(bytes));
    secrets.0.retain(|(name, _)| *name != COMMON);
    secrets.0.push((COMMON, Origin::Flag(DEV.to_owned())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table;

    #[test]
    fn every_secret_has_a_key_for_its_file() {
        for place in PLACES {
            assert!(table::find(place.file_key).is_some(), "{}", place.file_key);
            assert!(is_one(place.name), "{}", place.name);
            assert!(table::find(place.name).is_none(), "{}", place.name);
        }
    }
}
