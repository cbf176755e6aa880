//! What serde cannot say of a target file: names from closed lists, values that exclude each other, variables that
//! nobody fills. Each mistake names its key, by which its place in the file is found.

use std::collections::BTreeMap;

use serde_json::Value;
use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::{Diag, closest, slip_of};
use touchstone_scenarios::duration::TIMINGS;
use touchstone_scenarios::read::{LIMITS, REQUIREMENTS};
use touchstone_scenarios::source::{Source, Span};
use touchstone_scenarios::template::Template;
use touchstone_scenarios::yaml::{self, Kind, Node};

use super::operate::{ACTS, Act};
use super::{Part, TargetError};
use crate::file::{
    FileAuth, FileCall, FileChannels, FileEvents, FileTenants, FileText, FileUsers, FileWay, PerDialect,
    TargetFile,
};

/// Who can be told something by `inject`.
pub(crate) const AUDIENCES: [&str; 4] = ["user", "users", "channel", "all"];
/// What can be made to fail.
pub(crate) const FAULTS: [&str; 2] = ["store", "handler"];

/// Variables of a request that makes the server emit.
const OF_INJECT: &[&str] = &["to", "type", "data", "scheduled_at", "tenant"];
/// Of one that makes it fail.
const OF_FAULTS: &[&str] = &["mode", "for", "seconds", "times"];
const OF_USERS: &[&str] = &["user"];
const OF_TENANTS: &[&str] = &["tenant"];
const OF_CHANNELS: &[&str] = &["channel", "tenant", "user"];
const OF_CLAIMS: &[&str] = &["user", "tenant"];

type Checked = Result<(), TargetError>;

/// Looks at all of a file that its types let through.
pub(super) fn check(file: &TargetFile) -> Checked {
    for (index, name) in file.dialects.iter().enumerate() {
        dialect_named(&format!("dialects.{index}"), name)?;
    }
    for (name, paths) in &file.paths {
        dialect_named(&format!("paths.{name}"), name)?;
        for (key, path) in [("ws", &paths.ws), ("http", &paths.http)] {
            rooted(&format!("paths.{name}.{key}"), path.as_deref())?;
        }
    }
    for name in file.timings.keys() {
        known("timings", name, TIMINGS, "a timing that the suite asks for")?;
    }
    for name in file.limits.keys() {
        no_slip("limits", name, LIMITS)?;
    }
    for name in file.capabilities.keys() {
        no_slip("capabilities", name, REQUIREMENTS)?;
    }
    for (dialect, ways) in &file.inject {
        dialect_named(&format!("inject.{dialect}"), dialect)?;
        for (audience, way) in ways {
            known(&format!("inject.{dialect}"), audience, &AUDIENCES, "an audience")?;
            call(&format!("inject.{dialect}.{audience}"), way, OF_INJECT)?;
        }
    }
    for (dialect, ways) in &file.operate {
        dialect_named(&format!("operate.{dialect}"), dialect)?;
        for (name, way) in ways {
            let act = act_named(&format!("operate.{dialect}"), name)?;
            call(&format!("operate.{dialect}.{name}"), way, act.variables())?;
        }
    }
    for (kind, way) in &file.faults {
        known("faults", kind, &FAULTS, "something that a scenario makes fail")?;
        call(&format!("faults.{kind}"), way, OF_FAULTS)?;
    }
    for (dialect, listed) in &file.events {
        dialect_named(&format!("events.{dialect}"), dialect)?;
        events(&format!("events.{dialect}"), listed)?;
    }
    per_dialect("auth", file.auth.as_ref(), auth)?;
    per_dialect("users", file.users.as_ref(), users)?;
    per_dialect("tenants", file.tenants.as_ref(), tenants)?;
    per_dialect("channels", file.channels.as_ref(), channels)
}

/// The one of this name; `broadcast` and the like are somewhere else.
pub(super) fn act_named(key: &str, name: &str) -> Result<Act, TargetError> {
    let names = ACTS.map(Act::name);
    known(key, name, &names, "something that an operator does")?;
    Ok(Act::named(name).expect("a name among those of all acts is one's name"))
}

fn per_dialect<T>(key: &str, entry: Option<&PerDialect<T>>, check: fn(&str, &T) -> Checked) -> Checked {
    match entry {
        None => Ok(()),
        Some(PerDialect::All(all)) => check(key, all),
        Some(PerDialect::Each(each)) => each
            .iter()
            .try_for_each(|(dialect, entry)| check(&format!("{key}.{dialect}"), entry)),
    }
}

fn auth(key: &str, auth: &FileAuth) -> Checked {
    if let Some(login) = &auth.login {
        let key = format!("{key}.login");
        rooted(&format!("{key}.post"), Some(&login.post))?;
        pointer(&format!("{key}.token"), &login.token)?;
        variables(&format!("{key}.post"), &login.post.as_str().into(), OF_USERS)?;
        headers(&key, &login.headers, OF_USERS)?;
        variables(&format!("{key}.json"), &login.json, OF_USERS)?;
    }
    if let Some(claims) = auth.secret.as_ref().and_then(|secret| secret.claims.as_ref()) {
        let key = format!("{key}.secret.claims");
        if !claims.is_object() {
            return Err(TargetError::key(&key, format!("`{key}` is no mapping of claims")));
        }
        variables(&key, claims, OF_CLAIMS)?;
    }
    words(&format!("{key}.command"), &auth.command, OF_USERS)
}

fn users(key: &str, users: &FileUsers) -> Checked {
    for (index, step) in users.steps.iter().enumerate() {
        way(&format!("{key}.steps.{index}"), step, OF_USERS)?;
    }
    words(&format!("{key}.command"), &users.command, OF_USERS)
}

fn tenants(key: &str, tenants: &FileTenants) -> Checked {
    if let Some(step) = &tenants.step {
        way(&format!("{key}.step"), step, OF_TENANTS)?;
    }
    words(&format!("{key}.command"), &tenants.command, OF_TENANTS)
}

fn channels(key: &str, channels: &FileChannels) -> Checked {
    if let Some(step) = &channels.step {
        way(&format!("{key}.step"), step, OF_CHANNELS)?;
    }
    words(&format!("{key}.command"), &channels.command, OF_CHANNELS)
}

fn events(key: &str, events: &FileEvents) -> Checked {
    rooted(&format!("{key}.get"), Some(&events.get))?;
    variables(&format!("{key}.get"), &events.get.as_str().into(), OF_USERS)?;
    headers(key, &events.headers, OF_USERS)?;
    pointer(&format!("{key}.items"), &events.items)?;
    events
        .status
        .iter()
        .try_for_each(|status| pointer(&format!("{key}.status"), status))
}

fn way(key: &str, way: &FileWay, known: &[&str]) -> Checked {
    let named = [
        ("get", &way.get),
        ("post", &way.post),
        ("put", &way.put),
        ("patch", &way.patch),
    ];
    let paths: Vec<_> = named
        .iter()
        .filter_map(|(method, path)| Some((method, path.as_deref()?)))
        .collect();
    let [(method, path)] = paths.as_slice() else {
        return Err(one_of(key, "get, post, put and patch"));
    };
    request(key, (method, path), (&way.headers, &way.json), known)?;
    way.take
        .iter()
        .try_for_each(|(name, place)| pointer(&format!("{key}.take.{name}"), place))
}

fn call(key: &str, call: &FileCall, known: &[&str]) -> Checked {
    let named = [("post", &call.post), ("put", &call.put), ("delete", &call.delete)];
    let paths: Vec<_> = named
        .iter()
        .filter_map(|(method, path)| Some((*method, path.as_deref()?)))
        .collect();
    match (paths.as_slice(), call.command.as_slice()) {
        ([], [_, ..]) => words(&format!("{key}.command"), &call.command, known),
        ([named], []) => request(key, *named, (&call.headers, &call.json), known),
        _ => Err(one_of(key, "post, put, delete and command")),
    }
}

fn request(
    key: &str,
    (method, path): (&str, &str),
    (fields, json): (&BTreeMap<String, FileText>, &Value),
    known: &[&str],
) -> Checked {
    rooted(&format!("{key}.{method}"), Some(path))?;
    variables(&format!("{key}.{method}"), &path.into(), known)?;
    headers(key, fields, known)?;
    variables(&format!("{key}.json"), json, known)
}

fn headers(key: &str, headers: &BTreeMap<String, FileText>, known: &[&str]) -> Checked {
    headers.iter().try_for_each(|(name, text)| match text {
        FileText::Literal(text) => variables(&format!("{key}.headers.{name}"), &text.as_str().into(), known),
        FileText::Env(_) => Ok(()),
    })
}

fn words(key: &str, words: &[String], known: &[&str]) -> Checked {
    words
        .iter()
        .enumerate()
        .try_for_each(|(index, word)| variables(&format!("{key}.{index}"), &word.as_str().into(), known))
}

/// Every variable in the strings of a value has to be one that is filled there.
fn variables(key: &str, value: &Value, known: &[&str]) -> Checked {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| variables(&format!("{key}.{index}"), item, known)),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, field)| variables(&format!("{key}.{name}"), field, known)),
        Value::String(_) => variables_of_text(key, value, known),
    }
}

fn variables_of_text(key: &str, text: &Value, known: &[&str]) -> Checked {
    let template = Template::new(text.clone());
    let references = template.references().map_err(|error| {
        TargetError::key(key, error.to_string())
            .with_help("a variable is `${name}` or `${name.field}`; write `$$` for a dollar")
    })?;
    for reference in references {
        let name = reference.name.split('.').next().unwrap_or_default();
        if !known.contains(&name) {
            let written: Vec<String> = known.iter().map(|name| format!("${{{name}}}")).collect();
            let message = format!("the variable `{}` is not known here", reference.name);
            let help = if written.is_empty() {
                "there is none: nothing is said of what is to be done".to_owned()
            } else {
                format!("there is: {}", written.join(", "))
            };
            return Err(TargetError::key(key, message).with_help(help));
        }
    }
    Ok(())
}

/// A path begins at the root: what is before it is in `urls`.
fn rooted(key: &str, path: Option<&str>) -> Checked {
    match path {
        Some(path) if !path.starts_with('/') => Err(TargetError::key(
            key,
            format!("the path `{path}` does not begin with a slash"),
        )
        .with_help("host and port are in `urls`; a path is everything after them: /v1/users")),
        Some(_) | None => Ok(()),
    }
}

fn pointer(key: &str, place: &str) -> Checked {
    if place.is_empty() || place.starts_with('/') {
        return Ok(());
    }
    let pointer = place.replace('.', "/");
    Err(TargetError::key(
        key,
        format!("`{place}` is no JSON pointer: it does not begin with a slash"),
    )
    .with_help(format!("did you mean `/{pointer}`?")))
}

pub(super) fn dialect_named(key: &str, name: &str) -> Result<Dialect, TargetError> {
    name.parse().map_err(|error| {
        let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        // In a list the name is the value; everywhere else it is the key, and its value says nothing.
        let wrong = if key.starts_with("dialects.") {
            TargetError::key(key, format!("{error}"))
        } else {
            TargetError::name(key, format!("{error}"))
        };
        match closest(name, &names) {
            Some(best) => wrong.with_help(format!("did you mean `{best}`?")),
            None => wrong,
        }
    })
}

fn known(key: &str, name: &str, known: &[&str], what: &str) -> Checked {
    if known.contains(&name) {
        return Ok(());
    }
    let help = closest(name, known).map_or_else(
        || format!("there is: {}", known.join(", ")),
        |best| format!("did you mean `{best}`?"),
    );
    Err(TargetError::name(&format!("{key}.{name}"), format!("`{name}` is not {what}")).with_help(help))
}

/// A list that is open to names of somebody's own, but not to a slip of the pen: `restrat: false` would skip nothing,
/// and nobody would see why.
fn no_slip(key: &str, name: &str, known: &[&str]) -> Checked {
    // Of `compression.context_takeover` the first part is known, of `limits.own` none is meant.
    let first = name.split('.').next().unwrap_or_default();
    if known.contains(&first) {
        return Ok(());
    }
    match slip_of(first, known) {
        Some(best) => Err(TargetError::name(
            &format!("{key}.{name}"),
            format!("`{name}` is not known, and nearly the same as `{best}`"),
        )
        .with_help("write that, or give one of your own a name that cannot be mistaken for it")),
        None => Ok(()),
    }
}

pub(crate) fn one_of(key: &str, names: &str) -> TargetError {
    TargetError::key(key, format!("`{key}` needs exactly one of {names}"))
}

/// What the reader of YAML says, with what it cannot know of target files.
pub(super) fn explained(diag: Diag) -> Diag {
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    let word = diag
        .source
        .text
        .get(diag.span.start..diag.span.end)
        .unwrap_or_default()
        .to_owned();
    match (diag.code, slip_of(&word, &names)) {
        ("empty", _) => diag.help("a target file has at least `urls: [\"ws://127.0.0.1:8080\"]`"),
        ("unknown-key", Some(dialect)) => diag.help(format!("did you mean the dialect `{dialect}`?")),
        _ => diag,
    }
}

/// The diagnostic of a mistake in `source`, at the value of its key, or as near to it as the file goes.
pub(super) fn placed(
    source: &std::sync::Arc<Source>,
    (key, part): (&str, Part),
    message: String,
    help: Option<String>,
) -> Diag {
    let span = yaml::parse(source).map_or(Span::default(), |root| place_of(&root, key, part));
    let diag = Diag::new("target", source, span, message);
    match help {
        Some(help) => diag.help(help),
        None => diag,
    }
}

/// Where a key with its dots stands: `users.direct.steps.0.post`. A dialect that the file does not name is passed over,
/// and a key may have dots of its own.
fn place_of(root: &Node, key: &str, part: Part) -> Span {
    let mut rest: Vec<&str> = key.split('.').collect();
    let mut node = root;
    let mut span = Span::default();
    while !rest.is_empty() {
        let found = match &node.kind {
            Kind::Map(entries) => (1..=rest.len()).rev().find_map(|length| {
                let name = rest[..length].join(".");
                let entry = entries.iter().find(|(key, _)| key.value == name)?;
                Some((length, entry.0.span, &entry.1))
            }),
            Kind::List(items) => rest[0]
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index))
                .map(|item| (1, item.span, item)),
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) => None,
        };
        match found {
            Some((length, at, value)) => {
                rest.drain(..length);
                node = value;
                span = at;
            }
            None if rest[0].parse::<Dialect>().is_ok() => {
                rest.remove(0);
            }
            None => return span,
        }
    }
    match (part, &node.kind) {
        (Part::Value, Kind::String(_) | Kind::Number(_) | Kind::Boolean(_))
            if node.span.end > node.span.start =>
        {
            node.span
        }
        _ => span,
    }
}
