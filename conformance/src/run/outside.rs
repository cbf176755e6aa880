//! Steps about the server itself, beside its WebSockets: HTTP, back doors, faults, its process, its log, its metrics.

use std::time::Duration;

use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use touchstone_report::number;
use touchstone_scenarios::scenario::{
    Fault, HttpBody, HttpRequest, Matcher, MetricMoved, ResponseMatcher, Signal, Step, StoreFault, Template,
};
use touchstone_sut::http::{CallError, HttpRequest as Request, HttpResponse};
use touchstone_sut::{Metrics, Signal as SutSignal};

use super::trial::{Flow, Halt, Trial};
use crate::head::Response;
use crate::matching::{
    Answer, Comparison, Mismatch, assign, compare, compare_response, describe_response, expectation,
    expected_response, shortened, text_of,
};
use crate::verdict::Check;

/// Between two looks at something that cannot be awaited: an answer over HTTP, a metric.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What a server writes about something that has been answered is in its log by then.
const WRITTEN_WITHIN: Duration = Duration::from_millis(200);
/// How long gauges may take to come to rest before a case that counts on them.
const REST: Duration = Duration::from_secs(1);

impl Trial<'_> {
    /// `http`: with `within:` it is asked again until the answer is right.
    pub(super) async fn http(
        &mut self,
        step: &Step,
        wanted: &HttpRequest,
        expected: &ResponseMatcher,
    ) -> Flow {
        self.checks.looked_at(Check::Message);
        let frame = self.frame(step)?;
        let request = self.request(step, wanted).await?;
        let asked = format!("{} {}", request.method, request.path);
        self.note(asked.clone());
        let mut told = None;
        let found = loop {
            let answered = self.bench.sut.http_as(self.case.dialect, request.clone()).await;
            // What is asked until it is right is told as often as it changes.
            let answer = answer_text(&answered);
            if told.as_ref() != Some(&answer) {
                self.note(format!("{asked}: {answer}"));
                told = Some(answer);
            }
            let over = step.within.is_none() || Instant::now() >= frame.to;
            let found = match answered {
                Ok(answer) => {
                    let response = response(&answer);
                    let answer = Answer::Response {
                        response: &response,
                        accept: None,
                    };
                    self.compare(|environment| compare_response(expected, answer, step.span, environment))
                }
                Err(CallError::Timeout { .. }) => self.compare(|environment| {
                    compare_response(expected, Answer::Silence, step.span, environment)
                }),
                Err(error) if over => return Err(Halt::CouldNotRun(error.to_string())),
                Err(error) => Comparison::mismatch(step.span, "an answer", error.to_string()),
            };
            if found.mismatches.is_empty() || over {
                break found;
            }
            sleep(BETWEEN_LOOKS).await;
        };
        self.mark(Instant::now());
        let values = found
            .captures
            .iter()
            .map(|(_, value)| (request.path.clone(), value.clone()));
        self.captured.extend(values);
        self.judge_outside(step, found)
    }

    /// `http: […]`: all are asked at once, and each of the answers has to be one of those that are expected.
    pub(super) async fn http_at_once(
        &mut self,
        step: &Step,
        wanted: &[HttpRequest],
        expected: &[ResponseMatcher],
    ) -> Flow {
        self.checks.looked_at(Check::Message);
        let mut requests = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let request = self.request(step, wanted).await?;
            self.note(format!("{} {} (at once)", request.method, request.path));
            requests.push(request);
        }
        let path = requests.first().map(|request| request.path.clone());
        let dialect = self.case.dialect;
        let lines = requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path));
        let lines: Vec<String> = lines.collect();
        let asked = requests
            .into_iter()
            .map(|request| self.bench.sut.http_as(dialect, request));
        let at = Instant::now();
        let answered = join_all(asked).await;
        self.mark_span(at, Instant::now());
        for (asked, answered) in lines.iter().zip(&answered) {
            self.note(format!("{asked}: {}", answer_text(answered)));
        }
        let mut answers = Vec::with_capacity(answered.len());
        for answered in answered {
            match answered {
                Ok(answer) => answers.push(Some(response(&answer))),
                Err(CallError::Timeout { .. }) => answers.push(None),
                Err(error) => return Err(not_done(&error)),
            }
        }
        let found = self.matched(step, &answers, expected);
        let values = found.captures.iter();
        let values = values.map(|(_, value)| (path.clone().unwrap_or_default(), value.clone()));
        self.captured.extend(values);
        self.judge_outside(step, found)
    }

    /// Each answer against the one of the expected that it is; all of them as a whole where there is none for one.
    fn matched(&self, step: &Step, answers: &[Option<Response>], expected: &[ResponseMatcher]) -> Comparison {
        let look = |answer: &Option<Response>, expected: &ResponseMatcher| {
            let answer = answer
                .as_ref()
                .map_or(Answer::Silence, |response| Answer::Response {
                    response,
                    accept: None,
                });
            self.compare(|environment| compare_response(expected, answer, step.span, environment))
        };
        let cost = |found: Comparison| found.is_recognised().then_some(found.mismatches.len());
        let costs: Vec<Vec<_>> = answers
            .iter()
            .map(|answer| {
                expected
                    .iter()
                    .map(|expected| cost(look(answer, expected)))
                    .collect()
            })
            .collect();
        if let Some(chosen) = assign(&costs, None) {
            let mut found = Comparison::default();
            for (answer, expectation) in answers.iter().zip(chosen) {
                found.extend(look(answer, &expected[expectation]));
            }
            return found;
        }
        let wanted = self.compare(|environment| {
            let each = expected
                .iter()
                .map(|expected| expected_response(expected, environment));
            each.collect::<Vec<_>>().join(", ")
        });
        let came = answers.iter().map(|answer| {
            answer
                .as_ref()
                .map_or_else(|| "no answer in time".to_owned(), describe_response)
        });
        let came = came.collect::<Vec<_>>().join(", ");
        Comparison::mismatch(step.span, format!("in any order: {wanted}"), came)
    }

    async fn request(&mut self, step: &Step, wanted: &HttpRequest) -> Result<Request, Halt> {
        let token = match &wanted.bearer {
            Some(bearer) => self.token_of_bearer(bearer).await?,
            None => None,
        };
        let broken = |error: &dyn std::fmt::Display| self.broken(step.span, error);
        let path = text_of(self.resolve(&wanted.path)?);
        let path = match self.case.dialect {
            Some(dialect) => self.bench.sut.target().http_path(dialect, &path),
            None => path,
        };
        let method = Method::from_bytes(wanted.method.as_bytes()).map_err(|error| broken(&error))?;
        let mut request = Request::new(method, path);
        match &wanted.body {
            HttpBody::Empty => {}
            HttpBody::Json(template) => request = request.json(&self.resolve(template)?),
            HttpBody::Text(template) => request.body = text_of(self.resolve(template)?).into(),
        }
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| broken(&error))?;
            request.headers.insert(AUTHORIZATION, value);
        }
        for (name, template) in &wanted.headers {
            let name = HeaderName::try_from(name).map_err(|error| broken(&error))?;
            let value = HeaderValue::try_from(text_of(self.resolve(template)?));
            request
                .headers
                .insert(name, value.map_err(|error| broken(&error))?);
        }
        Ok(request)
    }

    /// Finds fault with what was not as expected; it ends the case unless it is judged under a clause of its own.
    pub(super) fn judge_outside(&mut self, step: &Step, found: Comparison) -> Flow {
        let recognised = found.is_recognised();
        self.capture(found.captures);
        found
            .mismatches
            .into_iter()
            .try_for_each(|mismatch| self.report(step, None, mismatch, None))?;
        if recognised { Ok(()) } else { Err(Halt::Found) }
    }

    pub(super) async fn fault(&mut self, step: &Step, fault: &Fault) -> Flow {
        let done = match fault {
            Fault::Store { mode, lasting } => {
                let lasting = self.duration(lasting)?;
                let mode = match mode {
                    StoreFault::Down => "down",
                    StoreFault::Slow => "slow",
                };
                self.note(format!("fault: store {mode} for {}", number::duration(lasting)));
                self.bench.sut.break_store(mode, lasting).await
            }
            Fault::Handler { times } => {
                self.note(format!("fault: the next {times} calls of a handler panic"));
                self.bench.sut.break_handler(*times).await
            }
        };
        done.map_err(|error| self.broken(step.span, &error))?;
        self.mark(Instant::now());
        Ok(())
    }

    pub(super) async fn stop(&mut self, step: &Step, signal: Signal) -> Flow {
        let (signal, name) = match signal {
            Signal::Term => (SutSignal::Term, "TERM"),
            Signal::Int => (SutSignal::Int, "INT"),
            Signal::Kill => (SutSignal::Kill, "KILL"),
        };
        self.note(format!("stop: {name}"));
        self.stopped = true;
        let at = Instant::now();
        self.bench
            .sut
            .signal(signal)
            .await
            .map_err(|error| self.broken(step.span, &error))?;
        self.mark(at);
        Ok(())
    }

    /// `stopped`: the process must have ended, and so.
    pub(super) async fn stopped(&mut self, step: &Step, exit: i32) -> Flow {
        self.checks.looked_at(Check::Timing);
        let frame = self.frame(step)?;
        let left = frame.to.saturating_duration_since(Instant::now());
        let status = self
            .bench
            .sut
            .wait_exit(left)
            .await
            .map_err(|error| not_done(&error))?;
        self.mark(Instant::now());
        let expected = format!("the server to exit {exit} within {}", frame.limit());
        let found = match status {
            None => {
                let mut found = Comparison::mismatch(step.span, expected, "it still runs");
                found
                    .mismatches
                    .iter_mut()
                    .for_each(|mismatch| mismatch.check = Check::Timing);
                found
            }
            Some(status) if status.code() == Some(exit) => Comparison::default(),
            Some(status) => Comparison::mismatch(step.span, expected, status.to_string()),
        };
        self.judge_outside(step, found)
    }

    pub(super) async fn start(&mut self, step: &Step) -> Flow {
        self.note("start");
        self.bench
            .sut
            .restart()
            .await
            .map_err(|error| self.broken(step.span, &error))?;
        self.mark(Instant::now());
        Ok(())
    }

    /// `log`: a line of the server's log since the case began.
    pub(super) async fn log(&mut self, step: &Step, matcher: &Matcher) -> Flow {
        self.checks.looked_at(Check::Message);
        let frame = self.frame(step)?;
        let found = loop {
            let log = self.bench.sut.log();
            // Taken before the lines, so that a line which comes meanwhile is not waited for in vain.
            let seen = log.mark();
            let lines = log.since(self.log_mark);
            let looked = lines.iter().map(|line| {
                let value = serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.clone()));
                self.compare(|environment| compare(matcher, &value, environment))
            });
            if let Some(found) = looked.into_iter().find(Comparison::is_recognised) {
                break found;
            }
            if timeout_at(frame.to, log.written_after(seen)).await.is_err() {
                let last = lines
                    .last()
                    .map_or_else(|| "none".to_owned(), |line| shortened(line));
                let actual = format!("no such line among {}; the last: {last}", lines.len());
                break Comparison::mismatch(
                    matcher.span,
                    self.compare(|environment| expectation(matcher, environment)),
                    actual,
                );
            }
        };
        self.mark(Instant::now());
        self.judge_outside(step, found)
    }

    /// `unlogged`: no line of the server's log since the case began, nor one that still comes.
    pub(super) async fn unlogged(&mut self, step: &Step, text: &Template) -> Flow {
        self.checks.looked_at(Check::Message);
        let text = text_of(self.resolve(text)?);
        let until = Instant::now() + WRITTEN_WITHIN;
        let found = loop {
            let log = self.bench.sut.log();
            let seen = log.mark();
            if log.since(self.log_mark).iter().any(|line| line.contains(&text)) {
                break Comparison::mismatch(step.span, "no line of the log with it", "one that holds it");
            }
            if timeout_at(until, log.written_after(seen)).await.is_err() {
                break Comparison::default();
            }
        };
        self.mark(Instant::now());
        self.judge_outside(step, found)
    }

    /// Before the first step: the metrics of a case that looks at them, once they have come to rest.
    pub(super) async fn measure(&mut self) -> Flow {
        use touchstone_scenarios::scenario::Action;
        let scenario = self.scenario();
        let steps = scenario.given.iter().chain(&scenario.steps);
        if !steps
            .into_iter()
            .any(|step| matches!(step.action, Action::Metrics { .. }))
        {
            return Ok(());
        }
        let deadline = Instant::now() + REST;
        let mut before = self.bench.sut.metrics().await.map_err(|error| not_done(&error))?;
        loop {
            sleep(BETWEEN_LOOKS).await;
            let now = self.bench.sut.metrics().await.map_err(|error| not_done(&error))?;
            if now == before || Instant::now() >= deadline {
                self.metrics = Some(now);
                return Ok(());
            }
            before = now;
        }
    }

    /// `metrics`: how far they must have moved since the case began.
    pub(super) async fn metrics(&mut self, step: &Step, moved: &[MetricMoved]) -> Flow {
        self.checks.looked_at(Check::Message);
        let frame = self.frame(step)?;
        let before = self.metrics.clone().unwrap_or_default();
        let short = loop {
            let now = self.bench.sut.metrics().await.map_err(|error| not_done(&error))?;
            let short: Vec<_> = moved
                .iter()
                .filter_map(|metric| off_by(metric, &before, &now))
                .collect();
            if short.is_empty() || Instant::now() >= frame.to {
                break short;
            }
            sleep(BETWEEN_LOOKS).await;
        };
        self.mark(Instant::now());
        let mut found = Comparison::default();
        for (metric, actual) in short {
            let span = metric.names.first().map_or(step.span, |name| name.span);
            let names: Vec<_> = metric.names.iter().map(|name| name.value.as_str()).collect();
            let expected = format!("{} to move {}", names.join(" or "), bounds(metric));
            let mismatches = Comparison::mismatch(span, expected, actual).mismatches;
            found
                .mismatches
                .extend(mismatches.into_iter().map(|mismatch| Mismatch { ..mismatch }));
        }
        self.judge_outside(step, found)
    }
}

/// The metric and what became of it, if it has not moved as far as it should, or has moved farther.
fn off_by<'a>(metric: &'a MetricMoved, before: &Metrics, now: &Metrics) -> Option<(&'a MetricMoved, String)> {
    let Some((name, value)) = metric.names.iter().find_map(|name| Some((name, now.get(name)?))) else {
        return Some((metric, "there is no such metric".to_owned()));
    };
    let began = before.get(name).unwrap_or(0.0);
    let moved = value - began;
    let too_little = metric.at_least.is_some_and(|least| moved < least);
    let too_much = metric.at_most.is_some_and(|most| moved > most);
    (too_little || too_much).then(|| (metric, format!("{} went from {began} to {value}", name.value)))
}

fn bounds(metric: &MetricMoved) -> String {
    let least = metric.at_least.map(|least| format!("up by at least {least}"));
    let most = metric
        .at_most
        .map(|most| format!("back to at most {most} above where it was"));
    [least, most]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" and ")
}

/// What came of a request, for the transcript.
fn answer_text(answered: &Result<HttpResponse, CallError>) -> String {
    match answered {
        Ok(answer) => describe_response(&response(answer)),
        Err(CallError::Timeout { .. }) => "no answer in time".to_owned(),
        Err(error) => error.to_string(),
    }
}

pub(super) fn not_done(error: &CallError) -> Halt {
    Halt::CouldNotRun(error.to_string())
}

fn response(answer: &HttpResponse) -> Response {
    let headers = answer.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Response {
        status: answer.status.as_u16(),
        headers: headers.collect(),
        body: answer.body.to_vec(),
    }
}
