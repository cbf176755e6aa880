//! A newcomer's greeting, and what the well-behaved client answers by itself. Both are data of the rules.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;
use touchstone_protocol::Dialect;
use touchstone_scenarios::cast::{DEFAULT_CHANNEL, TENANT};
use touchstone_scenarios::habits::Greeting;
use touchstone_scenarios::scenario::{Action, ActorName, Awaited, Client, Connection, Step};
use touchstone_scenarios::source::Span;

use super::cast::user_of;
use super::expectations::{Attempt, Missed};
use super::trial::{Flow, Halt, Trial};
use crate::client::{Manners, Reflex, Unasked};
use crate::matching::compare;
use crate::verdict::Check;

/// Who is being greeted.
#[derive(Debug)]
pub(crate) struct Newcomer {
    user: Value,
    channel: Value,
    tenant: Value,
}

impl Newcomer {
    /// What a variable of the greeting means.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        match name {
            "user" => Some(self.user.clone()),
            DEFAULT_CHANNEL => Some(self.channel.clone()),
            TENANT => Some(self.tenant.clone()),
            _ => None,
        }
    }
}

impl Trial<'_> {
    /// `greeted: true`: the messages that the dialect sends a newcomer, in their order, each under its own clause; or what
    /// shows that he is in where there are none.
    pub(super) async fn greet(
        &mut self,
        step: &Step,
        name: &ActorName,
        wanted: &Connection,
        greeting: Awaited,
    ) -> Flow {
        let index = self.actor(name)?;
        let Some(habits) = self.habits(self.actors[index].dialect) else {
            return Ok(());
        };
        if greeting == Awaited::No || self.actors[index].excused {
            return Ok(());
        }
        self.newcomer = Some(self.newcomer(name, wanted)?);
        let mut flow = Ok(());
        for message in &habits.greeting {
            flow = self.greeted_by(step, index, message).await;
            if flow.is_err() {
                break;
            }
        }
        self.newcomer = None;
        flow?;
        let dialect = self.actors[index].dialect;
        match (dialect, &habits.sounding) {
            (Some(dialect), Some(sounding)) => self.sound((name, wanted), (dialect, sounding)).await,
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn newcomer(&self, name: &ActorName, wanted: &Connection) -> Result<Newcomer, Halt> {
        let user = self.cast.user(user_of(name, wanted));
        let channel = match &wanted.channel {
            Some(channel) => self.resolve(channel)?,
            None => DEFAULT_CHANNEL.into(),
        };
        let known = channel.as_str().and_then(|name| self.variable(name));
        Ok(Newcomer {
            user: user.map(touchstone_sut::User::value).unwrap_or_default(),
            channel: known.unwrap_or_else(|| serde_json::json!({"id": channel})),
            tenant: user.map(|user| user.tenant.clone()).unwrap_or_default(),
        })
    }

    async fn greeted_by(&mut self, step: &Step, index: usize, greeting: &Greeting) -> Flow {
        self.checks.looked_at(Check::Message);
        self.look_at(&greeting.clause.value);
        // The step that stands in the scenario, under the clause that the greeting has in the rules.
        let step = Step {
            span: step.span,
            action: Action::Introduce,
            clause: Some(greeting.clause.clone()),
            within: None,
            alternatives: Vec::new(),
        };
        let frame = self.frame(&step)?;
        let message = std::slice::from_ref(&greeting.message);
        let attempt = self.attempt_in_order(index, message, frame).await;
        let attempt = placed(attempt, step.span);
        self.conclude(&step, index, attempt, frame).await
    }

    /// What a client with hands of its own does by itself.
    pub(super) fn manners(&self, client: Client, dialect: Option<Dialect>) -> Manners {
        match client {
            Client::Silent => Manners::Silent,
            Client::Judge | Client::Raw => Manners::Dialect {
                reflex: self.reflex(dialect),
                unasked: self.unasked(dialect),
            },
        }
    }

    /// What somebody says who reads nothing, on a dialect that ends who gives no sign of life: a quarter of the time that
    /// it has for an answer goes between two of them.
    fn unasked(&self, dialect: Option<Dialect>) -> Option<Unasked> {
        let dialect = dialect.or(self.case.dialect)?;
        let timeout = self
            .bench
            .timing(&format!("{dialect}.heartbeat.timeout"), Some(dialect))?;
        let answer = self
            .habits(Some(dialect))
            .and_then(|habits| habits.heartbeat_answer.as_ref());
        if answer.is_some() && self.scenario().heartbeats_judged {
            return None;
        }
        Some(Unasked {
            message: answer.map_or_else(
                || Frame::Pong(Bytes::new()),
                |answer| Frame::text(answer.to_string()),
            ),
            every: timeout / 4,
        })
    }

    /// What the client answers by itself: the dialect's heartbeats, unless the case judges them.
    pub(super) fn reflex(&self, dialect: Option<Dialect>) -> Option<Reflex> {
        let habits = self.habits(dialect)?;
        if self.scenario().heartbeats_judged {
            return None;
        }
        let (heartbeat, answer) = (
            habits.heartbeat.as_ref()?,
            habits.heartbeat_answer.as_ref()?.to_string(),
        );
        let environment_of = |text: &str| -> Option<Value> { serde_json::from_str(text).ok() };
        Some(Arc::new(move |text: &str| {
            let value = environment_of(text)?;
            let environment = crate::matching::Environment {
                variable: &|_| None,
                timing: &|_| None,
                answers: None,
                epoch_seconds: 0.0,
            };
            let found = compare(heartbeat, &value, &environment);
            found.mismatches.is_empty().then(|| answer.clone())
        }))
    }
}

/// What is expected stands in the rules, and what went otherwise in the scenario.
fn placed(attempt: Attempt, span: Span) -> Attempt {
    match attempt {
        Ok(mut taken) => {
            for mismatch in &mut taken.found.mismatches {
                mismatch.span = span;
            }
            Ok(taken)
        }
        Err(Missed(mut mismatch)) => {
            mismatch.span = span;
            Err(Missed(mismatch))
        }
    }
}
