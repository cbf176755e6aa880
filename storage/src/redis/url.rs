//! Where Redis is: the forms that `--store` and `--bus` take, and what is wrong with one that is none of them.
//!
//! Nothing here, neither a message nor what `{:?}` shows, tells a password.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where a server listens unless its URL says otherwise.
const PORT: u16 = 6379;
/// Where a Sentinel listens unless its URL says otherwise.
const SENTINEL_PORT: u16 = 26_379;

/// Where Redis is, and as whom we come. Its text is the URL without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Which servers.
    pub layout: Layout,
    /// How they are reached.
    pub security: Security,
    /// As whom, where it is said.
    pub username: Option<String>,
    /// By what, where it is said.
    pub(super) password: Option<String>,
    /// Which of the numbered databases; 0 on a cluster, which has no other.
    pub database: u32,
}

/// Which servers there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// `redis://host`: one server.
    Single(Node),
    /// `redis+sentinel://host,host2/MASTER`: the master of that name, whichever server that is.
    Sentinel {
        /// Any of them is asked.
        sentinels: Vec<Node>,
        /// What they call it.
        master: String,
    },
    /// `redis+cluster://a:7001,b:7002`: the cluster to which these belong.
    Cluster(Vec<Node>),
}

/// A host, and the port on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// A name or an address; that of version 6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// As they are.
    Plain,
    /// Through TLS; who the server is, is checked.
    Tls,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It begins otherwise.
    #[error(
        "`{0}://` is not a form of Redis: use redis://, redis+sentinel:// or redis+cluster://, or rediss for TLS in each"
    )]
    Scheme(String),
    /// There is no `://`.
    #[error("a URL of Redis begins with redis://, redis+sentinel:// or redis+cluster://")]
    NoScheme,
    /// A host is missing, for example between two commas.
    #[error("host {0} of the URL is empty")]
    EmptyHost(usize),
    /// A host is there, but what follows it is no port.
    #[error("`{port}` after host `{host}` is not a port from 1 to 65535")]
    Port {
        /// Before the colon.
        host: String,
        /// Behind it.
        port: String,
    },
    /// An opened bracket is not closed.
    #[error("the address that begins with `[` has no `]`")]
    Bracket,
    /// Only one host stands in `redis://`.
    #[error("redis:// names one host, this names {0}: use redis+cluster:// or redis+sentinel:// for several")]
    SeveralHosts(usize),
    /// Sentinels look after masters by name.
    #[error("redis+sentinel:// needs the name of the master: redis+sentinel://host:26379,host2/MASTER")]
    NoMaster,
    /// A database is a small number.
    #[error("`{0}` is not the number of a database, 0 to 65535")]
    Database(String),
    /// A cluster has no numbered databases.
    #[error("a Redis Cluster has database 0 only, not `{0}`")]
    ClusterDatabase(String),
    /// Something follows that means nothing.
    #[error("`{0}` after the URL means nothing here")]
    Rest(String),
    /// A `%` is not followed by two hexadecimal digits, or what they say is not UTF-8.
    #[error("the {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        let (security, form) = match scheme.split_once('+') {
            Some(("redis", form)) => (Security::Plain, form),
            Some(("rediss", form)) => (Security::Tls, form),
            None if scheme == "redis" => (Security::Plain, "single"),
            None if scheme == "rediss" => (Security::Tls, "single"),
            Some(_) | None => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        // The last `@`: one that stands in a password is not always encoded, in a host there is none.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        if let Some(at) = rest.find(['?', '#']) {
            return Err(UrlError::Rest(rest[at..].to_owned()));
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (layout, database) = match form {
            "single" => single(hosts, path)?,
            "sentinel" => sentinel(hosts, path)?,
            "cluster" => cluster(hosts, path)?,
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        let (username, password) = credentials.map_or(Ok((None, None)), read_credentials)?;
        Ok(Self {
            layout,
            security,
            username,
            password,
            database,
        })
    }
}

fn single(hosts: &str, path: &str) -> Result<(Layout, u32), UrlError> {
    let mut nodes = nodes(hosts, PORT)?;
    match nodes.pop() {
        Some(node) if nodes.is_empty() => Ok((Layout::Single(node), read_database(path)?)),
        Some(_) | None => Err(UrlError::SeveralHosts(nodes.len() + 1)),
    }
}

fn sentinel(hosts: &str, path: &str) -> Result<(Layout, u32), UrlError> {
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return Err(UrlError::NoMaster);
    }
    let layout = Layout::Sentinel {
        sentinels: nodes(hosts, SENTINEL_PORT)?,
        master: decoded(master, "name of the master")?,
    };
    Ok((layout, read_database(database)?))
}

fn cluster(hosts: &str, path: &str) -> Result<(Layout, u32), UrlError> {
    match path {
        "" | "0" => Ok((Layout::Cluster(nodes(hosts, PORT)?), 0)),
        _ => Err(UrlError::ClusterDatabase(path.to_owned())),
    }
}

fn read_database(path: &str) -> Result<u32, UrlError> {
    if path.is_empty() {
        return Ok(0);
    }
    let number = path.parse::<u16>();
    number
        .map(u32::from)
        .map_err(|_| UrlError::Database(path.to_owned()))
}

fn nodes(hosts: &str, default_port: u16) -> Result<Vec<Node>, UrlError> {
    let hosts = hosts.split(',').enumerate();
    hosts
        .map(|(place, host)| node(host, default_port, place + 1))
        .collect()
}

fn node(text: &str, default_port: u16, place: usize) -> Result<Node, UrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError::Bracket)?;
            (
                host,
                rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)),
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(UrlError::EmptyHost(place));
    }
    let port = match port {
        None => default_port,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return Err(UrlError::Port {
                    host: host.to_owned(),
                    port: port.to_owned(),
                });
            }
        },
    };
    let host = host.to_owned();
    Ok(Node { host, port })
}

/// `user:password`, `:password`, or, as redis-cli takes it, a user alone.
fn read_credentials(text: &str) -> Result<(Option<String>, Option<String>), UrlError> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(decoded(password, "password")?)),
        None => (text, None),
    };
    let username = (!username.is_empty()).then(|| decoded(username, "user"));
    Ok((username.transpose()?, password))
}

fn decoded(text: &str, what: &'static str) -> Result<String, UrlError> {
    let wrong = || UrlError::Encoding(what);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.security {
            Security::Plain => "redis",
            Security::Tls => "rediss",
        })?;
        let joined = |nodes: &[Node]| nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(",");
        match &self.layout {
            Layout::Single(node) => write!(f, "://{node}")?,
            Layout::Sentinel { sentinels, master } => {
                write!(f, "+sentinel://{}/{master}", joined(sentinels))?;
            }
            Layout::Cluster(nodes) => write!(f, "+cluster://{}", joined(nodes))?,
        }
        match self.database {
            0 => Ok(()),
            number => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown_without_who_comes() {
        for (url, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://ann:s%3acret@h:7000/3", "redis://h:7000/3"),
            ("rediss://:p@[::1]:7000/0", "rediss://[::1]:7000"),
            (
                "redis+sentinel://a:26379,b/main",
                "redis+sentinel://a:26379,b:26379/main",
            ),
            (
                "rediss+sentinel://:p@a/main/2",
                "rediss+sentinel://a:26379/main/2",
            ),
            (
                "redis+cluster://u:p@a:7001,b:7002",
                "redis+cluster://a:7001,b:7002",
            ),
        ] {
            let read: RedisUrl = url.parse().unwrap();
            assert_eq!(read.to_string(), shown);
            assert_eq!(format!("{read:?}"), shown);
        }
        let read: RedisUrl = "redis://ann:s%3ac@ret@h".parse().unwrap();
        assert_eq!(read.username.as_deref(), Some("ann"));
        assert_eq!(read.password.as_deref(), Some("s:c@ret"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_with_it() {
        for (url, expected) in [
            ("localhost:6379", UrlError::NoScheme),
            ("http://u:hush@h", UrlError::Scheme("http".to_owned())),
            ("redis+ring://h", UrlError::Scheme("redis+ring".to_owned())),
            ("redis://u:hush@", UrlError::EmptyHost(1)),
            ("redis+cluster://u:hush@a,,b", UrlError::EmptyHost(2)),
            (
                "redis://u:hush@h:x",
                UrlError::Port {
                    host: "h".to_owned(),
                    port: "x".to_owned(),
                },
            ),
            ("redis://[::1", UrlError::Bracket),
            ("redis://a,b", UrlError::SeveralHosts(2)),
            ("redis+sentinel://u:hush@a", UrlError::NoMaster),
            ("redis://u:hush@h/x", UrlError::Database("x".to_owned())),
            ("redis+cluster://a/1", UrlError::ClusterDatabase("1".to_owned())),
            ("redis://u:hush@h/1?a=b", UrlError::Rest("?a=b".to_owned())),
            ("redis://u:hush%2@h", UrlError::Encoding("password")),
        ] {
            let error = url.parse::<RedisUrl>().unwrap_err();
            assert_eq!(error, expected, "{url}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }
}
