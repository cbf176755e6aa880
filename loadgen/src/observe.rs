//! The target on the time axis of the run: what its process uses, and what it says of itself.
//!
//! A target that runs on this machine is looked at from outside; any other is asked for its `/metrics`, if that is wanted. What cannot
//! be seen is left out, and costs the run nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use touchstone_sut::Sut;

use crate::summary::Figures;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// A scrape that takes longer is given up: the next look is due.
const SCRAPE_DEADLINE: Duration = Duration::from_millis(900);

/// What is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The target's process on this machine, where it was not started for the run.
    pub process: Option<u32>,
    /// Whether the target is asked for its metrics.
    pub scrape: bool,
}

/// What was seen at the end of a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// CPU time per time since the look before: 100 is one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// What its metrics say that is connected (`app_active_connections`).
    pub connections: Option<u64>,
}

impl Observed {
    /// Whether nothing could be seen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What a process has used when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Usage {
    cpu_seconds: Option<f64>,
    rss_bytes: Option<u64>,
    connections: Option<u64>,
}

/// Looks once a second, `start` being the run's, and notes what is seen by the second that has ended. Ends when it is dropped.
pub(crate) async fn observe(
    look: Look,
    sut: Option<&Arc<Sut>>,
    start: Instant,
    seen: &mut Vec<(u32, Observed)>,
) -> Infallible {
    let mut before: Option<(Instant, Usage)> = None;
    for second in 1.. {
        tokio::time::sleep_until(start + INTERVAL * second).await;
        let usage = usage(look, sut).await;
        let now = Instant::now();
        let cpu_percent = before.and_then(|(then, before)| {
            let used = usage.cpu_seconds? - before.cpu_seconds?;
            // One that was started anew has used less than before.
            (used >= 0.0).then(|| 100.0 * used / (now - then).as_secs_f64())
        });
        let observed = Observed {
            cpu_percent,
            rss_bytes: usage.rss_bytes,
            connections: usage.connections,
        };
        if !observed.is_nothing() {
            seen.push((second, observed));
        }
        before = Some((now, usage));
    }
    std::future::pending().await
}

async fn usage(look: Look, sut: Option<&Arc<Sut>>) -> Usage {
    let mut usage = Usage {
        cpu_seconds: None,
        rss_bytes: None,
        connections: None,
    };
    let Some(sut) = sut else { return usage };
    if look.scrape
        && let Ok(Ok(metrics)) = tokio::time::timeout(SCRAPE_DEADLINE, sut.metrics()).await
    {
        usage = Usage {
            cpu_seconds: metrics.get("process_cpu_seconds_total"),
            rss_bytes: metrics
                .get("process_resident_memory_bytes")
                .map(|bytes| bytes as u64),
            connections: metrics.get("app_active_connections").map(|count| count as u64),
        };
    }
    let process = match look.process {
        Some(process) => Some(process),
        None => sut.pid().await,
    };
    // From outside is more exact, and right for servers that say nothing.
    if let Some((cpu_seconds, rss_bytes)) = process.and_then(system::usage) {
        usage.cpu_seconds = Some(cpu_seconds);
        usage.rss_bytes = Some(rss_bytes);
    }
    usage
}

/// Puts what was seen beside what was measured in the same second.
pub(crate) fn beside(series: &mut [Figures], seen: &[(u32, Observed)]) {
    for figures in series {
        let found = seen.iter().find(|(second, _)| *second == figures.at_seconds);
        figures.target = found.map(|(_, observed)| *observed);
    }
}

#[cfg(target_os = "linux")]
mod system {
    /// CPU seconds and resident bytes of a process, by proc(5); `None` if there is none.
    pub(super) fn usage(process: u32) -> Option<(f64, u64)> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        // SAFETY: take no pointers.
        let (ticks, page) = unsafe {
            (
                libc::sysconf(libc::_SC_CLK_TCK),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        let cpu = super::cpu_ticks(&stat)? as f64 / ticks as f64;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some((cpu, pages * u64::try_from(page).ok()?))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn usage(_: u32) -> Option<(f64, u64)> {
        None
    }
}

/// User and system time in clock ticks: fields 14 and 15. The second is a name in parentheses that may have any of them in it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut behind = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || behind.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_shift_its_fields() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 9 1 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (x) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_of_this_machine_is_seen_and_one_that_is_gone_is_not() {
        let (_, rss_bytes) = system::usage(std::process::id()).unwrap();
        assert!(rss_bytes > 1 << 20, "{rss_bytes}");
        assert_eq!(system::usage(u32::MAX), None);
    }

    #[test]
    fn what_was_seen_stands_beside_its_second() {
        let mut series: Vec<_> = (0..3)
            .map(|number| Figures::from(&crate::record::Second::new(number)))
            .collect();
        let observed = Observed {
            cpu_percent: Some(50.0),
            ..Observed::default()
        };
        beside(&mut series, &[(2, observed)]);
        let seen: Vec<_> = series.iter().map(|figures| figures.target).collect();
        assert_eq!(seen, [None, Some(observed), None]);
    }
}
