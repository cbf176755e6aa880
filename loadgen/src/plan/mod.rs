//! What is to be run, made of a workload: checked, and laid out in time.
//!
//! A plan keeps three things apart: *who* (how many sessions, of which protocol, saying what to whom), *when* (arrivals,
//! departures and the schedule of acts) and *how long* (phases). Nothing here touches a socket or a clock, and all of it is a pure
//! function of the workload: how many event loops carry it out changes nothing.

mod groups;
mod habits;
pub(crate) mod limits;
mod mix;
mod protocol;
mod timeline;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use touchstone_protocol::Dialect;
use touchstone_protocol::client::Audience;
use touchstone_scenarios::diag::closest;
use touchstone_scenarios::duration::TIMINGS;

pub use groups::Groups;
pub use mix::{Choice, Mix};
pub use protocol::{Protocol, acts_of};

use crate::custom::{CustomProtocol, Mistake, TOKEN};
use crate::feed::{self, Crowd, FeedError, Feeds};
use crate::schedule::{Nanos, Pace, Sends, Spacing, grid, nanos};
use crate::thresholds::{Threshold, ThresholdError};
use crate::workload::values::{Heartbeat, RowOrder};
use crate::workload::{Compression, Groups as WrittenGroups, ModelName, Popularity, Workload};
use limits::{DEADLINE_MAX, DURATION_MIN, RATE_MAX, SESSIONS_MAX, ZIPF_MAX, within};
use timeline::Timeline;

/// A workload, checked and laid out in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The workload's file name without extension, or what else it is called.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which protocol the sessions speak.
    pub protocol: Protocol,
    /// Whether `echo`'s server is asked to keep every message.
    pub keep_messages: bool,
    /// Values from files, once they are [read](Self::with_feeds).
    pub feeds: Arc<Feeds>,
    /// The number of the first session, for those who share files with others.
    pub first_session: u32,
    /// How many sessions.
    pub sessions: u32,
    /// Why so many.
    pub population: Population,
    /// When each session arrives, by its number; ascending.
    pub arrivals: Vec<Nanos>,
    /// When each session leaves of its own accord, by its number; empty if all stay to the end.
    departures: Vec<Option<Nanos>>,
    /// What decides when a session acts.
    pub model: Model,
    /// What it does then.
    pub mix: Mix,
    /// Who talks to whom.
    pub groups: Groups,
    /// How fast the schedule goes, and when.
    pub pace: Arc<Pace>,
    /// What the clients say unasked, in place of what their protocol has.
    pub heartbeat: Option<Heartbeat>,
    /// One after the other, without gaps.
    pub phases: Vec<PlannedPhase>,
    /// How sessions connect.
    pub connect_at_once: u32,
    /// How long TCP and handshake may take together.
    pub connect_deadline: Duration,
    /// What sessions offer of compression.
    pub compression: Compression,
    /// After this an answer is late.
    pub deadline: Nanos,
    /// Of schedule, drops and jitter.
    pub seed: u64,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
}

/// What decides how many sessions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// The workload says it (`sessions`).
    Counted,
    /// As many as arrive at the workload's rate (`arrivals`).
    Arriving,
}

/// What decides when a session acts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// Nobody acts.
    Silent,
    /// A schedule that is fixed before the run.
    Open(SendPlan),
    /// The next act is meant when the answer to the last has come and the think time is over; the first when the session has
    /// arrived and its think time of turn 0 is over.
    Closed,
}

/// How often each session acts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SendPlan {
    /// The mean time between two acts of a session, where the pace is even.
    pub period: Duration,
    /// How they are spaced.
    pub spacing: Spacing,
}

/// A phase with its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPhase {
    /// `ramp`, `steady`, `storm` …: as progress and plots show it.
    pub name: &'static str,
    /// From here.
    pub start: Nanos,
    /// To here.
    pub end: Nanos,
    /// What happens at its start, beside what arrivals, departures and the pace already say.
    pub happening: Happening,
}

/// What happens at the start of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Nothing.
    Nothing,
    /// Sessions are dropped.
    Storm(Storm),
    /// Sessions read nothing until the phase ends.
    Slow {
        /// Millionths of all sessions.
        millionths: u32,
    },
}

/// Sessions dropped at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// Millionths of all sessions.
    pub drop_millionths: u32,
    /// By when the last must be back, from the drop on.
    pub within: Nanos,
}

/// Why a workload is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A `--set` that does not fit.
    #[error("`--set {setting}`: {why}")]
    Override {
        /// As given.
        setting: String,
        /// What is wrong.
        why: String,
    },
    /// A value outside its range.
    #[error("`{key}` is {value}, but must be {range}")]
    Range {
        /// The workload's key.
        key: String,
        /// As written.
        value: String,
        /// What would do.
        range: String,
    },
    /// An unknown dialect.
    #[error("`dialect`: {0}")]
    Dialect(String),
    /// A name that stands for nothing.
    #[error("`{key}.{name}` is no {what}; there is: {}", known.join(", "))]
    Unknown {
        /// The key under which it stands.
        key: String,
        /// What it should be.
        what: &'static str,
        /// As written.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A value that does not go together with the others.
    #[error("`{key}`: {why}")]
    Wrong {
        /// The workload's key.
        key: String,
        /// What is wrong.
        why: String,
        /// What to do.
        help: Option<String>,
    },
    /// A threshold that cannot be read.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
}

impl PlanError {
    fn wrong(key: &str, why: String) -> Self {
        Self::Wrong {
            key: key.to_owned(),
            why,
            help: None,
        }
    }
}

impl Plan {
    /// Checks `workload` and lays it out in time.
    ///
    /// # Errors
    /// If a value is outside its range, does not go together with another, or a threshold cannot be read.
    pub fn new(name: &str, workload: &Workload) -> Result<Self, PlanError> {
        check(workload)?;
        habits::check_feeds(workload)?;
        let protocol = protocol(workload)?;
        habits::check_heartbeat(workload, &protocol)?;
        habits::check_feeds_of(workload, &protocol)?;
        let Timeline {
            phases,
            pace,
            arrivals,
            departures,
        } = Timeline::new(workload)?;
        let sessions = u32::try_from(arrivals.len()).expect("checked: no more than a million");
        let mix = Mix::new(workload, protocol.acts())?;
        Ok(Self {
            name: name.to_owned(),
            title: workload.title.clone(),
            groups: groups(workload, sessions, &mix)?,
            protocol,
            keep_messages: workload.echo.keep_messages,
            feeds: Arc::default(),
            first_session: workload.first_session,
            sessions,
            population: match workload.arrivals {
                Some(_) => Population::Arriving,
                None => Population::Counted,
            },
            arrivals,
            departures,
            model: model(workload),
            mix,
            pace,
            heartbeat: workload.heartbeat,
            phases,
            connect_at_once: workload.connect.at_once,
            connect_deadline: workload.connect.deadline.0,
            compression: workload.connect.compression,
            deadline: nanos(workload.deadline.0),
            seed: workload.seed,
            thresholds: workload
                .thresholds
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()?,
        })
    }

    /// This plan with the values of the workload's files, which are in `folder`.
    ///
    /// # Errors
    /// If one cannot be read, or has too few rows or columns.
    pub fn with_feeds(self, workload: &Workload, folder: &Path) -> Result<Self, FeedError> {
        if workload.feed.is_empty() {
            return Ok(self);
        }
        let (mut of_users, of_others) = match &self.protocol {
            Protocol::Dialect(_) => (vec!["id"], Vec::new()),
            Protocol::Custom(protocol) => (protocol.columns(), protocol.columns_of_feeds()),
        };
        // One that is not in the file comes from the target.
        of_users.retain(|column| *column != TOKEN);
        let crowd = Crowd {
            sessions: self.sessions,
            first_session: self.first_session,
            turns_max: match takes_rows_by_turn(workload) {
                true => self.turns_max(),
                false => 0,
            },
            seed: self.seed,
        };
        let feeds = Feeds::read(workload, crowd, folder, (&of_users, &of_others))?;
        Ok(Self {
            feeds: Arc::new(feeds),
            ..self
        })
    }

    /// The most turns that any session has by the schedule, and one for what is said at the end.
    fn turns_max(&self) -> u64 {
        let turns = |session: u32| {
            let Some(mut sends) = self.sends(session) else {
                return 0;
            };
            let end = self.departure(session).unwrap_or_else(|| self.end());
            let mut turns = 0_u64;
            while sends.due() < end {
                turns += 1;
                sends.advance();
            }
            turns
        };
        (0..self.sessions).map(turns).max().unwrap_or(0) + 1
    }

    /// When the last phase ends.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.phases.last().map_or(0, |phase| phase.end)
    }

    /// When `session` leaves of its own accord; `None`: it stays to the end.
    #[must_use]
    pub fn departure(&self, session: u32) -> Option<Nanos> {
        self.departures.get(session as usize).copied().flatten()
    }

    /// Whether any session leaves before the end.
    #[must_use]
    pub fn anybody_leaves(&self) -> bool {
        self.departures.iter().any(Option::is_some)
    }

    /// When `session` is meant to act; `None` if no schedule decides it, or it only listens.
    #[must_use]
    pub fn sends(&self, session: u32) -> Option<Sends> {
        let (Model::Open(sends), true) = (self.model, self.groups.talks(session)) else {
            return None;
        };
        let arrival = self.arrivals[session as usize];
        let pace = Arc::clone(&self.pace);
        let drawn = Sends::new(self.seed, session, sends.spacing, sends.period, arrival, pace);
        Some(drawn.on_grid(grid(self.sessions, sends.period)))
    }

    /// What `session` does at its turn of number `index`, counted from 0.
    #[must_use]
    pub fn choice(&self, session: u32, index: u32) -> Choice {
        let members = self.groups.members(self.groups.of(session));
        let place = session - members.start;
        self.mix
            .choice(self.seed, (session, index), place, members.len() as u32)
    }

    /// The session that is owed what `session` says at its turn of number `index`, where that is said to one of its group.
    #[must_use]
    pub fn recipient_of(&self, session: u32, index: u32) -> Option<u32> {
        let choice = self.choice(session, index);
        let to_one = touchstone_protocol::client::Effect::Delivery {
            audience: Audience::Recipient,
        };
        let act = &self.protocol.acts()[choice.act as usize];
        let first = self.groups.members(self.groups.of(session)).start;
        (act.effect == to_one).then_some(first + choice.recipient)
    }

    /// Acts per second of all sessions together, where the pace is even and all are there; 0 where no schedule decides it.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match self.model {
            Model::Silent | Model::Closed => 0.0,
            Model::Open(sends) => f64::from(self.groups.talkers()) / sends.period.as_secs_f64(),
        }
    }
}

/// What can be said of each value alone.
fn check(workload: &Workload) -> Result<(), PlanError> {
    within("messages.rate", workload.messages.rate, 0.0, RATE_MAX)?;
    within("connect.at_once", workload.connect.at_once, 1, SESSIONS_MAX)?;
    let connect = workload.connect.deadline.0;
    within("connect.deadline", connect, DURATION_MIN, DEADLINE_MAX)?;
    within("deadline", workload.deadline.0, DURATION_MIN, DEADLINE_MAX)?;
    if let Some(Heartbeat::Every(interval)) = workload.heartbeat {
        within("heartbeat", interval.0, DURATION_MIN, DEADLINE_MAX)?;
    }
    let unknown = |name: &&String| !TIMINGS.contains(&name.as_str());
    match workload.timings.keys().find(unknown) {
        Some(name) => Err(PlanError::Unknown {
            key: "timings".to_owned(),
            what: "timing",
            name: name.clone(),
            known: TIMINGS.iter().map(|known| (*known).to_owned()).collect(),
        }),
        None => Ok(()),
    }
}

fn protocol(workload: &Workload) -> Result<Protocol, PlanError> {
    let written = match (&workload.dialect, &workload.custom) {
        (Some(_), Some(_)) => {
            return Err(PlanError::Wrong {
                key: "custom".to_owned(),
                why: "a run speaks one protocol".to_owned(),
                help: Some("keep one of `dialect` and `custom`".to_owned()),
            });
        }
        (dialect, None) => {
            let name = dialect.as_deref().unwrap_or(Dialect::Echo.name());
            return Protocol::of_dialect(name).map_err(PlanError::Dialect);
        }
        (None, Some(written)) => written,
    };
    let compiled = CustomProtocol::new(written, &feed::names(workload));
    let protocol = compiled.map_err(|Mistake { key, why, help }| PlanError::Wrong { key, why, help })?;
    if let Some(name) = protocol.users_of() {
        Protocol::of_dialect(name).map_err(|why| {
            let known: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
            PlanError::Wrong {
                key: "custom.users_of".to_owned(),
                why,
                help: closest(name, &known).map(|best| format!("did you mean `{best}`?")),
            }
        })?;
    }
    Ok(Protocol::Custom(Arc::new(protocol)))
}

/// Whether a file has a row for each turn and none twice.
fn takes_rows_by_turn(workload: &Workload) -> bool {
    let mut others = workload.feed.iter().filter(|(name, _)| *name != feed::USERS);
    others.any(|(_, feeder)| feeder.rows == RowOrder::Unique)
}

fn model(workload: &Workload) -> Model {
    match workload.model {
        ModelName::Closed => Model::Closed,
        ModelName::Open if workload.messages.rate > 0.0 => Model::Open(SendPlan {
            period: Duration::from_secs_f64(1.0 / workload.messages.rate),
            spacing: workload.messages.spacing,
        }),
        ModelName::Open => Model::Silent,
    }
}

/// Pairs where an act is for others and nothing else is said, and else everybody alone.
fn groups(workload: &Workload, sessions: u32, mix: &Mix) -> Result<Groups, PlanError> {
    let (default, members_min) = match mix.audience() {
        Some(Audience::OthersOfGroup | Audience::Recipient) => (WrittenGroups::Pairs, 2),
        Some(Audience::Group) => (WrittenGroups::Pairs, 1),
        Some(Audience::Everybody) | None => (WrittenGroups::Alone, 1),
    };
    let written = workload.groups.unwrap_or(default);
    if let WrittenGroups::Rooms { size, popularity, .. } = written {
        within("groups.rooms.size", size, 1, SESSIONS_MAX)?;
        if let Popularity::Zipf(exponent) = popularity {
            within("groups.rooms.popularity.zipf", exponent, 0.0, ZIPF_MAX)?;
        }
    }
    let groups = Groups::new(sessions, written);
    if groups.smallest() < members_min {
        let whom = mix.audience().map_or("nobody", mix::whom);
        return Err(PlanError::Wrong {
            key: "groups".to_owned(),
            why: format!("the mix delivers to {whom}, and somebody would be alone in his group"),
            help: Some("write `groups: pairs` or larger rooms, and have two sessions or more".to_owned()),
        });
    }
    Ok(groups)
}

#[cfg(test)]
mod tests;
