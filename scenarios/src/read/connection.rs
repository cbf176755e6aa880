//! How actors connect, and what a handshake or an HTTP request and their answers look like.

use crate::cast::UNNAMED;
use crate::diag::Diag;
use crate::read::{Fields, Read, Reader, Use, keys};
use crate::scenario::{
    Action, Client, Connection, HttpBody, HttpRequest, REQUESTS_AT_ONCE_MAX, RawHandshake, ResponseMatcher,
    Scope, StatusMatcher, Template, Window,
};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

type Pairs = Vec<(String, Template)>;

impl Reader<'_> {
    /// The keys of a connection, taken out of `fields`; the client if the file names one.
    pub(super) fn connection(&mut self, fields: &mut Fields<'_>) -> Read<(Connection, Option<Client>)> {
        fields.announce(keys::CONNECTION);
        let identity = self.identity(fields)?;
        let path = fields
            .take("path")
            .map(|(_, node)| self.template(node))
            .transpose()?;
        let (query, query_whole) = self.query(fields)?;
        let headers = match fields.take("headers") {
            Some((_, node)) => self.pairs(node)?,
            None => Vec::new(),
        };
        let clients = [
            ("judge", Client::Judge),
            ("raw", Client::Raw),
            ("silent", Client::Silent),
        ];
        let client = fields
            .take("client")
            .map(|(_, node)| self.word(node, &clients))
            .transpose()?;
        let connection = Connection {
            path,
            query,
            query_whole,
            headers,
            client: client.unwrap_or_default(),
            ..identity
        };
        Ok((connection, client))
    }

    fn query(&self, fields: &mut Fields<'_>) -> Read<(Pairs, Option<Template>)> {
        match fields.take("query") {
            None => Ok((Vec::new(), None)),
            Some((_, node)) => match node.kind {
                Kind::String(_) => Ok((Vec::new(), Some(self.template(node)?))),
                _ => Ok((self.pairs(node)?, None)),
            },
        }
    }

    fn pairs(&self, node: &Node) -> Read<Pairs> {
        let entries = self.map(node)?;
        entries
            .iter()
            .map(|(key, value)| Ok((key.value.clone(), self.parameter(value)?)))
            .collect()
    }

    /// A scalar, or a list of scalars for one that repeats.
    fn parameter(&self, node: &Node) -> Read<Template> {
        match &node.kind {
            Kind::Map(_) | Kind::Null => Err(self.expected(node, "a value or a list of values")),
            _ => self.template(node),
        }
    }

    pub(super) fn handshake(&mut self, node: &Node) -> Read<RawHandshake> {
        let mut fields = match node.kind {
            Kind::Null => Fields::none(node, "a handshake"),
            _ => Fields::of(self, node, "a handshake")?,
        };
        fields.announce(keys::HANDSHAKE);
        let actor = fields
            .take("as")
            .map(|(_, node)| self.spanned(node))
            .transpose()?;
        let text = |reader: &Self, fields: &mut Fields<'_>, key| match fields.take(key) {
            Some((_, node)) => reader.parameter(node).map(Some),
            None => Ok(None),
        };
        let method = text(self, &mut fields, "method")?;
        let target = text(self, &mut fields, "target")?;
        let version = text(self, &mut fields, "version")?;
        if let (Some(span), true) = (fields.key_span("query"), target.is_some()) {
            return Err(self
                .at("unknown-key", span, "`target` has its query already")
                .help("write `…?name=value` into it"));
        }
        if target.is_none() && self.scope == Scope::None {
            return Err(self
                .wrong("missing-key", node, "there is no dialect to take the path from")
                .help("add `target: /where/it/connects`"));
        }
        let (query, query_whole) = self.query(&mut fields)?;
        let (headers, headers_whole) = self.handshake_headers(&mut fields)?;
        let padding_bytes = fields
            .take("padding_bytes")
            .map_or(Ok(0), |(_, node)| self.count(node))?;
        let frames = fields
            .take("frames")
            .map_or(Ok(Vec::new()), |(_, node)| self.frames(node))?;
        let stop_after_bytes = fields
            .take("stop_after_bytes")
            .map(|(_, node)| self.count(node))
            .transpose()?;
        fields.finish(self)?;
        if let Some(actor) = &actor {
            let connection = Connection {
                path: target.clone(),
                ..Connection::default()
            };
            self.make_actor(actor, &connection, Some(Client::Raw))?;
        } else if target.is_none() {
            let unnamed = Spanned {
                value: UNNAMED.to_owned(),
                span: node.span,
            };
            self.engage(&unnamed, &Connection::default())?;
        }
        Ok(RawHandshake {
            actor,
            method,
            target,
            query,
            query_whole,
            version,
            headers,
            headers_whole,
            padding_bytes,
            frames,
            stop_after_bytes,
        })
    }

    #[expect(
        clippy::type_complexity,
        reason = "the two halves of one key, taken apart at once"
    )]
    fn handshake_headers(
        &self,
        fields: &mut Fields<'_>,
    ) -> Read<(Vec<(Spanned<String>, Template)>, Option<Template>)> {
        let Some((_, node)) = fields.take("headers") else {
            return Ok((Vec::new(), None));
        };
        if let Kind::String(_) = node.kind {
            return Ok((Vec::new(), Some(self.template(node)?)));
        }
        let header = |(name, value): &(Spanned<String>, Node)| Ok((name.clone(), self.template(value)?));
        Ok((self.map(node)?.iter().map(header).collect::<Read<_>>()?, None))
    }

    pub(super) fn http(&mut self, node: &Node) -> Read<HttpRequest> {
        let mut fields = Fields::of(self, node, "a request")?;
        fields.announce(keys::REQUEST);
        let mut methods = keys::METHODS
            .iter()
            .filter_map(|method| Some((*method, fields.take(method)?.1)));
        let (method, path) = methods.next().ok_or_else(|| self.no_method(node))?;
        if methods.next().is_some() {
            return Err(self.wrong("wrong-type", node, "a request has one method"));
        }
        drop(methods);
        let path = self.path(path)?;
        let bearer = fields.take("as").map(|(_, node)| self.bearer(node)).transpose()?;
        let headers = fields
            .take("headers")
            .map_or(Ok(Vec::new()), |(_, node)| self.pairs(node))?;
        let body = match (fields.take("json"), fields.take("body")) {
            (None, None) => HttpBody::Empty,
            (Some((_, json)), None) => HttpBody::Json(self.template(json)?),
            (None, Some((_, body))) => HttpBody::Text(self.template(body)?),
            (Some(_), Some((key, _))) => {
                return Err(self.at("two-bodies", key.span, "a request has `json` or `body`, not both"));
            }
        };
        fields.finish(self)?;
        Ok(HttpRequest {
            method: method.to_uppercase(),
            path,
            bearer,
            headers,
            body,
        })
    }

    /// Requests that are made at once: whoever wins a race between them, the answers are these.
    pub(super) fn http_at_once(
        &mut self,
        (node, requests): (&Node, &[Node]),
        answers: &Node,
        within: Option<&Window>,
    ) -> Read<Action> {
        if within.is_some() {
            return Err(self
                .wrong(
                    "contradiction",
                    node,
                    "requests at once are made once, and `within` asks again",
                )
                .help("await what they lead to in the step after"));
        }
        if !(2..=REQUESTS_AT_ONCE_MAX).contains(&requests.len()) {
            return Err(self
                .wrong(
                    "wrong-length",
                    node,
                    format!("{} requests at once", requests.len()),
                )
                .help(format!("from 2 to {REQUESTS_AT_ONCE_MAX}; one alone is no list")));
        }
        let wanted = match &answers.kind {
            Kind::List(wanted) if wanted.len() == requests.len() => wanted,
            _ => {
                return Err(self
                    .wrong("wrong-length", answers, "each of the requests has an answer")
                    .help("write for example `expect: [{status: 201}, {status: 409}]`, in any order"));
            }
        };
        Ok(Action::HttpAtOnce {
            requests: requests.iter().map(|node| self.http(node)).collect::<Read<_>>()?,
            responses: wanted
                .iter()
                .map(|node| self.http_answer(node))
                .collect::<Read<_>>()?,
        })
    }

    /// The answer to a request, which is no handshake.
    pub(super) fn http_answer(&mut self, node: &Node) -> Read<ResponseMatcher> {
        let response = self.response(node)?;
        if response.upgraded.is_some() || response.dropped {
            return Err(self
                .wrong(
                    "unknown-value",
                    node,
                    "`upgraded` and `dropped` are said of a handshake",
                )
                .help("a WebSocket handshake by hand is the step `handshake: {target: /path}`"));
        }
        Ok(response)
    }

    fn no_method(&self, node: &Node) -> Diag {
        let stranger = match &node.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(key, _)| !keys::REQUEST.contains(&key.value.as_str())),
            _ => None,
        };
        match stranger {
            Some((key, _)) => self
                .at(
                    "unknown-key",
                    key.span,
                    format!("unknown key `{}` in a request", key.value),
                )
                .suggest(key, keys::REQUEST.iter().copied()),
            None => self
                .wrong("missing-key", node, "the request has no method")
                .help("a method is the key of its path: {get: /readyz}"),
        }
    }

    fn path(&self, node: &Node) -> Read<Template> {
        let text = self.string(node)?;
        if text.starts_with('/') || text.starts_with("${") {
            return self.template(node);
        }
        Err(self
            .wrong("bad-path", node, format!("`{text}` is not a path from the root"))
            .help("write it as the dialect documents it, from `/` on: the target says where it really is"))
    }

    /// An HTTP answer: `{status: …, …}`, or the status alone.
    pub(super) fn response(&mut self, node: &Node) -> Read<ResponseMatcher> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Ok(ResponseMatcher {
                status: self.statuses(node)?,
                ..ResponseMatcher::default()
            });
        }
        let mut fields = Fields::of(self, node, "an answer")?;
        fields.announce(keys::RESPONSE);
        let mut response = ResponseMatcher::default();
        if let Some((_, node)) = fields.take("status") {
            let (value, clause) = self.under(node)?;
            response.status = self.statuses(value)?;
            response.status_clause = clause;
        }
        if let Some((_, node)) = fields.take("headers") {
            for (name, value) in self.map(node)? {
                let matcher = self.matcher(value)?;
                response.headers.push((name.clone(), matcher));
            }
        }
        response.json = fields
            .take("json")
            .map(|(_, node)| self.matcher(node))
            .transpose()?;
        response.upgraded = fields
            .take("upgraded")
            .map(|(_, node)| self.boolean(node))
            .transpose()?;
        if let Some((_, node)) = fields.take("dropped") {
            self.flag(node)?;
            response.dropped = true;
        }
        fields.finish(self)?;
        let asks = !response.status.is_empty()
            || !response.headers.is_empty()
            || response.json.is_some()
            || response.upgraded.is_some();
        if response.dropped && asks {
            return Err(self.wrong(
                "contradiction",
                node,
                "a connection that is dropped has no answer to look at",
            ));
        }
        if !response.dropped && !asks {
            return Err(self
                .wrong(
                    "matches-anything",
                    node,
                    "this could never fail: nothing is asked of the answer",
                )
                .help("name at least the status"));
        }
        Ok(response)
    }

    pub(super) fn statuses(&self, node: &Node) -> Read<Vec<StatusMatcher>> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => Err(self.expected(node, "a status or several")),
            Kind::List(items) => items.iter().map(|item| self.status(item)).collect(),
            _ => Ok(vec![self.status(node)?]),
        }
    }

    fn status(&self, node: &Node) -> Read<StatusMatcher> {
        match &node.kind {
            Kind::Number(_) => match self.count::<u16>(node) {
                Ok(status) if (100..600).contains(&status) => Ok(StatusMatcher::Exactly(status)),
                _ => Err(self.expected(node, "a status from 100 to 599")),
            },
            Kind::String(text) if text.starts_with("${") => {
                Ok(StatusMatcher::Variable(self.whole_variable(node, Use::Status)?))
            }
            Kind::String(text) => match text.as_bytes() {
                [digit @ b'1'..=b'5', b'x', b'x'] => Ok(StatusMatcher::Class(digit - b'0')),
                _ => Err(self
                    .wrong("wrong-type", node, format!("`{text}` is not a status"))
                    .help("write 404, 4xx or a list such as [401, 403]")),
            },
            _ => Err(self
                .expected(node, "a status")
                .help("write 404, 4xx or a list such as [401, 403]")),
        }
    }

    /// A value that may be wrapped as `{$value: …, $clause: …}`.
    pub(super) fn under<'n>(
        &self,
        node: &'n Node,
    ) -> Read<(&'n Node, Option<Spanned<crate::rules::ClauseId>>)> {
        let Kind::Map(entries) = &node.kind else {
            return Ok((node, None));
        };
        let find = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.value == name)
                .map(|(_, value)| value)
        };
        match (find("$value"), find("$clause"), entries.len()) {
            (Some(value), Some(clause), 2) => Ok((value, Some(self.clause_id(clause)?))),
            _ => Ok((node, None)),
        }
    }
}
