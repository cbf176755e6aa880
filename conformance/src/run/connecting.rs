//! Steps that open connections: well-behaved ones, raw ones, handshakes written by hand.

use futures_util::future::join_all;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use touchstone_protocol::{Dialect, routes};
use touchstone_scenarios::scenario::{
    Action, ActorName, Awaited, Client, Connection as Wanted, Outcome, RawHandshake, ResponseMatcher, Step,
    Template,
};
use touchstone_scenarios::source::Span;

use super::actors::Actor;
use super::trial::{Flow, Halt, Trial};
use super::windows::Frame;
use crate::client::{Address, Connection, Manners, OpenError, add_query, frame_bytes, write_request};
use crate::matching::{Answer, Comparison, compare_response, describe_response, text_of};
use crate::tap::{Log, Record};

/// Every clause that refuses a connection by a close code accepts these instead (spec README, common/2a).
const REFUSALS: [u16; 2] = [401, 403];
const REFUSED_INSTEAD: &str = "the handshake is refused, where a browser cannot read why (common/2a)";

/// A handshake that is over, one way or the other.
struct Opened {
    connection: Result<Connection, OpenError>,
    log: Log,
    /// Those of the connection.
    tasks: JoinSet<()>,
}

impl Trial<'_> {
    /// `connect: ann`: those that are described under `actors`, one after the other.
    pub(super) async fn connect(
        &mut self,
        step: &Step,
        names: &[ActorName],
        greeting: Awaited,
        following: &[Step],
    ) -> Flow {
        for name in names {
            let wanted = self.wanted(name);
            self.connect_as(step, name, &wanted, following).await?;
            self.greet(step, name, &wanted, greeting).await?;
        }
        Ok(())
    }

    /// Opens one connection and awaits its upgrade.
    pub(super) async fn connect_as(
        &mut self,
        step: &Step,
        name: &ActorName,
        wanted: &Wanted,
        following: &[Step],
    ) -> Flow {
        let frame = self.frame(step)?;
        let address = self.address(name, wanted).await?;
        let opened = self.open(step, wanted, &address, frame).await;
        self.opened(step, name, wanted, opened, following)
    }

    /// `at_once: true`: all handshakes are under way together; whose answer comes first is the server's business.
    pub(super) async fn connect_at_once(
        &mut self,
        step: &Step,
        names: &[ActorName],
        greeting: Awaited,
        following: &[Step],
    ) -> Flow {
        let mut newcomers = Vec::with_capacity(names.len());
        for name in names {
            let wanted = self.wanted(name);
            let address = self.address(name, &wanted).await?;
            newcomers.push((name, wanted, address));
        }
        let frame = self.frame(step)?;
        let opening = newcomers
            .iter()
            .map(|(_, wanted, address)| self.open(step, wanted, address, frame));
        let opened = join_all(opening).await;
        for ((name, wanted, _), opened) in newcomers.iter().zip(opened) {
            self.opened(step, name, wanted, opened, following)?;
        }
        for (name, wanted, _) in &newcomers {
            self.greet(step, name, wanted, greeting).await?;
        }
        Ok(())
    }

    /// How an actor that is described under `actors` connects.
    fn wanted(&self, name: &ActorName) -> Wanted {
        let mut described = self.scenario().actors.iter();
        let known = described.find(|actor| actor.name.value == name.value);
        known.map(|actor| actor.connection.clone()).unwrap_or_default()
    }

    async fn open(&self, step: &Step, wanted: &Wanted, address: &Address, frame: Frame) -> Opened {
        let dialect = wanted.dialect.or(self.case.dialect);
        let log = Log::default();
        let mut tasks = JoinSet::new();
        let connection = match wanted.client {
            Client::Judge => {
                let reflex = self.reflex(dialect);
                Connection::open(address, log.clone(), frame.to, reflex, &mut tasks).await
            }
            Client::Raw | Client::Silent => {
                let manners = self.manners(wanted.client, dialect);
                self.open_raw(step, (address, manners), &log, frame, &mut tasks)
                    .await
            }
        };
        Opened {
            connection,
            log,
            tasks,
        }
    }

    /// Takes a connection up, or finds fault with what came in its place.
    fn opened(
        &mut self,
        step: &Step,
        name: &ActorName,
        wanted: &Wanted,
        opened: Opened,
        following: &[Step],
    ) -> Flow {
        let Opened {
            connection,
            log,
            mut tasks,
        } = opened;
        self.tasks
            .spawn(async move { while tasks.join_next().await.is_some() {} });
        let dialect = wanted.dialect.or(self.case.dialect);
        match connection {
            Ok(connection) => {
                let actor = Actor::new((name, dialect), log, wanted.client, Some(connection));
                let (asked_at, upgraded_at) = actor.opened().unwrap_or((self.mark, self.mark));
                self.actors.push(actor);
                // The server may have begun to count before its answer was there.
                self.mark_span(asked_at, upgraded_at);
                Ok(())
            }
            Err(OpenError::Unreachable { address, error }) => Err(Halt::CouldNotRun(format!(
                "the server cannot be reached at {address}: {error}"
            ))),
            Err(error @ OpenError::NoTls { .. }) => Err(Halt::CouldNotRun(error.to_string())),
            Err(OpenError::Address(address)) => {
                Err(self.broken(step.span, &format!("`{address}` is no address to connect to")))
            }
            Err(error @ (OpenError::Handshake(_) | OpenError::Timeout(_))) => {
                self.not_upgraded(step, (name, dialect), log, &error, following)
            }
        }
    }

    /// A raw actor's own handshake is as it should be; only what comes after it may not be.
    async fn open_raw(
        &self,
        step: &Step,
        (address, manners): (&Address, Manners),
        log: &Log,
        frame: Frame,
        tasks: &mut JoinSet<()>,
    ) -> Result<Connection, OpenError> {
        let request = write_request(&RawHandshake::default(), address, &|_| None)
            .map_err(|error| OpenError::Address(format!("{error} ({})", step.span.start)))?;
        let connection =
            Connection::open_raw(address, &request.bytes, log.clone(), frame.to, manners, tasks).await?;
        let answered = log.wait_for(frame.to, answered).await.is_some();
        let accept = request.key.map(|key| derive_accept_key(key.as_bytes()));
        let record = log.record();
        let upgrade = ResponseMatcher {
            upgraded: Some(true),
            ..ResponseMatcher::default()
        };
        let answer = answer(&record, accept.as_deref());
        let found =
            self.compare(|environment| compare_response(&upgrade, answer, Span::default(), environment));
        match found.mismatches.into_iter().next() {
            None => {
                drop(record);
                Ok(connection)
            }
            Some(_) if !answered => Err(OpenError::Timeout(frame.lasting)),
            Some(mismatch) => Err(OpenError::Handshake(mismatch.actual)),
        }
    }

    /// There is no connection: a listed alternative, the one that common/2a lists for all, or a failure.
    fn not_upgraded(
        &mut self,
        step: &Step,
        (name, dialect): (&ActorName, Option<Dialect>),
        log: Log,
        error: &OpenError,
        following: &[Step],
    ) -> Flow {
        let (status, actual) = {
            let record = log.record();
            if record.speaks_tls() {
                return Err(Halt::CouldNotRun(
                    "the server answers in TLS: write wss:// for ws://".to_owned(),
                ));
            }
            match &record.response {
                Some(response) if response.status != 101 => (response.status, describe_response(response)),
                Some(_) | None => (0, error.to_string()),
            }
        };
        let listed = step.alternatives.iter().find(|alternative| {
            matches!(&alternative.outcome, Outcome::Refused(statuses) if statuses.contains(&status))
        });
        let awaits_close = following
            .iter()
            .find(|later| is_about(&later.action, name))
            .filter(|later| {
                matches!(later.action, Action::Closed { .. } | Action::Ends { .. })
                    && REFUSALS.contains(&status)
            });
        let mut actor = Actor::new((name, dialect), log, Client::Judge, None);
        let (judged, why) = match (listed, awaits_close) {
            (Some(alternative), _) => (step, Some(alternative.why.as_str())),
            // What was expected is the close, so its clause is the one that is judged.
            (None, Some(closed)) => (closed, Some(REFUSED_INSTEAD)),
            (None, None) => (step, None),
        };
        actor.excused = why.is_some();
        self.actors.push(actor);
        let found = Comparison::mismatch(judged.span, "an open connection", actual);
        for mismatch in found.mismatches {
            self.report(judged, Some(name), mismatch, why)?;
        }
        if why.is_some() { Ok(()) } else { Err(Halt::Found) }
    }

    /// `refused`: connects, and must be answered so.
    pub(super) async fn refused(
        &mut self,
        step: &Step,
        name: &ActorName,
        response: &ResponseMatcher,
    ) -> Flow {
        let wanted = self.wanted(name);
        let address = self.address(name, &wanted).await?;
        self.shake(step, name, &address, &RawHandshake::default(), Some(response))
            .await
    }

    /// `handshake`: as it is written.
    pub(super) async fn handshake(
        &mut self,
        step: &Step,
        request: &RawHandshake,
        response: Option<&ResponseMatcher>,
    ) -> Flow {
        let unnamed = ActorName {
            value: "handshake".to_owned(),
            span: step.span,
        };
        let name = request.actor.as_ref().unwrap_or(&unnamed);
        let mut wanted = self.wanted(name);
        if request.target.is_some() && wanted.path.is_none() {
            wanted.path = request.target.clone();
        }
        if request.query_whole.is_some() {
            wanted.query_whole = Some(Template::new(Value::Null));
        }
        let address = self.address(name, &wanted).await?;
        self.shake(step, name, &address, request, response).await
    }

    async fn shake(
        &mut self,
        step: &Step,
        name: &ActorName,
        address: &Address,
        request: &RawHandshake,
        response: Option<&ResponseMatcher>,
    ) -> Flow {
        let frame = self.frame(step)?;
        let broken = |error: &dyn std::fmt::Display| self.broken(step.span, error);
        let written =
            write_request(request, address, &|name| self.variable(name)).map_err(|error| broken(&error))?;
        let mut bytes = written.bytes;
        let frames = frame_bytes(&request.frames, &|name| self.variable(name));
        bytes.extend(frames.map_err(|error| broken(&error))?);
        bytes.truncate(request.stop_after_bytes.unwrap_or(bytes.len()));
        let log = Log::default();
        let manners = self.manners(Client::Raw, self.case.dialect);
        let opened =
            Connection::open_raw(address, &bytes, log.clone(), frame.to, manners, &mut self.tasks).await;
        let connection = match opened {
            Ok(connection) => Some(connection),
            // Nobody accepts TCP: where the answer has to be a drop, that is one.
            Err(OpenError::Unreachable { .. }) if response.is_some_and(|response| response.dropped) => None,
            Err(error) => return Err(Halt::CouldNotRun(error.to_string())),
        };
        let unreachable = connection.is_none();
        let mut actor = Actor::new((name, self.case.dialect), log.clone(), Client::Raw, connection);
        actor.accept = written.key.map(|key| derive_accept_key(key.as_bytes()));
        actor.end_expected = request.actor.is_none();
        let accept = actor.accept.clone();
        self.actors.push(actor);
        let Some(response) = response.filter(|_| !unreachable) else {
            return Ok(());
        };
        let done = |record: &Record| {
            if response.dropped {
                answered(record)
            } else {
                complete(record)
            }
        };
        log.wait_for(frame.to, done).await;
        let (found, at) = {
            let record = log.record();
            let answer = answer(&record, accept.as_deref());
            let found =
                self.compare(|environment| compare_response(response, answer, step.span, environment));
            let dropped_at = record.server_end.as_ref().map(|(_, at)| *at);
            (found, record.response_at.or(dropped_at))
        };
        if let Some(at) = at {
            self.mark(at);
            self.report_early(step, name, at, frame)?;
        }
        let recognised = found.is_recognised();
        let why = if recognised {
            None
        } else {
            self.refused_alternative(step, &log)
        };
        self.capture(found.captures);
        for mismatch in found.mismatches {
            self.report(step, Some(name), mismatch, why.as_deref())?;
        }
        if recognised || why.is_some() {
            Ok(())
        } else {
            Err(Halt::Found)
        }
    }

    fn refused_alternative(&self, step: &Step, log: &Log) -> Option<String> {
        let status = log.record().response.as_ref().map(|response| response.status)?;
        let accepted = step.alternatives.iter().find(|alternative| {
            matches!(&alternative.outcome, Outcome::Refused(statuses) if statuses.contains(&status))
        });
        accepted.map(|alternative| alternative.why.clone())
    }

    /// Where an actor connects: path, token, query and headers of its own over those of the dialect and the target.
    /// Actors are spread over the nodes. A path with a query, or a query as a whole, is all there is: no token is added.
    async fn address(&mut self, name: &ActorName, wanted: &Wanted) -> Result<Address, Halt> {
        let dialect = wanted.dialect.or(self.case.dialect);
        let path = match (dialect, &wanted.path) {
            (Some(dialect), _) => self.path_of(dialect, name, wanted)?,
            (None, Some(path)) => text_of(self.resolve(path)?),
            (None, None) => "/".to_owned(),
        };
        let nodes = self.bench.sut.addresses();
        let node = nodes[self.actors.len() % nodes.len()].clone();
        let mut address = Address::new(self.bench.sut.transport(), &node, &path);
        let whole = wanted.query_whole.is_some() || path.contains('?');
        let parameter = dialect.and_then(routes::token_parameter).filter(|_| !whole);
        if let Some(parameter) = parameter
            && let Some(token) = self.token_of(name, wanted, name.span).await?
        {
            address.add_query(parameter, &token);
        }
        let target = self.bench.sut.target();
        let broken = |error: &dyn std::fmt::Display| self.broken(name.span, error);
        for (header, value) in target.headers_for(dialect) {
            if let Ok(value) = value.to_str() {
                address.headers.push((header.to_string(), value.to_owned()));
            }
        }
        let variable = |name: &str| self.variable(name);
        add_query(
            &mut address,
            &wanted.query,
            wanted.query_whole.as_ref(),
            &variable,
        )
        .map_err(|error| broken(&error))?;
        for (header, template) in &wanted.headers {
            match self.resolve(template)? {
                Value::Null => {}
                value => {
                    address
                        .headers
                        .retain(|(known, _)| !known.eq_ignore_ascii_case(header));
                    address.headers.push((header.clone(), text_of(value)));
                }
            }
        }
        Ok(address)
    }
}

/// Whether a step is about this actor.
fn is_about(action: &Action, name: &ActorName) -> bool {
    let one = |actor: &ActorName| actor.value == name.value;
    match action {
        Action::Send { actor, .. }
        | Action::SendBinary { actor, .. }
        | Action::Raw { actor, .. }
        | Action::Close { actor, .. }
        | Action::Closed { actor, .. }
        | Action::Ends { actor }
        | Action::Ponged { actor, .. }
        | Action::Pinged { actor, .. }
        | Action::Tcp { actor, .. }
        | Action::ConnectAs { actor, .. }
        | Action::Refused { actor, .. } => one(actor),
        Action::Expect { actors, .. }
        | Action::Nothing { actors, .. }
        | Action::ClosedAllButOne { actors, .. }
        | Action::Connect { actors, .. } => actors.iter().any(one),
        Action::Handshake { .. }
        | Action::Http { .. }
        | Action::HttpAtOnce { .. }
        | Action::Inject { .. }
        | Action::Introduce
        | Action::Events { .. }
        | Action::Operate(_)
        | Action::Kill
        | Action::Fault(_)
        | Action::Stop { .. }
        | Action::Stopped { .. }
        | Action::Start
        | Action::Log { .. }
        | Action::Unlogged { .. }
        | Action::Metrics { .. }
        | Action::Pause(_)
        | Action::Interleave { .. }
        | Action::Table(_) => false,
    }
}

/// The head of an answer is there, or there will be none.
fn answered(record: &Record) -> Option<()> {
    (record.response.is_some() || record.server_end.is_some()).then_some(())
}

/// The whole answer is there, or there will be no more of it.
fn complete(record: &Record) -> Option<()> {
    (record.response_complete || record.server_end.is_some()).then_some(())
}

fn answer<'a>(record: &'a Record, accept: Option<&'a str>) -> Answer<'a> {
    match (&record.response, &record.server_end) {
        (Some(response), _) => Answer::Response { response, accept },
        (None, Some(_)) => Answer::Dropped,
        (None, None) => Answer::Silence,
    }
}
