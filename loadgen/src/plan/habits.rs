//! What goes together with what the users of a protocol do: signs of life, and files of values.

use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::closest;

use super::{PlanError, Protocol};
use crate::custom::PLACES;
use crate::feed::USERS;
use crate::workload::values::RowOrder;
use crate::workload::{ModelName, Workload};

fn wrong(key: &str, why: &str, help: &str) -> PlanError {
    PlanError::Wrong {
        key: key.to_owned(),
        why: why.to_owned(),
        help: Some(help.to_owned()),
    }
}

/// `heartbeat` is for those who say something unasked.
pub(super) fn check_heartbeat(workload: &Workload, protocol: &Protocol) -> Result<(), PlanError> {
    if workload.heartbeat.is_none() {
        return Ok(());
    }
    let (why, help) = match protocol {
        Protocol::Custom(protocol) if protocol.beats() => return Ok(()),
        Protocol::Custom(_) => (
            "`custom.heartbeat.send` does not say what clients say",
            "write for example `send: {every: 30s, text: ping}` there",
        ),
        Protocol::Dialect(Dialect::Rooms | Dialect::Outbox) => return Ok(()),
        Protocol::Dialect(Dialect::Echo) => (
            "clients of `echo` say nothing unasked: its server says the time, and wants nothing back (echo/8a)",
            "of the built-in server: `timings: {echo.heartbeat.interval: 10s}`",
        ),
        Protocol::Dialect(Dialect::Feed) => (
            "clients of `feed` say nothing unasked: its server says `PING`, and each is answered with `PONG` (feed/7a)",
            "of the built-in server: `timings: {feed.heartbeat.interval: 10s}`",
        ),
        Protocol::Dialect(Dialect::Direct) => (
            "clients of `direct` say nothing unasked: its server sends pings, and each is answered with a pong (direct/11a)",
            "of the built-in server: `timings: {direct.heartbeat.interval: 10s}`",
        ),
    };
    Err(wrong("heartbeat", why, help))
}

/// What the names of files may be, and which rows can be counted.
pub(super) fn check_feeds(workload: &Workload) -> Result<(), PlanError> {
    for (name, feeder) in &workload.feed {
        let key = format!("feed.{name}");
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(wrong(
                &key,
                &format!("`{name}` is no name for templates"),
                "letters, digits, `_` and `-` are",
            ));
        }
        if ["user", "recipient"].contains(&name.as_str()) || PLACES.contains(&name.as_str()) {
            let why = format!("`{name}` stands for something else in templates");
            return Err(wrong(
                &key,
                &why,
                "give the file another name, or call it `users`",
            ));
        }
        if name != USERS && feeder.rows == RowOrder::Unique {
            check_unique(workload, &format!("{key}.rows"))?;
        }
    }
    Ok(())
}

fn check_unique(workload: &Workload, key: &str) -> Result<(), PlanError> {
    if workload.model == ModelName::Closed {
        return Err(wrong(
            key,
            "in a closed model nobody knows how many turns there are, and so how many rows they take",
            "write `rows: cyclic`, or `model: open`",
        ));
    }
    if workload.first_session > 0 {
        return Err(wrong(
            key,
            "who shares a file with other generators does not know which rows they take",
            "give each a file of its own, or write `rows: cyclic`",
        ));
    }
    Ok(())
}

/// Whether somebody uses each file.
pub(super) fn check_feeds_of(workload: &Workload, protocol: &Protocol) -> Result<(), PlanError> {
    let names = crate::feed::names(workload);
    match protocol {
        Protocol::Dialect(Dialect::Echo) if workload.feed.contains_key(USERS) => Err(wrong(
            "feed.users",
            "`echo` has no users: the run names its sessions itself",
            "leave it out",
        )),
        Protocol::Dialect(dialect) => match names.first() {
            Some(name) => {
                let why = format!("what users of `{dialect}` say has no places for values");
                let help = match closest(name, &[USERS]) {
                    Some(_) => "did you mean `users`?",
                    None => {
                        "they are for a protocol of your own (`custom`); who its users are says `feed: {users: …}`"
                    }
                };
                Err(wrong(&format!("feed.{name}"), &why, help))
            }
            None => Ok(()),
        },
        Protocol::Custom(protocol) => {
            let used = protocol.columns_of_feeds();
            let unused = (0..names.len()).find(|place| used.iter().all(|(feed, _)| feed != place));
            match unused.map(|place| names[place]) {
                Some(name) => Err(wrong(
                    &format!("feed.{name}"),
                    "no template names a column of it",
                    &format!("write for example `${{{name}.COLUMN}}`"),
                )),
                None => Ok(()),
            }
        }
    }
}
