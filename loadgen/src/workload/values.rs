//! Values that may be written in more than one way: times, sizes, weights, talkers.

use std::fmt;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use touchstone_protocol::defaults::MESSAGE_BYTES_MAX;
use touchstone_scenarios::duration::{self, FixedDuration};

use crate::plan::limits::{CONTENT_BYTES_MIN, WEIGHT_MAX, WEIGHT_MIN};
use crate::share::Share;

/// A time that is drawn anew each time: `2s`, `{uniform: {from: 1s, to: 3s}}` or `{exponential: 2s}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Always the same.
    Constant(FixedDuration),
    /// Every time between the two as likely as any other.
    Uniform {
        /// The shortest.
        from: FixedDuration,
        /// The longest.
        to: FixedDuration,
    },
    /// As long as independent people take, with this mean; cut at fifty times it.
    Exponential(FixedDuration),
}

/// How [`Spread`] is written when it is a mapping.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SpreadMap {
    Uniform { from: FixedDuration, to: FixedDuration },
    Exponential(FixedDuration),
}

impl Spread {
    /// The longest time that can be drawn.
    #[must_use]
    pub fn longest(&self) -> Duration {
        match *self {
            Self::Constant(time) => time.0,
            Self::Uniform { to, .. } => to.0,
            Self::Exponential(mean) => mean.0.saturating_mul(50),
        }
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Spread;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2s, {uniform: {from: 1s, to: 3s}} or {exponential: 2s}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Spread, E> {
                fixed(text).map(Spread::Constant)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Spread, E> {
                Err(without_unit(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Spread, E> {
                Err(without_unit(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Spread, A::Error> {
                Ok(match SpreadMap::deserialize(MapAccessDeserializer::new(map))? {
                    SpreadMap::Uniform { from, to } => Spread::Uniform { from, to },
                    SpreadMap::Exponential(mean) => Spread::Exponential(mean),
                })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Constant(time) => time.serialize(serializer),
            Self::Uniform { from, to } => SpreadMap::Uniform { from, to }.serialize(serializer),
            Self::Exponential(mean) => SpreadMap::Exponential(mean).serialize(serializer),
        }
    }
}

/// Bytes of content: `64`, `{from: 32, to: 1024}`, or `[{bytes: 64, weight: 9}, {bytes: 4096, weight: 1}]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Size {
    /// Always as many.
    Constant(u32),
    /// Every number between the two, both included, as likely as any other.
    Uniform(SizeRange),
    /// One of these, by their weights.
    OneOf(Vec<WeightedSize>),
}

/// The smallest and the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeRange {
    /// At least so many bytes.
    #[schemars(range(min = CONTENT_BYTES_MIN, max = MESSAGE_BYTES_MAX))]
    pub from: u32,
    /// At most so many bytes.
    #[schemars(range(min = CONTENT_BYTES_MIN, max = MESSAGE_BYTES_MAX))]
    pub to: u32,
}

/// A size, and how often it is drawn beside the others.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedSize {
    /// So many bytes.
    #[schemars(range(min = CONTENT_BYTES_MIN, max = MESSAGE_BYTES_MAX))]
    pub bytes: u32,
    /// Its part of the sum of all weights.
    #[serde(default = "one")]
    #[schemars(range(min = WEIGHT_MIN, max = WEIGHT_MAX))]
    pub weight: f64,
}

const fn one() -> f64 {
    1.0
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a size such as 64, {from: 32, to: 1024} or [{bytes: 64, weight: 9}, {bytes: 4096}]",
                )
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
                u32::try_from(bytes)
                    .map(Size::Constant)
                    .map_err(|_| E::custom(format!("{bytes} bytes are more than any message can have")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Size, A::Error> {
                SizeRange::deserialize(MapAccessDeserializer::new(map)).map(Size::Uniform)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Size, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Size::OneOf)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant(bytes) => bytes.serialize(serializer),
            Self::Uniform(range) => range.serialize(serializer),
            Self::OneOf(sizes) => sizes.serialize(serializer),
        }
    }
}

/// One act of a mix. A number alone is its weight.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MixEntry {
    /// Its part of the sum of all weights.
    pub weight: f64,
    /// Bytes of content, in place of `messages.bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Size>,
    /// The think time after it, in place of `messages.think`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Spread>,
}

impl Default for MixEntry {
    fn default() -> Self {
        Self {
            weight: one(),
            bytes: None,
            think: None,
        }
    }
}

impl<'de> Deserialize<'de> for MixEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            #[serde(default = "one")]
            weight: f64,
            #[serde(default)]
            bytes: Option<Size>,
            #[serde(default)]
            think: Option<Spread>,
        }
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = MixEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a weight such as 3, or {weight: 3, bytes: 64}")
            }

            fn visit_f64<E: Error>(self, weight: f64) -> Result<MixEntry, E> {
                Ok(MixEntry {
                    weight,
                    ..MixEntry::default()
                })
            }

            fn visit_u64<E: Error>(self, weight: u64) -> Result<MixEntry, E> {
                self.visit_f64(weight as f64)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MixEntry, A::Error> {
                let map = MapAccessDeserializer::new(map);
                let Map { weight, bytes, think } = Map::deserialize(map)?;
                Ok(MixEntry { weight, bytes, think })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// A file of rows, and which of them is whose. A text alone is the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Feeder {
    /// Where it is, from the workload's folder on.
    pub file: String,
    /// Which row is whose.
    pub rows: RowOrder,
}

/// Which row of a file is whose.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Each session has one row, the first the first.
    #[default]
    Session,
    /// One after the other, and then from the first again: of `users` to each session, of other files to each turn.
    Cyclic,
    /// Any of them, by the seed: of `users` to each session, of other files to each turn.
    Random,
    /// No row twice: of `users` to each session, of other files to each turn. A run that needs more than there are does not begin.
    Unique,
}

impl<'de> Deserialize<'de> for Feeder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            file: String,
            #[serde(default)]
            rows: RowOrder,
        }
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Feeder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file such as users.csv, or {file: products.json, rows: random}")
            }

            fn visit_str<E: Error>(self, file: &str) -> Result<Feeder, E> {
                Ok(Feeder {
                    file: file.to_owned(),
                    rows: RowOrder::default(),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Feeder, A::Error> {
                let Map { file, rows } = Map::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Feeder { file, rows })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// Which members of a room talk; the others listen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Talkers {
    /// Everybody.
    #[default]
    All,
    /// A share of each room, rounded to the nearest whole member, at least one.
    Share(Share),
    /// So many of each room.
    Number(u32),
}

impl<'de> Deserialize<'de> for Talkers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Talkers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, a share such as 10%, or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Talkers, E> {
                match text {
                    "all" => Ok(Talkers::All),
                    _ => Share::try_from(text.to_owned())
                        .map(Talkers::Share)
                        .map_err(|_| E::custom(format!("`{text}` is neither `all` nor a share such as 10%"))),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Talkers, E> {
                u32::try_from(number)
                    .map(Talkers::Number)
                    .map_err(|_| E::custom(format!("{number} talkers are more than a run can have")))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Talkers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::All => serializer.serialize_str("all"),
            Self::Share(share) => share.serialize(serializer),
            Self::Number(number) => serializer.serialize_u32(number),
        }
    }
}

/// What a client says unasked to show that it is alive: `30s`, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// From one to the next.
    Every(FixedDuration),
    /// Nothing, whatever its protocol asks for.
    Never,
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Heartbeat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 30s, or `none`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Heartbeat, E> {
                match text {
                    "none" => Ok(Heartbeat::Never),
                    _ => fixed(text).map(Heartbeat::Every),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Heartbeat, E> {
                Err(without_unit(number))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Heartbeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Every(time) => time.serialize(serializer),
            Self::Never => serializer.serialize_str("none"),
        }
    }
}

fn fixed<E: Error>(text: &str) -> Result<FixedDuration, E> {
    duration::fixed(text.trim())
        .map(FixedDuration)
        .ok_or_else(|| E::custom(format!("`{text}` is not a duration, write for example 250ms")))
}

fn without_unit<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format!(
        "`{number}` has no unit, write for example {number}ms or {number}s"
    ))
}
