//! Whether a newcomer is in, where nobody greets him: a message by the back door is made for him, again and again,
//! until one arrives. An upgrade that is finished does not say it: many servers accept first, and take up after that
//! whom they send to.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use touchstone_protocol::Dialect;
use touchstone_scenarios::habits::Sounding;
use touchstone_scenarios::scenario::{ActorName, Connection};
use touchstone_sut::Injection;

use super::cast::user_of;
use super::trial::{Flow, Trial};
use crate::frames::{Content, Message};
use crate::tap::Record;

/// How long the first message may take before a second is made; then twice as long, and so on, so that a server that is
/// slow is not made slower.
const FIRST_WAIT: Duration = Duration::from_millis(50);

impl Trial<'_> {
    /// Waits until the newcomer hears what is made for him. If he never does, the case goes on: it is about something
    /// else, and will say so. A target without this back door is taken at its word.
    pub(super) async fn sound(
        &mut self,
        (name, wanted): (&ActorName, &Connection),
        (dialect, sounding): (Dialect, &Sounding),
    ) -> Flow {
        let way = format!("inject.{dialect}.user");
        let index = self.actor(name)?;
        if self.actors[index].excused || !self.bench.sut.target().has_for(dialect, &way) {
            return Ok(());
        }
        let text = self.unique_id(&format!("sounding.{}", self.soundings.len()));
        self.soundings.push(text.clone());
        let data = sounding
            .data
            .resolve(&|variable| (variable == "sounding").then(|| Value::String(text.clone())))
            .map_err(|error| self.broken(name.span, &error))?;
        let to = Value::String(user_of(name, wanted).to_owned());
        let tenant = self.cast.tenant_of(&to);
        let (audience, to) = self.cast.audience(to);
        let injection = Injection {
            audience,
            to,
            kind: sounding.kind.clone(),
            data,
            scheduled_at: Value::Null,
            tenant,
        };
        let log = self.actors[index].log.clone();
        let heard = |record: &Record| {
            let mut messages = record.received.iter();
            let found = messages.find(|message| holds(message, &text));
            let over = record.server_ended_at();
            found.map(|message| message.at).or(over)
        };
        let deadline = Instant::now() + self.bench.stretched(self.bench.options.expectation_deadline);
        let mut wait = FIRST_WAIT;
        while Instant::now() < deadline {
            match timeout_at(deadline, self.bench.sut.inject(dialect, &injection)).await {
                Ok(Ok(())) => {}
                // The step that needs the back door says what is wrong with it.
                Ok(Err(_)) | Err(_) => break,
            }
            if let Some(at) = log.wait_for(deadline.min(Instant::now() + wait), heard).await {
                self.mark(at);
                break;
            }
            wait *= 2;
        }
        Ok(())
    }

    /// A message that was made to see whether somebody is in.
    pub(super) fn is_a_sounding(&self, message: &Message) -> bool {
        self.soundings.iter().any(|text| holds(message, text))
    }
}

fn holds(message: &Message, text: &str) -> bool {
    match &message.content {
        Content::Text(content) => content.contains(text),
        Content::Binary(_) | Content::BadText(_) | Content::BadDeflate(..) => false,
    }
}
