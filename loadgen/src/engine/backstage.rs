//! What lies behind the WebSockets of a run: tokens, the server's HTTP, and its back door.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use touchstone_protocol::client::{Asked, Request, Stamp};
use touchstone_sut::http::HttpRequest;

use super::connect::Node;
use super::requests::{Asking, Errand, Question, Requests};
use crate::ledger::Timing;

/// A token that is on its way; an error says why there is none, in words without secrets.
pub(crate) type TokenComing<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + 'a>>;

/// A program that makes the server emit; an error says what became of it.
pub(crate) type Program = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// How the server is made to emit.
pub(crate) enum Emitting {
    /// By this request.
    Request(HttpRequest),
    /// By a program of this machine, which runs when it is polled.
    Program(Program),
}

/// Who knows how the target gives out tokens, where it has its paths, and how it is made to emit.
pub(crate) trait Backstage: Send + Sync {
    /// Another token for this session; `None` where there are none.
    fn token(&self, session: u32) -> Option<TokenComing<'_>>;

    /// Where the target has a path of the dialect's documents.
    fn path(&self, documented: &str) -> String;

    /// What makes the server emit such an event to this session's group.
    ///
    /// # Errors
    /// Why the target cannot be made to.
    fn injection(&self, session: u32, kind: &str, data: &str) -> Result<Emitting, String>;
}

/// Behind a protocol without tokens, requests and back door.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Backstage for Nobody {
    fn token(&self, _session: u32) -> Option<TokenComing<'_>> {
        None
    }

    fn path(&self, documented: &str) -> String {
        documented.to_owned()
    }

    fn injection(&self, _session: u32, _kind: &str, _data: &str) -> Result<Emitting, String> {
        Err("there is no back door".to_owned())
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// An act of a user.
    Act { act: u32, stamp: Stamp, timing: Timing },
    /// What he has missed.
    CatchUp,
}

impl About {
    /// As the client half is told.
    pub(super) fn asked(self) -> Asked {
        match self {
            Self::Act { act, stamp, .. } => Asked::Act {
                act: act as usize,
                stamp,
            },
            Self::CatchUp => Asked::CatchUp,
        }
    }
}

/// The way of one session to all that.
#[derive(Clone, Copy)]
pub(crate) struct Back<'a> {
    pub(super) requests: &'a Requests,
    pub(super) backstage: &'a dyn Backstage,
    pub(super) slot: usize,
    pub(super) session: u32,
    pub(super) node: usize,
    pub(super) place: &'a Node,
}

/// A request that was not even sent: too many wait already, or the target has no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAsked;

impl Back<'_> {
    /// Asks as this user.
    pub(super) fn request(
        &self,
        about: About,
        request: Request<'_>,
        token: Option<&str>,
    ) -> Result<(), NotAsked> {
        let mut headers = self
            .place
            .headers_with(request.headers)
            .map_err(|_| NotAsked)?
            .into_owned();
        // The target's headers are those of its handshakes, too.
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if !request.body.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // A token that no header can hold opens nothing, and the server says so.
        let bearer = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        if let (Some(mut bearer), false) = (bearer, headers.contains_key(header::AUTHORIZATION)) {
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| NotAsked)?;
        self.ask(Question {
            slot: self.slot,
            about,
            errand: Errand::Request(Asking {
                node: self.node,
                host: self.place.host.clone(),
                method,
                path: self.backstage.path(request.path),
                headers,
                body: Bytes::copy_from_slice(request.body.as_bytes()),
            }),
        })
    }

    /// Makes the server emit.
    pub(super) fn inject(&self, about: About, kind: &str, data: &str) -> Result<(), NotAsked> {
        let injection = self.backstage.injection(self.session, kind, data);
        let errand = match injection.map_err(|_| NotAsked)? {
            Emitting::Program(program) => Errand::Program(program),
            Emitting::Request(HttpRequest {
                method,
                path,
                headers,
                body,
            }) => Errand::Request(Asking {
                // The first node: an admin interface may be there only.
                node: 0,
                host: self.place.host.clone(),
                method,
                path,
                headers,
                body,
            }),
        };
        self.ask(Question {
            slot: self.slot,
            about,
            errand,
        })
    }

    fn ask(&self, question: Question) -> Result<(), NotAsked> {
        self.requests.ask(question)
    }
}
