//! Steps that act on the server from behind: messages made by its back door, its queued events, and what an operator
//! does.

use std::time::SystemTime;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use touchstone_report::timestamp::rfc3339;
use touchstone_scenarios::scenario::{Duration, Matcher, Operation, Signal, Step, Template};
use touchstone_scenarios::source::Spanned;
use touchstone_sut::{Injection, User};

use super::cast::impossible;
use super::outside::{BETWEEN_LOOKS, not_done};
use super::trial::{Flow, Halt, Trial};
use crate::matching::{compare, text_of};
use crate::verdict::Check;

impl Trial<'_> {
    /// `inject`: a back door that does not open is no verdict on the server.
    pub(super) async fn inject(
        &mut self,
        step: &Step,
        (to, kind, data): (&Template, &Template, &Template),
        later: Option<&Duration>,
    ) -> Flow {
        let (to, kind, data) = (
            self.resolve(to)?,
            text_of(self.resolve(kind)?),
            self.resolve(data)?,
        );
        let Some(dialect) = self.case.dialect else {
            return Err(self.broken(step.span, &"without a dialect there is no way to inject"));
        };
        self.note(format!("inject {kind} to {to}"));
        let later = later.map(|later| self.duration(later)).transpose()?;
        let scheduled_at = later.map_or(Value::Null, |later| rfc3339(SystemTime::now() + later).into());
        let tenant = self.cast.tenant_of(&to);
        let (audience, to) = self.cast.audience(to);
        self.injected.push(data.clone());
        let injection = Injection {
            audience,
            to,
            kind,
            data,
            scheduled_at,
            tenant,
        };
        let at = Instant::now();
        let done = self.bench.sut.inject(dialect, &injection).await;
        done.map_err(|error| impossible(&error))?;
        self.mark_span(at, Instant::now());
        Ok(())
    }

    /// `events`: with `within:` it is looked again until the list is right.
    pub(super) async fn events(&mut self, step: &Step, user: &Spanned<String>, matcher: &Matcher) -> Flow {
        self.checks.looked_at(Check::Message);
        let frame = self.frame(step)?;
        let owner = self.owner(user)?;
        let found = loop {
            let events = self
                .bench
                .sut
                .events(&owner)
                .await
                .map_err(|error| impossible(&error))?;
            let found = self.compare(|environment| compare(matcher, &events, environment));
            let over = step.within.is_none() || Instant::now() >= frame.to;
            if found.mismatches.is_empty() || over {
                break found;
            }
            sleep(BETWEEN_LOOKS).await;
        };
        self.mark(Instant::now());
        self.judge_outside(step, found)
    }

    /// `disconnect`, `delete_user`, `drain`, `sweep`.
    pub(super) async fn operate(&mut self, operation: &Operation) -> Flow {
        let at = Instant::now();
        let sut = &self.bench.sut;
        let done = match operation {
            Operation::Disconnect { user, code, reason } => {
                let owner = self.owner(user)?;
                sut.disconnect(&owner, *code, reason.as_deref()).await
            }
            Operation::DeleteUser { user } => sut.delete_user(&self.owner(user)?).await,
            Operation::Drain { window } => {
                let window = window.as_ref().map(|window| self.duration(window)).transpose()?;
                sut.drain(self.dialect()?, window).await
            }
            Operation::Sweep => sut.sweep(self.dialect()?).await,
        };
        done.map_err(|error| impossible(&error))?;
        self.note(match operation {
            Operation::Disconnect { user, .. } => format!("disconnect {}", user.value),
            Operation::DeleteUser { user } => format!("delete the user {}", user.value),
            Operation::Drain { .. } => "drain".to_owned(),
            Operation::Sweep => "sweep".to_owned(),
        });
        self.mark_span(at, Instant::now());
        Ok(())
    }

    /// `kill`: nothing is said, nothing is flushed; then its end.
    pub(super) async fn kill(&mut self, step: &Step) -> Flow {
        self.stop(step, Signal::Kill).await?;
        let left = self.frame(step)?.to.saturating_duration_since(Instant::now());
        match self
            .bench
            .sut
            .wait_exit(left)
            .await
            .map_err(|error| not_done(&error))?
        {
            Some(_) => Ok(()),
            None => Err(Halt::CouldNotRun("the server survived its kill".to_owned())),
        }
    }

    fn owner(&self, name: &Spanned<String>) -> Result<User, Halt> {
        let user = self.cast.user(&name.value).cloned();
        user.ok_or_else(|| self.broken(name.span, &format!("`{}` has no account here", name.value)))
    }

    fn dialect(&self) -> Result<touchstone_protocol::Dialect, Halt> {
        let why = "without a dialect there is nothing to operate";
        self.case.dialect.ok_or_else(|| Halt::CouldNotRun(why.to_owned()))
    }
}
