//! What the environment says: a variable for every key, the names that the documents use, and what is none of them.

use std::path::PathBuf;

use touchstone_scenarios::diag::closest;

use super::slot::Given;
use super::{Assignment, Origin, secrets, table};
use crate::exit::Failure;

/// The name that the document of `echo` has for the time a session is kept, in seconds.
const SESSION_TTL: &str = "REDIS_SESSION_TTL";
/// Names of the documents that say where a Redis is. Alone they switch nothing on.
const WHERE_REDIS_IS: &[&str] = &["REDIS_HOST", "CHANNEL_REDIS_URL", "MESSAGE_REDIS_URL"];
/// Variables of ours that set no key.
const OTHERS: &[&str] = &[CONFIG_FILE, "TOUCHSTONE_COMMIT"];
/// The variable that names the configuration file.
const CONFIG_FILE: &str = "TOUCHSTONE_CONFIG";
/// What the variables of ours begin with.
const OURS: &str = "TOUCHSTONE_";

/// The variables, as they were when the program was started. An empty one counts as not set.
#[derive(Clone, Default)]
pub(crate) struct Environment(Vec<(String, String)>);

/// Without the values: some of them are secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_this_process() -> Self {
        Self::from_iter(
            std::env::vars_os()
                .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok())),
        )
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The configuration file it names.
    pub(crate) fn config_file(&self) -> Option<PathBuf> {
        self.get(CONFIG_FILE).map(PathBuf::from)
    }

    /// What it says about keys, each value tried.
    pub(super) fn assignments(&self) -> Result<Vec<Assignment>, Failure> {
        let mut assignments = Vec::new();
        if let Some(assignment) = self.documented_session_ttl()? {
            assignments.push(assignment);
        }
        for key in table::keys() {
            let variables = key.variables();
            let Some((name, value)) = variables.iter().find_map(|name| Some((name, self.get(name)?))) else {
                continue;
            };
            let given = Given::Text(value.to_owned());
            key.check(&given).map_err(|advice| {
                if key.slot.may_hold_a_password() {
                    Failure::usage(format!("{name}: {advice}"))
                } else {
                    Failure::usage(format!("{name} is `{value}`: {advice}"))
                }
            })?;
            assignments.push(Assignment {
                key,
                given,
                origin: Origin::Environment(name.clone()),
            });
        }
        Ok(assignments)
    }

    fn documented_session_ttl(&self) -> Result<Option<Assignment>, Failure> {
        let Some(text) = self.get(SESSION_TTL) else {
            return Ok(None);
        };
        if !text.parse().is_ok_and(|seconds: u32| seconds > 0) {
            return Err(Failure::usage(format!(
                "{SESSION_TTL} is `{text}`: write a whole number of seconds"
            )));
        }
        Ok(Some(Assignment {
            key: table::find("echo.session.ttl").expect("the table has the key of this variable"),
            given: Given::Text(format!("{text}s")),
            origin: Origin::Environment(SESSION_TTL.to_owned()),
        }))
    }

    /// What is set and has no effect. It is no error: whoever runs the server may set variables for others.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut variables: Vec<String> = table::keys().flat_map(table::Key::variables).collect();
        let others = OTHERS.iter().copied().chain(secrets::variables());
        variables.extend(others.map(str::to_owned));
        let known: Vec<&str> = variables
            .iter()
            .filter_map(|name| name.strip_prefix(OURS))
            .collect();
        let ours = self.0.iter().filter_map(|(name, _)| name.strip_prefix(OURS));
        let unknown = ours
            .filter(|name| !known.contains(name) && !is_of_a_cluster(name))
            .map(|name| match closest(name, &known) {
                Some(best) => {
                    format!("{OURS}{name} is set and means nothing here; did you mean {OURS}{best}?")
                }
                None => format!("{OURS}{name} is set and means nothing here"),
            });
        let redis = WHERE_REDIS_IS.iter().filter(|name| self.get(name).is_some());
        let redis = redis.map(|name| {
            format!("{name} is set and switches nothing on: where state lives is said by `store`, --store")
        });
        unknown.chain(redis).collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(
            variables
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }
}

/// Kubernetes sets these for a service that is named like us: `TOUCHSTONE_SERVICE_HOST`, `TOUCHSTONE_PORT_80_TCP`.
fn is_of_a_cluster(name: &str) -> bool {
    let rest = name.strip_prefix(OURS).unwrap_or(name);
    rest == "PORT"
        || rest.starts_with("PORT_")
        || rest.contains("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
}
