//! What users do, compiled: frames, and requests over HTTP.

use http::HeaderName;
use serde_json::Value;

use super::Mistake;
use super::template::{Pages, Place, Scope, Template};
use crate::workload::custom::{CustomAct, CustomRequest};

/// How an act is done.
#[derive(Debug, Clone)]
pub(super) enum Doing {
    /// Frames that take turns.
    Say(Vec<Template>),
    /// A request.
    Ask(Asking),
}

/// A request over HTTP.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) method: &'static str,
    pub(super) path: Template,
    pub(super) headers: Headers,
    pub(super) body: Template,
}

/// Names, and templates of their values.
pub(super) type Headers = Vec<(String, Template)>;

impl Doing {
    pub(super) fn new(act: &CustomAct, scope: Scope<'_>) -> Result<Self, Mistake> {
        let key = scope.key;
        match (&act.send, act.send_in_turn.as_slice(), &act.request) {
            (Some(send), [], None) => {
                let key = format!("{key}.send");
                Ok(Self::Say(vec![Template::frame(send, scope.at(&key))?]))
            }
            (None, written @ [_, ..], None) => {
                let key = format!("{key}.send_in_turn");
                Ok(Self::Say(frames(written, scope.at(&key))?))
            }
            (None, [], Some(request)) => {
                let key = format!("{key}.request");
                Ok(Self::Ask(Asking::new(request, scope.at(&key))?))
            }
            _ => Err(Mistake::new(
                key,
                "it has one of `send`, `send_in_turn` and `request`".to_owned(),
            )),
        }
    }

    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Say(frames) => frames.iter().collect(),
            Self::Ask(asking) => asking.templates(),
        }
    }
}

impl Asking {
    pub(super) fn new(request: &CustomRequest, scope: Scope<'_>) -> Result<Self, Mistake> {
        let paths = [
            ("GET", "get", &request.get),
            ("POST", "post", &request.post),
            ("PUT", "put", &request.put),
            ("PATCH", "patch", &request.patch),
            ("DELETE", "delete", &request.delete),
        ];
        let mut named = paths
            .into_iter()
            .filter_map(|(method, name, path)| Some((method, name, path.as_ref()?)));
        let (Some((method, name, path)), None) = (named.next(), named.next()) else {
            return Err(Mistake::new(
                scope.key,
                "it has one of `get`, `post`, `put`, `patch` and `delete`".to_owned(),
            ));
        };
        let at = |part: &str| format!("{}.{part}", scope.key);
        Ok(Self {
            method,
            path: Template::path(path, scope.at(&at(name)))?,
            headers: headers(&request.headers, scope.at(&at("headers")))?,
            body: match &request.body {
                Value::Null => Template::default(),
                body => Template::frame(body, scope.at(&at("body")))?,
            },
        })
    }

    pub(super) fn templates(&self) -> Vec<&Template> {
        let headers = self.headers.iter().map(|(_, value)| value);
        headers.chain([&self.path, &self.body]).collect()
    }
}

/// How what was missed is read back.
#[derive(Debug, Clone)]
pub(super) struct ReadingBack {
    pub(super) asks: Asks,
    /// Page after page, until one has no message.
    pub(super) by_pages: bool,
    /// Whoever comes back asks for what came after what he heard last.
    pub(super) from_last: bool,
    /// Whether a frame of its own says that nothing more comes.
    pub(super) has_end: bool,
}

/// What asks for what was missed.
#[derive(Debug, Clone)]
pub(super) enum Asks {
    /// What those say first who come back.
    Resume,
    /// A frame.
    Frame(Template),
    /// A request.
    Request(Asking),
}

impl ReadingBack {
    pub(super) fn new(asks: Asks, has_end: bool) -> Self {
        let names = |place: &Place| asks.templates().iter().any(|template| template.names(place));
        Self {
            by_pages: names(&Place::Page),
            from_last: names(&Place::Last),
            has_end,
            asks,
        }
    }
}

impl Asks {
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Resume => Vec::new(),
            Self::Frame(frame) => vec![frame],
            Self::Request(asking) => asking.templates(),
        }
    }
}

/// Where what is read back is asked for.
pub(super) fn with_pages(scope: Scope<'_>) -> Scope<'_> {
    Scope {
        pages: Pages::Counted,
        ..scope
    }
}

pub(super) fn frames(written: &[Value], scope: Scope<'_>) -> Result<Vec<Template>, Mistake> {
    let frame = |(number, frame): (usize, &Value)| {
        let key = format!("{}.{number}", scope.key);
        Template::frame(frame, scope.at(&key))
    };
    written.iter().enumerate().map(frame).collect()
}

pub(super) fn headers<'a>(
    written: impl IntoIterator<Item = (&'a String, &'a String)>,
    scope: Scope<'_>,
) -> Result<Headers, Mistake> {
    let header = |(name, value): (&String, &String)| {
        let key = format!("{}.{name}", scope.key);
        if HeaderName::try_from(name).is_err() {
            return Err(Mistake::new(&key, format!("`{name}` is no name of a header")));
        }
        Ok((name.clone(), Template::header(value, scope.at(&key))?))
    };
    written.into_iter().map(header).collect()
}
