//! What a dialect does by itself: what its connections carry, what it sends a newcomer, its heartbeats, and its frames
//! about people who have nothing to do with a case. Literal, like everything that is judged; read from the rules.

use serde::Deserialize;
use serde_json::Value;

use crate::rules::ClauseId;
use crate::scenario::{Matcher, MessageMatcher, Template};
use crate::source::Spanned;

/// The habits of a dialect. Everything may be missing.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// What its tokens claim, besides the times: `user`, `tenant` are the variables in it.
    pub claims: Option<Template>,
    /// Whether its users belong to tenants.
    pub tenants: bool,
    /// What a newcomer is sent, in this order, before anything else.
    pub greeting: Vec<Greeting>,
    /// What shows that a newcomer is in, where nothing greets him.
    pub sounding: Option<Sounding>,
    /// What answers a text that is no JSON.
    pub answers: Option<Answers>,
    /// What its heartbeats look like: set aside unless a scenario judges them.
    pub heartbeat: Option<Matcher>,
    /// What the well-behaved client answers to them by itself, unless a scenario judges them.
    pub heartbeat_answer: Option<Value>,
    /// Types of frames that tell others who comes and goes: a scenario for several dialects sets them aside, like
    /// greetings.
    pub presence: Vec<String>,
    /// Frames that go to everybody.
    pub strangers: Vec<Stranger>,
}

/// One message of a greeting. Variables in it are `user`, `channel` and `tenant` of the newcomer.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The clause it is judged under.
    pub clause: Spanned<ClauseId>,
    /// What it has to be.
    pub message: MessageMatcher,
}

/// A message that the back door makes for a newcomer, until one arrives. The variable `sounding` in it is a text by which
/// it is known.
#[derive(Debug, Clone)]
pub struct Sounding {
    /// Its type.
    pub kind: String,
    /// Its data.
    pub data: Template,
}

/// What answers a text that is no JSON: every dialect has something to say to it, and connections stay open. It is what the
/// common scenarios wait for (`$answer`) where any message would do.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The answer to a text, which is the variable `text` in it.
    pub text: Matcher,
    /// The answer to an empty one, where that is another.
    pub nothing: Option<Matcher>,
}

/// A frame that goes to everybody. Set aside where it is about somebody who does not take part in the case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stranger {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the identity stands in it: a JSON pointer.
    pub identity: Option<String>,
    /// It is about a resource: one of these words is in the path, or in the type of the frame, from which the case
    /// captured the resource's id. Empty: it is about a user.
    #[serde(default)]
    pub among: Vec<String>,
    /// It names nobody, and follows a frame of this type: it is a stranger's if that one was.
    pub after: Option<String>,
}
