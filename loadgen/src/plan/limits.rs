//! What a value of a workload may be.

use std::time::Duration;

use touchstone_protocol::client::Stamp;
use touchstone_protocol::defaults;
use touchstone_scenarios::duration;

use super::PlanError;
use crate::workload::values::Spread;

/// The shortest content that is of any use: most stamps fit, and those that do not are not cut.
pub(crate) const CONTENT_BYTES_MIN: u32 = 32;
const _: () = assert!(CONTENT_BYTES_MIN as usize <= Stamp::BYTES_MAX);
/// More sends a second and session than this is no user any more; it keeps the schedule's arithmetic exact.
pub(crate) const RATE_MAX: f64 = 10_000.0;
/// Below this nothing happens.
pub(super) const DURATION_MIN: Duration = Duration::from_millis(1);
/// The longest run and the longest deadline: what the histograms can hold.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
pub(super) const DEADLINE_MAX: Duration = Duration::from_secs(3600);
/// Sessions of one run: what session numbers inside keys have room for, and far more than the ports of a machine.
pub(crate) const SESSIONS_MAX: u32 = 1_000_000;
pub(crate) const PHASES_MAX: usize = 1_000;
/// Weights so far apart that the lighter never comes in any run are a mistake.
pub(crate) const WEIGHT_MIN: f64 = 1e-6;
pub(crate) const WEIGHT_MAX: f64 = 1e6;
/// A lull or a spike beyond these is another workload.
pub(crate) const FACTOR_MIN: f64 = 0.001;
pub(crate) const FACTOR_MAX: f64 = 1_000.0;
/// Beyond this all but one of the rooms have two members.
pub(crate) const ZIPF_MAX: f64 = 10.0;

/// A value as people write it.
pub(super) trait Written {
    fn written(&self) -> String;
}

impl Written for Duration {
    fn written(&self) -> String {
        duration::written(*self)
    }
}

impl Written for u32 {
    fn written(&self) -> String {
        self.to_string()
    }
}

impl Written for usize {
    fn written(&self) -> String {
        self.to_string()
    }
}

impl Written for f64 {
    fn written(&self) -> String {
        self.to_string()
    }
}

pub(super) fn within<T: PartialOrd + Copy + Written>(
    key: &str,
    value: T,
    min: T,
    max: T,
) -> Result<(), PlanError> {
    // Written so that NaN is outside.
    if value >= min && value <= max {
        return Ok(());
    }
    Err(PlanError::Range {
        key: key.to_owned(),
        value: value.written(),
        range: format!("between {} and {}", min.written(), max.written()),
    })
}

pub(super) fn content_bytes(key: &str, bytes: u32) -> Result<(), PlanError> {
    within(key, bytes, CONTENT_BYTES_MIN, defaults::MESSAGE_BYTES_MAX as u32)
}

pub(super) fn weight(key: &str, weight: f64) -> Result<(), PlanError> {
    within(key, weight, WEIGHT_MIN, WEIGHT_MAX)
}

pub(super) fn within_time(key: &str, spread: Spread) -> Result<(), PlanError> {
    match spread {
        Spread::Constant(time) | Spread::Exponential(time) => {
            within(key, time.0, Duration::ZERO, DEADLINE_MAX)
        }
        Spread::Uniform { from, to } => {
            within(&format!("{key}.uniform.to"), to.0, Duration::ZERO, DEADLINE_MAX)?;
            within(&format!("{key}.uniform.from"), from.0, Duration::ZERO, to.0)
        }
    }
}
