//! What a session does at each of its turns: a pure function of the seed, the session and the number of the turn.

use std::time::Duration;

use touchstone_protocol::client::{Act, Audience, Effect};

use super::PlanError;
use super::limits::{content_bytes, weight, within_time};
use crate::schedule::{Nanos, chance_of, exponential, nanos};
use crate::workload::values::{MixEntry, Size, Spread};
use crate::workload::{ModelName, Workload};

/// What a session does at one of its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Which of the protocol's acts.
    pub act: u32,
    /// Bytes of content.
    pub content_bytes: u32,
    /// The place in the group of the other whom it is for; one's own where one is alone.
    pub recipient: u32,
    /// From the answer to the next act. Zero in the open model.
    pub think: Nanos,
}

/// The acts of a run and how they are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    entries: Vec<Entry>,
    /// Who is owed what the acts deliver, if any does.
    audience: Option<Audience>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    act: u32,
    /// The sum of the weights up to this one.
    weights_until: f64,
    bytes: Size,
    think: Spread,
}

/// Where one of the run's chances begins: far from all others of the same seed.
const TURN: u64 = 0x7475_726e;

impl Mix {
    /// Checks the workload's mix against the acts that there are.
    pub(super) fn new(workload: &Workload, acts: &[Act]) -> Result<Self, PlanError> {
        let first = acts.first().map(|act| act.name.to_string()).unwrap_or_default();
        let default = (first, MixEntry::default());
        let written: Vec<_> = match workload.mix.is_empty() {
            true => vec![(&default.0, &default.1)],
            false => workload.mix.iter().collect(),
        };
        let mut mix = Self {
            entries: Vec::with_capacity(written.len()),
            audience: None,
        };
        let mut weights_until = 0.0;
        for (name, entry) in written {
            let (index, act) = find(acts, name)?;
            mix.address(name, act)?;
            weight(&format!("mix.{name}.weight"), entry.weight)?;
            weights_until += entry.weight;
            mix.entries.push(Entry {
                act: index,
                weights_until,
                bytes: bytes_of(name, entry, workload)?,
                think: think_of(name, entry, workload)?,
            });
        }
        Ok(mix)
    }

    /// Who is owed what the acts deliver, if any of them does.
    #[must_use]
    pub fn audience(&self) -> Option<Audience> {
        self.audience
    }

    /// The acts that occur, by their places among the protocol's.
    pub fn acts(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().map(|entry| entry.act)
    }

    /// What `session`, at `place` among `members`, does at its turn of number `index`.
    pub(super) fn choice(&self, seed: u64, (session, index): (u32, u32), place: u32, members: u32) -> Choice {
        let turns = chance_of(seed ^ TURN, session).u64(..);
        let mut chance = chance_of(turns, index);
        let last = self.entries.last().expect("a mix has an act");
        let drawn = chance.f64() * last.weights_until;
        let entry = self
            .entries
            .iter()
            .find(|entry| drawn < entry.weights_until)
            .unwrap_or(last);
        let content_bytes = bytes(&entry.bytes, &mut chance);
        let recipient = match members {
            0 | 1 => place,
            others => (place + chance.u32(1..others)) % members,
        };
        Choice {
            act: entry.act,
            content_bytes,
            recipient,
            think: time(entry.think, &mut chance),
        }
    }

    /// All deliveries of a run have one audience, or nobody could tell who is owed a message by its number.
    fn address(&mut self, name: &str, act: &Act) -> Result<(), PlanError> {
        let audience = match act.effect {
            Effect::Delivery { audience } => audience,
            Effect::Answer | Effect::Reply | Effect::Nothing => return Ok(()),
        };
        match self.audience.replace(audience) {
            Some(other) if other != audience => Err(PlanError::Wrong {
                key: "mix".to_owned(),
                why: format!(
                    "`{name}` delivers to {}, and another act of the mix to {}: a run has one audience",
                    whom(audience),
                    whom(other),
                ),
                help: Some("make two workloads of it".to_owned()),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// The audience, for messages.
pub(super) const fn whom(audience: Audience) -> &'static str {
    match audience {
        Audience::OthersOfGroup => "the others of the group",
        Audience::Group => "the whole group",
        Audience::Recipient => "one of the group",
        Audience::Everybody => "everybody",
    }
}

fn find<'a>(acts: &'a [Act], name: &str) -> Result<(u32, &'a Act), PlanError> {
    acts.iter()
        .position(|act| act.name == name)
        .map(|index| (index as u32, &acts[index]))
        .ok_or_else(|| PlanError::Unknown {
            key: "mix".to_owned(),
            what: "act",
            name: name.to_owned(),
            known: acts.iter().map(|act| act.name.to_string()).collect(),
        })
}

fn bytes_of(name: &str, entry: &MixEntry, workload: &Workload) -> Result<Size, PlanError> {
    let (key, size) = match &entry.bytes {
        Some(size) => (format!("mix.{name}.bytes"), size),
        None => ("messages.bytes".to_owned(), &workload.messages.bytes),
    };
    match size {
        Size::Constant(bytes) => content_bytes(&key, *bytes)?,
        Size::Uniform(range) => {
            content_bytes(&format!("{key}.from"), range.from)?;
            content_bytes(&format!("{key}.to"), range.to)?;
            if range.from > range.to {
                return Err(PlanError::wrong(
                    &key,
                    format!("from {} to {} is no range", range.from, range.to),
                ));
            }
        }
        Size::OneOf(sizes) => {
            if sizes.is_empty() {
                return Err(PlanError::wrong(
                    &key,
                    "a list of sizes has at least one".to_owned(),
                ));
            }
            for (index, size) in sizes.iter().enumerate() {
                content_bytes(&format!("{key}.{index}.bytes"), size.bytes)?;
                weight(&format!("{key}.{index}.weight"), size.weight)?;
            }
        }
    }
    Ok(size.clone())
}

fn think_of(name: &str, entry: &MixEntry, workload: &Workload) -> Result<Spread, PlanError> {
    let (key, think) = match entry.think {
        Some(think) => (format!("mix.{name}.think"), Some(think)),
        None => ("messages.think".to_owned(), workload.messages.think),
    };
    match (workload.model, think) {
        (ModelName::Open, None) => Ok(Spread::none()),
        (ModelName::Open, Some(_)) => Err(PlanError::Wrong {
            key,
            why: "only a closed model waits for answers and thinks".to_owned(),
            help: Some("write `model: closed`, or a `rate` instead".to_owned()),
        }),
        (ModelName::Closed, None) => Err(PlanError::Wrong {
            key: "model".to_owned(),
            why: "a closed model needs a think time".to_owned(),
            help: Some("write for example `messages: {think: 2s}`".to_owned()),
        }),
        (ModelName::Closed, Some(think)) => {
            within_time(&key, think)?;
            Ok(think)
        }
    }
}

fn bytes(size: &Size, chance: &mut fastrand::Rng) -> u32 {
    match size {
        Size::Constant(bytes) => *bytes,
        Size::Uniform(range) => chance.u32(range.from..=range.to),
        Size::OneOf(sizes) => {
            let sum: f64 = sizes.iter().map(|size| size.weight).sum();
            let mut left = chance.f64() * sum;
            for size in sizes {
                left -= size.weight;
                if left < 0.0 {
                    return size.bytes;
                }
            }
            sizes.last().expect("checked: at least one").bytes
        }
    }
}

/// A time of this spread.
pub(super) fn time(spread: Spread, chance: &mut fastrand::Rng) -> Nanos {
    match spread {
        Spread::Constant(time) => nanos(time.0),
        Spread::Uniform { from, to } => chance.u64(nanos(from.0)..=nanos(to.0)),
        Spread::Exponential(mean) => exponential(nanos(mean.0), chance),
    }
}

impl Spread {
    /// No time at all.
    pub(super) const fn none() -> Self {
        Self::Constant(touchstone_scenarios::duration::FixedDuration(Duration::ZERO))
    }
}
